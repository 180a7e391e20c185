import type { Labelled } from './labelled_errors.ts'

/** How groups and causes agree. Shares are 0..1. */
export type Grouping = {
  readonly groups: number
  /** Of the pairs that are in one group, those of one cause: less where too much is merged. */
  readonly precision: number
  /** Of the pairs of one cause, those that are in one group: less where too little is merged. */
  readonly recall: number
  readonly f1: number
  readonly homogeneity: number
  readonly completeness: number
  readonly v: number
  /** Causes in more than one group, and in how many. */
  readonly split: ReadonlyMap<string, number>
  /** Causes in a group with another cause, and with how many. */
  readonly shared: ReadonlyMap<string, number>
}

/** Source of V: Rosenberg and Hirschberg, V-Measure, EMNLP 2007. */
export function groupingOf(errors: readonly Labelled[], keyOf: (error: Labelled['failure']) => string): Grouping {
  const pairs = errors.map(({ label, failure }) => [label, keyOf(failure)] as const)
  const causes = countsOf(pairs.map(([label]) => label))
  const groups = countsOf(pairs.map(([, key]) => key))
  const cells = countsOf(pairs.map(([label, key]) => `${label}\0${key}`))
  const both = pairsIn(cells)
  const [precision, recall] = [share(both, pairsIn(groups)), share(both, pairsIn(causes))]
  const [hCauses, hGroups, hBoth] = [entropyOf(causes), entropyOf(groups), entropyOf(cells)]
  // The entropy of causes given groups is that of both less that of groups, and the other way round.
  const homogeneity = hCauses === 0 ? 1 : 1 - (hBoth - hGroups) / hCauses
  const completeness = hGroups === 0 ? 1 : 1 - (hBoth - hCauses) / hGroups
  const labelsIn = new Map<string, Set<string>>()
  const keysOf = new Map<string, Set<string>>()
  for (const [label, key] of pairs) {
    labelsIn.set(key, (labelsIn.get(key) ?? new Set()).add(label))
    keysOf.set(label, (keysOf.get(label) ?? new Set()).add(key))
  }
  const split = new Map([...keysOf].flatMap(([label, keys]) => (keys.size > 1 ? [[label, keys.size] as const] : [])))
  const shared = new Map(
    [...labelsIn.values()].flatMap((labels) =>
      labels.size > 1 ? [...labels].map((label) => [label, labels.size - 1] as const) : [],
    ),
  )
  const harmonic = (a: number, b: number) => (a + b === 0 ? 0 : (2 * a * b) / (a + b))
  return {
    groups: groups.size,
    precision,
    recall,
    f1: harmonic(precision, recall),
    homogeneity,
    completeness,
    v: harmonic(homogeneity, completeness),
    split,
    shared,
  }
}

function countsOf(keys: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}

function pairsIn(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, n) => sum + (n * (n - 1)) / 2, 0)
}

function share(part: number, whole: number): number {
  return whole === 0 ? 1 : part / whole
}

function entropyOf(counts: ReadonlyMap<string, number>): number {
  const total = [...counts.values()].reduce((sum, n) => sum + n, 0)
  return -[...counts.values()].reduce((sum, n) => sum + (n / total) * Math.log(n / total), 0)
}
