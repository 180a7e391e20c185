import type { Category, Quantity } from './attribute.ts'
import type { Features } from './feature.ts'
import { normalScoresOf } from './rank.ts'
import type { Response, Strata } from './response.ts'

/** Something that may explain slow calls: calls that are so, calls from a moment on, or a number that grows. */
export type Predictor = {
  readonly kind: 'value' | 'pair' | 'quantity' | 'time' | 'cohort'
  readonly family: Category['family'] | 'time' | 'cohort' | 'step'
  readonly names: readonly string[]
  readonly values: readonly (string | number)[]
  /** The moment in µs of `time`, or from which on alone a value counts. */
  readonly since: number | null
  /** 1 where it holds; null for a quantity. */
  readonly mask: Uint8Array | null
  /** 1 or 0 where it holds or not, the rank as a normal score of a quantity; NaN where it is not known. */
  readonly column: Float64Array
  /** Of a value, its category. */
  readonly category?: Category
  /** Of what holds where two predictors do. */
  readonly halves?: readonly [Predictor, Predictor]
  /** Of a quantity. */
  readonly quantity?: Quantity
  /** How many calls it holds for, or for which the quantity is known. */
  readonly count: number
}

/** How well it explains a response. */
export type Fit = {
  /** The part of the response's variance within strata that it explains, 0 to 1; negative where calls are faster. */
  readonly r2: number
  /** In standard deviations of what shuffling the calls of each stratum would do. */
  readonly z: number
}

const sumsPerStratum = 6

/** Of two columns over the calls for which both are known, as within each stratum. */
export function fitOf(x: Float64Array, y: Float64Array, { codes, count }: Strata): Fit {
  const sums = new Float64Array(count * sumsPerStratum)
  for (let i = 0; i < x.length; i++) {
    const a = x[i] as number
    const b = y[i] as number
    if (Number.isNaN(a) || Number.isNaN(b)) continue
    const at = (codes[i] as number) * sumsPerStratum
    sums[at] = (sums[at] as number) + 1
    sums[at + 1] = (sums[at + 1] as number) + a
    sums[at + 2] = (sums[at + 2] as number) + a * a
    sums[at + 3] = (sums[at + 3] as number) + b
    sums[at + 4] = (sums[at + 4] as number) + b * b
    sums[at + 5] = (sums[at + 5] as number) + a * b
  }
  const total = new FitSum()
  for (let at = 0; at < sums.length; at += sumsPerStratum) {
    const [n, a, aa, b, bb, ab] = sums.subarray(at, at + sumsPerStratum) as unknown as Six
    if (n > 1) total.add(n, aa - (a * a) / n, bb - (b * b) / n, ab - (a * b) / n)
  }
  return total.fit
}

type Six = readonly [number, number, number, number, number, number]

/** Adds up strata. */
class FitSum {
  #product = 0
  #xSquare = 0
  #ySquare = 0
  #variance = 0

  add(n: number, xSquare: number, ySquare: number, product: number): void {
    this.#product += product
    this.#xSquare += xSquare
    this.#ySquare += ySquare
    this.#variance += (Math.max(0, xSquare) * Math.max(0, ySquare)) / (n - 1)
  }

  get fit(): Fit {
    const squares = this.#xSquare * this.#ySquare
    if (squares < 1e-12 || this.#xSquare < 0.5 || this.#variance < 1e-12) return { r2: 0, z: 0 }
    const r = Math.max(-1, Math.min(1, this.#product / Math.sqrt(squares)))
    return { r2: Math.sign(r) * r * r, z: this.#product / Math.sqrt(this.#variance) }
  }
}

export type What = Pick<Predictor, 'kind' | 'family' | 'names' | 'values' | 'since' | 'category' | 'halves'>

export function maskPredictorOf(mask: Uint8Array, what: What): Predictor {
  let count = 0
  for (const bit of mask) count += bit
  return { ...what, mask, column: new Float64Array(mask), count }
}

export function valuePredictorOf(category: Category, code: number): Predictor {
  const { family, name, values, codes } = category
  const mask = new Uint8Array(codes.length)
  for (let i = 0; i < codes.length; i++) if (codes[i] === code) mask[i] = 1
  const value = values[code] as string | number
  return maskPredictorOf(mask, { kind: 'value', family, names: [name], values: [value], since: null, category })
}

export function quantityPredictorOf(quantity: Quantity): Predictor {
  const { name, values } = quantity
  const column = normalScoresOf(values)
  let count = 0
  for (const value of values) if (!Number.isNaN(value)) count++
  return {
    kind: 'quantity',
    family: 'attribute',
    names: [name],
    values: [],
    since: null,
    quantity,
    mask: null,
    column,
    count,
  }
}

export type Screened = {
  readonly category: Category
  readonly code: number
  readonly z: number
  readonly count: number
}

/**
 * For every value of every category the greatest z over the responses, by sums alone; where `within` is given, of the
 * values among its calls.
 */
export function screenValues(
  features: Features,
  strata: Strata,
  responses: readonly Response[],
  fewest: number,
  within: Uint8Array | null = null,
): { readonly screened: Screened[]; readonly tried: number } {
  const screened: Screened[] = []
  let tried = 0
  for (const whole of features.categories) {
    const category =
      within === null ? whole : { ...whole, codes: whole.codes.map((code, i) => (within[i] === 1 ? code : -1)) }
    const counts = new Float64Array(category.values.length)
    for (const code of category.codes) if (code >= 0) counts[code] = (counts[code] as number) + 1
    const greatest = new Float64Array(category.values.length)
    for (const response of responses) screenOne(category, strata, response, fewest, greatest)
    for (let code = 0; code < greatest.length; code++) {
      const count = counts[code] as number
      if (count < fewest || features.n - count < fewest) continue
      tried++
      screened.push({ category, code, z: greatest[code] as number, count })
    }
  }
  return { screened, tried }
}

/** Raises `greatest` to the z of each value for one response. */
function screenOne(
  { codes, values }: Category,
  strata: Strata,
  { scores, sizes, squares }: Response,
  fewest: number,
  greatest: Float64Array,
): void {
  const levels = values.length
  const inStratum = new Float64Array(strata.count * levels)
  const products = new Float64Array(levels)
  const counts = new Float64Array(levels)
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i] as number
    const score = scores[i] as number
    if (code < 0 || Number.isNaN(score)) continue
    const at = (strata.codes[i] as number) * levels + code
    inStratum[at] = (inStratum[at] as number) + 1
    counts[code] = (counts[code] as number) + 1
    products[code] = (products[code] as number) + score
  }
  for (let code = 0; code < levels; code++) {
    if ((counts[code] as number) < fewest) continue
    let variance = 0
    for (let s = 0; s < strata.count; s++) {
      const size = sizes[s] as number
      const held = inStratum[s * levels + code] as number
      if (size > 1 && held > 0) variance += ((held - (held * held) / size) * (squares[s] as number)) / (size - 1)
    }
    if (variance > 1e-9)
      greatest[code] = Math.max(greatest[code] as number, (products[code] as number) / Math.sqrt(variance))
  }
}
