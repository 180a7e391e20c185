import { expect, test } from 'vitest'
import { layers } from '../src/core/layer.ts'
import type { ActiveSession } from '../src/core/live_snapshot.ts'
import type { GapRow, HealthStatus, KeyStats, SeriesPoint, Stats } from '../web/view/answer.ts'
import { emptyLive, type LiveView, liveViewOf, withPush, withSnapshot } from '../web/view/live_view.ts'
import {
  activeSessionPlace,
  badgeOf,
  callRowsOf,
  errorsLastHour,
  filterValueOf,
  freshnessText,
  gapText,
  healthTextOf,
  layerRowsOf,
  type Reading,
  refreshIsDue,
  runningIn,
  sessionsIn,
  tilesOf,
  unjudgedKeys,
} from '../web/view/overview_view.ts'
import { pathOf, placeOf } from '../web/view/place.ts'
import { callOf, cellOf, processOf, pushOf, snapshotOf } from './live_view_fixture.ts'

const atUs = 1_800_000_000_000_000
const plain = (text: string): string => text.replaceAll('\u00a0', ' ')
const placeAt = (path: string) => placeOf(new URL(path, 'http://127.0.0.1'))

function statsOf(count: number, ms: number, errors = 0): Stats {
  const rates = { error_rate: count === 0 ? null : errors / count, per_second: count / 3_600 }
  const latency = count === 0 ? null : ms
  const sums = { bytes_in: 0, bytes_out: 0, tokens_in: 0, tokens_out: 0 }
  return { count, errors, ...rates, mean_ms: latency, p50_ms: latency, p95_ms: latency, p99_ms: latency, ...sums }
}
const keyed = (key: string, stats = statsOf(1, 1)): KeyStats => ({ key, ...stats })
const liveOf = (rev: string | null, fields: Partial<LiveView> = {}): LiveView => ({
  ...liveViewOf(withSnapshot(emptyLive, snapshotOf({ rev, at_us: atUs })), 'live'),
  ...fields,
})

test('tilesOf() calls more errors and more time worse, and more requests neither', () => {
  const tiles = tilesOf({ total: statsOf(7_200, 20, 720), before: statsOf(3_600, 10, 36) }, undefined)
  expect(tiles.map(({ value, change, tone }) => [value, change, tone].map(plain))).toEqual([
    ['2 req/s', '+100 %', 'neutral'],
    ['10 %', '×10', 'worse'],
    ['20 ms', '+100 %', 'worse'],
    ['20 ms', '+100 %', 'worse'],
    ['20 ms', '+100 %', 'worse'],
  ])
  expect(tilesOf({ total: statsOf(9, 10), before: statsOf(9, 20) }, undefined)[2]?.tone).toBe('better')
  expect(tilesOf({ total: statsOf(9, 102), before: statsOf(9, 100) }, undefined)[2]?.tone).toBe('neutral')
})

test('tilesOf() shows the last minute in the unit of the whole, and what is not known of it as unknown', () => {
  const nowOf = (count: number, perMinute: number | null): string | undefined => {
    const minute: SeriesPoint | null = perMinute === null ? null : { at_us: atUs, ...statsOf(perMinute, 10) }
    return tilesOf({ total: statsOf(count, 10), before: statsOf(0, 0) }, minute).map(({ now }) => plain(now))[0]
  }
  expect(nowOf(120, 30)).toBe('30 req/min')
  expect(nowOf(3_600, 30)).toBe('0.5 req/s')
  expect(nowOf(1, 120)).toBe('2 req/s')
  expect(nowOf(120, null)).toBe('–')
})

test('tilesOf() of nothing compares nothing', () => {
  const tiles = tilesOf({ total: statsOf(0, 0), before: statsOf(0, 0) }, undefined)
  expect(tiles.map(({ value, change, now }) => [value, change, now].map(plain))).toEqual([
    ['0 req/s', '', ''],
    ...Array.from({ length: 4 }, () => ['–', '', '']),
  ])
})

test('layerRowsOf() goes from the outermost layer in, then what a deployment added', () => {
  const rows = layerRowsOf(['cache', ...layers].toReversed().map((key) => keyed(key, statsOf(10, 50))))
  expect(rows.map(({ key }) => key)).toEqual([...layers, 'cache'])
  expect(plain(rows[0]?.mean ?? '')).toBe('50 ms')
})

test('callRowsOf() counts up, and only what a filter can name leads somewhere', () => {
  const rows = callRowsOf(['unknown', '6+', '2', '1'].map((key) => keyed(key)))
  expect(rows.map(({ name }) => name)).toEqual(['Call 1', 'Call 2', 'Call 6 and later', 'Not known'])
  expect(rows.map(({ key }) => filterValueOf('call_number', key))).toEqual(['1', '2', null, null])
  expect([filterValueOf('tool', 'chat'), filterValueOf('tool', 'other')]).toEqual(['chat', null])
})

test('healthTextOf() calls nothing healthy that was not called', () => {
  const of = (status: HealthStatus, count: number, reasons: string[] = []): string =>
    healthTextOf({ health: { status, reasons }, total: statsOf(count, 1) }).name
  expect([of('ok', 1), of('ok', 0), of('silent', 0, ['Nothing came.'])]).toEqual(['Healthy', 'No requests', 'Silent'])
})

test('badgeOf() calls live only what is live', () => {
  for (const status of ['connecting', 'degraded', 'reconnecting', 'paused'] as const) {
    expect(badgeOf(status).text).not.toBe('Live')
    expect(badgeOf(status).tone).not.toBe('ok')
  }
  expect(badgeOf('live')).toMatchObject({ text: 'Live', tone: 'ok' })
})

test('gapText() says what is missing, of whom', () => {
  const gap: GapRow = {
    process: '0193c2f1-0000-7000-8000-000000000000',
    service: 'daemon',
    environment: 'production',
    instance: 'a',
    last_seen_at: '2026-11-23T00:00:00Z',
    recorded: 10,
    stored: 7,
    rejected: 1,
    dropped: { full: 2 },
    missing: 3,
    gaps: [[4, 6]],
  }
  expect(plain(gapText(gap))).toBe(
    '3 batches missing, 2 records dropped (full), 1 record refused from process 0193c2f1 (daemon, production)',
  )
})

test('freshnessText() says how old the data is, and how late it comes', () => {
  expect(freshnessText(liveOf('1-0'), atUs)).toBe('Nothing received yet')
  const live = liveOf('1-0', { last_received_at_us: atUs - 5e6, ingest_lag_ms: { p50: 12, max: 900 } })
  expect(plain(freshnessText(live, atUs))).toBe(
    'Last data 5 s ago. Ingest delay in the last minute: median 12 ms, at most 900 ms',
  )
  expect(plain(freshnessText({ ...live, status: 'reconnecting', live: false }, atUs))).toBe(
    'Data last heard of 5 s ago',
  )
})

test('runningIn() narrows by what running requests say, and unjudgedKeys() names the rest', () => {
  const running = [callOf(1, atUs), callOf(2, atUs, { layer: 'api', tool: 'debug' })]
  const { running: all } = liveViewOf(
    withPush(emptyLive, pushOf({ rev: '1-0', at_us: atUs, running: [processOf('a', 1, atUs, running)] })),
    'live',
  )
  const names = (path: string): string[] => runningIn(placeAt(path), all).map(({ name }) => name)
  expect(names('/')).toEqual(['call 1', 'call 2'])
  expect(names('/?tool=debug&layer=api&environment=production')).toEqual(['call 2'])
  expect(names('/?service=other')).toEqual([])
  expect(unjudgedKeys(placeAt('/?tool=debug&model=kimi-k2&outcome=failed'))).toEqual(['model', 'outcome'])
})

test('errorsLastHour() counts a failed request once, whether a minute or a second tells of it', () => {
  const second = atUs / 1e6
  const minute = Math.floor(second / 60) * 60
  const minutes = [minute - 120, minute - 60, minute].map((each) => ({ minute: each, series: { all: cellOf(10) } }))
  const seconds = [minute - 60, minute, minute + 1].map((each) => ({ second: each, series: { all: cellOf(20) } }))
  const live = liveOf('1-0', { minutes, seconds, at_us: (minute + 30) * 1e6 })
  expect(errorsLastHour(live)).toBe(1 + 1 + 2 + 2)
  expect(errorsLastHour({ ...live, degraded: true, seconds: [] })).toBe(3)
})

test('refreshIsDue() reads again soon after news, and seldom without', () => {
  const health = { status: 'ok', reasons: [] } as const
  const overview = { from_us: 0, to_us: 3_600e6, source: 'parts', health } as const
  const reading: Reading = { at_ms: 0, rev: '1-0', received_us: null, overview }
  expect(refreshIsDue(reading, liveOf('2-0'), 4_999)).toBe(false)
  expect(refreshIsDue(reading, liveOf('2-0'), 5_000)).toBe(true)
  expect(refreshIsDue(reading, liveOf('1-0'), 29_999)).toBe(false)
  expect(refreshIsDue(reading, liveOf('1-0'), 30_000)).toBe(true)
  expect(refreshIsDue({ ...reading, overview: { ...reading.overview, to_us: 86_400e6 } }, liveOf('2-0'), 14_000)).toBe(
    false,
  )
  const missedByRedis = liveOf('1-0', { last_received_at_us: atUs })
  expect([4_999, 5_000].map((ms) => refreshIsDue(reading, missedByRedis, ms))).toEqual([false, true])
  expect(refreshIsDue({ ...reading, received_us: atUs }, missedByRedis, 5_000)).toBe(false)
  const empty: Reading = { ...reading, overview: { ...overview, health: { status: 'empty', reasons: [] } } }
  expect([refreshIsDue(empty, liveOf('2-0'), 1_000), refreshIsDue(empty, liveOf('1-0'), 1_000)]).toEqual([true, false])
})

test('sessionsIn() lists what a filter says of sessions, and activeSessionPlace() leads to their calls', () => {
  const facts = { client: null, calls: 1, running: 0, last_at_us: atUs, tool: null, model: null }
  const sessionOf = (session_key: string, service: string, environment: string): ActiveSession => ({
    ...facts,
    session_key,
    service,
    environment,
    tokens_in: null,
    tokens_out: null,
  })
  const sessions = [sessionOf('s', 'exai', 'test'), sessionOf('s', 'shim', 'test'), sessionOf('t', 'exai', 'live')]
  const shown = (path: string) => sessionsIn(placeAt(path), sessions).map((session) => sessions.indexOf(session))
  expect([shown('/'), shown('/?service=exai'), shown('/?session=s&environment=live'), shown('/?tool=x')]).toEqual([
    [0, 1, 2],
    [0, 2],
    [],
    [0, 1, 2],
  ])
  const [first] = sessions
  const path = first === undefined ? '' : pathOf(activeSessionPlace(placeAt('/?service=exai'), first))
  expect(placeAt(path)).toMatchObject({ page: 'traces', filter: { session: 's' } })
})
