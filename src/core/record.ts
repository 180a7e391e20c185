import type { Outcome } from './outcome.ts'

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

export type Attributes = { readonly [key: string]: Json }

/** The session that a call belongs to, and the rule that found its key. */
export type Session = { readonly key: string; readonly rule: SessionRule }

/** In the order of precedence; `explicit` is a handle that the caller passed by hand. */
export const sessionRules = ['continuation', 'conversation', 'explicit', 'mcp', 'connection'] as const
export type SessionRule = (typeof sessionRules)[number]

export const spanKinds = ['work', 'wait'] as const
export type SpanKind = (typeof spanKinds)[number]

/** A stretch of time in one layer. Times are integer µs since the epoch. `end_us` null: it still runs. */
export type Span = {
  readonly type: 'span'
  /** 32 lower-case hex digits, not all zero (W3C trace context). */
  readonly trace_id: string
  /** 16 lower-case hex digits, not all zero. */
  readonly span_id: string
  readonly parent_span_id: string | null
  readonly layer: string
  readonly kind: SpanKind
  readonly name: string
  readonly start_us: number
  readonly end_us: number | null
  readonly outcome: Outcome | null
  /** The span of the outermost Telltale recorder on the request's path. */
  readonly entry: boolean
  readonly request_id: string | null
  readonly session: Session | null
  /** Position of the call in its session, from 1. */
  readonly call_number: number | null
  readonly tool: string | null
  readonly provider: string | null
  readonly model: string | null
  readonly bytes_in: number | null
  readonly bytes_out: number | null
  readonly tokens_in: number | null
  readonly tokens_out: number | null
  /** Of a wait span: who held what it waited for. */
  readonly holder: string | null
  readonly attributes: Attributes
}

/** One failure. Its `error_id` and content never change once recorded. */
export type ErrorRecord = {
  readonly type: 'error'
  /** UUID. */
  readonly error_id: string
  readonly at_us: number
  readonly trace_id: string | null
  readonly span_id: string | null
  readonly error_type: string
  readonly message: string
  /** The stack trace as text, innermost cause last, as the language prints it; null when there is none. */
  readonly traceback: string | null
  readonly context: Attributes
}

/** What was said to or by a model, as metadata. */
export type Message = {
  readonly type: 'message'
  readonly message_id: string
  readonly at_us: number
  readonly trace_id: string | null
  readonly span_id: string | null
  readonly conversation_id: string | null
  readonly role: string | null
  readonly model_used: string | null
  readonly provider_used: string | null
  readonly response_time_ms: number | null
  readonly tool_name: string | null
  readonly thinking_mode: string | null
  readonly token_usage: Json
  readonly metadata: Attributes
}

/** One thing on a connection. With an `error` it is stored as an error, its fields in the error's context. */
export type ConnectionEvent = {
  readonly type: 'event'
  readonly event_id: string
  readonly at_us: number
  readonly trace_id: string | null
  readonly span_id: string | null
  readonly connection_type: string
  readonly direction: string
  readonly script_name: string | null
  readonly function_name: string | null
  readonly data_size_bytes: number | null
  readonly response_time_ms: number | null
  readonly error: string | null
  readonly error_type: string | null
  readonly error_traceback: string | null
  readonly metadata: Attributes
}

/** A sampled resource of one instance. One row for process, name, labels and `at_us`. */
export type Gauge = {
  readonly type: 'gauge'
  readonly name: string
  readonly at_us: number
  readonly value: number
  readonly labels: { readonly [key: string]: string }
}

export type TelltaleRecord = Span | ErrorRecord | Message | ConnectionEvent | Gauge

export const recordTypes = ['span', 'error', 'message', 'event', 'gauge'] as const
export type RecordType = (typeof recordTypes)[number]

/** Where metrics come from. */
export type Source = {
  readonly service: string
  readonly instance: string
  readonly environment: string
  readonly version: string | null
}

export type ProcessInfo = {
  /** A UUID minted when the process starts, and again after fork. */
  readonly id: string
  readonly started_at_us: number
  readonly host: string | null
  readonly pid: number | null
  /** Name and version of the reporter, such as `telltale-js/0.1.0`. */
  readonly sdk: string
}

/** What the `sdk` of an import begins with: what it brings may be stored already. */
export const importSdk = 'telltale-import/'

/** A request that runs now: one entry a trace, its innermost open span. */
export type RunningCall = {
  readonly trace_id: string
  readonly span_id: string
  readonly layer: string
  readonly name: string
  readonly tool: string | null
  readonly session: string | null
  readonly start_us: number
}

/** Cumulative per process. recorded = stored + rejected + dropped + what is still in the outbox. */
export type Counters = {
  readonly recorded: number
  readonly dropped: { readonly [reason: string]: number }
}

/** What a reporter sends at once. Its id and bytes are frozen before the first attempt. */
export type Batch = {
  /** UUID; v7 from reporters, v8 (from a sha256) from OTLP and imports. */
  readonly batch_id: string
  readonly made_at_us: number
  readonly source: Source
  readonly process: ProcessInfo
  /** From 1, one more each batch of the process. */
  readonly seq: number
  /** [i, n]: part i of n (from 1) of a batch that had to be cut; the parts keep `seq`. */
  readonly piece: readonly [number, number]
  readonly counters: Counters
  readonly running: readonly RunningCall[]
  /** The true number of running calls; `running` lists at most `runningMax` of them. */
  readonly running_total: number
  readonly records: readonly TelltaleRecord[]
}

/** A record that was refused: its position in `records` as sent, and why. */
export type Rejection = { readonly index: number; readonly reason: string }

export type Accepted = { readonly [type in RecordType]?: number }

/** The answer to a batch (HTTP 200). */
export type Ack = {
  readonly batch_id: string
  readonly status: 'stored' | 'repeated'
  readonly accepted: Accepted
  readonly rejected: readonly Rejection[]
  /** How long the reporter may wait before its next batch. */
  readonly flush_after_ms: number
  /** Whether somebody looks at the dashboard now. */
  readonly watched: boolean
  /** How many records the edge takes in one batch. */
  readonly records_max: number
  /** Of how many messages of the batch each field was not known; absent where nothing is missing. */
  readonly missing?: Missing
}

/** The fields of a message that say something when they are known. */
export const messageFields = [
  'conversation_id',
  'role',
  'model_used',
  'provider_used',
  'response_time_ms',
  'tool_name',
  'thinking_mode',
  'token_usage',
] as const satisfies readonly (keyof Message)[]

export type Missing = { readonly [field in (typeof messageFields)[number]]?: number }
