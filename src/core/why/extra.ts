import type { Features } from './feature.ts'
import { locationOf, medianOf } from './rank.ts'
import { groupsOf, type Strata } from './response.ts'

/** How much longer slow calls take than others of their stratum, in ms, and where. */
export type Extra = {
  readonly totalMs: number
  /** In the order of `Features.parts`. */
  readonly partMs: readonly number[]
  readonly retryMs: number
  readonly firstChunkMs: number
  /** What calls of the slow ones' strata take otherwise, at the median. */
  readonly usualMs: number
}

/** `slow` against `base`, of the calls whose stratum has both; of all where none has. */
export function extraOf(features: Features, strata: Strata, slow: Uint8Array, base: Uint8Array): Extra {
  const groups = comparedOf(strata, slow, base)
  const of = (ms: Float64Array): number => extraMsOf(groups, ms)
  return {
    totalMs: of(features.durationMs),
    partMs: features.parts.map(({ ms }) => of(ms)),
    retryMs: of(features.retryMs),
    firstChunkMs: of(features.firstChunkMs),
    usualMs: medianOf(groups.flatMap((group) => group.base).map((i) => features.durationMs[i] as number)),
  }
}

export function totalExtraOf(features: Features, strata: Strata, slow: Uint8Array, base: Uint8Array) {
  const groups = comparedOf(strata, slow, base)
  return {
    totalMs: extraMsOf(groups, features.durationMs),
    usualMs: medianOf(groups.flatMap((group) => group.base).map((i) => features.durationMs[i] as number)),
  }
}

export type Compared = { readonly slow: readonly number[]; readonly base: readonly number[] }

export function comparedOf(strata: Strata, slow: Uint8Array, base: Uint8Array): Compared[] {
  const split = (group: readonly number[]): Compared => ({
    slow: group.filter((i) => slow[i] === 1),
    base: group.filter((i) => base[i] === 1),
  })
  const compared = groupsOf(strata)
    .map(split)
    .filter((group) => group.slow.length > 0 && group.base.length > 1)
  const kept = compared.reduce((sum, group) => sum + group.slow.length, 0)
  const all = slow.reduce((sum, bit) => sum + bit, 0)
  return kept * 4 >= all ? compared : [split(Array.from(slow, (_, i) => i))]
}

function extraMsOf(groups: readonly Compared[], ms: Float64Array): number {
  const slowRest: number[] = []
  const baseRest: number[] = []
  for (const group of groups) {
    const known = group.base.map((i) => ms[i] as number).filter((value) => !Number.isNaN(value))
    if (known.length === 0) continue
    const usual = medianOf(known)
    for (const value of known) baseRest.push(value - usual)
    for (const i of group.slow) {
      const value = ms[i] as number
      if (!Number.isNaN(value)) slowRest.push(value - usual)
    }
  }
  const extra = locationOf(slowRest) - locationOf(baseRest)
  return Number.isNaN(extra) ? 0 : extra
}

/** The layer in which most of the extra time is spent, and its part of it. */
export function layerOfExtra(
  features: Features,
  extra: Extra,
): { readonly layer: string | null; readonly share: number } {
  const sums = new Map<string, number>()
  let positive = 0
  for (const [i, { layer }] of features.parts.entries()) {
    const ms = extra.partMs[i] as number
    sums.set(layer, (sums.get(layer) ?? 0) + ms)
  }
  let best: string | null = null
  for (const [layer, ms] of sums) {
    if (ms > 0) positive += ms
    if (ms > 0 && (best === null || ms > (sums.get(best) as number))) best = layer
  }
  if (best === null) return { layer: null, share: 0 }
  return { layer: best, share: (sums.get(best) as number) / positive }
}
