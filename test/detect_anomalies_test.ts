import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { detectAnomalies } from '../functions/action/detect_anomalies.ts'
import type { DetectorWork } from '../functions/store/port.ts'
import { anomalyAlertScore, detectorGaugesMax, detectorMinutesMax, detectorSeriesMax } from '../src/core/limit.ts'
import { simulate, spansOf, type Traffic } from './detector_fixture.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
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
const trained = noon + 90 * 60

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
      expect(await daemon.detect()).toBeGreaterThan(1)
      expect(await anomalies()).toEqual([])
      let openAt: number | null = null
      for (let at = trained + 5; at <= trained + 720; at += at < slow.from + 30 ? 5 : 15) {
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
        aSpan({ layer: 'api', provider: 'kimi', start_us: noon * 1e6, end_us: (trained - 1_800) * 1e6 }),
      )
      await daemon.count(late)
      await daemon.advance(trained + 10)
      await daemon.detect()
      expect([await series(), await detectors()]).toEqual(before)
      expect(await anomalies()).toEqual([])
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
