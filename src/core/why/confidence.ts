/** What says how sure a verdict is. */
export type Margins = {
  /** Of the difference, in standard deviations of chance. */
  readonly z: number
  /** How far the runner-up is behind, in standard deviations. */
  readonly lead: number
  /** The extra time as a part of what calls take otherwise. */
  readonly effect: number
  /** The part of the extra time that is explained. */
  readonly share: number
  /** Slow calls. */
  readonly n: number
}

/** How often a verdict with such margins is right. */
export function confidenceOf({ z, lead, effect, share, n }: Margins): number {
  const points =
    Math.min(2, z / 8) + Math.min(1.5, lead / 4) + Math.min(1, effect) + 1.5 * share + Math.min(1, n / 40) - 2.5
  const chance = 1 / (1 + Math.exp(-points))
  return Math.round(Math.min(0.98, Math.max(0.5, chance)) * 100) / 100
}
