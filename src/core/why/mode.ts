import { extraOf } from './extra.ts'
import { fitOf } from './factor.ts'
import type { Features } from './feature.ts'
import { fewestCompared } from './finding.ts'
import { countOf } from './rank.ts'
import { type Response, residualLogsOf, type Strata } from './response.ts'
import { slowModeOf } from './slow_mode.ts'

/** Of all calls: a few slow ones there always are. */
const shareMin = 0.03
const extraPartMin = 0.3
const wholeZ = 3.5

/** `sum` is the extra time of all its calls, in ms. */
export type Mode = { readonly mask: Uint8Array; readonly z: number; readonly sum: number }

/** The second mode, of the whole or of a part, that has most extra time in sum. */
export function modeOf(
  features: Features,
  strata: Strata,
  responses: readonly Response[],
  chance: number,
): Mode | null {
  let best: (Mode & { readonly part: number }) | null = null
  for (const { part } of responses) {
    const mode = slowModeOf(residualLogsOf(features, strata, part), fewestCompared, chance)
    if (mode === null) continue
    const base = mode.mask.map((bit) => 1 - bit)
    const count = countOf(mode.mask)
    if (count < shareMin * features.n) continue
    const { totalMs, usualMs, partMs } = extraOf(features, strata, mode.mask, base)
    if (totalMs < extraPartMin * usualMs || (part >= 0 && (partMs[part] as number) < 0.5 * totalMs)) continue
    // A part may seem slow where spans that would have shared its time were lost: then the whole is not.
    if (fitOf(new Float64Array(mode.mask), (responses[0] as Response).scores, strata).z < wholeZ) continue
    const sum = totalMs * count
    // That of a part has fewer calls in it that are slow for other reasons.
    if (best === null || sum > best.sum || (part >= 0 && best.part < 0 && sum > 0.7 * best.sum))
      best = { ...mode, sum, part }
  }
  return best
}
