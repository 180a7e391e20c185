import type { Breakdown } from '../../src/core/trace.ts'

// What the SQL functions `traces`, `trace`, `error_groups` and `errors` answer; the truth is in
// supabase/migrations/*_create_trace_reader.sql and *_create_error_reader.sql. `*_us` are µs since the epoch, `*_ms` ms.

/** One page of a list, and the cursor of the next one; null when this was the last. */
export type Page<Row> = { readonly rows: readonly Row[]; readonly next: string | null }

type Attributes = { readonly [key: string]: unknown }

/** A trace without its spans. `duration_ms` and `outcome` are null while its head runs. */
export type TraceAnswerRow = {
  readonly trace_id: string
  readonly started_at_us: number
  readonly ended_at_us: number | null
  readonly duration_ms: number | null
  readonly wait_ms: number
  readonly name: string
  readonly outcome: string | null
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
  /** How many spans were not kept, for the trace had too many. */
  readonly spans_dropped: number
  readonly layers: Breakdown
  readonly process: string
  readonly service: string | null
  readonly environment: string | null
  readonly instance: string | null
  /** Grows with each change. */
  readonly revision: number
}

/** A stored span; what it has none of is absent. */
export type SpanAnswer = {
  readonly span_id: string
  readonly parent_span_id: string | null
  readonly layer: string
  readonly kind: 'work' | 'wait'
  readonly name: string
  readonly start_us: number
  /** Null while it runs. */
  readonly end_us: number | null
  readonly outcome?: string
  readonly entry?: boolean
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
  /** Of a wait span: who held what it waited for. */
  readonly holder?: string
  readonly attributes?: Attributes
  readonly process: string
  /** Ended by the tick, for its process fell silent; no recorder reported the end. */
  readonly concluded?: boolean
  readonly self_ms: number | null
  readonly service: string | null
  readonly instance: string | null
  /** What to add to its times to have the database's clock; null when not known. */
  readonly clock_offset_us: number | null
}

/** One failure, whole. The seven last are of a connection event that came with an error. */
export type ErrorAnswerRow = {
  readonly error_id: string
  readonly fingerprint: string
  readonly at_us: number
  readonly process_id: string
  readonly trace_id: string | null
  readonly span_id: string | null
  readonly error_type: string
  readonly message: string
  readonly traceback: string | null
  readonly culprit: string | null
  readonly context: Attributes
  readonly service: string | null
  readonly environment: string | null
  readonly instance: string | null
  readonly connection_type: string | null
  readonly direction: string | null
  readonly script_name: string | null
  readonly function_name: string | null
  readonly data_size_bytes: number | null
  readonly response_time_ms: number | null
  readonly metadata: Attributes | null
}

/** Metadata of one message to or from a model; `at` is ISO 8601. */
export type MessageAnswerRow = {
  readonly message_id: string
  readonly at: string
  readonly span_id: string | null
  readonly conversation_id: string | null
  readonly role: string | null
  readonly model_used: string | null
  readonly provider_used: string | null
  readonly response_time_ms: number | null
  readonly tool_name: string | null
  readonly thinking_mode: string | null
  readonly token_usage: unknown
  readonly metadata: Attributes
}

/** One trace: what `trace(trace_id)` answers when there is one. */
export type TraceAnswer = {
  readonly trace: TraceAnswerRow & { readonly spans: readonly SpanAnswer[] | null }
  readonly errors: readonly ErrorAnswerRow[]
  readonly messages: readonly MessageAnswerRow[]
}

/** Errors of one fingerprint; type, message and ids are of the last of them. `*_at` are ISO 8601. */
export type ErrorGroupRow = {
  readonly fingerprint: string
  readonly error_type: string | null
  readonly message: string | null
  readonly culprit: string | null
  readonly error_id: string | null
  readonly trace_id: string | null
  readonly first_seen_at: string
  readonly last_seen_at: string
  readonly count: number
  readonly services: readonly string[]
  readonly environments: readonly string[]
}
