import { type Candidate, candidatesOf, contrastOf, fewestCalls, type SearchPlan } from './candidate.ts'
import { rankedOf } from './choice.ts'
import { extraOf, layerOfExtra } from './extra.ts'
import { fitOf } from './factor.ts'
import type { Features } from './feature.ts'
import { type Finding, placeOf, responseIndexOf, responsesOf } from './finding.ts'
import { type Mode, modeOf } from './mode.ts'
import { medianOf, spreadOf } from './rank.ts'
import { type Response, type Strata, strataOf } from './response.ts'

const modeChance = 0.0005

/** For slow calls that nobody named: those that something stands out for, else those of a mode of their own. */
export function foundFindingOf(features: Features): Finding | null {
  const strata = strataOf(features, true)
  const responses = responsesOf(features, strata)
  if (responses.length === 0) return null
  const plan: SearchPlan = { features, strata, responses, given: null }
  const candidates = candidatesOf(plan).filter((candidate) => isStriking(plan, candidate))
  const mode = modeOf(features, strata, responses, modeChance)
  const leading = [...candidates].sort((a, b) => (b.fits[0]?.r2 as number) - (a.fits[0]?.r2 as number))[0]
  if (leading !== undefined) {
    const { extra, k, layer, share } = placeOf(plan, leading)
    const response = responses[k] as Response
    const ranked = rankedOf(candidates, k, plan, layer)
    // None is left where only pairs stand out and none of them explains more than its halves do.
    const best = ranked[0] ?? null
    if (
      best !== null &&
      isMost(best, mode) &&
      (best.fits[k]?.r2 as number) >= 0.35 * modeFitOf(strata, mode, response)
    ) {
      const [slow, base] = contrastOf(features, best.predictor)
      const place = best === leading ? { extra, layer, share } : placeOf(plan, best)
      return {
        features,
        strata,
        slow,
        base,
        extra: place.extra,
        layer: place.layer,
        layerShare: place.share,
        response,
        k,
        ranked,
        z: best.z,
        isAsked: false,
        isMode: false,
      }
    }
  }
  if (mode === null) return null
  const base = mode.mask.map((bit) => 1 - bit)
  const extra = extraOf(features, strata, mode.mask, base)
  const { layer, share } = layerOfExtra(features, extra)
  const k = responseIndexOf(plan, extra)
  return {
    features,
    strata,
    slow: mode.mask,
    base,
    extra,
    layer,
    layerShare: share,
    response: responses[k] as Response,
    k,
    ranked: [],
    z: mode.z,
    isAsked: false,
    isMode: true,
  }
}

/** Providers and models differ by nature, values of one attribute differ a little: what stands out differs more. */
function isStriking(plan: SearchPlan, { predictor, fits, totalMs, usualMs }: Candidate): boolean {
  const name = predictor.names[0] as string
  if (predictor.kind === 'quantity') {
    // What a call puts out takes its time by nature; only where hardly anything else does it is that worth saying.
    const isPlain = predictor.quantity?.isEffect !== true || fits.some(({ r2 }) => r2 > 0.5)
    return isPlain && totalMs >= 0.3 * usualMs
  }
  if (predictor.kind !== 'value') return true
  // What most calls have is what is usual.
  if (predictor.count > 0.75 * plan.features.n) return false
  const isNature = name === 'provider' || name === 'model' || name === 'tool'
  if (isNature && predictor.since === null && totalMs < 0.5 * usualMs) return false
  const { category } = predictor
  if (category === undefined || category.values.length < 4) return true
  return plan.responses.some((response) =>
    standsOut(category.codes, category.values.length, category.values.indexOf(predictor.values[0] as string), response),
  )
}

function standsOut(codes: Int32Array, levels: number, code: number, { scores }: Response): boolean {
  const sums = new Float64Array(levels)
  const counts = new Float64Array(levels)
  for (let i = 0; i < codes.length; i++) {
    const at = codes[i] as number
    if (at < 0 || Number.isNaN(scores[i])) continue
    sums[at] = (sums[at] as number) + (scores[i] as number)
    counts[at] = (counts[at] as number) + 1
  }
  const others: number[] = []
  for (let at = 0; at < levels; at++) {
    if (at !== code && (counts[at] as number) >= fewestCalls) others.push((sums[at] as number) / (counts[at] as number))
  }
  if (others.length < 3) return true
  return (sums[code] as number) / (counts[code] as number) - medianOf(others) > 3 * spreadOf(others)
}

/** Whether a candidate has a good part of the extra time that the calls of a mode of their own have in sum. */
function isMost({ predictor, totalMs }: Candidate, mode: Mode | null): boolean {
  return mode === null || predictor.mask === null || totalMs * predictor.count >= 0.4 * mode.sum
}

function modeFitOf(strata: Strata, mode: Mode | null, { scores }: Response): number {
  return mode === null ? 0 : fitOf(Float64Array.from(mode.mask), scores, strata).r2
}
