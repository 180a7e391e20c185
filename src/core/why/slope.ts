import type { Finding } from './finding.ts'
import { medianOf, orderOf } from './rank.ts'

/** ms for each unit of a quantity: the median over pairs half the range apart (Theil and Sen's, over n/2 pairs). */
export function slopeOf({ features, response }: Finding, name: string): number | null {
  const values = features.quantities.find((quantity) => quantity.name === name)?.values
  if (values === undefined) return null
  const ms = response.part < 0 ? features.durationMs : (features.parts[response.part]?.ms as Float64Array)
  const known = orderOf(values).filter((i) => !Number.isNaN(ms[i]))
  const half = known.length >> 1
  const slopes: number[] = []
  for (let i = 0; i < half; i++) {
    const a = known[i] as number
    const b = known[i + half] as number
    const run = (values[b] as number) - (values[a] as number)
    if (run > 0) slopes.push(((ms[b] as number) - (ms[a] as number)) / run)
  }
  return slopes.length === 0 ? null : medianOf(slopes)
}
