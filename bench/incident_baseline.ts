import { selfTimesOf } from '../src/core/breakdown.ts'
import type { Json } from '../src/core/record.ts'
import type { StoredSpan } from '../src/core/trace.ts'
import type { Verdict, WhyAnswer } from '../src/core/why/why_answer.ts'
import type { WhyData, WhyTrace } from '../src/core/why/why_data.ts'
import { mean, median, quantile } from './incident_chance.ts'
import { cohortsOf } from './incident_data.ts'
import { columnsOf } from './incident_rival.ts'

// What tools do that do not read: name the longest span, or rank the attributes. Neither ever says that it does not know.

/** The layer with the greatest median self time among the slow calls. */
export function longestSpan(data: WhyData): WhyAnswer {
  const { slow, baseline } = cohorts(data)
  const [layer] = largest(layerTimes(slow), median)
  return answerOf(slow, baseline, { cause: 'layer_slow', layer: layer ?? null, attribute: null, value: null })
}

/**
 * The value of an attribute whose share differs most between slow calls and others, in standard deviations of a share.
 * The layer is the one whose self time differs most.
 */
export function attributeRanking(data: WhyData): WhyAnswer {
  const { slow, baseline } = cohorts(data)
  let best = { z: 0, attribute: null as string | null, value: null as Verdict['value'] }
  const isSlow = new Set(slow)
  const place = data.traces.map((trace) => isSlow.has(trace))
  for (const [attribute, column] of columnsOf(data)) {
    // What was asked is no answer.
    if (attribute === 'call_number' && data.question.call_number !== null) continue
    const [among, beside] = [true, false].map((side) =>
      countsOf(column.filter((_, index) => place[index] === side)),
    ) as [Counts, Counts]
    for (const [value, n] of among) {
      const other = beside.get(value) ?? 0
      const all = (n + other) / (slow.length + baseline.length)
      const deviation = Math.sqrt(all * (1 - all) * (1 / slow.length + 1 / Math.max(1, baseline.length)))
      const z = deviation === 0 ? 0 : (n / slow.length - other / Math.max(1, baseline.length)) / deviation
      if (z > best.z) best = { z, attribute, value }
    }
  }
  const before = layerTimes(baseline)
  const [layer] = largest(layerTimes(slow), (times, name) => mean(times) - mean(before.get(name) ?? [0]))
  const { attribute, value } = best
  return answerOf(slow, baseline, { cause: 'attribute_value', layer: layer ?? null, attribute, value })
}

/** Those that are asked about; where nothing is, the slowest tenth. */
function cohorts(data: WhyData): { readonly slow: readonly WhyTrace[]; readonly baseline: readonly WhyTrace[] } {
  const asked = cohortsOf(data)
  if (asked !== null) return asked
  const bound = quantile(
    data.traces.map(({ duration_ms }) => duration_ms),
    0.9,
  )
  const isSlow = ({ duration_ms }: WhyTrace) => duration_ms > bound
  return { slow: data.traces.filter(isSlow), baseline: data.traces.filter((trace) => !isSlow(trace)) }
}

/** Of each layer its self time in each trace, in µs. */
function layerTimes(traces: readonly WhyTrace[]): Map<string, number[]> {
  const times = new Map<string, number[]>()
  for (const [index, { spans }] of traces.entries()) {
    for (const [id, us] of selfTimesOf(spans)) {
      const { layer } = spans[id] as StoredSpan
      const ofLayer = times.get(layer) ?? traces.map(() => 0)
      ofLayer[index] = (ofLayer[index] as number) + us
      times.set(layer, ofLayer)
    }
  }
  return times
}

function largest(times: ReadonlyMap<string, number[]>, sizeOf: (times: number[], layer: string) => number): string[] {
  const sized = [...times].map(([layer, ofLayer]) => ({ layer, size: sizeOf(ofLayer, layer) }))
  return sized.toSorted((a, b) => b.size - a.size).map(({ layer }) => layer)
}

type Counts = ReadonlyMap<string | number, number>

function countsOf(values: readonly Json[]): Counts {
  const counts = new Map<string | number, number>()
  for (const value of values) {
    if (value === null || typeof value === 'object') continue
    const key = typeof value === 'boolean' ? String(value) : value
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

type Said = Pick<Verdict, 'cause' | 'layer' | 'attribute' | 'value'>

function answerOf(slow: readonly WhyTrace[], baseline: readonly WhyTrace[], said: Said): WhyAnswer {
  const cohortOf = (traces: readonly WhyTrace[]) => {
    const times = traces.map(({ duration_ms }) => duration_ms)
    return { n: traces.length, p50_ms: quantile(times, 0.5), p95_ms: quantile(times, 0.95) }
  }
  const verdict: Verdict = { ...said, since: null, share: 1, confidence: 1, sentence: '' }
  return { slow: cohortOf(slow), baseline: cohortOf(baseline), verdict, factors: [], exemplars: [], note: null }
}
