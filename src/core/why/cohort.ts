import { countOf, medianOf } from './rank.ts'
import type { Cohort } from './why_answer.ts'
import type { WhyData, WhyQuestion, WhyTrace } from './why_data.ts'

/**
 * How the slow calls were named. `given`: by what is known before a call ends (its number, its start). `selected`: by how
 * long they took. `found`: not at all.
 */
export type Asked = {
  readonly kind: 'given' | 'selected' | 'found'
  /** 1 where a trace is slow; all 0 where they are to be found. */
  readonly slow: Uint8Array
  /** Whether the slow ones are the later ones. */
  readonly isLater: boolean
  /** The position of the one trace that is asked about. */
  readonly one?: number
}

/** What the statistics look at, at most; more tells nothing new. */
const tracesAnalysed = 10_000

/** In the order of (start, trace id). */
export function sortedTracesOf({ traces }: WhyData): readonly WhyTrace[] {
  return [...traces].sort((a, b) => a.started_us - b.started_us || (a.trace_id < b.trace_id ? -1 : 1))
}

export function askedOf(question: WhyQuestion, traces: readonly WhyTrace[]): Asked {
  const named = slowOf(question, traces)
  const { region } = question
  if (region === null) return named
  const inside = traces.map(
    ({ started_us, duration_ms }) =>
      started_us >= region.from_us &&
      started_us < region.to_us &&
      duration_ms >= region.min_ms &&
      (region.max_ms === null || duration_ms < region.max_ms),
  )
  const sorted = Float64Array.from(traces, ({ duration_ms }) => duration_ms).sort()
  const isTall = region.min_ms > (sorted[0] ?? 0)
  const slow = Uint8Array.from(inside, (is, i) => (is && (named.kind === 'found' || named.slow[i] === 1) ? 1 : 0))
  return {
    kind: named.kind === 'given' && !isTall ? 'given' : isTall ? 'selected' : 'given',
    slow,
    isLater: named.isLater,
  }
}

function slowOf(question: WhyQuestion, traces: readonly WhyTrace[]): Asked {
  const { call_number, after_us, above_ms, trace_id } = question
  const mark = (is: (trace: WhyTrace) => boolean): Uint8Array => Uint8Array.from(traces, (trace) => (is(trace) ? 1 : 0))
  if (call_number !== null) {
    return { kind: 'given', slow: mark((trace) => trace.call_number === call_number), isLater: false }
  }
  if (after_us !== null) return { kind: 'given', slow: mark((trace) => trace.started_us >= after_us), isLater: true }
  if (above_ms !== null) {
    return { kind: 'selected', slow: mark((trace) => trace.duration_ms >= above_ms), isLater: false }
  }
  const one = trace_id === null ? undefined : traces.find((trace) => trace.trace_id === trace_id)
  if (one !== undefined) {
    return { kind: 'selected', slow: likeOf(one, traces), isLater: false, one: traces.indexOf(one) }
  }
  return { kind: 'found', slow: new Uint8Array(traces.length), isLater: false }
}

/**
 * What made one call slow is seen in others that took as much longer than their tool usually does; where it took no longer
 * than that, in those that took about as long.
 */
function likeOf(one: WhyTrace, traces: readonly WhyTrace[]): Uint8Array {
  const byTool = new Map<string | null, number[]>()
  for (const { tool, duration_ms } of traces) {
    const list = byTool.get(tool)
    if (list === undefined) byTool.set(tool, [duration_ms])
    else list.push(duration_ms)
  }
  const all = medianOf(traces.map(({ duration_ms }) => duration_ms))
  const usual = new Map([...byTool].map(([tool, list]) => [tool, list.length < 4 ? all : medianOf(list)]))
  const over = ({ tool, duration_ms }: WhyTrace): number => duration_ms - (usual.get(tool) as number)
  const own = over(one)
  const isSlow = own > 0.3 * (usual.get(one.tool) as number)
  const like = (part: number): Uint8Array =>
    Uint8Array.from(traces, (trace) =>
      trace === one || (isSlow ? over(trace) >= part * own : trace.duration_ms >= part * one.duration_ms) ? 1 : 0,
    )
  const parts = isSlow ? [0.5, 0.4, 0.3] : [0.8, 0.7]
  const enough = parts.find((part) => countOf(like(part)) >= 10) ?? (parts.at(-1) as number)
  return like(enough)
}

/** Which of `traces` the statistics look at: the slow ones first, evenly over time. */
export function analysedOf(slow: Uint8Array): Uint32Array {
  const n = slow.length
  if (n <= tracesAnalysed) return Uint32Array.from({ length: n }, (_, i) => i)
  const ofSlow = evenly(
    Uint32Array.from(slow.keys()).filter((i) => slow[i] === 1),
    tracesAnalysed / 2,
  )
  const ofBase = evenly(
    Uint32Array.from(slow.keys()).filter((i) => slow[i] === 0),
    tracesAnalysed - ofSlow.length,
  )
  return Uint32Array.from([...ofSlow, ...ofBase]).sort()
}

function evenly(list: Uint32Array, most: number): Uint32Array {
  if (list.length <= most) return list
  return Uint32Array.from({ length: most }, (_, i) => list[Math.floor((i * list.length) / most)] as number)
}

/** How many calls, each as often as it stands for, and their quantiles in ms. */
export function cohortOf(traces: readonly WhyTrace[], is: (i: number) => boolean): Cohort {
  const chosen = traces.filter((_, i) => is(i)).sort((a, b) => a.duration_ms - b.duration_ms)
  const n = chosen.reduce((sum, { weight }) => sum + weight, 0)
  const at = (q: number): number | null => {
    let passed = 0
    for (const { duration_ms, weight } of chosen) {
      passed += weight
      if (passed >= q * n) return duration_ms
    }
    return null
  }
  return { n: Math.round(n), p50_ms: at(0.5), p95_ms: at(0.95) }
}
