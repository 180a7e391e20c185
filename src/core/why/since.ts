import { changeOf } from './change_point.ts'
import type { Predictor } from './factor.ts'
import type { Features } from './feature.ts'
import { centredOf, type Response, type Strata } from './response.ts'

const clearZ = 4.5
const callsBefore = 8

/**
 * The moment at which slow calls begin, in µs: before it calls that are like them were as fast as the others, or there
 * were none though others were called. Null where they were slow all along.
 */
export function sinceOf(
  features: Features,
  strata: Strata,
  response: Response,
  predictor: Predictor | null,
  slow: Uint8Array,
): number | null {
  if (predictor?.since != null) return predictor.since
  if (predictor === null || predictor.mask === null) return onsetOf(features, strata, slow)
  const mask = predictor.mask
  const change = changeOf(features, strata, response, mask)
  if (change !== null && change.z > clearZ) {
    const from = change.predictor.since as number
    const mean = (is: (i: number) => boolean): number => meanOf(response.scores, is)
    const before = mean((i) => mask[i] === 1 && startOf(features, i) < from)
    const after = mean((i) => mask[i] === 1 && startOf(features, i) >= from)
    const others = mean((i) => mask[i] === 0)
    return before - others < 0.3 * (after - others) ? from : null
  }
  return rolloutOf(features, mask)
}

/** The first call of those for which the mask holds, where from it on most are so, and enough were called before. */
function rolloutOf(features: Features, mask: Uint8Array): number | null {
  const first = mask.indexOf(1)
  if (first < Math.max(callsBefore, features.n * 0.05)) return null
  let count = 0
  for (let i = first; i < features.n; i++) count += mask[i] as number
  return count >= 0.8 * (features.n - first) ? startOf(features, first) : null
}

/** The moment before which hardly any call is among the slow ones. */
function onsetOf(features: Features, strata: Strata, slow: Uint8Array): number | null {
  const response = centredOf(Float64Array.from(slow), strata, -1)
  const change = response === null ? null : changeOf(features, strata, response)
  if (change === null || change.z < clearZ) return null
  const from = change.predictor.since as number
  const rate = (is: (i: number) => boolean): number => meanOf(Float64Array.from(slow), is)
  const before = rate((i) => startOf(features, i) < from)
  return before < 0.12 * rate((i) => startOf(features, i) >= from) ? from : null
}

function startOf({ traces }: Features, i: number): number {
  return traces[i]?.started_us as number
}

function meanOf(values: Float64Array, is: (i: number) => boolean): number {
  let sum = 0
  let count = 0
  for (let i = 0; i < values.length; i++) {
    if (!is(i) || Number.isNaN(values[i])) continue
    sum += values[i] as number
    count++
  }
  return count === 0 ? 0 : sum / count
}
