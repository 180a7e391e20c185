// Order statistics and the normal distribution. Nothing here assumes how times are distributed.

/** How many bits of a mask are 1. */
export function countOf(mask: Uint8Array): number {
  let count = 0
  for (let i = 0; i < mask.length; i++) count += mask[i] as number
  return count
}

/** The quantile `q` (0 to 1) of values in ascending order, interpolated; NaN of none. */
export function quantileOf(sorted: ArrayLike<number>, q: number): number {
  if (sorted.length === 0) return Number.NaN
  const at = q * (sorted.length - 1)
  const below = Math.floor(at)
  const low = sorted[below] as number
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number
  return low + (high - low) * (at - below)
}

function sortedOf(values: ArrayLike<number>): Float64Array {
  return new Float64Array(values).sort()
}

export function medianOf(values: ArrayLike<number>): number {
  return quantileOf(sortedOf(values), 0.5)
}

/** The mean after the lowest and the highest twentieth were pulled in to their neighbours: outliers count, but not alone. */
export function locationOf(values: ArrayLike<number>): number {
  if (values.length === 0) return Number.NaN
  const sorted = sortedOf(values)
  const low = quantileOf(sorted, 0.05)
  const high = quantileOf(sorted, 0.95)
  let sum = 0
  for (const value of sorted) sum += Math.min(high, Math.max(low, value))
  return sum / sorted.length
}

/** Half the distance between the quartiles, scaled to a normal distribution's standard deviation. */
export function spreadOf(values: ArrayLike<number>): number {
  const sorted = sortedOf(values)
  return (quantileOf(sorted, 0.75) - quantileOf(sorted, 0.25)) / 1.349
}

/** Each value's rank as a value of the standard normal distribution (van der Waerden); equal values share one. NaN stays. */
export function normalScoresOf(values: Float64Array): Float64Array {
  const scores = new Float64Array(values.length).fill(Number.NaN)
  const known = orderOf(values)
  const n = known.length
  for (let i = 0; i < n; ) {
    let j = i + 1
    while (j < n && values[known[j] as number] === values[known[i] as number]) j++
    const score = normalQuantileOf((i + j) / 2 / n)
    for (; i < j; i++) scores[known[i] as number] = score
  }
  return scores
}

/** The positions of the values that are known in ascending order; equal values keep their order. */
export function orderOf(values: Float64Array): Uint32Array {
  // Sorting numbers is several times as fast as sorting positions by a comparison.
  const sorted = new Float64Array(values).sort()
  const ranks = new Map<number, number>()
  let known = 0
  for (let i = 0; i < sorted.length; i++) {
    const value = sorted[i] as number
    if (Number.isNaN(value)) break
    known++
    if (!ranks.has(value)) ranks.set(value, i)
  }
  const order = new Uint32Array(known)
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (Number.isNaN(value)) continue
    const at = ranks.get(value) as number
    order[at] = i
    ranks.set(value, at + 1)
  }
  return order
}

const centre = {
  top: [-3.969683028665376e1, 2.209460984245205e2, -2.759285104469687e2, 1.38357751867269e2, -3.066479806614716e1],
  topLast: 2.506628277459239,
  low: [-5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1, -1.328068155288572e1],
}
const edge = {
  top: [-7.784894002430293e-3, -3.223964580411365e-1, -2.400758277161838, -2.549732539343734, 4.374664141464968],
  topLast: 2.938163982698783,
  low: [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416],
}

/** The z below which lies the probability `p`, within 1.2e-9 of it (Acklam's rational approximation). */
export function normalQuantileOf(p: number): number {
  if (p <= 0) return Number.NEGATIVE_INFINITY
  if (p >= 1) return Number.POSITIVE_INFINITY
  if (p > 0.5) return -normalQuantileOf(1 - p)
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p))
    return horner([...edge.top, edge.topLast], q) / horner([...edge.low, 1], q)
  }
  const q = p - 0.5
  const r = q * q
  return (horner([...centre.top, centre.topLast], r) * q) / horner([...centre.low, 1], r)
}

function horner(coefficients: readonly number[], x: number): number {
  let value = 0
  for (const coefficient of coefficients) value = value * x + coefficient
  return value
}
