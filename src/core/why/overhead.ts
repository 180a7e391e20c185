import { comparedOf } from './extra.ts'
import type { Features } from './feature.ts'
import { medianOf, spreadOf } from './rank.ts'
import type { Strata } from './response.ts'

const toolsMin = 3
const callsMin = 8
/** Of the added times' spread, as a part of their median. */
const looseness = 0.2

/**
 * Whether slow calls of every tool take the same time longer, whatever the tool takes otherwise: the added time varies
 * neither with the tool nor from call to call. `part` is where it is spent, -1 where everywhere. In ms; null where it varies.
 */
export function overheadOf(
  features: Features,
  strata: Strata,
  slow: Uint8Array,
  base: Uint8Array,
  part: number,
): number | null {
  const column = part < 0 ? features.durationMs : (features.parts[part]?.ms as Float64Array)
  const added: number[] = []
  const usual: number[] = []
  const noise: number[] = []
  let tools = 0
  for (const group of comparedOf(strata, slow, base)) {
    const known = group.base.filter((i) => !Number.isNaN(column[i]))
    if (known.length < 3) continue
    tools++
    const before = medianOf(known.map((i) => column[i] as number))
    const whole = medianOf(known.map((i) => features.durationMs[i] as number))
    for (const i of known) noise.push((column[i] as number) - before)
    for (const i of group.slow) {
      if (Number.isNaN(column[i])) continue
      added.push((column[i] as number) - before)
      usual.push(whole)
    }
  }
  const middle = medianOf(added)
  if (tools < toolsMin || added.length < callsMin || !(middle > 0)) return null
  // What varied before varies still; what is added must not.
  const loose = Math.sqrt(Math.max(0, spreadOf(added) ** 2 - spreadOf(noise) ** 2)) / middle
  const ratios = added.map((ms, i) => ms / (usual[i] as number))
  return loose < looseness && spreadOf(ratios) / medianOf(ratios) > 1.3 * (spreadOf(added) / middle) ? middle : null
}
