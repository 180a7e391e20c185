import { normalQuantileOf, orderOf, spreadOf } from './rank.ts'

/**
 * A second, slower mode of `values` (logarithms of times, NaN where unknown): the calls above a gap that no single-peaked
 * distribution would leave. Null where there is none that has a chance below `chance`, over all gaps that were tried.
 *
 * Above its peak a single-peaked density only falls: of two stretches of equal width the lower one has at least half. And
 * times whose logarithms fall off no slower than exponentially, at the scale of their own spread, have most of what lies
 * beyond a point soon after it.
 */
export function slowModeOf(
  values: Float64Array,
  fewest: number,
  chance: number,
): { readonly mask: Uint8Array; readonly z: number } | null {
  const order = orderOf(values)
  const n = order.length
  if (n < 3 * fewest) return null
  const sorted = Float64Array.from(order, (i) => values[i] as number)
  const spread = Math.max(spreadOf(sorted.subarray(0, Math.floor(n * 0.9))), spreadMin)
  const demanded = Math.log(chance / (widths.length * 8))
  const from = Math.floor(n * 0.35)
  const step = Math.max(1, Math.floor(n / 1_000))
  let best: { at: number; log: number } | null = null
  for (const times of widths) {
    const width = times * spread
    const beyond = Math.exp(-times / tailScale)
    for (let at = from; at + fewest <= n; at += step) {
      const inside = at - lowerBound(sorted, (sorted[at] as number) - width)
      if (inside * 2 > n - at) continue
      const densest = densestOf(sorted.subarray(at), width)
      const log = Math.min(logTail(inside, inside + densest, 0.5), logTail(inside, inside + n - at, 1 - beyond))
      if (log >= demanded || (best !== null && log >= best.log)) continue
      // A density that rises up to its only peak leaves gaps below it too.
      if (logTail(inside, inside + densestOf(sorted.subarray(0, at - inside), width), 0.5) < demanded)
        best = { at, log }
    }
  }
  if (best === null) return null
  const mask = new Uint8Array(values.length)
  for (let i = best.at; i < n; i++) mask[order[i] as number] = 1
  return { mask, z: -normalQuantileOf(Math.max(1e-300, Math.exp(best.log))) }
}

/** Of gaps, in spreads. */
const widths = [0.75, 1, 1.5, 2, 3]
const tailScale = 1.2
/** A tenth more or less is no other mode, however steadily calls go otherwise. */
const spreadMin = 0.1

/** The logarithm of the probability that of `total` at most `few` fall where each falls with probability `p`. */
function logTail(few: number, total: number, p: number): number {
  if (few >= total * p) return 0
  let log = total * Math.log(1 - p)
  let sum = 1
  let term = 1
  for (let i = 1; i <= few; i++) {
    term *= ((total - i + 1) / i) * (p / (1 - p))
    sum += term
    if (sum > 1e200) {
      log += Math.log(sum)
      term /= sum
      sum = 1
    }
  }
  return Math.min(0, log + Math.log(sum))
}

/** How many of ascending values one stretch of a width holds at most. */
function densestOf(sorted: Float64Array, width: number): number {
  let most = 0
  const step = Math.max(1, Math.floor(sorted.length / 48))
  for (let low = 0; low < sorted.length && sorted.length - low > most; low += step) {
    most = Math.max(most, lowerBound(sorted, (sorted[low] as number) + width) - low)
  }
  return most
}

/** The first position whose value is at least `value`. */
function lowerBound(sorted: Float64Array, value: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] as number) < value) low = middle + 1
    else high = middle
  }
  return low
}
