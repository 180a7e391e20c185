import type { Category, Quantity } from './attribute.ts'
import type { Features } from './feature.ts'
import { normalScoresOf } from './rank.ts'
import { centredOf, type Response, type Strata } from './response.ts'

/** Something that may explain slow calls: calls that are so, calls from a moment on, or a number that grows. */
export type Predictor = {
  readonly kind: 'value' | 'pair' | 'quantity' | 'time' | 'cohort'
  readonly family: Category['family'] | 'time' | 'cohort'
  readonly names: readonly string[]
  readonly values: readonly (string | number)[]
  /** The moment in µs of `time`, or from which on alone a value counts. */
  readonly since: number | null
  /** 1 where it holds; null for a quantity. */
  readonly mask: Uint8Array | null
  /** Its scores, less the mean of their stratum. */
  readonly scores: Float64Array
  readonly square: number
  /** Of a value, its category. */
  readonly category?: Category
  /** Of a quantity. */
  readonly quantity?: Quantity
  /** How many calls it holds for, or for which the quantity is known. */
  readonly count: number
}

/** How well it explains a response. */
export type Fit = {
  /** The part of the response's variance within strata that it explains, 0 to 1; negative where calls are faster. */
  readonly r2: number
  /** In standard deviations of chance. */
  readonly z: number
}

export function fitOf(predictor: { readonly scores: Float64Array; readonly square: number }, response: Response): Fit {
  const { scores, square } = predictor
  let product = 0
  for (let i = 0; i < scores.length; i++) product += (scores[i] as number) * (response.scores[i] as number)
  return fitFrom(product, square, response.square, scores.length)
}

export function fitFrom(product: number, square: number, responseSquare: number, n: number): Fit {
  if (square < 1e-9) return { r2: 0, z: 0 }
  const r = Math.max(-1, Math.min(1, product / Math.sqrt(square * responseSquare)))
  return { r2: Math.sign(r) * r * r, z: r * Math.sqrt(n - 1) }
}

export type What = Pick<Predictor, 'kind' | 'family' | 'names' | 'values' | 'since' | 'category'>

/** The predictor of the calls for which `mask` is 1; null where all or none of each stratum are so. */
export function maskPredictorOf(strata: Strata, mask: Uint8Array, what: What): Predictor | null {
  const centred = centredOf(Float64Array.from(mask), strata, -1)
  if (centred === null) return null
  let count = 0
  for (const bit of mask) count += bit
  return { ...what, mask, scores: centred.scores, square: centred.square, count }
}

export function valuePredictorOf(strata: Strata, category: Category, code: number): Predictor | null {
  const mask = Uint8Array.from(category.codes, (other) => (other === code ? 1 : 0))
  const { family, name, values } = category
  const value = values[code] as string | number
  return maskPredictorOf(strata, mask, { kind: 'value', family, names: [name], values: [value], since: null, category })
}

export function quantityPredictorOf(strata: Strata, quantity: Quantity): Predictor | null {
  const centred = centredOf(normalScoresOf(quantity.values), strata, -1)
  if (centred === null) return null
  let count = 0
  for (const value of quantity.values) if (!Number.isNaN(value)) count++
  return {
    kind: 'quantity',
    family: 'attribute',
    names: [quantity.name],
    values: [],
    since: null,
    quantity,
    mask: null,
    scores: centred.scores,
    square: centred.square,
    count,
  }
}

export type Screened = {
  readonly category: Category
  readonly code: number
  readonly z: number
  readonly count: number
}

/** For every value of every category the greatest z over the responses, by sums alone. */
export function screenValues(
  features: Features,
  strata: Strata,
  responses: readonly Response[],
  fewest: number,
): { readonly screened: Screened[]; readonly tried: number } {
  const { n } = features
  const sizes = new Float64Array(strata.count)
  for (const stratum of strata.codes) sizes[stratum] = (sizes[stratum] as number) + 1
  const screened: Screened[] = []
  let tried = 0
  for (const category of features.categories) {
    const levels = category.values.length
    const inStratum = new Float64Array(strata.count * levels)
    const counts = new Float64Array(levels)
    const products = responses.map(() => new Float64Array(levels))
    for (let i = 0; i < n; i++) {
      const code = category.codes[i] as number
      if (code < 0) continue
      counts[code] = (counts[code] as number) + 1
      const at = (strata.codes[i] as number) * levels + code
      inStratum[at] = (inStratum[at] as number) + 1
    }
    for (const [k, { scores }] of responses.entries()) {
      const sums = products[k] as Float64Array
      for (let i = 0; i < n; i++) {
        const code = category.codes[i] as number
        if (code >= 0) sums[code] = (sums[code] as number) + (scores[i] as number)
      }
    }
    for (let code = 0; code < levels; code++) {
      const count = counts[code] as number
      if (count < fewest || n - count < fewest) continue
      let square = count
      for (let s = 0; s < strata.count; s++) {
        const size = sizes[s] as number
        if (size > 0) square -= (inStratum[s * levels + code] as number) ** 2 / size
      }
      if (square < 0.5) continue
      tried++
      let z = 0
      for (const [k, response] of responses.entries()) {
        const fit = fitFrom(products[k]?.[code] as number, square, response.square, n)
        z = Math.max(z, fit.z)
      }
      screened.push({ category, code, z, count })
    }
  }
  return { screened, tried }
}
