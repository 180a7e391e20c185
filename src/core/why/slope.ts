import type { Finding } from './finding.ts'
import { medianOf, orderOf } from './rank.ts'
import { groupsOf } from './response.ts'

/**
 * ms for each unit of a quantity: the median over pairs of calls of one stratum that lie half its calls apart (Theil and
 * Sen's, over n/2 pairs). Null where most pairs show no growth: it is steep somewhere, or none can be told.
 */
export function slopeOf({ features, response, strata }: Finding, name: string): number | null {
  const values = features.quantities.find((quantity) => quantity.name === name)?.values
  if (values === undefined) return null
  const ms = response.part < 0 ? features.durationMs : (features.parts[response.part]?.ms as Float64Array)
  const slopes: number[] = []
  for (const group of groupsOf(strata)) {
    const own = Float64Array.from(group, (i) => (Number.isNaN(ms[i]) ? Number.NaN : (values[i] as number)))
    const known = Array.from(orderOf(own), (at) => group[at] as number)
    const half = known.length >> 1
    for (let i = 0; i < half; i++) {
      const a = known[i] as number
      const b = known[i + half] as number
      const run = (values[b] as number) - (values[a] as number)
      if (run > 0) slopes.push(((ms[b] as number) - (ms[a] as number)) / run)
    }
  }
  const slope = medianOf(slopes)
  return slope > 0 ? slope : null
}
