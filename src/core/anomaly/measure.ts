import { anomalyScoreMin } from '../limit.ts'
import {
  type DetectorState,
  type Look,
  leastAbove,
  type Point,
  type Range,
  scoreFrom,
  scoreOf,
  surpriseFrom,
} from './detector.ts'

export const metrics = ['p95_ms', 'error_rate', 'throughput', 'gauge'] as const
export type Metric = (typeof metrics)[number]

/** A minute of a series: what was counted in it, or the mean of a gauge's samples. `at` is its start, s since the epoch. */
export type Minute =
  | { readonly at: number; readonly count: number; readonly errors: number; readonly p95_ms: number | null }
  | { readonly at: number; readonly gauge: number }

/** What a minute is by its metric: the value in the metric's unit, how unlikely it is (0..1), what was expected. */
export type Judgement = { readonly seen: number; readonly score: number; readonly expected: Range }

/**
 * The scale on which a metric's residuals mean the same wherever it stands (`of`, and back: `from`), and the least
 * difference on it that matters. Latencies are compared by their ratio; rates and counts where sampling alone spreads them
 * evenly (arcsine and square root).
 */
const scales: {
  readonly [metric in Metric]: { readonly from: (y: number) => number; readonly floor: (level: number) => number }
} = {
  p95_ms: { from: Math.exp, floor: () => 0.2 },
  error_rate: { from: (y) => Math.sin(Math.min(Math.PI / 2, Math.max(0, y))) ** 2, floor: () => 0.05 },
  throughput: { from: (y) => Math.max(0, (Math.max(0, y) / 2) ** 2 - 3 / 8), floor: (level) => 0.1 * level },
  gauge: { from: (y) => y, floor: (level) => 0.05 * Math.abs(level) },
}

/** The share of failures that is supposed of a series that is not known yet. */
const errorRateGuess = 0.01

/** The value of a minute in the metric's unit; null where it has none. */
export function seenIn(metric: Metric, minute: Minute): number | null {
  if ('gauge' in minute) return metric === 'gauge' ? minute.gauge : null
  if (metric === 'p95_ms') return minute.p95_ms
  if (metric === 'error_rate') return minute.count > 0 ? minute.errors / minute.count : null
  return metric === 'throughput' ? minute.count : null
}

/** A minute as the detector sees it; null where it has nothing of the metric. */
export function pointOf(metric: Metric, minute: Minute, state: DetectorState | null): Point | null {
  const { at } = minute
  if ('gauge' in minute) {
    if (metric !== 'gauge') return null
    const level = state?.slow ?? minute.gauge
    // A gauge is taken to count something.
    const noise = Math.sqrt(Math.max(Math.abs(minute.gauge), Math.abs(level)))
    return { at, value: minute.gauge, noise, floor: scales.gauge.floor(level) }
  }
  const { count, errors, p95_ms } = minute
  if (metric === 'p95_ms') {
    if (p95_ms === null || count === 0) return null
    // A p95 of n values spreads by about 2 σ/√n, with σ of their logarithms about 0.4; what is greater, the history says.
    return {
      at,
      value: Math.log(Math.max(p95_ms, 1e-3)),
      noise: 0.75 / Math.sqrt(count),
      floor: scales.p95_ms.floor(0),
    }
  }
  if (metric === 'error_rate') {
    if (count === 0) return null
    // One call more, which fails as often as usual: a single failure of a single call is little.
    const usual = state === null ? errorRateGuess : scales.error_rate.from(state.slow)
    const value = Math.asin(Math.sqrt(Math.min(1, (errors + usual) / (count + 1))))
    return { at, value, noise: 0.5 / Math.sqrt(count + 0.5), floor: scales.error_rate.floor(0) }
  }
  if (metric !== 'throughput') return null
  const value = 2 * Math.sqrt(count + 3 / 8)
  return { at, value, noise: 1, floor: scales.throughput.floor(state?.slow ?? value) }
}

/**
 * How surprising a look is as far as it matters. A call that is faster, or fails less, is no anomaly. Traffic that comes or
 * goes is one only where neither the hours before nor the days before explain it, so not before a day was seen; a gauge
 * that falls with the traffic, the same.
 */
function surpriseOf(metric: Metric, look: Look): number {
  if (metric === 'p95_ms' || metric === 'error_rate') return look.above
  const fallen = Math.min(look.below, look.daily.below)
  if (metric === 'gauge') return Math.max(look.above, fallen)
  return Math.max(fallen, Math.min(look.above, look.daily.above))
}

/** Judges a minute by what is known and changes nothing; null where it has nothing of the metric. */
export function judgementOf(metric: Metric, minute: Minute, state: DetectorState | null): Judgement | null {
  const seen = seenIn(metric, minute)
  const point = pointOf(metric, minute, state)
  if (seen === null || point === null) return null
  const look = scoreOf(state, point)
  const { low, mid, high } = look.expected
  const { from } = scales[metric]
  return {
    seen,
    score: scoreFrom(surpriseOf(metric, look)),
    expected: { low: from(low), mid: from(mid), high: from(high) },
  }
}

/** Above which value, in the metric's unit, the next minutes could be anomalies before they are over; null: never. */
export function lookAbove(metric: Metric, state: DetectorState | null): number | null {
  if (state === null || (metric !== 'p95_ms' && metric !== 'error_rate')) return null
  const { from, floor } = scales[metric]
  const least = leastAbove(state, state.at, surpriseFrom(anomalyScoreMin), floor(state.slow))
  return least === null ? null : from(least)
}
