import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { measureResources } from '../functions/action/measure_resources.ts'
import type { ResourceStore, StepAnswer } from '../functions/store/port.ts'
import { UpstashHotStore } from '../functions/store/redis.ts'
import { type Caller, stoppedClock, type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { openEmbeddedRedis, openRealRedis, type RedisRest } from './redis_rest_fixture.ts'
import { noRedisReason } from './redis_server_fixture.ts'
import { aBatch, aSpan, minuteUs, nowUs, rowsOf, traceId } from './rows_fixture.ts'

type Sampled = {
  readonly service: string
  readonly instance: string
  readonly labels: Record<string, unknown>
  readonly samples: number
  readonly mean: number
  readonly last: number
}

const resources = [
  'redis_memory_mb',
  'redis_key_count',
  'supabase_pool_active',
  'supabase_pool_idle',
  'websocket_connections',
] as const
const sixteen = [
  'latency_p50_ms',
  'latency_p95_ms',
  'latency_p99_ms',
  'requests_per_second',
  'bytes_per_second',
  'error_rate',
  'errors_per_minute',
  ...resources,
  'glm_latency_avg_ms',
  'glm_error_rate',
  'kimi_latency_avg_ms',
  'kimi_error_rate',
] as const

for (const [kind, open, reason] of [
  ['the embedded Redis', openEmbeddedRedis, null],
  ['redis-server', openRealRedis, noRedisReason()],
] as const) {
  test.skipIf(reason !== null)(`readUsage() reads what ${kind} takes and holds`, async () => {
    const rest = await open()
    try {
      const store = new UpstashHotStore(rest)
      expect(store.instance).toBe(new URL(rest.url).host)
      const before = await store.readUsage()
      await rest.raw.set('a', 'x'.repeat(100_000))
      await rest.raw.set('b', 'y')
      const after = await store.readUsage()
      expect(after.keyCount - before.keyCount).toBe(2)
      const grown = (after.memoryBytes ?? 0) - (before.memoryBytes ?? Number.NaN)
      expect(grown).toBeGreaterThan(90_000)
      expect(grown).toBeLessThan(1_000_000)
      const info = String(await rest.raw.exec(['INFO', 'memory']))
      expect(info).toMatch(/^# Memory\r\nused_memory:\d+\r\n/)
      expect(info).toMatch(/\r\nmaxmemory_policy:noeviction\r\n/)
      expect(await rest.raw.exec(['INFO', 'nothing'])).toBe('')
    } finally {
      await rest.close()
    }
  })
}

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    let setClock: (us: number) => Promise<void>
    let redis: RedisRest
    const member = randomUUID()
    const viewer: Caller = { role: 'authenticated', sub: member }
    beforeAll(async () => {
      database = await open()
      redis = await openEmbeddedRedis()
      setClock = await stoppedClock(database, nowUs)
      await database.rpc('tick_make_partitions')
      await database.query('insert into telltale.members (user_id) values ($1)', [member])
    })
    afterAll(async () => {
      await database?.close()
      await redis?.close()
    })
    afterEach(async () => {
      await setClock(nowUs)
      await database.query(`truncate telltale.gauges, telltale.processes, telltale.batches, telltale.sources,
        telltale.rollup_minutes, telltale.traces, telltale.trace_days, telltale.viewers cascade`)
    })

    const store: ResourceStore = {
      beginMeasuring: (instance) =>
        database.rpc('tick_measure_resources', { instance }) as Promise<StepAnswer & { due: boolean }>,
      storeResources: async (gauges) => {
        const [row] = await database.query('select telltale.store_resources($1::jsonb) as told', [
          JSON.stringify(gauges),
        ])
        return (row?.told as { done: number } | undefined)?.done ?? 0
      },
    }
    const measure = (hot = new UpstashHotStore(redis)) =>
      measureResources({ store, instance: 'db.example.org', redis: hot })
    const names = async () =>
      (await database.query('select name from telltale.gauges order by name, at')).map(({ name }) => name)
    const ofDatabase = ['database_mb', 'realtime_connections', 'supabase_pool_active', 'supabase_pool_idle']
    const all = ['database_mb', 'realtime_connections', 'redis_key_count', 'redis_memory_mb', ...ofDatabase.slice(2)]

    test('measureResources() measures once in a minute, whoever ticks, and again after the clock went back', async () => {
      expect(await measure()).toEqual({ done: 6, more: false })
      expect(await names()).toEqual(all)
      expect(await measure()).toEqual({ done: 0, more: false })
      await setClock(nowUs + 61_000_000)
      const both = await Promise.all([measure(), measure()])
      expect(both.map(({ done }) => done).sort()).toEqual([0, 6])
      await setClock(nowUs - 3_600_000_000)
      expect(await measure()).toEqual({ done: 6, more: false })
      const values = await database.query(`select name, value, labels from telltale.gauges where name like '%_mb'`)
      for (const { value } of values) expect(Number(value)).toBeGreaterThanOrEqual(0)
      expect(values.find(({ name }) => name === 'database_mb')).toMatchObject({
        labels: { instance: 'db.example.org' },
      })
      expect(Number(values.find(({ name }) => name === 'database_mb')?.value)).toBeGreaterThan(1)
    })

    test('measureResources() without Redis, or with one that does not answer, measures the rest', async () => {
      const away = new UpstashHotStore({ url: 'http://127.0.0.1:9/redis', token: 'x' })
      expect(await measure(away)).toEqual({ done: 4, more: false })
      expect(await names()).toEqual(ofDatabase)
      await setClock(nowUs + 61_000_000)
      expect(await measureResources({ store, instance: 'db', redis: null })).toEqual({ done: 4, more: false })
    })

    test('tick_measure_resources() counts the pages that have the live channel open, as they tell', async () => {
      await database.rpc('see', { viewer_id: randomUUID(), present: 3 }, viewer)
      await database.rpc('live_data', { viewer_id: randomUUID(), minutes: 0, present: 2 }, viewer)
      await measure()
      const present = () =>
        database.query(`select value from telltale.gauges where name = 'realtime_connections' order by at desc limit 1`)
      expect(await present()).toEqual([{ value: 3 }])
      await setClock(nowUs + 61_000_000)
      await measure()
      expect(await present()).toEqual([{ value: 0 }])
    })

    test('what Telltale measures of itself is no daemon, and no sign of life of one', async () => {
      await measure()
      expect(await database.rpc('overview')).toMatchObject({
        health: { status: 'empty' },
        services: [],
        environments: [],
        last_received_at_us: null,
      })
      expect(await database.rpc('store_status')).toMatchObject({ real: false, environments: [] })
      const live = (await database.rpc('live_data')) as { gauges: Sampled[] }
      expect(live).toMatchObject({ real: false, last_received_at_us: null })
      expect(new Set(live.gauges.map(({ service }) => service))).toEqual(new Set(['telltale']))
      expect(live.gauges.length).toBe(6)
      expect(await database.rpc('gaps')).toMatchObject({ rows: [] })
      expect(await database.rpc('tick_mark_interrupted')).toEqual({ done: 0, more: false })
      expect(await database.rpc('tick_prune')).toEqual({ done: 0, more: false })
    })

    const call = (n: number, provider: string, us: number, outcome: 'ok' | 'timeout' = 'ok') => {
      const at = nowUs - 5 * minuteUs
      return [
        aSpan({ trace_id: traceId(n), start_us: at - us, end_us: at, bytes_in: 30, bytes_out: 60, outcome }),
        aSpan({
          trace_id: traceId(n),
          span_id: '00000000000000b2',
          parent_span_id: '00000000000000a1',
          entry: false,
          layer: 'api',
          provider,
          start_us: at - us,
          end_us: at,
          outcome,
        }),
      ]
    }

    test('performance_metrics() answers the sixteen metrics, the daemon’s resources apart from Telltale’s', async () => {
      const gauge = (name: string, value: number, n: number) => ({
        type: 'gauge' as const,
        name,
        at_us: nowUs - n * 1_000_000,
        value,
        labels: {},
      })
      const records = [
        ...call(1, 'GLM', 2_000_000, 'timeout'),
        ...call(2, 'glm', 4_000_000),
        ...call(3, 'KIMI', 1_000_000),
        ...resources.flatMap((name, i) => [gauge(name, i + 1, 20), gauge(name, i + 4, 10)]),
      ]
      await database.rpc('ingest_batch', { batch: rowsOf(aBatch(records)) })
      await measure()
      const answer = (await database.rpc('performance_metrics', {
        from: new Date((nowUs - 10 * minuteUs) / 1_000).toISOString(),
        to: String(nowUs + minuteUs),
      })) as Record<string, unknown>
      for (const metric of sixteen) expect(answer, metric).toHaveProperty(metric)
      const { total } = (await database.rpc('overview', {
        filter: { from: nowUs - 10 * minuteUs, to: nowUs + minuteUs },
      })) as { total: Record<string, number> }
      const minutes = 3 / Number(total.per_second) / 60
      expect(answer).toMatchObject({
        latency_p50_ms: total.p50_ms,
        latency_p99_ms: total.p99_ms,
        requests_per_second: total.per_second,
        error_rate: 0.333333,
        glm_latency_avg_ms: 3_000,
        glm_error_rate: 0.5,
        kimi_latency_avg_ms: 1_000,
        kimi_error_rate: 0,
        providers: { glm: { count: 2 }, kimi: { count: 1 } },
      })
      expect(Number(answer.errors_per_minute)).toBeCloseTo(1 / minutes, 2)
      expect(Number(answer.bytes_per_second)).toBeCloseTo(270 / minutes / 60, 2)
      for (const [i, metric] of resources.entries()) {
        const listed = answer[metric] as Sampled[]
        const own = listed.filter(({ service }) => service === 'telltale')
        expect(listed.filter(({ service }) => service === 'exai')).toMatchObject([
          { instance: 'a', samples: 2, mean: i + 2.5, max: i + 4, last: i + 4 },
        ])
        expect(own.length, metric).toBe(metric === 'websocket_connections' ? 0 : 1)
        for (const { labels } of own) expect(labels).toHaveProperty('instance')
      }
      expect(answer.database_mb).toMatchObject([{ service: 'telltale' }])
    })

    test('performance_metrics() of an empty store has all names, and nothing under them', async () => {
      const answer = (await database.rpc('performance_metrics')) as Record<string, unknown>
      expect(sixteen.map((metric) => answer[metric])).toEqual([
        ...[null, null, null, 0, 0, null, 0],
        ...resources.map(() => []),
        ...[null, null, null, null],
      ])
      const asked = database.rpc('performance_metrics', { filter: { tool: 'x' } })
      await expect(asked).rejects.toMatchObject({ code: '22023' })
    })
  })
}
