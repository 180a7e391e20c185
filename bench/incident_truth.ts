import type { Cause, Verdict } from '../src/core/why/why_answer.ts'
import type { WhyData, WhyTrace } from '../src/core/why/why_data.ts'
import { mean, median, quantile } from './incident_chance.ts'
import { cohortsOf } from './incident_data.ts'
import type { Plant } from './incident_plant.ts'
import { momentUs } from './incident_question.ts'
import { type Columns, kinOf, rivalOf, twinsOf } from './incident_rival.ts'
import type { World } from './incident_world.ts'

// What a right verdict is. Where the text leaves two answers that both say what happened, both are right:
//
// | what was planted | accepted |
// | --- | --- |
// | any | the layer that bears at least 60 % of the extra time; where none does, null, or the one that bears 40 % |
// | retries | also each layer that bears 30 %: the failed attempts lie in one, the pauses between them in another |
// | attribute_value | also another attribute that parts the same calls to within 1 % (a version that runs on one host alone) |
// | grows_with | also another number whose ranks go along with it to 0.97 (tokens of the same history) |
// | changed_at in one layer | also layer_slow in that layer, if it says since when, to within 5 % of the time looked at |
// | previous_call seen as a wait for the frame before it | also waiting, with that wait |
// | a fact that is derived, not recorded (cold start, size class, load, client) | any of its usual names |
//
// Cause, layer and attribute have to be right together; `attribute` is null where the text knows none. A moment in
// `after` is no cause of its own where an attribute changed at it. The value is counted apart.

export type Accepted = {
  readonly cause: Cause
  readonly layers: readonly (string | null)[]
  /** For each attribute the names that are right; empty: null is. */
  readonly names: readonly (readonly string[])[]
  readonly needsSince: boolean
}

export type Truth = {
  readonly cause: Cause
  readonly layer: string | null
  readonly attribute: Verdict['attribute']
  readonly value: Verdict['value']
  readonly since_us: number | null
  /** Its part in the extra time of what was planted. */
  readonly share: number
  /** The first is the truth itself. */
  readonly accepted: readonly Accepted[]
}

export type Evidence = {
  readonly world: World
  readonly data: WhyData
  readonly plant: Plant
  /** What a call takes by nature, in the middle. */
  readonly unitMs: number
  /** What it added to each trace; `all`: what each thing planted did. */
  readonly extraMs: readonly number[]
  readonly all: readonly (readonly number[])[]
  readonly extraLayers: readonly ReadonlyMap<string, number>[]
  /** Whether it added anything. */
  readonly hit: readonly boolean[]
}

export function truthOf(evidence: Evidence, columns: Columns): Truth {
  const { cause, attribute, value, alsoCause = [], alsoCalled = [] } = evidence.plant
  const layers = layersOf(evidence)
  const { share, since_us } = weightOf(evidence)
  const names = namesOf(evidence, columns)
  const truth: Accepted = { cause, layers, names, needsSince: false }
  const others = alsoCause.map((other): Accepted => {
    if (other === 'waiting') return { cause: other, layers, names: [alsoCalled], needsSince: false }
    return { cause: other, layers, names: [], needsSince: true }
  })
  return {
    ...{ cause, layer: layers[0] ?? null, attribute, value, since_us },
    share,
    accepted: [truth, ...others],
  }
}

/** How much of what is extra it explains, and since when. */
export type Weight = Pick<Truth, 'share' | 'since_us'> & {
  /** There is no part of the calls that is hit: each is, more or less. */
  readonly growing: boolean
}

export function weightOf({ world, plant, extraMs, all, data }: Evidence): Weight {
  const total = all.reduce((sum, extras) => sum + Math.max(0, excessOf(data, extras)), 0)
  const share = Math.max(0, excessOf(data, extraMs)) / Math.max(1e-9, total)
  return {
    share,
    since_us: plant.atPart === null ? null : momentUs(world, plant.atPart),
    growing: plant.cause === 'grows_with',
  }
}

/** How much more it added to the calls that are asked about than to the others, in the mean; to all where nothing is asked. */
function excessOf(data: WhyData, extraMs: readonly number[]): number {
  const cohorts = cohortsOf(data)
  if (cohorts === null) return mean(extraMs)
  const slow = new Set(cohorts.slow)
  const of = (isSlow: boolean) => extraMs.filter((_, index) => slow.has(data.traces[index] as WhyTrace) === isSlow)
  return mean(of(true)) - mean(of(false))
}

function layersOf({ plant, data, extraLayers }: Evidence): (string | null)[] {
  const slow = new Set(cohortsOf(data)?.slow ?? data.traces)
  const sums = new Map<string, number>()
  for (const [index, layers] of extraLayers.entries()) {
    if (!slow.has(data.traces[index] as WhyTrace)) continue
    for (const [layer, ms] of layers) sums.set(layer, (sums.get(layer) ?? 0) + ms)
  }
  const total = [...sums.values()].reduce((sum, ms) => sum + Math.max(0, ms), 0)
  const ranked = [...sums].map(([layer, ms]) => ({ layer, part: ms / total })).toSorted((a, b) => b.part - a.part)
  const [first] = ranked
  if (first === undefined || total <= 0) return [null]
  const retried = ranked.filter(({ part }) => part >= 0.3).map(({ layer }) => layer)
  if (plant.cause === 'retries') return [first.layer, ...retried.filter((layer) => layer !== first.layer)]
  if (first.part >= 0.6) return [first.layer]
  return first.part >= 0.4 ? [null, first.layer] : [null]
}

function namesOf({ plant, hit }: Evidence, columns: Columns): (readonly string[])[] {
  const { cause, attribute, alsoCalled = [] } = plant
  if (attribute === null) return []
  if (typeof attribute !== 'string') {
    const isClient = (name: string) => name.includes('client')
    return attribute.map((name) => (isClient(name) ? [name, ...alsoCalled] : [name]))
  }
  if (cause === 'attribute_value') return [[attribute, ...alsoCalled, ...twinsOf(columns, attribute, hit)]]
  if (cause === 'grows_with') return [[attribute, ...alsoCalled, ...kinOf(columns, attribute, hit)]]
  return [[attribute, ...alsoCalled]]
}

/** Whether the data say something else than the truth does, by chance. */
export function isContested({ data, hit }: Evidence, truth: Truth, columns: Columns): boolean {
  const { cause, attribute, accepted, layer } = truth
  if ((cause !== 'attribute_value' && cause !== 'grows_with') || typeof attribute !== 'string') return false
  return rivalOf({ data, columns, hit, cause, layer, names: accepted[0]?.names[0] ?? [] }) !== null
}

export type Drawing = {
  readonly data: WhyData
  readonly truth: Weight | null
  readonly also: Weight | null
  readonly extraMs: readonly number[]
  readonly unitMs: number
  /** A null case in which there are too few calls to say anything. */
  readonly few: boolean
}

/**
 * Whether what is drawn is what a person would call a slowdown: half as slow again, of ten calls at least, and mostly
 * by the truth; and of a null case that chance did not make one.
 */
export function isDrawn(drawing: Drawing): boolean {
  const { data, truth, also, extraMs, unitMs, few } = drawing
  const cohorts = cohortsOf(data)
  if (truth === null) {
    if (cohorts === null) return data.traces.length >= 50
    const { slow, baseline } = cohorts
    if (few) return slow.length >= 1 && slow.length <= 4
    const ratio = median(durations(slow)) / median(durations(baseline))
    return slow.length >= 10 && baseline.length >= 10 && ratio > 0.77 && ratio < 1.3
  }
  if (also !== null && (truth.share < also.share * 1.6 || also.share < 0.08)) return false
  const extraOf = new Map(data.traces.map((trace, index) => [trace, extraMs[index] ?? 0]))
  const least = hitBound(extraMs, unitMs, truth.growing)
  const isHit = (trace: WhyTrace) => (extraOf.get(trace) ?? 0) > least
  const hits = data.traces.filter(isHit)
  if (hits.length < 10) return false
  const times = hits.map((trace) => trace.duration_ms / Math.max(1, trace.duration_ms - (extraOf.get(trace) ?? 0)))
  if (median(times) < 1.5) return false
  if (cohorts === null) {
    const part = hits.length / data.traces.length
    const late = truth.since_us !== null && hits.filter(({ started_us }) => started_us >= (truth.since_us ?? 0)).length
    return part >= 0.04 && part <= (late === false ? 0.45 : 0.75)
  }
  const { slow, baseline } = cohorts
  if (baseline.length < 10) return false
  if (data.question.trace_id !== null) return slow.every((trace) => isHit(trace))
  if (slow.length < 10) return false
  if (data.question.above_ms !== null || data.question.region !== null) {
    // Where it grows, those above a bound are hit more or less, and all of them by enough.
    return slow.filter((trace) => (extraOf.get(trace) ?? 0) > unitMs * 0.4).length >= slow.length * 0.75
  }
  const without = (traces: readonly WhyTrace[]) => traces.map((trace) => trace.duration_ms - (extraOf.get(trace) ?? 0))
  const difference = median(durations(slow)) - median(durations(baseline))
  const left = median(without(slow)) - median(without(baseline))
  return difference >= median(durations(baseline)) * 0.3 && left <= difference * 0.4
}

/**
 * From which extra time on a call counts as hit, in ms: two fifths of what a call takes; where it grows, each call has
 * some, and those are meant that have more than three quarters of the others.
 */
export function hitBound(extraMs: readonly number[], unitMs: number, growing: boolean): number {
  return growing ? Math.max(unitMs * 0.4, quantile(extraMs, 0.75)) : unitMs * 0.4
}

function durations(traces: readonly WhyTrace[]): number[] {
  return traces.map(({ duration_ms }) => duration_ms)
}
