import { candidatesOf, type SearchPlan } from './candidate.ts'
import { rankedOf } from './choice.ts'
import { extraOf, layerOfExtra } from './extra.ts'
import { fitOf, type Predictor } from './factor.ts'
import type { Features } from './feature.ts'
import { type Finding, fewestCompared, responseIndexOf, responsesOf } from './finding.ts'
import { modeOf } from './mode.ts'
import { countOf, medianOf } from './rank.ts'
import { centredOf, type Response, residualLogsOf, type Strata, strataOf } from './response.ts'

/** That they are slow is said: it takes less to believe that they are apart. */
const modeChance = 0.01

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
  const plan: SearchPlan = { features, strata, responses, given: null }
  const extra = extraOf(features, isMix ? whole : byTool, slow, base)
  const { layer: first, share: firstShare } = layerOfExtra(features, extra)
  const membership = isMix ? all : (within as Response)
  const candidates = candidatesOf(plan).filter(
    ({ predictor }) => isTelling(predictor, slow, membership, strata) && (one < 0 || holdsFor(predictor, one)),
  )
  const k = isMix ? 0 : responseIndexOf(plan, extra)
  const response = responses[k] as Response
  const mode = modeOf(features, byTool, responsesOf(features, byTool), modeChance)
  const isMode =
    (mode !== null && overlapOf(mode.mask, slow) > 0.35) || isUnlike(features, byTool, base, first, firstShare)
  const ranked = rankedOf(candidates, k, plan, first)
  const held = ranked[0]?.predictor.mask ?? slow
  const both = slow.map((bit, i) => bit & (held[i] as number))
  const { layer, share } = layerOfExtra(features, held === slow ? extra : extraOf(features, strata, both, base))
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
    z: ranked[0]?.z ?? mode?.z ?? 0,
    isAsked: true,
    isMode,
  }
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
