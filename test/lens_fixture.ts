import { selfTimesOf } from '../src/core/breakdown.ts'
import type { Batch } from '../src/core/record.ts'
import type { StoredSpans } from '../src/core/trace.ts'
import type { TestDatabase } from './postgres_fixture.ts'

/** A stored trace that counts, as the tests of the lens look at it. Times are µs, durations ms. */
export type LensTrace = {
  readonly trace_id: string
  readonly us: number
  readonly duration_ms: number
  readonly wait_ms: number
  readonly outcome: string | null
  readonly tool: string | null
  readonly session_key: string | null
  readonly session_rule: string | null
  readonly layers: { readonly [layer: string]: number }
  readonly spans: StoredSpans
}

/** Every stored trace that counts: it has ended, and not by the tick. By trace id. */
export async function storedTraces(database: TestDatabase): Promise<LensTrace[]> {
  const rows = (await database.query(
    `select trace_id, telltale.us_of(started_at) as us, duration_ms, wait_ms, outcome, tool, session_key, session_rule,
      layers, spans, process_id from telltale.traces where duration_ms is not null order by trace_id`,
  )) as unknown as (LensTrace & { readonly process_id: string })[]
  return rows.filter(
    ({ outcome, spans, duration_ms, process_id }) =>
      outcome !== 'interrupted' ||
      !Object.values(spans).some(
        ({ concluded, process, end_us = 0, start_us }) =>
          concluded === true && process === process_id && end_us - start_us === Math.round(duration_ms * 1_000),
      ),
  )
}

/** Self time of wait spans in µs, by layer. */
export function waitsOf({ spans }: LensTrace): ReadonlyMap<string, number> {
  const waits = new Map<string, number>()
  for (const [id, us] of selfTimesOf(spans)) {
    const span = spans[id]
    if (span?.kind === 'wait') waits.set(span.layer, (waits.get(span.layer) ?? 0) + us)
  }
  return waits
}

/** The nearest rank. */
export function quantileOf(values: readonly number[], q: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1]
}

export function sumOf(values: Iterable<number>): number {
  let sum = 0
  for (const value of values) sum += value
  return sum
}

/** Batches whose traces are told apart: generated ones choose from a few trace ids. `nth` names the batch. */
export function withOwnTraces(batch: Batch, nth: number): Batch {
  const name = nth.toString(16).padStart(8, '0')
  return {
    ...batch,
    records: batch.records.map((record) =>
      record.type === 'span' ? { ...record, trace_id: `${name}${record.trace_id.slice(8)}` } : record,
    ),
  }
}
