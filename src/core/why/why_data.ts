import type { Outcome } from '../outcome.ts'
import type { SessionRule } from '../record.ts'
import type { StoredSpans } from '../trace.ts'

// What the verdict is reached from: `telltale.why_data(question)` gathers it, the engine reads it and asks nothing else.
// Times are µs since the epoch, durations ms.

/**
 * Which calls are asked about. At most one of `call_number`, `after_us`, `above_ms` and `trace_id` names the slow ones, and
 * `region` may narrow them to a part of a heatmap; with none of these the engine finds them. The other members narrow all
 * calls that are looked at.
 */
export type WhyQuestion = {
  readonly call_number: number | null
  /** The slow ones start at or after it; the others of the range, before it, are what they are compared with. */
  readonly after_us: number | null
  readonly above_ms: number | null
  readonly trace_id: string | null
  readonly region: WhyRegion | null
  readonly from_us: number
  readonly to_us: number
}

/** A rectangle of latency x time. */
export type WhyRegion = {
  readonly from_us: number
  readonly to_us: number
  readonly min_ms: number
  readonly max_ms: number | null
}

export type WhyData = {
  readonly question: WhyQuestion
  /** How many traces match; `traces` may be a sample of them. */
  readonly matched: number
  readonly traces: readonly WhyTrace[]
  readonly processes: { readonly [processId: string]: WhyProcess }
}

/** One ended call. */
export type WhyTrace = {
  readonly trace_id: string
  readonly started_us: number
  readonly duration_ms: number
  readonly outcome: Outcome | null
  readonly tool: string | null
  readonly provider: string | null
  readonly model: string | null
  readonly session_key: string | null
  readonly session_rule: SessionRule | null
  /** As recorded, else its rank in its session; null without a session. */
  readonly call_number: number | null
  readonly bytes_in: number | null
  readonly bytes_out: number | null
  readonly tokens_in: number | null
  readonly tokens_out: number | null
  /** The process of its head span. */
  readonly process: string
  /** The call before it in its session. */
  readonly previous: Predecessor | null
  /** The call that began last before it in the same head process, whosever it was. */
  readonly before: Predecessor | null
  /** How many other calls of its head process ran when it began. */
  readonly running: number
  /** How many matching calls it stands for: 1 unless `traces` is a sample. */
  readonly weight: number
  readonly spans: StoredSpans
}

export type Predecessor = {
  readonly trace_id: string
  readonly tool: string | null
  readonly outcome: Outcome | null
  /** From its end to the start of the call that it precedes; negative where it still ran, null where it has not ended. */
  readonly gap_ms: number | null
}

export type WhyProcess = {
  readonly service: string
  readonly environment: string
  readonly instance: string
  readonly version: string | null
  readonly host: string | null
  readonly started_us: number
}
