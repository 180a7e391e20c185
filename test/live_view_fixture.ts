import type { EndedTrace, LiveError, LiveSnapshot, ProcessRunning, Push } from '../src/core/live_snapshot.ts'
import type { RunningCall } from '../src/core/record.ts'
import type { Cell } from '../src/core/window.ts'

// What the live view is fed with, whole but for what a test cares about.

const hex = (n: number, length: number): string => (n + 1).toString(16).padStart(length, '0')

/** `count` requests of 1 ms each, of which one in ten failed. */
export function cellOf(count: number): Cell {
  const latency = { z: 0, sum: count * 1_000, b: count === 0 ? {} : { 318: count } }
  return { count, errors: Math.floor(count / 10), bytes_in: 0, bytes_out: 0, tokens_in: 0, tokens_out: 0, latency }
}

export function callOf(n: number, start_us: number, fields: Partial<RunningCall> = {}): RunningCall {
  const name = `call ${n}`
  return {
    trace_id: hex(n, 32),
    span_id: hex(n, 16),
    layer: 'tool',
    name,
    tool: 'chat',
    session: null,
    start_us,
    ...fields,
  }
}

export function processOf(
  process: string,
  seq: number,
  received_at_us: number,
  list: readonly RunningCall[],
): ProcessRunning {
  const source = { service: 'daemon', environment: 'production' }
  return { process, started_at_us: 0, seq, received_at_us, ...source, total: list.length, list }
}

export function endedOf(n: number, at_us: number): EndedTrace {
  return {
    trace_id: hex(n, 32),
    started_at_us: at_us - 1_000,
    at_us,
    name: `call ${n}`,
    tool: 'chat',
    provider: null,
    model: null,
    outcome: 'ok',
    duration_ms: 1,
    layers: { tool: 1 },
    session_key: null,
    call_number: null,
    service: 'daemon',
    environment: 'production',
  }
}

export function errorOf(n: number, at_us: number): LiveError {
  return {
    error_id: `018f0000-0000-7000-8000-${hex(n, 12)}`,
    at_us,
    trace_id: null,
    span_id: null,
    fingerprint: `v1:${hex(n, 32)}`,
    error_type: 'Error',
    message: 'boom',
    culprit: null,
    traceback: null,
    service: 'daemon',
    environment: 'production',
  }
}

export function pushOf(fields: Pick<Push, 'rev' | 'at_us'> & Partial<Push>): Push {
  return { windows: [], running: [], ended: [], errors: [], stale: [], ...fields }
}

export function snapshotOf(fields: Pick<LiveSnapshot, 'rev' | 'at_us'> & Partial<LiveSnapshot>): LiveSnapshot {
  return {
    seconds: [],
    degraded: false,
    minutes: [],
    running: [],
    sessions: [],
    gauges: [],
    ended: [],
    errors: [],
    batches: [],
    ingest_lag_ms: null,
    gaps: { processes: 0, missing: 0, dropped: 0 },
    last_received_at_us: null,
    real: false,
    ...fields,
  }
}
