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

/** What is to be explained, as scores that sum to zero in each stratum; NaN where it is not known. */
export type Response = {
  /** An index into `Features.parts`; -1: the whole duration. */
  readonly part: number
  readonly scores: Float64Array
  /** Of each stratum, the calls for which it is known and the sum of their squares. */
  readonly sizes: Float64Array
  readonly squares: Float64Array
}

/** The times of a part, or whole durations, as ranks among calls of the same stratum. */
export function responseOf(features: Features, strata: Strata, part: number): Response | null {
  return centredOf(normalScoresOf(residualLogsOf(features, strata, part)), strata, part)
}

/** The logarithm of a part's times, or of whole durations, less the median of the stratum; NaN where it is not known. */
export function residualLogsOf(features: Features, strata: Strata, part: number): Float64Array {
  const ms = part < 0 ? features.durationMs : (features.parts[part]?.ms as Float64Array)
  const residuals = new Float64Array(ms.length).fill(Number.NaN)
  for (const group of groupsOf(strata)) {
    // What is a small part of a call is as good as nothing.
    const least = 0.02 * medianOf(group.map((i) => features.durationMs[i] as number)) + 0.05
    const logs = group.map((i) => Math.log(Math.max(0, ms[i] as number) + least))
    const middle = medianOf(logs.filter((log) => !Number.isNaN(log)))
    for (let j = 0; j < group.length; j++) residuals[group[j] as number] = (logs[j] as number) - middle
  }
  return residuals
}

/** Scores less the mean of their stratum; null where nothing is left to explain. */
export function centredOf(scores: Float64Array, strata: Strata, part: number): Response | null {
  const sums = new Float64Array(strata.count)
  const sizes = new Float64Array(strata.count)
  const squares = new Float64Array(strata.count)
  for (let i = 0; i < scores.length; i++) {
    if (Number.isNaN(scores[i])) continue
    const stratum = strata.codes[i] as number
    sums[stratum] = (sums[stratum] as number) + (scores[i] as number)
    sizes[stratum] = (sizes[stratum] as number) + 1
  }
  let square = 0
  const centred = scores.map((score, i) => {
    if (Number.isNaN(score)) return score
    const stratum = strata.codes[i] as number
    const rest = score - (sums[stratum] as number) / (sizes[stratum] as number)
    squares[stratum] = (squares[stratum] as number) + rest * rest
    square += rest * rest
    return rest
  })
  return square > 1e-9 ? { part, scores: centred, sizes, squares } : null
}

export function groupsOf({ codes, count }: Strata): number[][] {
  const groups: number[][] = Array.from({ length: count }, () => [])
  for (let i = 0; i < codes.length; i++) groups[codes[i] as number]?.push(i)
  return groups.filter((group) => group.length > 0)
}
