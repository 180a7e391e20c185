import { maskPredictorOf, type Predictor } from './factor.ts'
import type { Features } from './feature.ts'
import type { Response, Strata } from './response.ts'

/**
 * The moment from which on a response is greatest against before, as a predictor; among the calls of `within` where it is
 * given. Null where there are too few calls.
 */
export function changeOf(
  features: Features,
  strata: Strata,
  response: Response,
  within: Uint8Array | null = null,
): { readonly predictor: Predictor; readonly z: number } | null {
  const { n, traces } = features
  const isIn = (i: number): boolean => !Number.isNaN(response.scores[i]) && (within === null || within[i] === 1)
  const sizes = new Float64Array(strata.count)
  let total = 0
  let among = 0
  for (let i = 0; i < n; i++) {
    if (!isIn(i)) continue
    sizes[strata.codes[i] as number] = (sizes[strata.codes[i] as number] as number) + 1
    total += response.scores[i] as number
    among++
  }
  const margin = Math.max(5, Math.ceil(among * 0.03))
  const before = new Float64Array(strata.count)
  let sum = 0
  let square = 0
  let seen = 0
  let best = { at: -1, z: 0 }
  // The scores of a subset need not sum to zero; what counts is the distance from their own mean.
  const mean = among === 0 ? 0 : total / among
  let spread = 0
  for (let i = 0; i < n; i++) {
    if (isIn(i)) spread += ((response.scores[i] as number) - mean) ** 2
  }
  for (let i = 0; i < n; i++) {
    if (!isIn(i)) continue
    if (seen >= margin && among - seen >= margin && square > 0.5) {
      const start = traces[i]?.started_us as number
      if (i === 0 || start > (traces[i - 1]?.started_us as number)) {
        const z = (-sum / Math.sqrt(square * spread)) * Math.sqrt(among - 1)
        if (z > best.z) best = { at: i, z }
      }
    }
    const stratum = strata.codes[i] as number
    const size = sizes[stratum] as number
    const had = before[stratum] as number
    square += (had * had - (had + 1) * (had + 1)) / size + 1
    before[stratum] = had + 1
    sum += (response.scores[i] as number) - mean
    seen++
  }
  if (best.at < 0) return null
  const mask = new Uint8Array(n)
  for (let i = best.at; i < n; i++) mask[i] = within === null ? 1 : (within[i] as number)
  const since = traces[best.at]?.started_us as number
  const predictor = maskPredictorOf(mask, { kind: 'time', family: 'time', names: [], values: [], since })
  return { predictor, z: best.z }
}
