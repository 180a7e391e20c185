import fc from 'fast-check'
import { histogramOf } from '../src/core/histogram.ts'
import type { HotBatch } from '../src/core/live_snapshot.ts'
import type { HotEntry } from '../src/core/live_state.ts'
import type { Cell, Window } from '../src/core/window.ts'
import { fixtureBaseUs, fixtureProcesses } from './span_fixture.ts'

/** Where the stream of the tests begins, in ms and in s. */
export const streamMs = fixtureBaseUs / 1_000
export const streamSecond = fixtureBaseUs / 1_000_000

const from = { service: 'exai', environment: 'test' }

/** A cell that has counted these latencies, in µs. */
export function cellOf(...latencies: number[]): Cell {
  const sums = { errors: 0, bytes_in: 0, bytes_out: latencies.length, tokens_in: 0, tokens_out: 0 }
  return { count: latencies.length, ...sums, latency: histogramOf(latencies).histogram }
}

/** One second, counted under `all` and whatever else is named. */
export function windowAt(second: number, latency = 1_000, ...keys: string[]): Window {
  return { second, series: Object.fromEntries(['all', ...keys].map((key) => [key, cellOf(latency)])) }
}

/** What a process says with its `seq`, and the windows; all else is empty unless changed. */
export function hotBatch(seq: number, windows: readonly Window[], changes: Partial<HotBatch> = {}): HotBatch {
  const process = fixtureProcesses[0]
  const received_at_us = fixtureBaseUs
  return {
    batch_id: `018f0000-0000-7000-8000-${String(seq).padStart(12, '0')}`,
    ...from,
    instance: 'a',
    received_at_us,
    made_at_us: fixtureBaseUs,
    records: 1,
    windows,
    running: { process, started_at_us: fixtureBaseUs, seq, received_at_us, ...from, total: 0, list: [] },
    ended: [],
    errors: [],
    stale: [],
    ...changes,
  }
}

export function endedTrace(n: number, at_us = fixtureBaseUs): HotBatch['ended'][number] {
  const facts = { tool: 'chat', provider: null, model: null, outcome: 'ok', duration_ms: 5, layers: { tool: 5 } }
  const trace = { trace_id: n.toString(16).padStart(32, 'e'), started_at_us: at_us - 5_000, at_us, name: 'chat' }
  return { ...trace, ...facts, session_key: null, call_number: null, ...from }
}

export function liveError(n: number, at_us = fixtureBaseUs): HotBatch['errors'][number] {
  const place = { trace_id: null, span_id: null, culprit: null, traceback: null }
  const error_id = `018f0000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`
  return { error_id, at_us, fingerprint: 'v1:', error_type: 'TypeError', message: 'boom', ...place, ...from }
}

/**
 * A stream of up to `entriesMax` batches as Redis gives ids, a few seconds long: some share a millisecond, some come
 * after a pause. Their windows are of then, of seconds that are closed by then, and of the near future.
 */
export function arbitraryStream(entriesMax = 24): fc.Arbitrary<HotEntry[]> {
  const entry = fc.record({
    pause: fc.constantFrom(0, 0, 1, 120, 400, 999, 1_000, 3_000, 7_000),
    offsets: fc.array(fc.constantFrom(0, 0, 0, -1, -2, -4, -5, -6, -7, -20, 1, 3, 70), { maxLength: 3 }),
    latency: fc.constantFrom(0, 900, 1_000, 70_000),
    keys: fc.subarray(['tool:chat', 'tool:read_file', 'layer:tool', 'model:__proto__']),
    process: fc.constantFrom(...fixtureProcesses),
    ends: fc.boolean(),
    fails: fc.boolean(),
  })
  return fc.array(entry, { minLength: 1, maxLength: entriesMax }).map((entries) => {
    let ms = streamMs + 250
    let n = 0
    return entries.map(({ pause, offsets, latency, keys, process, ends, fails }, index) => {
      ms += pause
      n = pause === 0 ? n + 1 : 0
      const second = Math.floor(ms / 1_000)
      const windows = [...new Set(offsets)].map((offset) => windowAt(second + offset, latency, ...keys))
      const plain = hotBatch(index + 1, windows)
      const ended = ends ? [endedTrace(index, ms * 1_000)] : []
      const errors = fails ? [liveError(index, ms * 1_000)] : []
      return { id: `${ms}-${n}`, batch: { ...plain, running: { ...plain.running, process }, ended, errors } }
    })
  })
}
