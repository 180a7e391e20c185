import type { Finding } from './finding.ts'
import { medianOf } from './rank.ts'

const exemplarsMax = 5

/** The slow calls nearest to the median of those that the best predictor holds for. */
export function exemplarsOf({ features, slow, ranked }: Finding): string[] {
  const mask = ranked[0]?.predictor.mask
  const typical = indicesOf(slow).filter((i) => mask === null || mask === undefined || mask[i] === 1)
  const chosen = typical.length > 0 ? typical : indicesOf(slow)
  const ms = (i: number): number => features.durationMs[i] as number
  const middle = medianOf(chosen.map(ms))
  return chosen
    .sort((a, b) => Math.abs(ms(a) - middle) - Math.abs(ms(b) - middle) || a - b)
    .slice(0, exemplarsMax)
    .map((i) => features.traces[i]?.trace_id as string)
}

function indicesOf(mask: Uint8Array): number[] {
  return Array.from(mask.keys()).filter((i) => mask[i] === 1)
}
