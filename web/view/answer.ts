import type { Attributes, Json } from '../../src/core/record.ts'
import type { Breakdown } from '../../src/core/trace.ts'

// What the SQL readers answer. Instants named *_at are ISO 8601 in UTC, *_us µs since the epoch, *_ms milliseconds.

/** A page of a list, and the cursor of the next one; null when this is the last. */
export type Page<Row> = { readonly rows: readonly Row[]; readonly next: string | null }

/** What a number of calls add up to. Rates and latencies are null when count is 0. */
export type Stats = {
  readonly count: number
  readonly errors: number
  /** 0..1. */
  readonly error_rate: number | null
  readonly per_second: number | null
  readonly mean_ms: number | null
  readonly p50_ms: number | null
  readonly p95_ms: number | null
  readonly p99_ms: number | null
  readonly bytes_in: number
  readonly bytes_out: number
  readonly tokens_in: number
  readonly tokens_out: number
}

export type KeyStats = Stats & { readonly key: string }

export type HealthStatus = 'ok' | 'degraded' | 'failing' | 'silent' | 'empty'

/** `telltale.overview(filter)`. */
export type Overview = {
  readonly from_us: number
  readonly to_us: number
  /** Minute parts (exact, of every call) or the stored traces, where the filter needs them. */
  readonly source: 'parts' | 'traces'
  readonly total: Stats
  /** The stretch of equal length before. */
  readonly before: Stats
  readonly layers: readonly KeyStats[]
  readonly tools: readonly KeyStats[]
  readonly providers: readonly KeyStats[]
  readonly models: readonly KeyStats[]
  readonly calls: readonly KeyStats[]
  readonly connections: readonly KeyStats[]
  /** What caches answered: hit, miss, shared, after the cache's name where it has one. */
  readonly caches: readonly KeyStats[]
  readonly health: { readonly status: HealthStatus; readonly reasons: readonly string[] }
  /** Clocks that are off by a minute or more; `offset_ms` is how far ahead. */
  readonly clocks: readonly {
    readonly service: string
    readonly environment: string
    readonly instance: string
    readonly offset_ms: number
  }[]
  readonly last_received_at_us: number | null
  readonly environments: readonly string[]
  readonly services: readonly string[]
}

export type SeriesPoint = Omit<Stats, 'error_rate' | 'per_second'> & { readonly at_us: number }

/** `telltale.series(filter, key, step_s)`: a point for every step, the empty ones with count 0. */
export type SeriesAnswer = {
  readonly from_us: number
  readonly to_us: number
  readonly step_s: number
  readonly key: string
  readonly source: 'parts' | 'traces'
  readonly points: readonly SeriesPoint[]
}

/** A row of `telltale.traces(filter, cursor, n)`. */
export type TraceRow = {
  readonly trace_id: string
  readonly started_at: string
  readonly started_at_us: number
  readonly ended_at: string | null
  readonly ended_at_us: number | null
  /** Null while its head runs. */
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
  /** How many were not kept, for it had too many already. */
  readonly spans_dropped: number
  /** Its spans were let go by the rules of sampling; what is summed up of them stays. */
  readonly sampled: boolean
  readonly layers: Breakdown
  readonly process: string | null
  readonly service: string | null
  readonly environment: string | null
  readonly instance: string | null
  readonly revision: number
}

export type SpanRow = {
  readonly span_id: string
  readonly parent_span_id: string | null
  readonly layer: string
  readonly kind: 'work' | 'wait'
  readonly name: string
  readonly start_us: number
  readonly end_us: number | null
  readonly outcome?: string
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
  readonly attributes?: Attributes
  readonly process: string
  /** Ended by the tick, not by a recorder. */
  readonly concluded?: true
  /** Null while it runs. */
  readonly self_ms: number | null
  readonly service: string | null
  readonly instance: string | null
  readonly clock_offset_us: number | null
  /** What was measured to bring its times to the clock of the trace's head, in µs. */
  readonly shift_us?: number
  /** What it has in common with its parent, where no trace context said that it hangs on it. */
  readonly inferred?: 'arguments' | 'session'
}

/** A row of `telltale.errors(filter, cursor, n)`; what follows `context` is of failures that came as connection events. */
export type ErrorRow = {
  readonly error_id: string
  readonly fingerprint: string
  readonly at: string
  readonly at_us: number
  readonly process_id: string
  readonly trace_id: string | null
  readonly span_id: string | null
  readonly error_type: string
  readonly message: string
  readonly traceback: string | null
  readonly culprit: string | null
  readonly context: Attributes
  readonly connection_type: string | null
  readonly direction: string | null
  readonly script_name: string | null
  readonly function_name: string | null
  readonly data_size_bytes: number | null
  readonly response_time_ms: number | null
  readonly metadata: Attributes | null
  readonly service: string | null
  readonly environment: string | null
  readonly instance: string | null
}

/** What was said to or by a model: metadata of it. */
export type MessageRow = {
  readonly message_id: string
  readonly at: string
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
  readonly metadata: Attributes | null
}

/** `telltale.trace(trace_id)`: spans by start, errors and messages by time, the first 1,000 each. */
export type TraceDetail = {
  readonly trace: TraceRow & { readonly spans: readonly SpanRow[] | null }
  readonly errors: readonly ErrorRow[]
  readonly messages: readonly MessageRow[]
}

/** A row of `telltale.error_groups(filter, cursor, n)`. */
export type ErrorGroup = {
  readonly fingerprint: string
  readonly error_type: string
  readonly message: string
  readonly culprit: string | null
  /** Of the last one. */
  readonly error_id: string
  readonly trace_id: string | null
  readonly first_seen_at: string
  readonly last_seen_at: string
  readonly count: number
  readonly services: readonly string[]
  readonly environments: readonly string[]
  /** The service's versions that the first and the last came from, null where it told none. */
  readonly first_version: string | null
  readonly last_version: string | null
  readonly state: GroupState
  /** Null where nobody said anything of the group. */
  readonly decision: GroupDecision | null
  readonly counts: ErrorCounts
}

export type GroupState = 'open' | 'resolved' | 'ignored'

/** What was said last of an error group, and what has shown otherwise since. */
export type GroupDecision = {
  readonly said: GroupState
  readonly set_at: string
  readonly set_by: string
  readonly revision: number
  /** Later errors speak against it; null: none do. */
  readonly since: string | null
  /** Resolved in. */
  readonly version: string | null
  /** Ignored until. */
  readonly until: string | null
  /** Ignored while fewer came than this many, and how many of them did. */
  readonly count_max: number | null
  readonly counted: number
  readonly reopened_at: string | null
  /** Null where it was a number of errors, not one. */
  readonly reopened_by: {
    readonly at_us: number
    readonly error_id: string
    readonly error_type: string
    readonly message: string
    readonly trace_id: string | null
    readonly service: string
    readonly environment: string
    readonly version: string | null
  } | null
}

/** How many errors happened in each of at most 49 steps, the first of which begins at `from_us`. */
export type ErrorCounts = { readonly from_us: number; readonly step_s: number; readonly values: readonly number[] }

/** A few of many, and how many there are. */
export type Named<Row> = { readonly total: number; readonly rows: readonly Row[] }

export type TouchedRow = { readonly name: string; readonly requests: number; readonly last_us: number }

/** `telltale.error_group(fingerprint, filter)`: counts, versions and what was touched are of the time asked for. */
export type ErrorGroupDetail = ErrorGroup & {
  readonly versions: Named<{
    readonly version: string | null
    readonly service: string
    readonly count: number
    readonly first_us: number
    readonly last_us: number
  }>
  /** As far as the latest 1,000 errors tell; `errors` is how many were looked at. */
  readonly touched: {
    readonly errors: number
    readonly requests: number
    readonly tools: Named<TouchedRow>
    readonly sessions: Named<TouchedRow>
  }
}

/** What `telltale.set_error_group_state(fingerprint, state, options)` answers. */
export type GroupStateAnswer = {
  readonly fingerprint: string
  readonly state: GroupState
  readonly decision: GroupDecision
}

/** A row of `telltale.gaps(filter, cursor, n)`: a process that lost, dropped or had refused anything. */
export type GapRow = {
  readonly process: string
  readonly service: string
  readonly environment: string
  readonly instance: string
  readonly last_seen_at: string
  readonly recorded: number
  readonly stored: number
  readonly rejected: number
  readonly dropped: { readonly [reason: string]: number }
  /** Batches. */
  readonly missing: number
  /** First and last missing sequence number of each stretch. */
  readonly gaps: readonly (readonly [number, number])[]
}

/** When nobody is told of what. */
export type SilenceRow = {
  readonly silence_id: string
  readonly rule_id: string | null
  readonly service: string | null
  readonly environment: string | null
  readonly starts_us: number
  readonly ends_us: number
  readonly repeat_s: number | null
  readonly reason: string
  readonly made_by: string
  readonly made_us: number
}

/** What was told to whom, and how it went. */
export type DeliveryRow = {
  readonly notification_id: string
  readonly alert_id: string | null
  readonly destination: string
  readonly kind: string
  readonly event: 'firing' | 'resolved' | 'test'
  readonly title: string
  readonly state: 'waiting' | 'sent' | 'given_up'
  readonly attempts: number
  readonly status: number | null
  readonly error: string | null
  readonly created_us: number
  readonly last_us: number | null
  readonly next_us: number | null
}
