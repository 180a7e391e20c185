import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { detectAnomalies } from '../functions/action/detect_anomalies.ts'
import type { DetectorWork } from '../functions/store/port.ts'
import { anomalyAlertScore, detectorGaugesMax, detectorMinutesMax, detectorSeriesMax } from '../src/core/limit.ts'
import { simulate, spansOf, type Traffic } from './detector_fixture.ts'
import { stoppedClock, type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aSpan, dayUs, nowUs } from './rows_fixture.ts'

type Row = {
  readonly series_key: string
  readonly metric: string
  readonly score: number
  readonly seen: number
  readonly expected: { readonly mid: number }
  readonly started_at_us: number
  readonly ended_at_us: number | null
  readonly incident_id: string
}

/** Noon of yesterday, s since the epoch. */
const noon = Math.floor(nowUs / dayUs) * 86_400 - 43_200
const trained = noon + 3_600

/** Three calls a second; kimi is four times as slow for five minutes. */
const slow = { from: trained + 97, to: trained + 397 }
const ordinary: Traffic = {
  from: noon,
  to: trained + 720,
  perSecond: () => 3,
  medianMs: (provider, at) => (provider === 'kimi' && at >= slow.from && at < slow.to ? 3_200 : 800),
}

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await open()
    })
    afterAll(() => database.close())
    afterEach(() =>
      database.query(`truncate telltale.rollup_minutes, telltale.gauges, telltale.processes, telltale.batches, telltale.sources,
        telltale.detectors, telltale.incidents cascade`),
    )

    const anomalies = async (filter: Record<string, unknown> = {}) =>
      ((await database.rpc('anomalies', { filter })) as { rows: Row[] }).rows
    const detectors = () =>
      database.query(
        `select revision, extract(epoch from committed_to)::bigint as committed_to from telltale.detectors`,
      )
    const series = () => database.query('select * from telltale.detector_series order by series_key, metric')

    test('detectAnomalies() opens an anomaly of a provider four times as slow within 15 s, as one incident, and ends it', async () => {
      const daemon = await simulate(database, spansOf(ordinary, 1), trained)
      await daemon.advance(trained)
      expect(await daemon.detect()).toBeGreaterThan(0)
      expect(await anomalies()).toEqual([])
      let openAt: number | null = null
      for (let at = trained + 5; at <= trained + 720; at += at < slow.from + 30 ? 5 : 30) {
        await daemon.advance(at)
        await daemon.detect()
        if (at >= slow.from && openAt === null && (await anomalies({ open: true })).length > 0) openAt = at
        if (at < slow.from) expect(await anomalies()).toEqual([])
      }
      expect((openAt ?? 0) - slow.from).toBeLessThanOrEqual(15)
      const found = await anomalies()
      const root = found.find(({ series_key }) => series_key === 'provider:kimi')
      expect(root).toMatchObject({ metric: 'p95_ms', score: expect.any(Number) })
      expect(root?.score).toBeGreaterThanOrEqual(anomalyAlertScore)
      expect((root?.seen ?? 0) / (root?.expected.mid ?? 1)).toBeGreaterThan(2.5)
      expect(found.map(({ series_key }) => series_key)).toEqual(expect.arrayContaining(['layer:api', 'all']))
      expect(found.filter(({ series_key }) => series_key === 'provider:glm')).toEqual([])
      expect(found.filter(({ ended_at_us }) => ended_at_us === null)).toEqual([])
      const { rows } = (await database.rpc('incidents')) as { rows: { members: Row[]; ended_at_us: number }[] }
      expect(rows.map(({ members }) => members.map(({ series_key }) => series_key))).toEqual([
        expect.arrayContaining(['provider:kimi', 'layer:api', 'all']),
      ])
      expect(rows[0]).toMatchObject({ series_key: 'provider:kimi', metric: 'p95_ms', anomalies: found.length })
      expect((rows[0]?.ended_at_us ?? 0) / 1e6 - slow.to).toBeLessThan(120)
    })

    test('detectAnomalies() works a backlog off in bounded steps, and learns the same however often it is begun', async () => {
      const hours = 14
      const from = trained - hours * 3_600
      const spans = spansOf({ ...ordinary, from, to: trained, perSecond: () => 0.1 }, 2)
      const daemon = await simulate(database, spans, trained)
      await database.rpc('make_partitions', { days: [new Date(from * 1_000).toISOString().slice(0, 10)] })
      await daemon.advance(trained)
      let [steps, last] = [0, 0]
      for (let more = true; more; steps += 1) {
        // As if every third look died before it had stored anything.
        if (steps % 3 === 2) await daemon.store.readDetectorWork()
        more = (await detectAnomalies(daemon.store)).more
        const [row] = await detectors()
        const committed = row?.committed_to as number
        if (last > 0) expect(committed - last).toBeLessThanOrEqual(detectorMinutesMax * 60)
        last = committed
        expect(steps).toBeLessThan(30)
      }
      expect(steps).toBeGreaterThan(13)
      expect(trained - last).toBeLessThanOrEqual(720)
      expect((await series()).length).toBeGreaterThan(15)
      expect(await anomalies({ score_min: anomalyAlertScore })).toEqual([])
    })

    test('detectAnomalies() stores nothing where another look was stored meanwhile', async () => {
      const daemon = await simulate(database, spansOf({ ...ordinary, to: slow.from + 60 }, 3), trained)
      await daemon.advance(trained)
      await daemon.detect()
      await daemon.advance(slow.from + 60)
      const work = (await daemon.store.readDetectorWork()) as DetectorWork
      const stored: boolean[] = []
      const raced = {
        readDetectorWork: async () => structuredClone(work),
        storeDetections: async (...args: Parameters<typeof daemon.store.storeDetections>) => {
          stored.push(await daemon.store.storeDetections(...args))
          return stored.at(-1) === true
        },
      }
      await detectAnomalies(raced)
      const once = [await anomalies(), await series(), await detectors()]
      expect(once[0]?.length).toBeGreaterThan(0)
      await detectAnomalies(raced)
      expect(stored).toEqual([true, false])
      expect([await anomalies(), await series(), await detectors()]).toEqual(once)
    })

    test('detectAnomalies() learns nothing of a minute that it has learned, however late its parts come', async () => {
      const daemon = await simulate(database, spansOf({ ...ordinary, to: trained }, 4), trained)
      await daemon.advance(trained)
      await daemon.detect()
      const before = [await series(), await detectors()]
      const late = Array.from({ length: 500 }, () =>
        aSpan({ layer: 'api', provider: 'kimi', start_us: noon * 1e6, end_us: (trained - 1_200) * 1e6 }),
      )
      await daemon.count(late)
      await daemon.advance(trained + 10)
      await daemon.detect()
      expect([await series(), await detectors()]).toEqual(before)
      expect(await anomalies()).toEqual([])
    })

    /** An hour of a service, a day after the one before; the last one lasts. */
    const storeAnomalies = (count: number) =>
      database.query(
        `with incident as (
          insert into telltale.incidents (incident_id, service, environment, series_key, metric, score, anomalies, started_at,
            last_at, ended_at)
          select md5(n::text)::uuid, 's', 'test', 'all', 'p95_ms', 0.98, 1, at, at, case when n < $2 then at end
          from generate_series(1, $2) as n cross join lateral (select telltale.clock() - ($2 - n) * interval '1 day' as at) as a
          returning *
        )
        insert into telltale.anomalies (anomaly_id, service, environment, series_key, metric, score, expected, seen,
          started_at, last_at, ended_at, incident_id)
        select incident_id, service, environment, series_key, metric, score, $1, 2, started_at, last_at, ended_at, incident_id
        from incident`,
        [JSON.stringify({ low: 0, mid: 1, high: 1 }), count],
      )

    test('anomalies() and incidents() page from the last begun on, by filters, and refuse what they do not know', async () => {
      await simulate(database, [], trained)
      await storeAnomalies(5)
      for (const reader of ['anomalies', 'incidents']) {
        const ask = async (filter: unknown, cursor: unknown = null, n = 2) =>
          (await database.rpc(reader, { filter, cursor, n })) as { rows: Row[]; next: string | null }
        const first = await ask({})
        const second = await ask({}, first.next)
        const third = await ask({}, second.next)
        const starts = [first, second, third].flatMap(({ rows }) => rows.map(({ started_at_us }) => started_at_us))
        expect(starts).toEqual([0, 1, 2, 3, 4].map((n) => (trained - n * 86_400) * 1e6))
        expect(third.next).toBe(null)
        expect((await ask({ open: true })).rows.map(({ started_at_us }) => started_at_us)).toEqual([trained * 1e6])
        expect((await ask({ open: false }, null, 9)).rows.length).toBe(4)
        expect((await ask({ score_min: 0.99 })).rows).toEqual([])
        expect(
          (await ask({ service: 's', environment: ['x', 'test'], metric: 'p95_ms', series_key: 'all' })).rows.length,
        ).toBe(2)
        // What lasted at some time between, not what began there.
        expect((await ask({ from: (trained + 60) * 1e6 })).rows.length).toBe(1)
        expect((await ask({ to: (trained - 86_400) * 1e6 }, null, 9)).rows.length).toBe(3)
        for (const filter of [{ x: 1 }, { open: 'yes' }, { score_min: 'much' }]) {
          await expect(ask(filter)).rejects.toMatchObject({ code: '22023' })
        }
      }
    })

    test('tick_prune() forgets incidents with their anomalies after 400 days, and series that were not seen for 7', async () => {
      const daemon = await simulate(database, [], trained)
      await daemon.count([aSpan({ layer: 'tool', tool: 'chat', end_us: (trained - 600) * 1e6 })])
      await daemon.advance(trained)
      await daemon.detect()
      await storeAnomalies(1)
      const left = async () => [(await series()).length > 0, (await detectors()).length, (await anomalies()).length]
      await database.rpc('tick_prune')
      expect(await left()).toEqual([true, 1, 1])
      await stoppedClock(database, (trained + 8 * 86_400) * 1e6)
      await database.rpc('tick_prune')
      expect(await left()).toEqual([false, 0, 1])
      await stoppedClock(database, (trained + 401 * 86_400) * 1e6)
      await database.rpc('tick_prune')
      expect(await left()).toEqual([false, 0, 0])
    })

    test('detectAnomalies() watches at most so many series, the busiest first, and gauges by instance', async () => {
      const daemon = await simulate(database, [], trained)
      for (let tool = 0; tool < 160; tool += 1) {
        const spans = Array.from({ length: tool < 5 ? 1 : 2 }, () =>
          aSpan({ layer: 'tool', tool: `t${tool}`, start_us: (trained - 660) * 1e6, end_us: (trained - 600) * 1e6 }),
        )
        await daemon.count(spans)
      }
      await database.query(`insert into telltale.gauges (process_id, name, labels_hash, at, day, value)
        select process_id, 'gauge_' || n, gen_random_uuid(), to_timestamp(${trained - 500}),
          (to_timestamp(${trained - 500}) at time zone 'UTC')::date, 7 from telltale.processes, generate_series(1, 99) as n`)
      await daemon.advance(trained)
      await daemon.detect()
      const keys = (await series()).map(({ series_key, metric }) => `${metric} ${series_key}`)
      expect(keys.length).toBe(detectorSeriesMax + detectorGaugesMax)
      expect(keys.filter((key) => key.startsWith('gauge gauge:')).length).toBe(detectorGaugesMax)
      expect(keys).toContain('gauge gauge:gauge_1@a')
      expect(keys).toEqual(
        expect.arrayContaining(['p95_ms all', 'throughput all', 'error_rate all', 'p95_ms layer:tool']),
      )
      expect(keys).not.toContain('p95_ms tool:t0')
      expect(keys.length - new Set(keys).size).toBe(0)
    })
  })
}
