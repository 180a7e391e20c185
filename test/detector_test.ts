import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type DetectorState,
  leastAbove,
  observe,
  type Point,
  roundedState,
  scoreFrom,
  scoreOf,
  surpriseFrom,
} from '../src/core/anomaly/detector.ts'
import { type OnsetState, onsetOf } from '../src/core/anomaly/onset.ts'
import { emptyTail, residualOf, surpriseOf, withSample } from '../src/core/anomaly/residual_tail.ts'
import {
  abnormalPointsMax,
  anomalyAlertScore,
  anomalyScoreMin,
  detectorStateBytesMax,
  trainingPoints,
} from '../src/core/limit.ts'
import { chanceOf } from '../src/demo/chance.ts'

const alert = surpriseFrom(anomalyAlertScore)
const calm = surpriseFrom(anomalyScoreMin)

function noise(seed: number): () => number {
  const chance = chanceOf(seed)
  return () => Math.sqrt(-2 * Math.log(1 - chance())) * Math.cos(2 * Math.PI * chance())
}

/** The state after so many minutes, and the greatest surprise on the way. */
function watched(values: readonly number[], state: DetectorState | null = null, step = 60) {
  let most = 0
  let now = state
  for (const [i, value] of values.entries()) {
    const point = { at: (state?.at ?? 1_800_057_600 - step) + (i + 1) * step, value }
    const { above, below } = scoreOf(now, point)
    most = Math.max(most, above, below)
    now = observe(now, point)
  }
  return { state: now as DetectorState, most }
}

const surpriseAt = (state: DetectorState, value: number) => {
  const { above, below } = scoreOf(state, { at: state.at + 60, value })
  return Math.max(above, below)
}
const series = (n: number, of: (i: number) => number) => Array.from({ length: n }, (_, i) => of(i))
const noisy = (n: number, seed: number, of: (i: number) => number = () => 100) => {
  const normal = noise(seed)
  return series(n, (i) => of(i) + normal())
}
const values = fc.array(
  fc.oneof(
    fc.double({ min: -1e300, max: 1e300, noNaN: true }),
    fc.constantFrom(0, 1, -0),
    fc.double({ min: 0, max: 100, noNaN: true }),
  ),
  { minLength: 1, maxLength: 300 },
)

test('observe() keeps a state of bounded size, finite, whatever comes', () => {
  fc.assert(
    fc.property(values, fc.integer({ min: 1, max: 100_000 }), (all, step) => {
      const { state, most } = watched(all, null, step)
      const text = JSON.stringify(roundedState(state))
      expect(text.length).toBeLessThanOrEqual(detectorStateBytesMax)
      expect(Number.isFinite(most)).toBe(true)
      expect(JSON.parse(text)).toEqual(roundedState(state))
      expect(text.replaceAll('null', '0')).not.toMatch(/null|NaN|Infinity/)
    }),
    { numRuns: 60 },
  )
  const long = watched(noisy(20_000, 1, (i) => 1_000 * Math.sin(i / 200) ** 9)).state
  expect(JSON.stringify(roundedState(long)).length).toBeLessThanOrEqual(detectorStateBytesMax)
})

test('scoreOf() changes nothing, and neither does observe() change what it was given', () => {
  const frozen = (state: DetectorState) => {
    for (const tail of state.tails) Object.freeze(Object.freeze(tail).h)
    for (const part of [state, state.season, state.errors, state.tails]) Object.freeze(part)
    return state
  }
  const state = frozen(watched(noisy(200, 2)).state)
  const before = JSON.stringify(state)
  for (const value of [100, 1e9, -5]) {
    scoreOf(state, { at: state.at + 60, value })
    observe(state, { at: state.at + 60, value })
  }
  expect(JSON.stringify(state)).toBe(before)
})

test('scoreOf() gives every series one scale: neither its unit nor its zero matters', () => {
  const plain = watched(noisy(500, 3)).state
  for (const [factor, shift] of [
    [1e-6, 0],
    [4_096, 7],
    [-1, 0],
  ] as const) {
    const other = watched(noisy(500, 3).map((value) => value * factor + shift)).state
    for (const value of [101, 104, 120]) {
      // Bins of residuals fall a little differently.
      expect(Math.abs(surpriseAt(other, value * factor + shift) - surpriseAt(plain, value))).toBeLessThan(1.6)
    }
  }
})

test('scoreOf() finds nothing surprising while a series is learned, nor in noise afterwards', () => {
  expect(watched([...series(trainingPoints - 1, () => 1), 1_000]).most).toBe(0)
  for (const seed of [4, 5, 6]) expect(watched(noisy(3_000, seed)).most).toBeLessThan(alert)
})

test('scoreOf() is surprised by what was never seen: a spike, a fall, a change in what never changed, a drift', () => {
  const { state } = watched(noisy(300, 7))
  for (const value of [115, 85]) expect(surpriseAt(state, value)).toBeGreaterThan(alert)
  expect(surpriseAt(watched(series(100, () => 5)).state, 6)).toBeGreaterThan(alert)
  // Each minute is within what is usual, their mean is not.
  expect(
    watched(
      noisy(60, 8, () => 103),
      state,
    ).most,
  ).toBeGreaterThan(surpriseFrom(0.9))
})

test('scoreOf() is not blinded by a spike, however large, and grows used to spikes that keep coming', () => {
  const { state } = watched(noisy(600, 9))
  const spike = { at: state.at + 60, value: 1e7 }
  const held = watched(noisy(60, 10), observe(state, spike, true)).state
  expect(surpriseAt(held, 130)).toBeGreaterThan(alert)
  // Where nobody said that it was abnormal, one such point was seen: what is smaller is no rarer than that.
  const learned = watched(noisy(60, 10), observe(state, spike)).state
  expect(surpriseAt(learned, 130)).toBeGreaterThan(Math.log(600))
  expect(Math.abs(learned.slow - 100)).toBeLessThan(3)
  const spiky = watched(noisy(2_000, 12, (i) => (i % 40 === 0 ? 150 : 100))).state
  expect(surpriseAt(spiky, 150)).toBeLessThan(calm)
})

test('observe() takes a level that lasts for the new normal, after minutes, or after hours where it is told that it is not', () => {
  const { state } = watched(noisy(600, 13))
  const normal = noise(14)
  const surpriseAfter = (minutes: number, held: boolean) => {
    let now = state
    for (let i = 0; i < minutes; i += 1) {
      const abnormal = held && surpriseAt(now, 130) > calm
      now = observe(now, { at: now.at + 60, value: 130 + normal() }, abnormal)
    }
    return surpriseAt(now, 130)
  }
  expect(surpriseAfter(10, false)).toBeLessThan(calm)
  expect(surpriseAfter(abnormalPointsMax, true)).toBe(surpriseAt(state, 130))
  expect(surpriseAfter(abnormalPointsMax + 10, true)).toBeLessThan(calm)
})

test('scoreOf() knows the time of day after a day: what comes every day is expected, what stays away is not', () => {
  const busy = (i: number) => (i % 1_440 >= 480 && i % 1_440 < 1_080 ? 500 : 100)
  const { state } = watched(noisy(3 * 1_440 + 400, 15, busy))
  expect(
    watched(
      noisy(1_440, 16, (i) => busy(i + 400)),
      state,
    ).most,
  ).toBeLessThan(alert)
  const night = watched(
    noisy(200, 17, (i) => (i > 20 ? 500 : 100)),
    watched(noisy(3 * 1_440 + 60, 18, busy)).state,
  )
  expect(night.most).toBeGreaterThan(calm)
})

test('scoreOf() makes nothing of minutes that are missing', () => {
  const { state } = watched(noisy(600, 19))
  for (const gap of [3_600, 86_400, 30 * 86_400]) {
    const later = { ...state, at: state.at + gap }
    expect(watched(noisy(60, 20), later).most).toBeLessThan(calm)
  }
})

test('scoreOf() asks more of a point with more noise, and nothing of what does not matter', () => {
  const point = (value: number, more: Partial<Point> = {}) => ({ at: 1_800_057_600, value, ...more })
  let state = observe(null, point(100, { noise: 1 }))
  const normal = noise(21)
  for (let i = 1; i < 300; i += 1)
    state = observe(state, point(100 + normal(), { noise: 1, at: 1_800_057_600 + i * 60 }))
  const sure = scoreOf(state, point(110, { noise: 1 })).above
  const unsure = scoreOf(state, point(110, { noise: 5 })).above
  expect(sure).toBeGreaterThan(calm)
  expect(unsure).toBeLessThan(calm)
  expect(scoreOf(state, point(110, { noise: 1, floor: 11 })).above).toBe(0)
})

test('scoreOf() expects a range in which nearly all points lie', () => {
  let now = watched(noisy(600, 22)).state
  let outside = 0
  for (const value of noisy(1_000, 23)) {
    const { low, mid, high } = scoreOf(now, { at: now.at + 60, value }).expected
    expect(low <= mid && mid <= high).toBe(true)
    if (value < low || value > high) outside += 1
    now = observe(now, { at: now.at + 60, value })
  }
  expect(outside).toBeLessThan(40)
})

test('leastAbove() lets nothing pass that scoreOf() would be surprised by', () => {
  for (const seed of [24, 25, 26]) {
    const { state } = watched(noisy(400, seed, (i) => 100 + (i % 60)))
    const least = leastAbove(state, state.at, calm, 0) as number
    for (const at of [state.at + 60, state.at + 600]) {
      for (let value = 90; value < least; value += 0.5)
        expect(scoreOf(state, { at, value }).above).toBeLessThan(calm + 0.2)
    }
    expect(surpriseAt(state, least + 1_000)).toBeGreaterThan(calm)
  }
})

test('surpriseOf() never falls with the size, and residualOf() is its inverse', () => {
  const sizes = fc.array(fc.double({ min: 1e-9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 80 })
  fc.assert(
    fc.property(sizes, sizes, (seen, asked) => {
      const tail = seen.reduce((sum, size) => withSample(sum, size), emptyTail)
      const surprises = asked.toSorted((a, b) => a - b).map((size) => surpriseOf(tail, size))
      for (const [i, surprise] of surprises.entries())
        expect(surprise).toBeGreaterThanOrEqual((surprises[i - 1] ?? 0) - 1e-9)
      expect(surpriseOf(tail, residualOf(tail, 10))).toBeGreaterThanOrEqual(10)
    }),
  )
})

test('scoreFrom() is 0.9 for one in a thousand, and surpriseFrom() is its inverse', () => {
  expect(scoreFrom(Math.log(1_000))).toBeCloseTo(0.9)
  for (const score of [0, 0.5, anomalyScoreMin, anomalyAlertScore])
    expect(scoreFrom(surpriseFrom(score))).toBeCloseTo(score)
})

test('onsetOf() lets the beginning of an anomaly through, and what is worse', () => {
  let state: OnsetState = null
  const through = [7, 7, 6, 8, 8].map((surprise) => {
    const begun = onsetOf(state, surprise)
    state = begun.state
    return begun.surprise
  })
  expect(through).toEqual([7, expect.any(Number), 0, 8, expect.any(Number)])
  expect(onsetOf({ last: 8 }, 7).surprise).toBe(0)
})
