import { comparedOf } from './extra.ts'
import type { Features } from './feature.ts'
import { medianOf, spreadOf } from './rank.ts'
import type { Strata } from './response.ts'

const toolsMin = 3
const callsMin = 4

/**
 * `part` is where the time is spent, -1 where everywhere.
 * Whether slow calls of every tool take the same time longer, whatever the tool takes otherwise: the added time varies
 * neither with the tool nor from call to call. In ms; null where it does.
 */
export function overheadOf(
  features: Features,
  strata: Strata,
  slow: Uint8Array,
  base: Uint8Array,
  part: number,
): number | null {
  const column = part < 0 ? features.durationMs : (features.parts[part]?.ms as Float64Array)
  const of = (list: readonly number[], from: Float64Array): number[] =>
    list.map((i) => from[i] as number).filter((value) => !Number.isNaN(value))
  const groups = comparedOf(strata, slow, base).filter(
    (group) => group.slow.length >= callsMin && group.base.length >= callsMin,
  )
  if (groups.length < toolsMin) return null
  const tools = groups.map((group) => {
    const slowMs = of(group.slow, features.durationMs)
    const baseMs = of(group.base, features.durationMs)
    const usual = medianOf(baseMs)
    const error =
      1.57 * (spreadOf(slowMs) ** 2 / slowMs.length + spreadOf(baseMs) ** 2 / baseMs.length) + (0.02 * usual) ** 2
    return { added: medianOf(slowMs) - usual, usual, error }
  })
  const added = weightedOf(tools.map((tool) => [tool.added, 1 / tool.error]))
  const ratio = weightedOf(tools.map((tool) => [tool.added / tool.usual, tool.usual ** 2 / tool.error]))
  if (added <= 0) return null
  const misfit = (of: (usual: number) => number): number =>
    tools.reduce((sum, tool) => sum + Math.min(25, (tool.added - of(tool.usual)) ** 2 / tool.error), 0)
  const asAdded = misfit(() => added)
  const asRatio = misfit((usual) => ratio * usual)
  if (asAdded > 3 * (tools.length - 1) || asRatio < asAdded + 4) return null
  if (tools.filter((tool) => tool.added > 0.4 * added).length < 0.85 * tools.length) return null
  const inPart = groups.map((group) => ({ slowMs: of(group.slow, column), baseMs: of(group.base, column) }))
  return isShift(inPart, added) ? added : null
}

/** Whether the slow calls vary as much as the others: a part that became slower varies more. */
function isShift(
  tools: readonly { readonly slowMs: readonly number[]; readonly baseMs: readonly number[] }[],
  added: number,
): boolean {
  const widening = tools
    .filter(({ slowMs, baseMs }) => slowMs.length > 2 && baseMs.length > 2)
    .map(({ slowMs, baseMs }) => spreadOf(slowMs) - spreadOf(baseMs))
  return medianOf(widening) < 0.2 * added
}

function weightedOf(pairs: readonly (readonly [number, number])[]): number {
  let sum = 0
  let weights = 0
  for (const [value, weight] of pairs) {
    sum += value * weight
    weights += weight
  }
  return sum / weights
}
