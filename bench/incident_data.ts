import type { Json, SessionRule } from '../src/core/record.ts'
import { type StoredSpans, storedSpanOf, summaryOf } from '../src/core/trace.ts'
import type { Predecessor, WhyData, WhyQuestion, WhyTrace } from '../src/core/why/why_data.ts'
import type { Played } from './incident_play.ts'

/** What is gathered of the calls of an incident, as SQL gathers it: of each its summary, and what ran before it. */
export function tracesOf(played: readonly Played[]): WhyTrace[] {
  return withPlaces(
    played.map(({ traceId, spans }) => {
      const stored: StoredSpans = Object.fromEntries(
        spans.map(({ span, process }) => [span.span_id, storedSpanOf(span, process)]),
      )
      const summary = summaryOf(stored)
      return {
        trace_id: traceId,
        started_us: summary.started_at_us,
        duration_ms: summary.duration_ms as number,
        outcome: summary.outcome,
        tool: summary.tool,
        provider: summary.provider,
        model: summary.model,
        session_key: summary.session_key,
        session_rule: summary.session_rule as SessionRule | null,
        call_number: summary.call_number,
        bytes_in: summary.bytes_in,
        bytes_out: summary.bytes_out,
        tokens_in: summary.tokens_in,
        tokens_out: summary.tokens_out,
        process: summary.process,
        previous: null,
        before: null,
        running: 0,
        weight: 1,
        spans: stored,
      }
    }),
  )
}

/** With what stands in other traces: the place in the session, the calls before it, how many ran. */
function withPlaces(unplaced: readonly WhyTrace[]): WhyTrace[] {
  const traces = unplaced.toSorted((a, b) => a.started_us - b.started_us || (a.trace_id < b.trace_id ? -1 : 1))
  const sessions = new Map<string, WhyTrace[]>()
  const lastOf = new Map<string, WhyTrace>()
  const open = new Map<string, WhyTrace[]>()
  const placed = traces.map((trace) => {
    const { process, session_key, started_us } = trace
    const before = lastOf.get(process)
    lastOf.set(process, trace)
    const running = (open.get(process) ?? []).filter((other) => endOf(other) > started_us)
    open.set(process, [...running, trace])
    const session = session_key === null ? null : (sessions.get(session_key) ?? [])
    const previous = session?.at(-1)
    if (session_key !== null) sessions.set(session_key, [...(session ?? []), trace])
    return {
      ...trace,
      call_number: trace.call_number ?? (session === null ? null : session.length + 1),
      previous: previous ? predecessorOf(previous, trace) : null,
      before: before ? predecessorOf(before, trace) : null,
      running: running.length,
    }
  })
  return placed
}

function endOf({ started_us, duration_ms }: WhyTrace): number {
  return started_us + duration_ms * 1_000
}

function predecessorOf(before: WhyTrace, trace: WhyTrace): Predecessor {
  const { trace_id, tool, outcome } = before
  return { trace_id, tool, outcome, gap_ms: (trace.started_us - endOf(before)) / 1_000 }
}

/** The calls that a question names as slow, and those they are compared with; null where it names none. */
export function cohortsOf({ question, traces }: WhyData): { slow: WhyTrace[]; baseline: WhyTrace[] } | null {
  const isSlow = slowTest(question)
  if (isSlow === null) return null
  return { slow: traces.filter(isSlow), baseline: traces.filter((trace) => !isSlow(trace)) }
}

function slowTest(question: WhyQuestion): ((trace: WhyTrace) => boolean) | null {
  const { call_number, after_us, above_ms, trace_id, region } = question
  if (call_number !== null) return (trace) => trace.call_number === call_number
  if (after_us !== null) return (trace) => trace.started_us >= after_us
  if (above_ms !== null) return (trace) => trace.duration_ms > above_ms
  if (trace_id !== null) return (trace) => trace.trace_id === trace_id
  if (region === null) return null
  return ({ started_us, duration_ms }) =>
    started_us >= region.from_us &&
    started_us < region.to_us &&
    duration_ms >= region.min_ms &&
    (region.max_ms === null || duration_ms <= region.max_ms)
}

/** Of each trace what an attribute of that name says, whether it is the trace's, its process's or a span's; else null. */
export function readAttribute(data: WhyData, trace: WhyTrace, name: string): Json {
  if (Object.hasOwn(trace, name) && name !== 'spans')
    return (trace as unknown as { [name: string]: Json })[name] ?? null
  const spans = Object.values(trace.spans)
  for (const { attributes } of spans) if (attributes && Object.hasOwn(attributes, name)) return attributes[name] ?? null
  if (!['version', 'host', 'instance', 'service'].includes(name)) return null
  // The innermost process says most: a shim is the same everywhere.
  const processes = new Set(spans.map(({ process }) => process).filter((process) => process !== trace.process))
  const [inner] = processes
  return (data.processes[inner ?? trace.process] as unknown as { [name: string]: Json } | undefined)?.[name] ?? null
}
