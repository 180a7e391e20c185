import { fixtureBaseUs } from './span_fixture.ts'

// Batches as a reporter writes them: plain JSON, every field that must be there and no other.

export const nowUs = fixtureBaseUs + 200_000_000

export const wireSpan = {
  type: 'span',
  trace_id: 'a'.repeat(32),
  span_id: 'b'.repeat(16),
  layer: 'tool',
  name: 'tools/call read_file',
  start_us: nowUs - 5_000,
}

export const wireError = {
  type: 'error',
  error_id: '018f0000-0000-7000-8000-0000000000e1',
  at_us: nowUs - 1_000,
  error_type: 'TypeError',
  message: 'Cannot read properties of undefined',
}

export const wireMessage = { type: 'message', message_id: '018f0000-0000-7000-8000-0000000000d1', at_us: nowUs }

export const wireEvent = {
  type: 'event',
  event_id: '018f0000-0000-7000-8000-0000000000c1',
  at_us: nowUs,
  connection_type: 'websocket',
  direction: 'send',
}

export const wireGauge = { type: 'gauge', name: 'redis_memory_mb', at_us: nowUs, value: 12.5 }

export const wireRunning = {
  trace_id: 'a'.repeat(32),
  span_id: 'b'.repeat(16),
  layer: 'daemon',
  name: 'call',
  start_us: nowUs,
}

/** A batch with these records, changed by `changes`. */
export function wireBatch(records: readonly unknown[] = [], changes: Record<string, unknown> = {}) {
  return {
    batch_id: '018f0000-0000-7000-8000-0000000000b1',
    made_at_us: nowUs,
    source: { service: 'exai', instance: 'a', environment: 'test' },
    process: {
      id: '018f0000-0000-7000-8000-00000000000a',
      started_at_us: nowUs - 60_000_000,
      sdk: 'telltale-js/0.1.0',
    },
    seq: 1,
    counters: { recorded: records.length, dropped: {} },
    records,
    ...changes,
  }
}
