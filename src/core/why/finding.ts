import { type Candidate, candidatesOf, contrastOf, extraPartMin, fewestCalls, type SearchPlan } from './candidate.ts'
import { correlationOf, rankedOf } from './choice.ts'
import { type Extra, extraOf, layerOfExtra, totalExtraOf } from './extra.ts'
import { fitOf, maskPredictorOf, type Predictor } from './factor.ts'
import type { Features } from './feature.ts'
import { countOf, medianOf, spreadOf } from './rank.ts'
import { centredOf, type Response, residualLogsOf, responseOf, type Strata, strataOf } from './response.ts'
import { slowModeOf } from './slow_mode.ts'

/** Slow calls that differ from others, and what goes along with it. */
export type Finding = {
  readonly features: Features
  readonly strata: Strata
  readonly slow: Uint8Array
  readonly base: Uint8Array
  readonly extra: Extra
  readonly layer: string | null
  readonly layerShare: number
  /** The response of the part that has most of the extra time. */
  readonly response: Response
  readonly k: number
  /** Best first; none where nothing tells who is slow. */
  readonly ranked: readonly Candidate[]
  /** In standard deviations of chance. */
  readonly z: number
  /** Whether the slow ones are a mode of their own. */
  readonly isMode: boolean
}

export const fewestCompared = 8
const givenZ = 4
/** Of the whole duration, which is one response and not one of many. */
const givenWholeZ = 3.3
const modeChance = 0.0005
const selectedModeChance = 0.01
/** Of all calls: a few slow ones there always are. */
const modeShareMin = 0.03
const modePartMin = 0.3
const modeWholeZ = 3.5

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
  const plan: SearchPlan = { features, strata, responses: responsesOf(features, strata), given, withEffects: true }
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
      predictor === given || isPartOf(predictor, given) || explainedOf(predictor, given, response, strata) >= 0.4,
  )
  const ranked = rankedOf(explaining, k, response, strata, layer)
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
    isMode: false,
  }
}

/** For slow calls named by how long they took; `one` is the position of the call that is asked about, -1 where it is all. */
export function selectedFindingOf(features: Features, slow: Uint8Array, one = -1): Finding | null {
  const whole = strataOf(features, false)
  const byTool = strataOf(features, true)
  const base = slow.map((bit) => 1 - bit)
  const indicator = Float64Array.from(slow)
  const all = centredOf(indicator, whole, -1)
  if (all === null) return null
  const within = centredOf(indicator, byTool, -1)
  const isMix = sumOf(within?.squares) < 0.4 * sumOf(all.squares)
  const strata = isMix ? whole : byTool
  const responses = isMix ? [all] : responsesOf(features, strata)
  const plan: SearchPlan = { features, strata, responses, given: null, withEffects: true }
  const extra = extraOf(features, isMix ? whole : byTool, slow, base)
  const { layer, share } = layerOfExtra(features, extra)
  const membership = isMix ? all : (within as Response)
  const candidates = candidatesOf(plan).filter(
    ({ predictor }) => isTelling(predictor, slow, membership, strata) && (one < 0 || holdsFor(predictor, one)),
  )
  const k = isMix ? 0 : responseIndexOf(plan, extra)
  const response = responses[k] as Response
  // That they are slow is said: it takes less to believe that they are apart.
  const mode = modeOf(features, byTool, responsesOf(features, byTool), selectedModeChance)
  const isMode = (mode !== null && overlapOf(mode.mask, slow) > 0.35) || isUnlike(features, byTool, base, layer, share)
  const ranked = rankedOf(candidates, k, response, strata, layer)
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
    z: ranked[0]?.z ?? (isMode ? (mode?.z as number) : 0),
    isMode,
  }
}

/** For slow calls that nobody named: those that something stands out for, else those of a mode of their own. */
export function foundFindingOf(features: Features): Finding | null {
  const strata = strataOf(features, true)
  const responses = responsesOf(features, strata)
  if (responses.length === 0) return null
  const plan: SearchPlan = { features, strata, responses, given: null, withEffects: false }
  const candidates = candidatesOf(plan).filter((candidate) => isStriking(plan, candidate))
  const mode = modeOf(features, strata, responses)
  const leading = [...candidates].sort((a, b) => (b.fits[0]?.r2 as number) - (a.fits[0]?.r2 as number))[0]
  if (leading !== undefined) {
    const { extra, k, layer, share } = placeOf(plan, leading)
    const response = responses[k] as Response
    const ranked = rankedOf(candidates, k, response, strata, layer)
    const best = ranked[0] as Candidate
    const ofMode = mode === null ? 0 : modeFitOf(strata, mode.mask, response)
    if ((best.fits[k]?.r2 as number) >= 0.35 * ofMode) {
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
    isMode: true,
  }
}

/** The whole duration first, then every part that makes a difference to it. */
function responsesOf(features: Features, strata: Strata): Response[] {
  const responses = [responseOf(features, strata, -1)]
  const usual = medianOf(features.durationMs)
  for (const [part, { ms }] of features.parts.entries()) {
    const sorted = ms.filter((value) => !Number.isNaN(value)).sort()
    const range = (sorted[Math.floor((sorted.length - 1) * 0.98)] ?? 0) - (sorted[Math.floor(sorted.length / 4)] ?? 0)
    if (sorted.length >= 2 * fewestCalls && range > 0.1 * usual) responses.push(responseOf(features, strata, part))
  }
  return responses.filter((response) => response !== null)
}

function placeOf(plan: SearchPlan, { predictor }: Candidate) {
  const { features, strata } = plan
  const [slow, base] = contrastOf(features, predictor)
  const extra = extraOf(features, strata, slow, base)
  return { extra, k: responseIndexOf(plan, extra), ...layerOfExtra(features, extra) }
}

/** The response of the part that has most of the extra time; that of the whole where it has no response of its own. */
function responseIndexOf({ responses }: SearchPlan, { partMs }: Extra): number {
  const part = partMs.reduce((best, ms, i) => (ms > (partMs[best] as number) ? i : best), 0)
  return Math.max(
    0,
    responses.findIndex((response) => response.part === part),
  )
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

/**
 * Whether a layer has clearly more of the slow calls' extra time than it has where calls merely vary: of the slowest tenth
 * of the others.
 */
function isUnlike(features: Features, strata: Strata, base: Uint8Array, layer: string | null, share: number): boolean {
  const logs = residualLogsOf(features, strata, -1)
  const others = logs.filter((_, i) => base[i] === 1).sort()
  const bound = others[Math.floor(others.length * 0.9)] as number
  const slowest = base.map((bit, i) => (bit === 1 && (logs[i] as number) >= bound ? 1 : 0))
  const rest = base.map((bit, i) => (bit === 1 && slowest[i] === 0 ? 1 : 0))
  if (countOf(slowest) < fewestCompared || share < 0.6) return false
  const extra = extraOf(features, strata, slowest, rest)
  const sums = features.parts.map((part, i) => [part.layer, Math.max(0, extra.partMs[i] as number)] as const)
  const all = sums.reduce((sum, [, ms]) => sum + ms, 0)
  const own = sums.reduce((sum, [name, ms]) => sum + (name === layer ? ms : 0), 0)
  return all > 0 && share - own / all > 0.3
}

function holdsFor({ mask, quantity }: Predictor, i: number): boolean {
  if (mask !== null) return mask[i] === 1
  const value = quantity?.values[i] as number
  return value >= medianOf((quantity?.values ?? new Float64Array()).filter((other) => !Number.isNaN(other)))
}

/** Whether what a predictor tells of is clearly commoner among the slow calls, and in a good part of them. */
function isTelling(predictor: Predictor, slow: Uint8Array, membership: Response, strata: Strata): boolean {
  const fit = fitOf(predictor.column, membership.scores, strata)
  if (fit.z < 3.5) return false
  if (predictor.mask === null) return true
  let both = 0
  let all = 0
  for (let i = 0; i < slow.length; i++) {
    all += slow[i] as number
    both += (slow[i] as number) & (predictor.mask[i] as number)
  }
  const rate = both / predictor.count
  const otherwise = (all - both) / (slow.length - predictor.count)
  return both >= 0.25 * all && both >= 4 && rate >= 1.5 * otherwise
}

/** Providers and models differ by nature, values of one attribute differ a little: what stands out differs more. */
function isStriking(plan: SearchPlan, { predictor, totalMs, usualMs }: Candidate): boolean {
  const name = predictor.names[0] as string
  if (predictor.kind === 'quantity') return totalMs >= 0.3 * usualMs
  if (predictor.kind !== 'value') return true
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

type Mode = { readonly mask: Uint8Array; readonly z: number }

/** The second mode, of the whole or of a part, that has most extra time in sum. */
function modeOf(features: Features, strata: Strata, responses: readonly Response[], chance = modeChance): Mode | null {
  let best: (Mode & { readonly sum: number }) | null = null
  for (const { part } of responses) {
    const mode = slowModeOf(residualLogsOf(features, strata, part), fewestCompared, chance)
    if (mode === null) continue
    const base = mode.mask.map((bit) => 1 - bit)
    const count = countOf(mode.mask)
    if (count < modeShareMin * features.n) continue
    const { totalMs, usualMs, partMs } = extraOf(features, strata, mode.mask, base)
    if (totalMs < modePartMin * usualMs || (part >= 0 && (partMs[part] as number) < 0.5 * totalMs)) continue
    // A part may seem slow where spans that would have shared its time were lost: then the whole is not.
    if (fitOf(new Float64Array(mode.mask), (responses[0] as Response).scores, strata).z < modeWholeZ) continue
    const sum = totalMs * count
    if (best === null || sum > best.sum) best = { ...mode, sum }
  }
  return best
}

function modeFitOf(strata: Strata, mask: Uint8Array, response: Response): number {
  return fitOf(Float64Array.from(mask), response.scores, strata).r2
}

function sumOf(values: Float64Array | undefined): number {
  return values?.reduce((sum, value) => sum + value, 0) ?? 0
}

function overlapOf(a: Uint8Array, b: Uint8Array): number {
  let both = 0
  let either = 0
  for (let i = 0; i < a.length; i++) {
    both += (a[i] as number) & (b[i] as number)
    either += (a[i] as number) | (b[i] as number)
  }
  return either === 0 ? 0 : both / either
}
