import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runTick } from '../functions/action/run_tick.ts'
import { tickVerbs } from '../functions/action/tick_action.ts'
import { ingestApp } from '../functions/route/ingest.ts'
import { type BatchStore, StoreError, type TickStore, tickSteps } from '../functions/store/port.ts'
import { UpstashHotStore } from '../functions/store/redis.ts'
import { mergeSeries, minutePartsOf, type Series } from '../src/core/window.ts'
import { chanceOf } from '../src/demo/chance.ts'
import { createIngestKey } from '../src/local/ingest_key.ts'
import {
  noPostgresReason,
  openPglite,
  openServer,
  stoppedClock,
  type TestDatabase,
  type TestServer,
} from './postgres_fixture.ts'
import { openEmbeddedRedis, type RedisRest } from './redis_rest_fixture.ts'
import { dayUs, minuteUs, nowUs } from './rows_fixture.ts'
import { simulatedDay } from './simulated_day_fixture.ts'
import { cellOfParts, expectStats, statsOf } from './stats_fixture.ts'

// Ten daemons for a day, through the edge's own route: duplicates, reordering, late data, an hour without Redis, ticks that
// are killed. What SQL answers afterwards is held to a direct count of what went in.

const dayStartUs = Math.floor(nowUs / dayUs) * dayUs - 3 * dayUs
const requests = [20, 60, 150, 300, 600, 1_000, 1_800, 3_000, 5_000, 8_000]
const hourUs = 60 * minuteUs

describe('ten daemons for a day', () => {
  let database: TestDatabase
  let setClock: (us: number) => Promise<void>
  let redis: RedisRest
  beforeAll(async () => {
    database = noPostgresReason() === null ? await openServer() : await openPglite()
    redis = await openEmbeddedRedis()
    const days = [-1, 0, 1, 2].map((n) => new Date((dayStartUs + n * dayUs) / 1_000).toISOString().slice(0, 10))
    await database.rpc('make_partitions', { days })
    setClock = await stoppedClock(database, dayStartUs)
  })
  afterAll(async () => {
    await database?.close()
    await redis?.close()
  })

  /** A step in a session of its own, which is killed at a random moment when chance says so. */
  async function runKilled(step: string, chance: () => number): Promise<{ done: number; more: boolean }> {
    const { url } = database as TestServer
    if (url === undefined) throw new StoreError('unavailable', 'Cannot run step: it was killed before it began')
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    await client.connect()
    const [row] = (await client.query('select pg_backend_pid() as pid')).rows
    const running = client.query(`select telltale."tick_${step}"() as answer`)
    setTimeout(() => database.query('select pg_terminate_backend($1)', [row.pid]).catch(() => {}), chance() * 12)
    try {
      return (await running).rows[0].answer
    } catch (error) {
      throw new StoreError('unavailable', 'Cannot run step: it was killed', { cause: error })
    } finally {
      await client.end().catch(() => {})
    }
  }

  test('is counted by rollups, SQL and hand alike, whatever befell its batches and the ticks', {
    timeout: 240_000,
  }, async () => {
    const chance = chanceOf(23)
    const { batches, arrivals } = simulatedDay({ startUs: dayStartUs, requests, batchMinutes: 40, seed: 5 })
    let now = dayStartUs
    let isRedisLost = false
    let kills = 0
    let ticks = 0
    const key = createIngestKey()
    await database.rpc('create_key', { key_id: key.id, key_hash: key.hash, name: 'day' })
    const store: BatchStore = {
      readKey: (key_id) => database.rpc('read_key', { key_id }) as ReturnType<BatchStore['readKey']>,
      ingestBatch: (batch) => database.rpc('ingest_batch', { batch }) as ReturnType<BatchStore['ingestBatch']>,
      endedSpans: (trace_ids) => database.rpc('ended_spans', { trace_ids }) as ReturnType<BatchStore['endedSpans']>,
      makePartitions: async (days) => void (await database.rpc('make_partitions', { days })),
    }
    const ticking: TickStore = {
      claimTick: (holder, seconds) => database.rpc('claim_tick', { holder, seconds }) as Promise<boolean>,
      async runStep(step) {
        if (chance() >= 0.25) return (await database.rpc(`tick_${step}`)) as { done: number; more: boolean }
        kills += 1
        return runKilled(step, chance)
      },
      async releaseTick(holder) {
        // A tick that dies does not give its lease back.
        if (chance() >= 0.2) await database.rpc('release_tick', { holder })
      },
    }
    const lost = new UpstashHotStore({ url: 'http://127.0.0.1:9', token: 'x' })
    const hot = new UpstashHotStore(redis)
    const app = ingestApp({
      store,
      clock: () => now,
      flushMs: 250,
      log: () => {},
      hot: new Proxy(hot, {
        get: (_, name) => Reflect.get(isRedisLost ? lost : hot, name).bind?.(isRedisLost ? lost : hot),
      }),
    })
    let tickAt = dayStartUs
    const tickUntil = async (us: number) => {
      for (; tickAt <= us; tickAt += 30 * minuteUs) {
        await setClock(tickAt)
        ticks += 1
        await runTick(ticking, {}, `tick ${tickAt}`, () => Date.now() * 1_000)
      }
      await setClock(us)
    }
    for (const { atUs, batch } of arrivals) {
      now = atUs
      isRedisLost = atUs >= dayStartUs + 12 * hourUs && atUs < dayStartUs + 13 * hourUs
      await tickUntil(atUs)
      const answer = await app.request('/ingest', {
        method: 'POST',
        headers: {
          authorization: `Bearer ${key.text}`,
          'content-type': 'application/json',
          'telltale-sent-at': String(atUs),
        },
        body: JSON.stringify(batch),
      })
      if (answer.status !== 200) throw new Error(`Cannot send: ${answer.status} ${await answer.text()}`)
    }
    await tickUntil(dayStartUs + 30 * hourUs)
    for (const step of tickSteps.filter((step) => !tickVerbs.some((verb) => verb === step))) {
      while (((await database.rpc(`tick_${step}`)) as { more: boolean }).more);
    }
    expect(ticks).toBeGreaterThan(50)
    expect(kills).toBeGreaterThan(50)
    expect(arrivals.length).toBeGreaterThan(batches.length)

    const parts = batches.flatMap(minutePartsOf)
    const wanted = parts.reduce((sum: Series, { series }) => mergeSeries(sum, series), {})
    for (const table of ['rollup_minutes', 'rollup_hours']) {
      const [row] = await database.query(`select telltale.series_merge(series) as series, count(*)::int as n,
        bool_or(${table === 'rollup_minutes' ? 'batch_id is not null' : 'false'}) as raw from telltale.${table}`)
      expect(row?.series, table).toEqual(wanted)
      expect(row?.raw, table).toBe(false)
    }
    const filter = { from: dayStartUs - hourUs, to: dayStartUs + 30 * hourUs }
    const view = (await database.rpc('overview', { filter })) as Record<string, { key: string }[]> & { total: object }
    const [from, to] = [filter.from / 1e6, filter.to / 1e6]
    expectStats(view.total, statsOf(cellOfParts(parts, ['all'], from, to), to - from))
    expect((await database.query('select count(*)::int as n from telltale.traces'))[0]).toEqual({
      n: requests.reduce((sum, count) => sum + count, 0),
    })

    // Percentiles beside those of the durations themselves, by the hour, the tool and the provider.
    const spans = batches.flatMap(({ records }) => records).filter((record) => record.type === 'span')
    const exact = (us: number[], q: number) => (us.sort((a, b) => a - b)[Math.ceil(q * us.length) - 1] ?? 0) / 1_000
    const check = (stats: Record<string, unknown>, us: number[], what: string) => {
      expect(stats.count, what).toBe(us.length)
      for (const [name, q] of [
        ['p50_ms', 0.5],
        ['p95_ms', 0.95],
        ['p99_ms', 0.99],
      ] as const) {
        expect(Math.abs(Number(stats[name]) / exact(us, q) - 1), `${what} ${name}`).toBeLessThanOrEqual(0.011)
      }
    }
    const durationsOf = (keep: (span: (typeof spans)[number]) => boolean) =>
      spans.filter(keep).map(({ start_us, end_us }) => (end_us ?? 0) - start_us)
    for (const { key, ...stats } of view.tools ?? [])
      check(
        stats,
        durationsOf(({ tool, entry }) => entry && tool === key),
        key,
      )
    for (const { key, ...stats } of view.providers ?? [])
      check(
        stats,
        durationsOf(({ provider }) => provider === key),
        key,
      )
    const { points } = (await database.rpc('series', { filter, key: 'all', step_s: 3_600 })) as {
      points: { at_us: number; count: number }[]
    }
    for (const { at_us, ...point } of points.filter(({ count }) => count > 0)) {
      const inHour = durationsOf(
        ({ entry, end_us }) => entry && (end_us ?? 0) >= at_us && (end_us ?? 0) < at_us + hourUs,
      )
      check(point, inHour, String(at_us))
    }
    expect(points.reduce((sum, { count }) => sum + count, 0)).toBe(requests.reduce((sum, count) => sum + count, 0))
  })
})
