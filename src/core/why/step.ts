import type { Quantity } from './attribute.ts'
import { maskPredictorOf, type Predictor } from './factor.ts'
import { orderOf } from './rank.ts'
import type { Response } from './response.ts'

/** The value of a quantity from which on a response is greatest, as a predictor; null where there are too few calls. */
export function stepOf(quantity: Quantity, response: Response, fewest: number): Predictor | null {
  const { values } = quantity
  const known = orderOf(values).filter((i) => !Number.isNaN(response.scores[i]))
  let sum = 0
  let best = { at: -1, z: 0 }
  let total = 0
  for (const i of known) total += response.scores[i] as number
  for (let k = 0; k < known.length; k++) {
    const i = known[k] as number
    if (k >= fewest && known.length - k >= fewest && values[i] !== values[known[k - 1] as number]) {
      const z = (total - sum) / Math.sqrt(((known.length - k) * k) / known.length)
      if (z > best.z) best = { at: k, z }
    }
    sum += response.scores[i] as number
  }
  if (best.at < 0) return null
  const from = values[known[best.at] as number] as number
  const mask = Uint8Array.from(values, (value) => (value >= from ? 1 : 0))
  const what = { kind: 'value', family: 'step', names: [quantity.name], values: [`>= ${from}`], since: null } as const
  return maskPredictorOf(mask, what)
}
