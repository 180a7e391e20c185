import { randomUUID } from 'node:crypto'
import { batchRowsOf } from '../functions/action/accept_batch.ts'
import type { BatchRows } from '../functions/store/port.ts'
import type { Batch, Span, TelltaleRecord } from '../src/core/record.ts'
import { plainSpan } from './span_fixture.ts'

export const dayUs = 86_400_000_000
export const minuteUs = 60_000_000

/** Now in whole seconds, in µs: the database goes by its own clock, and keeps 30 days. */
export const nowUs = Math.floor(Date.now() / 1_000) * 1_000_000

/** Noon (UTC) of the day before yesterday, in µs: far from midnight and from what is still being written. */
export const noonUs = Math.floor(nowUs / dayUs) * dayUs - dayUs * 2 + dayUs / 2

export const processId = '018f0000-0000-7000-8000-00000000000a'

/** A trace id that sorts by n. */
export function traceId(n: number): string {
  return n.toString(16).padStart(31, '0').padStart(32, 'c')
}

export function aSpan(changes: Partial<Span> = {}): Span {
  return {
    ...plainSpan,
    trace_id: traceId(1),
    span_id: '00000000000000a1',
    name: 'tools/call',
    start_us: noonUs,
    end_us: noonUs + 5_000,
    outcome: 'ok',
    entry: true,
    tool: 'read_file',
    ...changes,
  }
}

export function anError(changes: Record<string, unknown> = {}): TelltaleRecord {
  return {
    type: 'error',
    error_id: randomUUID(),
    at_us: noonUs,
    trace_id: null,
    span_id: null,
    error_type: 'TypeError',
    message: 'Cannot read properties of undefined',
    traceback: null,
    context: {},
    ...changes,
  } as TelltaleRecord
}

/** A batch with these records. `seq` 1 of one process of one source unless changed. */
export function aBatch(records: readonly TelltaleRecord[] = [], changes: Partial<Batch> = {}): Batch {
  return {
    batch_id: randomUUID(),
    made_at_us: nowUs,
    source: { service: 'exai', instance: 'a', environment: 'test', version: '1.0.0' },
    process: { id: processId, started_at_us: noonUs - dayUs, host: 'box', pid: 7, sdk: 'telltale-js/0.1.0' },
    seq: 1,
    piece: [1, 1],
    counters: { recorded: records.length, dropped: {} },
    running: [],
    running_total: 0,
    records,
    ...changes,
  }
}

/** What the edge makes of it: sent when made, received 1 ms later, unless changed. */
export function rowsOf(batch: Batch, changes: Partial<BatchRows> = {}): BatchRows {
  const accepted: { [type: string]: number } = {}
  for (const { type } of batch.records) accepted[type] = (accepted[type] ?? 0) + 1
  const arrival = {
    keyId: 'abcdefghij01',
    sentAtUs: batch.made_at_us,
    receivedAtUs: batch.made_at_us + 1_000,
    flushMs: 250,
  }
  return { ...batchRowsOf({ batch, accepted, rejected: [], running_refused: 0 }, arrival), ...changes }
}
