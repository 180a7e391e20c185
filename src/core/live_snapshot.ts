import type { RunningCall } from './record.ts'
import type { Breakdown } from './trace.ts'
import type { Series, Window } from './window.ts'

// What is hot: the stream of recent batches, what is pushed to the pages that watch, and what a page opens with.
// Times are µs since the epoch, `second` and `minute` whole seconds since it.

/** A trace whose head ended in a batch: one line of the live list. Durable detail is `telltale.trace(trace_id)`. */
export type EndedTrace = {
  readonly trace_id: string
  readonly started_at_us: number
  /** When its head ended. */
  readonly at_us: number
  readonly name: string
  readonly tool: string | null
  readonly provider: string | null
  readonly model: string | null
  readonly outcome: string | null
  readonly duration_ms: number
  readonly layers: Breakdown
  readonly session_key: string | null
  readonly call_number: number | null
  readonly service: string
  readonly environment: string
}

/** An error as it is shown at once; message and traceback may be cut, the whole is `telltale.errors(...)`. */
export type LiveError = {
  readonly error_id: string
  readonly at_us: number
  readonly trace_id: string | null
  readonly span_id: string | null
  readonly fingerprint: string
  readonly error_type: string
  readonly message: string
  readonly culprit: string | null
  readonly traceback: string | null
  readonly service: string
  readonly environment: string
}

/** What one process runs now. It replaces what the same process said with a smaller seq; `total` may exceed the list. */
export type ProcessRunning = {
  readonly process: string
  readonly started_at_us: number
  readonly seq: number
  /** When the edge took the batch that said it. */
  readonly received_at_us: number
  readonly service: string
  readonly environment: string
  readonly total: number
  readonly list: readonly RunningCall[]
}

/** One entry of the stream of recent batches: what the live view needs of a batch. At most hotBatchBytesMax as JSON. */
export type HotBatch = {
  readonly batch_id: string
  readonly service: string
  readonly environment: string
  readonly instance: string
  readonly received_at_us: number
  readonly made_at_us: number
  /** How many records were accepted. */
  readonly records: number
  readonly windows: readonly Window[]
  readonly running: ProcessRunning
  readonly ended: readonly EndedTrace[]
  readonly errors: readonly LiveError[]
  /** Minutes whose windows were left out for size, or are too old for the push: read them from the parts. */
  readonly stale: readonly number[]
}

/** One push to the pages: absolute, so that a lost, repeated or reordered one does no harm; the greatest `rev` wins. */
export type Push = {
  /** Id of the newest stream entry merged, `<ms>-<n>`, compared as two numbers. */
  readonly rev: string
  readonly at_us: number
  /** The last seconds, whole, all sources merged: each replaces what the page had for that second. */
  readonly windows: readonly Window[]
  /** The processes that said something lately, at most liveProcessesMax; the page keeps the rest. */
  readonly running: readonly ProcessRunning[]
  /** There are more processes than are listed: those whose calls run longest are, and the page forgets the rest. */
  readonly crowded?: true
  /** Of the last seconds, newest first; a page knows them by id. */
  readonly ended: readonly EndedTrace[]
  readonly errors: readonly LiveError[]
  /** Minutes to be read again from the minute parts. */
  readonly stale: readonly number[]
}

/** One minute of all sources, summed from the minute parts. */
export type Minute = { readonly minute: number; readonly series: Series }

export type ActiveSession = {
  readonly session_key: string
  readonly service: string
  readonly environment: string
  /** The program that calls, where its recorder knows. */
  readonly client: string | null
  readonly calls: number
  readonly running: number
  readonly last_at_us: number
  readonly tool: string | null
  readonly model: string | null
  readonly tokens_in: number | null
  readonly tokens_out: number | null
}

export type LiveGauge = {
  readonly process: string
  readonly service: string
  readonly environment: string
  readonly instance: string
  readonly name: string
  readonly labels: { readonly [key: string]: unknown }
  readonly at_us: number
  readonly value: number
}

export type RecentBatch = {
  readonly batch_id: string
  readonly service: string
  readonly environment: string
  readonly received_at_us: number
  readonly records: number
}

/** What Postgres adds to a snapshot: `telltale.live_data(viewer_id)`. */
export type LiveData = {
  /** The database's clock. */
  readonly at_us: number
  /** The last hour, oldest first. */
  readonly minutes: readonly Minute[]
  readonly running: readonly ProcessRunning[]
  readonly sessions: readonly ActiveSession[]
  readonly gauges: readonly LiveGauge[]
  readonly ended: readonly EndedTrace[]
  readonly errors: readonly LiveError[]
  readonly batches: readonly RecentBatch[]
  /** From when a batch was made to when it was stored, over the last minute: the median and the worst, null without any. */
  readonly ingest_lag_ms: { readonly p50: number; readonly max: number } | null
  /** Processes with missing sequence numbers, drops or refusals, and how many batches are missing in all. */
  readonly gaps: { readonly processes: number; readonly missing: number; readonly dropped: number }
  readonly last_received_at_us: number | null
  /** Whether anything but the demo ever sent. */
  readonly real: boolean
}

/** What the `live` function answers: all that a page needs to begin, and to catch up. */
export type LiveSnapshot = LiveData & {
  /** The newest stream id that `seconds` holds; null when Redis has nothing, or is not there. */
  readonly rev: string | null
  /** The last minute by the second, all sources merged, oldest first. */
  readonly seconds: readonly Window[]
  /** Redis did not answer: `seconds` is empty, and the rest is from the minute parts. */
  readonly degraded: boolean
}
