import type {
  ActiveSession,
  EndedTrace,
  LiveData,
  LiveError,
  LiveGauge,
  Minute,
  ProcessRunning,
  RecentBatch,
} from '../../src/core/live.ts'
import type { RunningCall } from '../../src/core/record.ts'
import type { Window } from '../../src/core/window.ts'

/** How far what is shown can be trusted to be now. Only `live` may be called live. */
export type LiveStatus = 'connecting' | 'live' | 'degraded' | 'reconnecting' | 'paused'

/** A running request in the layer where it is now, across the processes that told of it: the latest start wins. */
export type RunningTrace = RunningCall & {
  readonly process: string
  readonly service: string
  readonly environment: string
}

/** The live state as the pages show it. Lists of ended traces and errors are newest first, seconds oldest first. */
export type LiveView = {
  readonly status: LiveStatus
  /** Whether `status` is `live`. */
  readonly live: boolean
  /** The hot store is away: `seconds` is empty, and only the minutes move. */
  readonly degraded: boolean
  /** The newest stream id merged. */
  readonly rev: string | null
  /** The servers' clock when the newest of it was said. */
  readonly at_us: number
  readonly seconds: readonly Window[]
  readonly minutes: readonly Minute[]
  /** By start, the oldest first. */
  readonly running: readonly RunningTrace[]
  /** The true number, which may exceed the list. */
  readonly running_total: number
  readonly ended: readonly EndedTrace[]
  readonly errors: readonly LiveError[]
  readonly sessions: readonly ActiveSession[]
  readonly gauges: readonly LiveGauge[]
  readonly batches: readonly RecentBatch[]
  readonly ingest_lag_ms: LiveData['ingest_lag_ms']
  readonly gaps: LiveData['gaps']
  readonly last_received_at_us: number | null
  /** Whether anything but the demo ever sent. */
  readonly real: boolean
  /** Minutes (seconds since the epoch) that the minute parts know better than the seconds. */
  readonly stale: readonly number[]
  readonly processes: readonly ProcessRunning[]
}
