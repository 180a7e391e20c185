import { type Candidate, candidatesOf, extraPartMin, type SearchPlan } from './candidate.ts'
import { correlationOf, rankedOf } from './choice.ts'
import { totalExtraOf } from './extra.ts'
import { fitOf, maskPredictorOf, type Predictor } from './factor.ts'
import type { Features } from './feature.ts'
import { type Finding, placeOf, responsesOf } from './finding.ts'
import { type Response, type Strata, strataOf } from './response.ts'

/** Of the given calls' effect: what explains less only happens to go along with them. */
const explainedMin = 0.25
const givenZ = 4
/** Of the whole duration, which is one response and not one of many. */
const givenWholeZ = 3.3

/** For slow calls named by what is known before they end. */
export function givenFindingOf(features: Features, slow: Uint8Array, isLater: boolean): Finding | null {
  const byTool = strataOf(features, true)
  const whole = strataOf(features, false)
  const base = slow.map((bit) => 1 - bit)
  const raw = totalExtraOf(features, whole, slow, base)
  const among = totalExtraOf(features, byTool, slow, base)
  const isMix = raw.totalMs >= extraPartMin * raw.usualMs && among.totalMs < 0.4 * raw.totalMs
  const strata = isMix ? whole : byTool
  const given = maskPredictorOf(slow, {
    kind: isLater ? 'time' : 'cohort',
    family: isLater ? 'time' : 'cohort',
    names: [],
    values: [],
    since: isLater ? (features.traces[slow.indexOf(1)]?.started_us ?? null) : null,
  })
  const plan: SearchPlan = { features, strata, responses: responsesOf(features, strata), given }
  if (plan.responses.length === 0) return null
  const candidates = candidatesOf(plan)
  const itself = candidates.find(({ predictor }) => predictor === given)
  const conjoined = candidates.filter(({ predictor }) => isPartOf(predictor, given))
  const isClear = itself !== undefined && (itself.z > givenZ || (itself.fits[0]?.z as number) > givenWholeZ)
  if (!isClear && conjoined.length === 0) return null
  const leading = itself ?? (conjoined.sort((a, b) => b.z - a.z)[0] as Candidate)
  const { extra, k, layer, share } = placeOf(plan, leading)
  const response = plan.responses[k] as Response
  const explaining = candidates.filter(
    ({ predictor }) =>
      predictor === given ||
      isPartOf(predictor, given) ||
      explainedOf(predictor, given, response, strata) >= explainedMin,
  )
  // What the given calls are made of must differ from the others, not by chance.
  const differing = isMix
    ? explaining.filter(({ predictor }) => fitOf(predictor.column, given.column, strata).z > givenZ)
    : explaining
  if (differing.length < 2 && isMix) return null
  const ranked = rankedOf(differing, k, plan, layer)
  return {
    features,
    strata,
    slow,
    base,
    extra,
    layer,
    layerShare: share,
    response,
    k,
    ranked,
    z: leading.z,
    isAsked: true,
    isMode: false,
  }
}

/** Whether a predictor is a value among the given calls. */
function isPartOf({ kind, mask, values }: Predictor, given: Predictor): boolean {
  if (mask === null || values.length === 0 || (kind !== 'value' && kind !== 'pair')) return false
  return mask.every((bit, i) => bit === 0 || given.mask?.[i] === 1) && mask.some((bit, i) => bit !== given.mask?.[i])
}

/** Which part of the given calls' effect is gone among calls that are alike in the predictor. */
function explainedOf(predictor: Predictor, given: Predictor, response: Response, strata: Strata): number {
  const together = correlationOf(predictor, given, response, strata)
  if (together > 0.9) return 1
  const own = signedRoot(fitOf(predictor.column, response.scores, strata).r2)
  const effect = signedRoot(fitOf(given.column, response.scores, strata).r2)
  if (effect <= 0) return 0
  const rest = (effect - own * together) / (1 - together * together)
  return 1 - rest / effect
}

function signedRoot(r2: number): number {
  return Math.sign(r2) * Math.sqrt(Math.abs(r2))
}
