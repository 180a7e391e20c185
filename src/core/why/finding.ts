import { type Candidate, contrastOf, fewestCalls, type SearchPlan } from './candidate.ts'
import { type Extra, extraOf, layerOfExtra } from './extra.ts'
import type { Features } from './feature.ts'
import { medianOf } from './rank.ts'
import { type Response, responseOf, type Strata } from './response.ts'

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
  /** Whether the question says which calls are slow. */
  readonly isAsked: boolean
  /** Whether the slow ones are a mode of their own. */
  readonly isMode: boolean
}

export const fewestCompared = 8

/** The whole duration first, then every part that makes a difference to it. */
export function responsesOf(features: Features, strata: Strata): Response[] {
  const responses = [responseOf(features, strata, -1)]
  const usual = medianOf(features.durationMs)
  for (const [part, { ms }] of features.parts.entries()) {
    const sorted = ms.filter((value) => !Number.isNaN(value)).sort()
    const range = (sorted[Math.floor((sorted.length - 1) * 0.98)] ?? 0) - (sorted[Math.floor(sorted.length / 4)] ?? 0)
    if (sorted.length >= 2 * fewestCalls && range > 0.1 * usual) responses.push(responseOf(features, strata, part))
  }
  return responses.filter((response) => response !== null)
}

/** Where the calls that a candidate holds for spend their extra time. */
export function placeOf(plan: SearchPlan, { predictor }: Candidate) {
  const { features, strata } = plan
  const [slow, base] = contrastOf(features, predictor)
  const extra = extraOf(features, strata, slow, base)
  return { extra, k: responseIndexOf(plan, extra), ...layerOfExtra(features, extra) }
}

/** The response of the part that has most of the extra time; that of the whole where it has no response of its own. */
export function responseIndexOf({ responses }: SearchPlan, { partMs }: Extra): number {
  const part = partMs.reduce((best, ms, i) => (ms > (partMs[best] as number) ? i : best), 0)
  return Math.max(
    0,
    responses.findIndex((response) => response.part === part),
  )
}
