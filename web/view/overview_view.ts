import { layers } from '../../src/core/layer.ts'
import type { ActiveSession } from '../../src/core/live_snapshot.ts'
import type { GapRow, HealthStatus, KeyStats, Overview, SeriesPoint, Stats } from './answer.ts'
import type { LiveStatus, LiveView, RunningTrace } from './live_view.ts'
import { nameText } from './name_text.ts'
import {
  agoText,
  changeText,
  countText,
  durationText,
  nothing,
  percentText,
  pluralText,
  rateText,
} from './number_text.ts'
import { type FilterKey, isFiltered, type Place, withPlace } from './place.ts'

// The overview as values: what its tiles, tables and lines say.

/** One number at a glance. */
export type Tile = {
  readonly label: string
  readonly value: string
  /** Against the stretch before; empty where there is nothing to compare. */
  readonly change: string
  /** Whether the change is good news, bad news or neither. */
  readonly tone: 'better' | 'worse' | 'neutral'
  /** The last minute; empty where it is not known. */
  readonly now: string
}

type Shown = (value: number | null, like: number | null) => string

/** `minute` is null where it is not known yet, undefined where nothing is said of it. */
export function tilesOf(
  { total, before }: Pick<Overview, 'total' | 'before'>,
  minute: SeriesPoint | null | undefined,
): Tile[] {
  const errorRate = !minute || minute.count === 0 ? null : minute.errors / minute.count
  const rate = !minute ? null : minute.count / 60
  const tile = (label: string, show: Shown, read: (stats: Stats) => number | null, now: number | null): Tile => {
    const value = read(total)
    const change = changeText(value, read(before))
    const tone = toneOf(label, value, read(before))
    return { label, value: show(value, value), change, tone, now: minute === undefined ? '' : show(now, value) }
  }
  return [
    tile('Throughput', tileRateText, (stats) => (stats.count === 0 ? 0 : stats.per_second), rate),
    tile('Error rate', percentText, (stats) => stats.error_rate, errorRate),
    tile('Latency p50', durationText, (stats) => stats.p50_ms, minute?.p50_ms ?? null),
    tile('Latency p95', durationText, (stats) => stats.p95_ms, minute?.p95_ms ?? null),
    tile('Latency p99', durationText, (stats) => stats.p99_ms, minute?.p99_ms ?? null),
  ]
}

/** The last minute in the unit of the whole, if that is no longer than a minute. */
function tileRateText(rate: number | null, like: number | null): string {
  return rateText(rate, like === null || like * 60 < 0.1 ? rate : like)
}

/** More errors and more time are worse; more requests are neither. A change below 5 % is noise. */
function toneOf(label: string, now: number | null, before: number | null): Tile['tone'] {
  if (label === 'Throughput' || now === null || before === null || before === 0) return 'neutral'
  const ratio = now / before
  return ratio > 1.05 ? 'worse' : ratio < 0.95 ? 'better' : 'neutral'
}

export type StatsRow = {
  readonly key: string
  readonly name: string
  readonly count: string
  readonly errors: string
  readonly failing: boolean
  readonly p50: string
  readonly p95: string
  readonly p99: string
  readonly mean: string
}

/** The layers from the outermost in, then those that a deployment added. */
export function layerRowsOf(rows: readonly KeyStats[]): StatsRow[] {
  const order = (key: string): number => {
    const place = (layers as readonly string[]).indexOf(key)
    return place < 0 ? layers.length : place
  }
  return [...rows].sort((a, b) => order(a.key) - order(b.key) || (a.key < b.key ? -1 : 1)).map(statsRowOf)
}

/** Tools, providers, models: the most called first, as they are answered. */
export function statsRowsOf(rows: readonly KeyStats[]): StatsRow[] {
  return rows.map(statsRowOf)
}

/** Call numbers in their order: 1 to 5, the later ones, and those not known. */
export function callRowsOf(rows: readonly KeyStats[]): StatsRow[] {
  const order = (key: string): number => (/^\d+$/.test(key) ? Number(key) : key === 'unknown' ? 1_000 : 999)
  const named = (key: string): string => {
    if (key === 'unknown') return 'Not known'
    return key.endsWith('+') ? `Call ${key.slice(0, -1)} and later` : `Call ${key}`
  }
  return [...rows]
    .sort((a, b) => order(a.key) - order(b.key))
    .map((row) => ({ ...statsRowOf(row), name: named(row.key) }))
}

function statsRowOf(row: KeyStats): StatsRow {
  return {
    key: row.key,
    name: nameText(row.key),
    count: countText(row.count),
    errors: percentText(row.error_rate),
    failing: row.errors > 0,
    p50: durationText(row.p50_ms),
    p95: durationText(row.p95_ms),
    p99: durationText(row.p99_ms),
    mean: durationText(row.mean_ms),
  }
}

/** The filter's value that shows what a row counts; null for a row that stands for several, which no filter names. */
export function filterValueOf(key: FilterKey, name: string): string | null {
  if (key === 'call_number') return /^\d+$/.test(name) ? name : null
  return name === 'other' ? null : name
}

const healthNames: { readonly [status in HealthStatus]: string } = {
  ok: 'Healthy',
  degraded: 'Degraded',
  failing: 'Failing',
  silent: 'Silent',
  empty: 'No data yet',
}

/** The health of a stretch of time: what it is called and, where no reason speaks for itself, what to make of it. */
export function healthTextOf({ health, total }: Pick<Overview, 'health' | 'total'>): {
  readonly status: HealthStatus
  readonly name: string
  readonly note: string
} {
  const { status, reasons } = health
  if (status === 'ok' && total.count === 0) {
    return {
      status: 'empty',
      name: 'No requests',
      note: 'Nothing was called in this time, so it says nothing of health.',
    }
  }
  return { status, name: healthNames[status], note: reasons.length === 0 ? 'No reason for concern in this time.' : '' }
}

export type Badge = { readonly text: string; readonly hint: string; readonly tone: 'ok' | 'warn' | 'muted' }

/** What the badge says. Only `live` is called live. */
export function badgeOf(status: LiveStatus): Badge {
  const badges: { readonly [status in LiveStatus]: Badge } = {
    live: { text: 'Live', hint: 'The page follows the servers as they answer.', tone: 'ok' },
    connecting: { text: 'Connecting', hint: 'The live connection is being opened.', tone: 'muted' },
    reconnecting: { text: 'Reconnecting', hint: 'Nothing was heard for 5 s. What is shown may be old.', tone: 'warn' },
    degraded: {
      text: 'Live view degraded',
      hint: 'The store of recent seconds does not answer. Numbers move by the minute.',
      tone: 'warn',
    },
    paused: { text: 'Paused', hint: 'The page is in the background.', tone: 'muted' },
  }
  return badges[status]
}

/** How late the data is: when the last batch came, and how long batches took from when they were made until stored. */
export function freshnessText(view: LiveView, nowUs: number): string {
  const { status, ingest_lag_ms: lag, last_received_at_us: last } = view
  // What came since is not known, and how late it came neither.
  if (status !== 'live' && status !== 'degraded')
    return last === null ? '' : `Data last heard of ${agoText(nowUs - last)}`
  const received = last === null ? 'Nothing received yet' : `Last data ${agoText(nowUs - last)}`
  if (lag === null) return received
  return `${received}. Ingest delay in the last minute: median ${durationText(lag.p50)}, at most ${durationText(lag.max)}`
}

/** `3 batches missing from process 0193c2f1 (daemon, production)`, and what was dropped or refused. */
export function gapText({ process, service, environment, missing, rejected, dropped }: GapRow): string {
  const lost = Object.values(dropped).reduce((sum, n) => sum + n, 0)
  const parts = [
    ...(missing > 0 ? [`${pluralText(missing, 'batch', 'batches')} missing`] : []),
    ...(lost > 0 ? [`${pluralText(lost, 'record', 'records')} dropped (${Object.keys(dropped).join(', ')})`] : []),
    ...(rejected > 0 ? [`${pluralText(rejected, 'record', 'records')} refused`] : []),
  ]
  return `${parts.join(', ') || nothing} from process ${process.slice(0, 8)} (${service}, ${environment})`
}

const judgeable: readonly FilterKey[] = ['tool', 'layer', 'session', 'environment', 'service']

/** The running requests that a filter lets through, as far as they say what it asks about. */
export function runningIn(place: Place, running: readonly RunningTrace[]): readonly RunningTrace[] {
  const wanted = judgeable.flatMap((key) => {
    const value = place.filter[key]
    return value === undefined ? [] : [[key, value] as const]
  })
  return running.filter((call) => wanted.every(([key, value]) => call[key as keyof RunningTrace] === value))
}

/** How many sessions the overview lists. */
export const sessionsShownMax = 12

/** The active sessions that a place's filter lets through, the last active first. */
export function sessionsIn(place: Place, sessions: readonly ActiveSession[]): readonly ActiveSession[] {
  const { service, environment, session } = place.filter
  return sessions.filter(
    (active) =>
      (service === undefined || active.service === service) &&
      (environment === undefined || active.environment === environment) &&
      (session === undefined || active.session_key === session),
  )
}

/** The calls of a session in the last hours. */
export function activeSessionPlace(place: Place, { session_key }: ActiveSession): Place {
  const filter = { session: session_key }
  return withPlace(place, { page: 'traces', id: null, range: '24h', from_us: null, to_us: null, filter })
}

/** The keys of a place's filter that say nothing about running requests. */
export function unjudgedKeys(place: Place): FilterKey[] {
  if (!isFiltered(place)) return []
  return (Object.keys(place.filter) as FilterKey[]).filter((key) => !judgeable.includes(key))
}

/** Failed requests of the last hour: the minutes of the last snapshot, and since then the seconds. */
export function errorsLastHour({ minutes, seconds, at_us, degraded }: LiveView): number {
  // A minute that ended before any snapshot that can still be shown is whole in the minutes; later seconds are all kept.
  const since = degraded ? Number.POSITIVE_INFINITY : Math.floor((at_us / 1e6 - 14) / 60) * 60
  const before = minutes.filter(({ minute }) => minute < since).map(({ series }) => series.all?.errors ?? 0)
  const after = seconds.filter(({ second }) => second >= since).map(({ series }) => series.all?.errors ?? 0)
  return [...before, ...after].reduce((sum, n) => sum + n, 0)
}

/** How many running requests the overview lists. */
export const runningShownMax = 12

/** How many errors it lists. */
export const errorsShownMax = 6

/** What is known of the last reading: when, at which revision of the live view, and what it was of. */
export type Reading = {
  readonly at_ms: number
  readonly rev: string | null
  /** When the newest batch known of then was received: one that Redis missed has no revision. */
  readonly received_us: number | null
  readonly overview: Pick<Overview, 'from_us' | 'to_us' | 'source' | 'health'>
}

// Without news, only what is over falls out of the range.
const idleRefreshMs = 30_000
const firstRefreshMs = 1_000

/** Whether to read again: something arrived since, or so much time has passed that the range has moved on. */
export function refreshIsDue(
  { at_ms, rev, received_us, overview }: Reading,
  live: LiveView | null,
  nowMs: number,
): boolean {
  const age = nowMs - at_ms
  if (live === null) return age >= idleRefreshMs
  const moved = live.rev !== rev || live.last_received_at_us !== received_us
  // Whoever waits for the first request of all is watching.
  if (overview.health.status === 'empty' && moved) return age >= firstRefreshMs
  return age >= Math.max(refreshMs(overview.from_us, overview.to_us, overview.source), moved ? 0 : idleRefreshMs)
}

/** How long what was read of a stretch of time stays good enough, in ms: longer stretches move slower and cost more. */
function refreshMs(fromUs: number, toUs: number, source: Overview['source']): number {
  const hours = (toUs - fromUs) / 3_600e6
  if (hours <= 1) return source === 'parts' ? 5_000 : 10_000
  return hours <= 24 ? 15_000 : 60_000
}

/** An error as one line of the overview. */
export type ErrorLine = {
  readonly error_id: string
  readonly at_us: number
  readonly trace_id: string | null
  readonly fingerprint: string
  readonly error_type: string
  readonly message: string
  /** The frame that it came from, as far as one is known to be the application's own. */
  readonly culprit: string | null
  readonly traceback: string | null
  readonly service: string | null
}
