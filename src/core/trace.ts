import type { Span } from './record.ts'
import type { Outcome } from './outcome.ts'

/**
 * A span inside its trace's `spans` object, keyed by span id: the wire's fields without type, trace_id and span_id,
 * and without those that are null, false or empty (`{}`); `session` is flattened to session_key and session_rule.
 */
export type StoredSpan = {
  readonly parent_span_id?: string
  readonly layer: string
  /** Absent: `work`. */
  readonly kind?: 'wait'
  readonly name: string
  readonly start_us: number
  readonly end_us?: number
  readonly outcome?: Outcome
  readonly entry?: true
  readonly request_id?: string
  readonly session_key?: string
  readonly session_rule?: string
  readonly call_number?: number
  readonly tool?: string
  readonly provider?: string
  readonly model?: string
  readonly bytes_in?: number
  readonly bytes_out?: number
  readonly tokens_in?: number
  readonly tokens_out?: number
  readonly holder?: string
  readonly attributes?: Span['attributes']
  /** The process that recorded it; its source stands in telltale.processes. */
  readonly process: string
  /** Ended by the tick, not by a recorder: weaker than any reported end. */
  readonly concluded?: true
}

export type StoredSpans = { readonly [spanId: string]: StoredSpan }

/** Self time by layer, in ms with three decimals; `unexplained` is what no root span covers. Layers of 0 are absent. */
export type Breakdown = { readonly [layer: string]: number }

/** What a trace's spans add up to. A pure function of the spans, the same in SQL (`telltale.summary_of`). */
export type TraceSummary = {
  readonly started_at_us: number
  /** Greatest end of any span, null while none has ended. */
  readonly ended_at_us: number | null
  /** Duration of the head span, null while it runs. */
  readonly duration_ms: number | null
  readonly name: string
  readonly outcome: Outcome | null
  readonly request_id: string | null
  readonly session_key: string | null
  readonly session_rule: string | null
  readonly call_number: number | null
  readonly tool: string | null
  readonly provider: string | null
  readonly model: string | null
  readonly bytes_in: number | null
  readonly bytes_out: number | null
  readonly tokens_in: number | null
  readonly tokens_out: number | null
  readonly span_count: number
  /** The head span's process. */
  readonly process: string
  readonly layers: Breakdown
  /** Self time of the wait spans, in ms. */
  readonly wait_ms: number
}

/** One trace as a batch brings it. */
export type TraceRow = { readonly trace_id: string; readonly spans: StoredSpans } & TraceSummary
