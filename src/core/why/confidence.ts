/** What says how sure a verdict is. */
export type Margins = {
  /** Of the difference, in standard deviations of chance. */
  readonly z: number
  /** The part of the extra time that is explained. */
  readonly share: number
  /** Slow calls. */
  readonly n: number
}

// How often a verdict was right in 360 simulated incidents, by what told right ones from wrong ones best; a little less at
// the top, since real incidents are stranger. Each row: below this z, so often.
const byZ: readonly (readonly [number, number])[] = [
  [4, 0.75],
  [6, 0.84],
  [10, 0.95],
  [Number.POSITIVE_INFINITY, 0.97],
]
const fewCalls = 20
const fewCallsLess = 0.05
const smallShare = 0.7
const smallShareLess = 0.06

/** How often a verdict with such margins is right. */
export function confidenceOf({ z, share, n }: Margins): number {
  const usual = byZ.find(([below]) => z < below)?.[1] ?? 0.5
  const less = (n < fewCalls ? fewCallsLess : 0) + (share < smallShare ? smallShareLess : 0)
  return Math.round((usual - less) * 100) / 100
}
