import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  bucketOf,
  countOf,
  emptyHistogram,
  type Histogram,
  histogramOf,
  mergeHistograms,
  quantileOf,
} from '../src/core/histogram.ts'

const hourUs = 3_600_000_000
const wholeUs = fc.oneof(fc.nat(5_000), fc.integer({ min: 0, max: hourUs }))
const anyUs = fc.oneof(wholeUs, fc.double({ noNaN: true, noDefaultInfinity: true, min: 0 }))
const histogram: fc.Arbitrary<Histogram> = fc
  .array(anyUs, { maxLength: 30 })
  .map((values) => histogramOf(values).histogram)

/** Nearest rank as Postgres's percentile_disc: the smallest value whose rank reaches ceil(q * n), at least the first. */
function percentileDisc(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] as number
}

/** x <= 2^(k/32), decided in integers: x^32 <= 2^k with x = n / 2^52 exactly. */
function isAtMostBoundary(x: number, k: number): boolean {
  const n = BigInt(x * 2 ** 52)
  return n ** 32n <= 2n ** BigInt(k + 52 * 32)
}

test('bucketOf() puts every power of two at the top of its bucket', () => {
  for (let k = -1_074; k <= 1_023; k += 1) expect(bucketOf(2 ** k), `2^${k}`).toBe(32 * k - 1)
})

test('bucketOf() agrees with integer arithmetic next to every boundary from 1 µs to 1 h', () => {
  for (let k = 0; k <= 32 * 32; k += 1) {
    const near = 2 ** (k / 32)
    const step = 2 ** (Math.floor(k / 32) - 52)
    for (const x of [near - step, near, near + step]) {
      if (x < 1) continue
      const bucket = bucketOf(x)
      expect(isAtMostBoundary(x, bucket + 1) && !isAtMostBoundary(x, bucket), `${x} in bucket ${bucket}`).toBe(true)
    }
  }
})

test('bucketOf() holds the smallest and the greatest double', () => {
  expect(bucketOf(Number.MIN_VALUE)).toBe(-1_074 * 32 - 1)
  expect(bucketOf(Number.MAX_VALUE)).toBe(1_024 * 32 - 1)
  expect(() => bucketOf(0)).toThrow('not of 0')
})

test('histogramOf() puts zeros into z, and refuses and counts negative and non-finite values', () => {
  const values = [0, -0, 1, 1.5, -1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -Number.MIN_VALUE]
  const { histogram, refused } = histogramOf(values)
  expect(histogram).toEqual({ z: 2, sum: 3, b: { '-1': 1, '18': 1 } })
  expect(refused).toBe(5)
  expect(countOf(histogram)).toBe(4)
})

test('mergeHistograms() is associative and commutative, and the empty histogram changes nothing', () => {
  fc.assert(
    fc.property(histogram, histogram, histogram, (a, b, c) => {
      expect(mergeHistograms(mergeHistograms(a, b), c)).toEqual(mergeHistograms(a, mergeHistograms(b, c)))
      expect(mergeHistograms(a, b)).toEqual(mergeHistograms(b, a))
      expect(mergeHistograms(a, emptyHistogram())).toEqual(a)
      expect(mergeHistograms(emptyHistogram(), a)).toEqual(a)
    }),
    { numRuns: 300 },
  )
})

test('mergeHistograms() equals counting all values at once, however they were split', () => {
  fc.assert(
    fc.property(fc.array(fc.array(anyUs, { maxLength: 20 }), { maxLength: 5 }), (parts) => {
      const merged = parts.map((part) => histogramOf(part).histogram).reduce(mergeHistograms, emptyHistogram())
      expect(merged).toEqual(histogramOf(parts.flat()).histogram)
    }),
    { numRuns: 300 },
  )
})

test('mergeHistograms() leaves what it merges as it was', () => {
  const a = histogramOf([1, 2]).histogram
  const before = structuredClone(a)
  mergeHistograms(a, histogramOf([2, 3]).histogram)
  expect(a).toEqual(before)
})

test('quantileOf() is within 1.1 % of percentile_disc from 1 µs to 1 h', () => {
  const positive = fc.oneof(
    fc.integer({ min: 1, max: 5_000 }),
    fc.integer({ min: 1, max: hourUs }),
    fc.double({ min: 1, max: hourUs, noNaN: true }),
  )
  const q = fc.oneof(fc.constantFrom(0, 0.5, 0.95, 0.99, 0.999, 1), fc.double({ min: 0, max: 1, noNaN: true }))
  fc.assert(
    fc.property(fc.array(positive, { minLength: 1, maxLength: 200 }), q, (values, q) => {
      const exact = percentileDisc(values, q)
      const read = quantileOf(histogramOf(values).histogram, q) as number
      expect(Math.abs(read - exact) / exact).toBeLessThanOrEqual(0.011)
    }),
    { numRuns: 500 },
  )
})

test('quantileOf() reads zeros as 0, and nothing as null', () => {
  expect(quantileOf(emptyHistogram(), 0.5)).toBeNull()
  const { histogram } = histogramOf([0, 0, 1_024])
  expect(quantileOf(histogram, 0)).toBe(0)
  expect(quantileOf(histogram, 0.66)).toBe(0)
  expect(quantileOf(histogram, 1)).toBeCloseTo(1_024 / 2 ** (1 / 64), 6)
})

test('quantileOf() reads buckets below 1 µs in their order', () => {
  const { histogram } = histogramOf([0.25, 0.5, 100])
  expect(quantileOf(histogram, 0.1)).toBeCloseTo(0.25 / 2 ** (1 / 64), 9)
  expect(quantileOf(histogram, 0.5)).toBeCloseTo(0.5 / 2 ** (1 / 64), 9)
})

test('quantileOf() refuses a rank outside 0..1', () => {
  for (const q of [-0.1, 1.1, Number.NaN]) expect(() => quantileOf(emptyHistogram(), q)).toThrow(`not ${q}`)
})
