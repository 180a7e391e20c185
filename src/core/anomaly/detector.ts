import { abnormalPointsMax, seasonBins, trainingPoints } from '../limit.ts'
import { emptyTail, residualOf, surpriseOf, type Tail, withSample } from './residual_tail.ts'

/**
 * What is remembered of one series: plain JSON, of constant size. Four predictors are followed, each with the history of
 * its residuals: the level of hours, that of the last few points, the value at this time of day, and, against the level of
 * hours, the mean of the last points, which sees small differences that last.
 *
 * A point is as surprising as the largest of its residuals is rare in the history of its kind. That is one scale for every
 * series, whatever its unit, noise or tails: a surprise of s is about one in e^s points.
 */
export type DetectorState = {
  /** Points observed. */
  readonly n: number
  /** How many of the last points were abnormal and not learned. */
  readonly held: number
  /** When the first and the last of them were, in s since the epoch. */
  readonly since: number
  readonly at: number
  readonly slow: number
  readonly fast: number
  readonly mean: number
  /** The value by time of day (UTC), null where nothing was seen yet. */
  readonly season: readonly (number | null)[]
  /** How far off slow, fast and season have been. */
  readonly errors: readonly [number, number, number]
  /** The residuals of slow, fast, mean and season. */
  readonly tails: readonly [Tail, Tail, Tail, Tail]
}

export type Point = {
  /** s since the epoch. */
  readonly at: number
  readonly value: number
  /** Standard deviation of what sampling alone does to the value; 0 where it was measured as it is. */
  readonly noise?: number
  /** A difference that would not matter, however rare. */
  readonly floor?: number
}

export type Range = { readonly low: number; readonly mid: number; readonly high: number }

export type Look = {
  /** How surprising it is that the value is so high, so low: -ln of about how often that happens. */
  readonly above: number
  readonly below: number
  /** The same by the time of day alone; 0 as long as no day was seen. */
  readonly daily: { readonly above: number; readonly below: number }
  /** What the best predictor expects: 99 of 100 points lie from low to high. */
  readonly expected: Range
}

const slowRate = 0.003
const fastRate = 0.2
const meanRate = 0.12
const errorRate = 0.02
/** A day's value replaces a fifth of that of the days before for every five minutes that it covers. */
const seasonRate = 0.2
const seasonSeconds = 300
const daySeconds = 86_400
/** How many standard deviations of sampling noise a residual is at least taken to be usual. */
const noiseWidth = 1.6
/** What the mean of the last points leaves of their noise: sqrt(rate / (2 - rate)). */
const meanNoise = Math.sqrt(meanRate / (2 - meanRate))
/** As in the tail of residuals: how a multiple of what does not matter counts. */
const floorExponent = 8
const rarity = Math.log(100)
/** A predictor moves as if no residual were larger than so many times the usual one: a spike leaves it where it was. */
const pullMax = 100

/** A surprise as 0..1: 0.9 is one in a thousand. */
export function scoreFrom(surprise: number): number {
  return 1 - Math.exp(-surprise / 3)
}

/** The inverse of `scoreFrom`. */
export function surpriseFrom(score: number): number {
  return -3 * Math.log(1 - score)
}

function binOf(at: number): number {
  return Math.floor((((at % daySeconds) + daySeconds) % daySeconds) / (daySeconds / seasonBins))
}

/** Whether the value at this time of day was seen on an earlier day. */
function knowsSeason(state: DetectorState | null, at: number): boolean {
  return state !== null && at - state.since >= daySeconds && state.season[binOf(at)] !== null
}

function residualsOf(state: DetectorState, { at, value }: Point): (number | null)[] {
  const season = state.season[binOf(at)] ?? null
  const mean = state.mean + meanRate * (value - state.mean)
  return [value - state.slow, value - state.fast, mean - state.slow, season === null ? null : value - season]
}

/**
 * What a residual is divided by, so that those of points with much and with little noise are of one kind: the noise, with
 * what does not matter; 1 where there is neither.
 */
function spreadOf({ noise = 0, floor = 0 }: Point): number {
  const spread = Math.hypot(noise, floor)
  return spread > 0 ? spread : 1
}

function floorOf(place: number, noise: number, floor: number): number {
  return Math.max(floor, noiseWidth * noise * (place === 2 ? meanNoise : 1))
}

/** Looks at a point and changes nothing. While a series is being learned nothing is surprising. */
export function scoreOf(state: DetectorState | null, point: Point): Look {
  const never = { above: 0, below: 0 }
  if (state === null) {
    return { ...never, daily: never, expected: { low: point.value, mid: point.value, high: point.value } }
  }
  const { noise = 0, floor = 0 } = point
  const spread = spreadOf(point)
  let above = 0
  let below = 0
  let daily = never
  for (const [place, residual] of residualsOf(state, point).entries()) {
    const tail = state.tails[place] as Tail
    if (residual === null || state.n < trainingPoints || tail.n < 1) continue
    const size = Math.abs(residual)
    const least = floorOf(place, noise, floor)
    let surprise = surpriseOf(tail, size / spread)
    if (least > 0) surprise = Math.min(surprise, size > least ? floorExponent * Math.log(size / least) : 0)
    if (residual > 0) above = Math.max(above, surprise)
    else below = Math.max(below, surprise)
    if (place === 3 && knowsSeason(state, point.at)) {
      daily = residual > 0 ? { above: surprise, below: 0 } : { above: 0, below: surprise }
    }
  }
  return { above, below, daily, expected: expectedOf(state, point) }
}

/** A value that nothing from it on upwards could be less surprising than that, at any noise; null: still being learned. */
export function leastAbove(state: DetectorState, at: number, surprise: number, floor: number): number | null {
  if (state.n < trainingPoints) return null
  const least = floor * Math.exp(surprise / floorExponent)
  const spread = spreadOf({ at, value: 0, floor })
  const [slow, fast, mean, daily] = state.tails.map((tail) => Math.max(least, residualOf(tail, surprise) * spread))
  const levels = [
    state.slow + (slow ?? 0),
    state.fast + (fast ?? 0),
    state.mean + (state.slow + (mean ?? 0) - state.mean) / meanRate,
  ]
  // What is looked at next may already lie in the next bin.
  for (const bin of [binOf(at), binOf(at + daySeconds / seasonBins)]) {
    const season = state.season[bin] ?? null
    if (season !== null) levels.push(season + (daily ?? 0))
  }
  return Math.min(...levels)
}

function expectedOf(state: DetectorState, point: Point): Range {
  const { at, noise = 0, floor = 0 } = point
  const season = state.season[binOf(at)] ?? null
  const [slow, fast, daily] = state.errors
  let [mid, place, error] = slow <= fast ? [state.slow, 0, slow] : [state.fast, 1, fast]
  if (season !== null && knowsSeason(state, at) && daily < error) [mid, place, error] = [season, 3, daily]
  const usual = residualOf(state.tails[place] as Tail, rarity) * spreadOf(point)
  const width = Math.max(state.n < trainingPoints ? error : usual, floorOf(place, noise, floor))
  return { low: mid - width, mid, high: mid + width }
}

/**
 * The state after a point, which must not be older than the last. An `abnormal` one is not learned, so that what lasts does
 * not soon pass for usual, unless so many before it were abnormal too (abnormalPointsMax): then that is how it is now.
 */
export function observe(state: DetectorState | null, point: Point, abnormal = false): DetectorState {
  const { at, value } = point
  const bin = binOf(at)
  if (state === null) {
    const season = Array.from({ length: seasonBins }, (_, i) => (i === bin ? value : null))
    const tails = [emptyTail, emptyTail, emptyTail, emptyTail] as const
    return { n: 1, held: 0, since: at, at, slow: value, fast: value, mean: value, season, errors: [0, 0, 0], tails }
  }
  if (abnormal && state.held < abnormalPointsMax) return { ...state, held: state.held + 1, at }
  const n = state.n + 1
  const residuals = residualsOf(state, point)
  const spread = spreadOf(point)
  const learned = (place: 0 | 1 | 2 | 3): Tail => {
    const residual = residuals[place] ?? null
    return residual === null ? state.tails[place] : withSample(state.tails[place], Math.abs(residual) / spread)
  }
  const [slow, fast, daily] = state.errors
  const erred = (place: 0 | 1 | 3, error: number) =>
    error + Math.max(errorRate, 1 / n) * (Math.abs(residuals[place] ?? residuals[0] ?? 0) - error)
  /** A predictor after the point: nearer to it by `share`. */
  const moved = (from: number, share: number, error: number) => {
    const most = n <= trainingPoints ? Number.POSITIVE_INFINITY : pullMax * error
    return from + share * Math.max(-most, Math.min(most, value - from))
  }
  const before = state.season[bin] ?? null
  const share = Math.min(seasonRate, (seasonRate * Math.max(0, at - state.at)) / seasonSeconds)
  return {
    n,
    held: abnormal ? state.held : 0,
    since: state.since,
    at,
    slow: moved(state.slow, Math.max(slowRate, 1 / n), slow),
    fast: moved(state.fast, Math.max(fastRate, 1 / n), fast),
    mean: moved(state.mean, Math.max(meanRate, 1 / n), slow),
    season: state.season.with(bin, before === null ? value : moved(before, share, daily)),
    errors: [erred(0, slow), erred(1, fast), erred(3, daily)],
    tails: [learned(0), learned(1), learned(2), learned(3)],
  }
}

/** The state with numbers of five digits, as it is stored: nothing rests on more. */
export function roundedState(state: DetectorState): DetectorState {
  const short = (value: number) => Number(value.toPrecision(5))
  const tailOf = ({ n, top, h }: Tail): Tail => ({ n: short(n), top, h: h.map((w) => Number(w.toPrecision(3))) })
  const [a, b, c, d] = state.tails
  const [slow, fast, daily] = state.errors
  return {
    ...state,
    slow: short(state.slow),
    fast: short(state.fast),
    mean: short(state.mean),
    season: state.season.map((value) => (value === null ? null : short(value))),
    errors: [short(slow), short(fast), short(daily)],
    tails: [tailOf(a), tailOf(b), tailOf(c), tailOf(d)],
  }
}
