import type { Category } from './attribute.ts'
import { changeOf } from './change_point.ts'
import { totalExtraOf } from './extra.ts'
import {
  type Fit,
  fitOf,
  maskPredictorOf,
  type Predictor,
  quantityPredictorOf,
  screenValues,
  valuePredictorOf,
  type What,
} from './factor.ts'
import type { Features } from './feature.ts'
import { countOf, normalQuantileOf } from './rank.ts'
import type { Response, Strata } from './response.ts'
import { stepOf } from './step.ts'

/** A predictor that is no chance, however many were tried, and matters. */
export type Candidate = {
  readonly predictor: Predictor
  /** In the order of the responses. */
  readonly fits: readonly Fit[]
  readonly z: number
  /** In ms, of the calls for which it holds (of a quantity: its upper third against its lower). */
  readonly totalMs: number
  readonly usualMs: number
}

/** A difference below this part of what calls take otherwise is not worth naming. */
export const extraPartMin = 0.15
export const fewestCalls = 5
const chance = 0.001
const valuesKept = 32
const pairedMax = 24
const contextsMax = 3
const valuesWithinMax = 8

export type SearchPlan = {
  readonly features: Features
  readonly strata: Strata
  readonly responses: readonly Response[]
  /** The slow ones where the question names them. */
  readonly given: Predictor | null
}

export function candidatesOf(plan: SearchPlan): readonly Candidate[] {
  const { features, strata, responses, given } = plan
  const { screened, tried } = screenValues(features, strata, responses, fewestCalls)
  const { quantities } = features
  const tests = (tried + quantities.length + 8) * responses.length
  const demanded = normalQuantileOf(1 - chance / tests)
  screened.sort((a, b) => b.z - a.z || compareNames(a.category.name, b.category.name) || a.code - b.code)
  const values = screened
    .slice(0, valuesKept)
    .filter(({ z }) => z > 1.5)
    .map(({ category, code }) => valuePredictorOf(category, code))
  const singles: Predictor[] = [...values]
  singles.push(...quantities.map(quantityPredictorOf))
  const moments = momentsOf(plan)
  const fitted = singles.map((predictor) => candidateOf(plan, predictor))
  const kept = fitted.filter(({ z }) => z > demanded)
  kept.push(...stepsOf(plan, kept).filter(({ z }) => z > demanded + 0.5))
  kept.push(...moments.map((predictor) => candidateOf(plan, predictor)).filter(({ z }) => z > demanded + 0.5))
  if (given !== null) kept.push(candidateOf(plan, given))
  const partners = values.filter(({ family }) => family !== 'span').slice(0, pairedMax)
  kept.push(...pairsOf(plan, partners, normalQuantileOf(1 - chance / (tests * 50))))
  const contexts = given === null ? moments.slice(0, contextsMax) : [given]
  for (const context of contexts) kept.push(...valuesWithin(plan, context, demanded + 0.5))
  return kept.filter(({ totalMs, usualMs }) => totalMs >= extraPartMin * usualMs && totalMs > 0)
}

function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function candidateOf({ features, strata, responses }: SearchPlan, predictor: Predictor): Candidate {
  const fits = responses.map((response) => fitOf(predictor.column, response.scores, strata))
  const z = Math.max(...fits.map((fit) => fit.z))
  // What is plainly chance needs no measuring.
  if (z < 2) return { predictor, fits, z, totalMs: 0, usualMs: 0 }
  const [slow, base] = contrastOf(features, predictor)
  return { predictor, fits, z, ...totalExtraOf(features, strata, slow, base) }
}

/** The calls for which a predictor holds and those for which it does not; of a quantity its upper and lower third. */
export function contrastOf(features: Features, predictor: Predictor): readonly [Uint8Array, Uint8Array] {
  const { mask } = predictor
  if (mask !== null) return [mask, mask.map((bit) => 1 - bit)]
  const values = predictor.quantity?.values ?? new Float64Array(features.n).fill(Number.NaN)
  const sorted = values.filter((value) => !Number.isNaN(value)).sort()
  const low = sorted[Math.floor((sorted.length - 1) / 3)] as number
  const high = sorted[Math.ceil(((sorted.length - 1) * 2) / 3)] as number
  const top = high > low ? high : (sorted.find((value) => value > low) ?? Number.POSITIVE_INFINITY)
  return [
    Uint8Array.from(values, (value) => (value >= top ? 1 : 0)),
    Uint8Array.from(values, (value) => (value <= low ? 1 : 0)),
  ]
}

/** Of every quantity that matters the value from which on it does, for the response that it explains best. */
function stepsOf(plan: SearchPlan, kept: readonly Candidate[]): Candidate[] {
  const steps: Candidate[] = []
  for (const { predictor, fits } of kept) {
    if (predictor.quantity === undefined || predictor.quantity.isEffect) continue
    const k = fits.reduce((best, fit, at) => (fit.z > (fits[best]?.z as number) ? at : best), 0)
    const step = stepOf(predictor.quantity, plan.responses[k] as Response, fewestCalls)
    if (step !== null) steps.push(candidateOf(plan, step))
  }
  return steps
}

/** The best moment of every response, each once. */
function momentsOf({ features, strata, responses }: SearchPlan): Predictor[] {
  const moments = new Map<number, { readonly predictor: Predictor; readonly z: number }>()
  for (const response of responses) {
    const change = changeOf(features, strata, response)
    const since = change?.predictor.since as number
    if (change !== null && change.z > Math.max(3, moments.get(since)?.z ?? 0)) moments.set(since, change)
  }
  return [...moments.values()].sort((a, b) => b.z - a.z).map(({ predictor }) => predictor)
}

/** Values that tell calls apart among those of a context: the given ones, or those from a moment on. */
function valuesWithin(plan: SearchPlan, context: Predictor, demanded: number): Candidate[] {
  const { features, strata, responses } = plan
  const { screened } = screenValues(features, strata, responses, fewestCalls, context.mask)
  screened.sort((a, b) => b.z - a.z || compareNames(a.category.name, b.category.name) || a.code - b.code)
  return screened
    .filter(({ z, count, category }) => z > demanded && count < 0.95 * context.count && category.family !== 'span')
    .slice(0, valuesWithinMax)
    .map(({ category, code }) => {
      const value = valuePredictorOf(category, code)
      const whole = features.categories.find(({ values }) => values === category.values) as Category
      const halves = [valuePredictorOf(whole, code), context] as const
      return candidateOf(plan, { ...value, since: context.since, halves })
    })
}

/** Two predictors of which neither alone tells what both together do. */
function pairsOf(plan: SearchPlan, partners: readonly Predictor[], demanded: number): Candidate[] {
  const { features, strata, responses } = plan
  const pairs: Candidate[] = []
  for (let i = 0; i < partners.length; i++) {
    for (let j = i + 1; j < partners.length; j++) {
      const a = partners[i] as Predictor
      const b = partners[j] as Predictor
      if (a.names[0] === b.names[0]) continue
      const mask = bothOf(a.mask as Uint8Array, b.mask as Uint8Array)
      const count = countOf(mask)
      if (count < fewestCalls || count > 0.9 * a.count || count > 0.9 * b.count) continue
      const predictor = maskPredictorOf(mask, togetherOf(a, b))
      const fits = responses.map((response) => fitOf(predictor.column, response.scores, strata))
      const k = fits.reduce((best, fit, at) => (fit.z > (fits[best]?.z as number) ? at : best), 0)
      const z = fits[k]?.z as number
      if (z < demanded) continue
      const response = responses[k] as Response
      if (!isNeeded(mask, a.mask as Uint8Array, b.mask as Uint8Array, response)) continue
      const [slow, base] = contrastOf(features, predictor)
      pairs.push({ predictor, fits, z, ...totalExtraOf(features, strata, slow, base) })
    }
  }
  return pairs
}

function bothOf(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length)
  for (let i = 0; i < both.length; i++) both[i] = (a[i] as number) & (b[i] as number)
  return both
}

function togetherOf(a: Predictor, b: Predictor): What {
  const names = [...a.names, ...b.names]
  const since = a.since ?? b.since
  const valued = a.kind === 'value' ? a : b
  return {
    kind: names.length > 1 ? 'pair' : valued.kind,
    family: valued.family,
    names,
    values: [...a.values, ...b.values],
    since,
    ...(names.length > 1 ? { halves: [a, b] as const } : {}),
  }
}

/** Whether calls that are only the one, or only the other, are hardly slower than those that are neither. */
function isNeeded(both: Uint8Array, a: Uint8Array, b: Uint8Array, { scores }: Response): boolean {
  const sums = [0, 0, 0, 0]
  const counts = [0, 0, 0, 0]
  for (let i = 0; i < both.length; i++) {
    if (Number.isNaN(scores[i])) continue
    const cell = (a[i] as number) + 2 * (b[i] as number)
    sums[cell] = (sums[cell] as number) + (scores[i] as number)
    counts[cell] = (counts[cell] as number) + 1
  }
  const mean = (cell: number): number =>
    (counts[cell] as number) < 3 ? Number.NaN : (sums[cell] as number) / (counts[cell] as number)
  const neither = mean(0)
  const effect = mean(3) - neither
  const alone = [mean(1) - neither, mean(2) - neither]
  if (alone.some((part) => Number.isNaN(part)) || Number.isNaN(effect)) return false
  return alone.every((part) => part < 0.35 * effect)
}
