import { assert } from './result.ts'

/**
 * A base-2 exponential histogram at scale 5 (OpenTelemetry data model) of latencies in µs:
 * `z` zeros, `sum` in µs, `b` counts by bucket index. Bucket i holds the values in (2^(i/32), 2^((i+1)/32)].
 * `sum` adds each value rounded to a whole µs, so that merging is exact in any order; it stops at 2^53 - 1.
 *
 * Source: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
 */
export type Histogram = {
  readonly z: number
  readonly sum: number
  readonly b: { readonly [index: string]: number }
}

/** A histogram that grows in place; `histogramFrom` freezes it into a value. */
export type MutableHistogram = { z: number; sum: number; readonly b: Map<number, number> }

const bucketsPerDoubling = 32

/** Entry k is the greatest double at most 2^(k/32), so that `x <= boundaries[k]` is exactly `x <= 2^(k/32)`. */
const boundaries: readonly number[] = Array.from({ length: bucketsPerDoubling + 1 }, (_, k) => boundaryOf(k))

/** The greatest double at most 2^(k/32), by integers: the greatest n with n^32 <= 2^(k + 52*32), over 2^52. */
function boundaryOf(k: number): number {
  const limit = 2n ** BigInt(k + 52 * bucketsPerDoubling)
  let n = BigInt(Math.round(2 ** (52 + k / bucketsPerDoubling)))
  while (n ** 32n > limit) n -= 1n
  while ((n + 1n) ** 32n <= limit) n += 1n
  return Number(n) / 2 ** 52
}

/** a + b for counts and sums that are at least 0, held at 2^53 - 1: associative for every input, unlike plain `+`. */
export function saturatingSum(a: number, b: number): number {
  return Math.min(a + b, Number.MAX_SAFE_INTEGER)
}

/**
 * The bucket of a positive finite number of µs: ceil(32 * log2(us)) - 1, exact for every double: the logarithm only
 * guesses, the comparison with the boundaries decides.
 */
export function bucketOf(us: number): number {
  assert(us > 0 && us < Number.POSITIVE_INFINITY, `a bucket is of a positive finite number, not of ${us}`)
  let exponent = Math.floor(Math.log2(us))
  if (2 ** exponent > us) exponent -= 1
  else if (2 ** (exponent + 1) <= us) exponent += 1
  const mantissa = us / 2 ** exponent
  let offset = Math.ceil(bucketsPerDoubling * Math.log2(mantissa)) - 1
  while (offset >= 0 && mantissa <= (boundaries[offset] as number)) offset -= 1
  while (mantissa > (boundaries[offset + 1] as number)) offset += 1
  return bucketsPerDoubling * exponent + offset
}

export function emptyHistogram(): Histogram {
  return { z: 0, sum: 0, b: {} }
}

export function mutableHistogram(): MutableHistogram {
  return { z: 0, sum: 0, b: new Map() }
}

/** Counts one value in µs; zero (and minus zero) goes to `z`. False, and nothing changed: it is negative or not finite. */
export function addTo(histogram: MutableHistogram, us: number): boolean {
  if (!(us >= 0 && us < Number.POSITIVE_INFINITY)) return false
  if (us === 0) histogram.z += 1
  else {
    const bucket = bucketOf(us)
    histogram.b.set(bucket, (histogram.b.get(bucket) ?? 0) + 1)
    histogram.sum = saturatingSum(histogram.sum, Math.round(us))
  }
  return true
}

/** The value of what a mutable histogram has counted so far; its buckets in ascending order. */
export function histogramFrom(histogram: MutableHistogram): Histogram {
  const buckets = [...histogram.b].sort(([a], [b]) => a - b)
  return { z: histogram.z, sum: histogram.sum, b: Object.fromEntries(buckets) }
}

/** Counts values in µs, whole or fractional. `refused` is how many were negative or not finite. */
export function histogramOf(values: Iterable<number>): { readonly histogram: Histogram; readonly refused: number } {
  const histogram = mutableHistogram()
  let refused = 0
  for (const us of values) if (!addTo(histogram, us)) refused += 1
  return { histogram: histogramFrom(histogram), refused }
}

/** What counting both at once had given: associative, commutative, and `emptyHistogram()` changes nothing. */
export function mergeHistograms(a: Histogram, b: Histogram): Histogram {
  const buckets: { [index: string]: number } = { ...a.b }
  for (const index in b.b) buckets[index] = saturatingSum(buckets[index] ?? 0, b.b[index] as number)
  return { z: saturatingSum(a.z, b.z), sum: saturatingSum(a.sum, b.sum), b: buckets }
}

/** How many values it has counted. */
export function countOf(histogram: Histogram): number {
  let count = histogram.z
  for (const index in histogram.b) count += histogram.b[index] as number
  return count
}

/**
 * The q-quantile (q in 0..1) in µs, null when empty: nearest rank, as Postgres's percentile_disc chooses it, read as the
 * middle 2^((i + 0.5)/32) of its bucket; zeros are 0. Relative error at most 2^(1/64) - 1 = 1.09 %.
 */
export function quantileOf(histogram: Histogram, q: number): number | null {
  assert(q >= 0 && q <= 1, `a quantile is in 0..1, not ${q}`)
  const count = countOf(histogram)
  if (count === 0) return null
  const rank = Math.max(1, Math.ceil(q * count))
  let seen = histogram.z
  if (rank <= seen) return 0
  const buckets = Object.keys(histogram.b)
    .map(Number)
    .sort((a, b) => a - b)
  for (const index of buckets) {
    seen += histogram.b[index] as number
    if (rank <= seen) return 2 ** ((index + 0.5) / bucketsPerDoubling)
  }
  return null
}
