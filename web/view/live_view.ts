import {
  interruptedSecondsMin,
  liveEndedMax,
  liveErrorsMax,
  liveSecondsKept,
  liveStaleMinutesMax,
  snapshotBatchesMax,
} from '../../src/core/limit.ts'
import type {
  ActiveSession,
  EndedTrace,
  LiveData,
  LiveError,
  LiveGauge,
  LiveSnapshot,
  Minute,
  ProcessRunning,
  Push,
  RecentBatch,
} from '../../src/core/live_snapshot.ts'
import type { RunningCall } from '../../src/core/record.ts'
import type { Window } from '../../src/core/window.ts'

// What the live view knows. Pushes are absolute and carry a revision, so every part of the state keeps the revision
// that said it and only a greater one replaces it: pushes that come late, twice or never lead to the same view.

/** How far what is shown can be trusted to be now. Only `live` may be called live. */
export type LiveStatus = 'connecting' | 'live' | 'degraded' | 'reconnecting' | 'paused'

/** A running request in the layer where it is now, across the processes that told of it: the latest start wins. */
export type RunningTrace = RunningCall & {
  readonly process: string
  readonly service: string
  readonly environment: string
}

/** A minute (seconds since the epoch) that the minute parts know better, and the revision that said so. */
export type StaleMinute = { readonly minute: number; readonly rev: string }

/** The live state as the pages show it. */
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
  /** Oldest first. A second in which nothing ended is absent. */
  readonly seconds: readonly Window[]
  /** Of the last snapshot, oldest first. */
  readonly minutes: readonly Minute[]
  /** The oldest first. */
  readonly running: readonly RunningTrace[]
  /** The true number, which may exceed the list. */
  readonly running_total: number
  /** Newest first, like the errors. */
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
  readonly stale: readonly StaleMinute[]
  /** The servers' clock minus this machine's, in µs, as of the last snapshot. */
  readonly skew_us: number
}

type Revised<T> = { readonly rev: string; readonly value: T }

/** What the snapshots and pushes so far add up to. */
export type LiveState = {
  readonly rev: string | null
  readonly at_us: number
  readonly seconds: ReadonlyMap<number, Revised<Window>>
  /** By the greatest revision that named each. */
  readonly processes: ReadonlyMap<string, Revised<ProcessRunning>>
  /** Of the newest push that listed only some processes: what nothing has named since is not known any more. */
  readonly crowded: string
  readonly ended: ReadonlyMap<string, Revised<EndedTrace>>
  readonly errors: ReadonlyMap<string, Revised<LiveError>>
  /** Revision by minute. */
  readonly stale: ReadonlyMap<number, string>
  /** The newest snapshot, for what only snapshots say. */
  readonly snapshot: LiveSnapshot | null
}

const firstRev = '0-0'

export const emptyLive: LiveState = {
  rev: null,
  at_us: 0,
  seconds: new Map(),
  processes: new Map(),
  crowded: firstRev,
  ended: new Map(),
  errors: new Map(),
  stale: new Map(),
  snapshot: null,
}

/** Negative, zero or positive as `a` is older, the same or newer: `<ms>-<n>` as two numbers. */
export function compareRevs(a: string, b: string): number {
  const [aMs = 0, aN = 0] = a.split('-').map(Number)
  const [bMs = 0, bN = 0] = b.split('-').map(Number)
  return aMs - bMs || aN - bN
}

/** The state with a snapshot in it. What pushes said meanwhile stays where it is newer. */
export function withSnapshot(state: LiveState, snapshot: LiveSnapshot): LiveState {
  const merged = merge(state, { ...snapshot, rev: snapshot.rev ?? firstRev, windows: snapshot.seconds, stale: [] })
  const known = state.snapshot
  const [older, newer] = known !== null && known.at_us > snapshot.at_us ? [snapshot, known] : [known, snapshot]
  const minutes = minutesAfter(older?.minutes ?? [], newer)
  return { ...merged, rev: merged.rev === firstRev ? null : merged.rev, snapshot: { ...newer, minutes } }
}

/** The last hour: a snapshot that tells its last minutes alone leaves the others as they were. */
function minutesAfter(known: readonly Minute[], { minutes, at_us }: LiveSnapshot): readonly Minute[] {
  const since = at_us / 1_000_000 - 3_600
  const byMinute = new Map([...known, ...minutes].map((minute) => [minute.minute, minute]))
  return [...byMinute.values()].filter(({ minute }) => minute >= since).sort((a, b) => a.minute - b.minute)
}

export function withPush(state: LiveState, push: Push): LiveState {
  return merge(state, push)
}

/** The view of a state. */
export function liveViewOf(state: LiveState, status: LiveStatus, skew_us = 0): LiveView {
  const { snapshot } = state
  const processes = [...state.processes.values()].map(({ value }) => value)
  const running = runningOf(processes)
  const unlisted = processes.reduce((sum, { total, list }) => sum + Math.max(0, total - list.length), 0)
  return {
    status,
    live: status === 'live',
    degraded: snapshot?.degraded ?? false,
    rev: state.rev,
    at_us: state.at_us,
    seconds: [...state.seconds.values()].map(({ value }) => value).sort((a, b) => a.second - b.second),
    minutes: snapshot?.minutes ?? [],
    running,
    running_total: running.length + unlisted,
    ended: newestOf(state.ended, 'trace_id', liveEndedMax),
    errors: newestOf(state.errors, 'error_id', liveErrorsMax),
    sessions: snapshot?.sessions ?? [],
    gauges: snapshot?.gauges ?? [],
    batches: snapshot?.batches ?? [],
    ingest_lag_ms: snapshot?.ingest_lag_ms ?? null,
    gaps: snapshot?.gaps ?? { processes: 0, missing: 0, dropped: 0 },
    last_received_at_us: lastReceivedOf(processes, snapshot?.last_received_at_us ?? null),
    real: snapshot?.real ?? false,
    stale: [...state.stale].map(([minute, rev]) => ({ minute, rev })).sort((a, b) => a.minute - b.minute),
    skew_us,
  }
}

/**
 * One entry a trace, the one that started latest; the oldest start first. What it does not say, of its tool and session, is
 * taken from the other entries of the trace: an API call knows neither, the request that it is part of knows both.
 */
function runningOf(processes: readonly ProcessRunning[]): RunningTrace[] {
  const byTrace = new Map<string, RunningTrace[]>()
  for (const { process, service, environment, list } of processes) {
    for (const call of list) {
      const entries = byTrace.get(call.trace_id) ?? []
      entries.push({ ...call, process, service, environment })
      byTrace.set(call.trace_id, entries)
    }
  }
  return [...byTrace.values()].map(innermostOf).sort(compareStarts)
}

function innermostOf(entries: readonly RunningTrace[]): RunningTrace {
  return [...entries]
    .sort(compareStarts)
    .reduce((outer, inner) => ({ ...inner, tool: inner.tool ?? outer.tool, session: inner.session ?? outer.session }))
}

type Told = Pick<Push, 'rev' | 'at_us' | 'windows' | 'running' | 'crowded' | 'ended' | 'errors' | 'stale'>

function merge(state: LiveState, told: Told): LiveState {
  const { rev } = told
  const at_us = Math.max(state.at_us, told.at_us)
  const seconds = new Map(state.seconds)
  for (const window of told.windows) revise(seconds, window.second, { rev, value: window })
  const ended = new Map(state.ended)
  for (const trace of told.ended) revise(ended, trace.trace_id, { rev, value: trace })
  const errors = new Map(state.errors)
  for (const error of told.errors) revise(errors, error.error_id, { rev, value: error })
  const crowded = told.crowded === true && compareRevs(state.crowded, rev) < 0 ? rev : state.crowded
  const processes = new Map(state.processes)
  for (const process of told.running) {
    const known = processes.get(process.process)
    processes.set(process.process, {
      rev: known === undefined || compareRevs(known.rev, rev) < 0 ? rev : known.rev,
      value: known === undefined || known.value.seq < process.seq ? process : known.value,
    })
  }
  const stale = new Map(state.stale)
  for (const minute of told.stale) if (compareRevs(stale.get(minute) ?? firstRev, rev) < 0) stale.set(minute, rev)
  return {
    rev: state.rev === null || compareRevs(state.rev, rev) < 0 ? rev : state.rev,
    at_us,
    seconds: onlyIf(seconds, (_, second) => second >= Math.floor(at_us / 1e6) - liveSecondsKept),
    processes: onlyIf(
      processes,
      (named) =>
        compareRevs(named.rev, crowded) >= 0 && named.value.received_at_us >= at_us - interruptedSecondsMin * 1e6,
    ),
    crowded,
    ended: newest(ended, liveEndedMax),
    errors: newest(errors, liveErrorsMax),
    stale: onlyIf(stale, (_, minute) => minute >= Math.floor(at_us / 1e6) - liveStaleMinutesMax * 60),
    snapshot: state.snapshot,
  }
}

function revise<K, T>(known: Map<K, Revised<T>>, key: K, said: Revised<T>): void {
  const before = known.get(key)
  if (before === undefined || compareRevs(before.rev, said.rev) < 0) known.set(key, said)
}

function onlyIf<K, T>(map: ReadonlyMap<K, T>, wanted: (value: T, key: K) => boolean): Map<K, T> {
  return new Map([...map].filter(([key, value]) => wanted(value, key)))
}

type Timed = { readonly at_us: number }

function newest<T extends Timed>(map: ReadonlyMap<string, Revised<T>>, max: number): Map<string, Revised<T>> {
  if (map.size <= max) return new Map(map)
  return new Map([...map].sort(([aId, a], [bId, b]) => compareNewest(aId, a.value, bId, b.value)).slice(0, max))
}

function newestOf<Id extends string, T extends Timed & { readonly [id in Id]: string }>(
  map: ReadonlyMap<string, Revised<T>>,
  id: Id,
  max: number,
): T[] {
  const values = [...map.values()].map(({ value }) => value)
  return values.sort((a, b) => compareNewest(a[id], a, b[id], b)).slice(0, max)
}

function compareNewest(aId: string, a: Timed, bId: string, b: Timed): number {
  return b.at_us - a.at_us || (aId < bId ? -1 : aId > bId ? 1 : 0)
}

type Started = Pick<RunningTrace, 'start_us' | 'process' | 'span_id'>

/** By start; what starts at once, by process and span, so that the order does not depend on who was heard first. */
function compareStarts(a: Started, b: Started): number {
  if (a.start_us !== b.start_us) return a.start_us - b.start_us
  const left = `${a.process} ${a.span_id}`
  const right = `${b.process} ${b.span_id}`
  return left < right ? -1 : left > right ? 1 : 0
}

function lastReceivedOf(processes: readonly ProcessRunning[], stored: number | null): number | null {
  return processes.reduce<number | null>((last, { received_at_us }) => Math.max(last ?? 0, received_at_us), stored)
}

/**
 * The second since the epoch from which on `seconds` has everything; 0: all that is shown. What the first snapshot tells of
 * busy servers that nobody watched is of their newest batches alone.
 */
export function wholeSince({ batches, seconds, at_us }: Pick<LiveView, 'batches' | 'seconds' | 'at_us'>): number {
  const oldest = batches.at(-1)
  // The list has fewer batches than the seconds were made of; one that reaches back over the minute proves them whole.
  const isWhole =
    oldest === undefined || batches.length * 2 < snapshotBatchesMax || oldest.received_at_us < at_us - 60e6
  return isWhole ? 0 : (seconds[0]?.second ?? 0)
}

/** The environments and services that the live view names, for lists to choose from. */
export function knownSourcesOf(view: LiveView | null): {
  readonly environments: readonly string[]
  readonly services: readonly string[]
} {
  const sources = view === null ? [] : [...view.batches, ...view.sessions, ...view.ended, ...view.running]
  const named = (key: 'environment' | 'service'): string[] => [...new Set(sources.map((source) => source[key]))].sort()
  return { environments: named('environment'), services: named('service') }
}
