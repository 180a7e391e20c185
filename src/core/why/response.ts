import type { Features } from './feature.ts'
import { medianOf, normalScoresOf } from './rank.ts'

/**
 * Groups of calls that are compared among themselves alone: one a tool, so that a tool that always takes long is no cause,
 * or a single one.
 */
export type Strata = { readonly codes: Int32Array; readonly count: number }

const smallStratum = 4

export function strataOf(features: Features, byTool: boolean): Strata {
  const { n, tool } = features
  if (!byTool) return { codes: new Int32Array(n), count: 1 }
  const sizes = new Map<number, number>()
  for (const code of tool.codes) sizes.set(code, (sizes.get(code) ?? 0) + 1)
  const index = new Map<number, number>()
  // Tools seen a few times only share one stratum, the first.
  const codes = tool.codes.map((code) => {
    if ((sizes.get(code) as number) < smallStratum) return 0
    const known = index.get(code)
    if (known !== undefined) return known
    index.set(code, index.size + 1)
    return index.size
  })
  return { codes, count: index.size + 1 }
}

/** What is to be explained, as scores that sum to zero in each stratum. */
export type Response = {
  /** An index into `Features.parts`; -1: the whole duration. */
  readonly part: number
  readonly scores: Float64Array
  /** The sum of their squares. */
  readonly square: number
}

/** The times of a part, or whole durations, as ranks among calls of the same stratum. */
export function responseOf(features: Features, strata: Strata, part: number): Response | null {
  const ms = part < 0 ? features.durationMs : (features.parts[part]?.ms as Float64Array)
  const groups = groupsOf(strata)
  const residuals = new Float64Array(ms.length).fill(Number.NaN)
  const typical = medianOf(features.durationMs)
  for (const group of groups) {
    const c = 0.02 * (medianOf(Float64Array.from(group, (i) => features.durationMs[i] as number)) || typical) + 0.05
    const logs = Float64Array.from(group, (i) => Math.log(Math.max(0, ms[i] as number) + c))
    const middle = medianOf(logs.filter((log) => !Number.isNaN(log)))
    for (let j = 0; j < group.length; j++) residuals[group[j] as number] = (logs[j] as number) - middle
  }
  return centredOf(normalScoresOf(residuals), strata, part)
}

/** Scores less the mean of their stratum; null where nothing is left to explain. */
export function centredOf(scores: Float64Array, strata: Strata, part: number): Response | null {
  const sums = new Float64Array(strata.count)
  const sizes = new Float64Array(strata.count)
  for (let i = 0; i < scores.length; i++) {
    const stratum = strata.codes[i] as number
    sums[stratum] = (sums[stratum] as number) + (scores[i] as number)
    sizes[stratum] = (sizes[stratum] as number) + 1
  }
  let square = 0
  const centred = scores.map((score, i) => {
    const stratum = strata.codes[i] as number
    const rest = score - (sums[stratum] as number) / (sizes[stratum] as number)
    square += rest * rest
    return rest
  })
  return square > 1e-9 ? { part, scores: centred, square } : null
}

export function groupsOf({ codes, count }: Strata): number[][] {
  const groups: number[][] = Array.from({ length: count }, () => [])
  for (let i = 0; i < codes.length; i++) groups[codes[i] as number]?.push(i)
  return groups.filter((group) => group.length > 0)
}
