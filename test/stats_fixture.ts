import { expect } from 'vitest'
import { countOf, emptyHistogram, quantileOf } from '../src/core/histogram.ts'
import { isFailure } from '../src/core/outcome.ts'
import type { TraceRow } from '../src/core/trace.ts'
import { type Cell, type MinutePart, mergeCells } from '../src/core/window.ts'

// What TypeScript counts, in the words in which the readers of metrics answer.

export type Stats = { readonly [field: string]: number | null }

export const nothing: Cell = {
  count: 0,
  errors: 0,
  bytes_in: 0,
  bytes_out: 0,
  tokens_in: 0,
  tokens_out: 0,
  latency: emptyHistogram(),
}

/** All cells of a key in the minutes that begin in [from, to), in s. */
export function cellOfParts(parts: readonly MinutePart[], keys: readonly string[], from: number, to: number): Cell {
  return parts
    .filter(({ minute }) => minute >= from && minute < to)
    .flatMap(({ series }) => keys.flatMap((key) => (Object.hasOwn(series, key) ? [series[key] as Cell] : [])))
    .reduce(mergeCells, nothing)
}

/** Without the rates: what a point of a series has. */
export function pointOf(cell: Cell): Stats {
  const { latency, ...sums } = cell
  const ms = (us: number | null) => (us === null ? null : us / 1_000)
  return {
    ...sums,
    mean_ms: countOf(latency) === 0 ? null : latency.sum / countOf(latency) / 1_000,
    p50_ms: ms(quantileOf(latency, 0.5)),
    p95_ms: ms(quantileOf(latency, 0.95)),
    p99_ms: ms(quantileOf(latency, 0.99)),
  }
}

export function statsOf(cell: Cell, seconds: number): Stats {
  return withRates(pointOf(cell), seconds)
}

function withRates(point: Stats, seconds: number): Stats {
  const [count, errors] = [Number(point.count), Number(point.errors)]
  return { ...point, error_rate: count === 0 ? null : errors / count, per_second: count / seconds }
}

type Sample = {
  readonly outcome?: TraceRow['outcome'] | undefined
  readonly us: number
  readonly sums: readonly (number | null | undefined)[]
}

/** The rows of traces whose head has ended, each as one sample. */
export function samplesOfRows(rows: readonly TraceRow[]): Sample[] {
  return rows.flatMap(({ outcome, duration_ms, bytes_in, bytes_out, tokens_in, tokens_out }) =>
    duration_ms === null
      ? []
      : [{ outcome, us: Math.round(duration_ms * 1_000), sums: [bytes_in, bytes_out, tokens_in, tokens_out] }],
  )
}

/** Their ended spans in a layer. */
export function samplesOfLayer(rows: readonly TraceRow[], layer: string): Sample[] {
  return rows
    .filter(({ duration_ms }) => duration_ms !== null)
    .flatMap(({ spans }) => Object.values(spans))
    .flatMap((span) =>
      span.layer !== layer || span.end_us === undefined
        ? []
        : [
            {
              outcome: span.outcome,
              us: span.end_us - span.start_us,
              sums: [span.bytes_in, span.bytes_out, span.tokens_in, span.tokens_out],
            },
          ],
    )
}

/** Stats of samples: quantiles are those of the values themselves, by nearest rank. */
export function statsOfSamples(samples: readonly Sample[], seconds: number): Stats {
  const sorted = samples.map(({ us }) => us).sort((a, b) => a - b)
  const quantile = (q: number) => (sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN) / 1_000
  const sum = (place: number) => samples.reduce((total, { sums }) => total + (sums[place] ?? 0), 0)
  const isEmpty = sorted.length === 0
  return withRates(
    {
      count: sorted.length,
      errors: samples.filter(({ outcome }) => isFailure(outcome ?? null)).length,
      bytes_in: sum(0),
      bytes_out: sum(1),
      tokens_in: sum(2),
      tokens_out: sum(3),
      mean_ms: isEmpty ? null : sorted.reduce((total, us) => total + us, 0) / sorted.length / 1_000,
      p50_ms: isEmpty ? null : quantile(0.5),
      p95_ms: isEmpty ? null : quantile(0.95),
      p99_ms: isEmpty ? null : quantile(0.99),
    },
    seconds,
  )
}

/** The same fields; answers are rounded to 3 decimals, rates to 6. */
export function expectStats(answered: unknown, wanted: Stats, what?: string): void {
  const found = answered as Stats
  expect(Object.keys(found).sort(), what).toEqual(Object.keys(wanted).sort())
  for (const [field, value] of Object.entries(wanted)) {
    const slack = /rate|per_second/.test(field) ? 5.1e-7 : 5.1e-4
    if (value === null || found[field] == null) expect(found[field], `${what} ${field}`).toBe(value)
    else expect(Math.abs(Number(found[field]) - value), `${what} ${field}`).toBeLessThanOrEqual(slack + value * 1e-12)
  }
}
