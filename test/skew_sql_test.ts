import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { stoppedClock, type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, aSpan, dayUs, minuteUs, nowUs, rowsOf, traceId } from './rows_fixture.ts'

type Point = { readonly at_us: number; readonly count: number }

const hourUs = 60 * minuteUs
/** A minute in the middle of an hour. */
const atUs = Math.floor(nowUs / hourUs) * hourUs - 5 * hourUs + 30 * minuteUs
const processes = { right: randomUUID(), wrong: randomUUID() }
let made = 0

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    let setClock: (us: number) => Promise<void>
    beforeAll(async () => {
      database = await open()
      const days = [-2, -1, 0, 1].map((n) => new Date((nowUs + n * dayUs) / 1_000).toISOString().slice(0, 10))
      await database.rpc('make_partitions', { days })
      setClock = await stoppedClock(database, atUs)
    })
    afterAll(() => database.close())
    afterEach(() =>
      database.query(`truncate telltale.traces, telltale.trace_days, telltale.rollup_minutes, telltale.rollup_hours,
        telltale.hours_due, telltale.processes, telltale.batches, telltale.sources, telltale.source_clocks cascade`),
    )

    /** A batch with so many requests that end now, sent now by a clock that is so far ahead. */
    const send = async (who: keyof typeof processes, nowAt: number, aheadUs: number, count = 1) => {
      await setClock(nowAt)
      const own = nowAt + aheadUs
      const spans = Array.from({ length: count }, () => {
        made += 1
        return aSpan({ trace_id: traceId(made), start_us: own - 5_000, end_us: own })
      })
      const batch = aBatch(spans, {
        seq: made + 1,
        batch_id: randomUUID(),
        made_at_us: own,
        source: { service: 'exai', instance: who, environment: 'test', version: null },
        process: { id: processes[who], started_at_us: own - 1_000_000, host: null, pid: null, sdk: 'x' },
      })
      await database.rpc('ingest_batch', { batch: rowsOf(batch, { sent_at_us: own, received_at_us: nowAt }) })
    }
    const counted = async (from: number, to: number, step_s = 60, filter: object = {}) => {
      const answer = (await database.rpc('series', { filter: { from, to, ...filter }, key: 'all', step_s })) as {
        points: Point[]
      }
      return answer.points
        .filter(({ count }) => count > 0)
        .map(({ at_us, count }) => [(at_us - atUs) / minuteUs, count])
    }
    const tick = () => database.rpc('tick_measure_skews')
    const rollUp = async () => {
      await database.rpc('tick_compact_minutes')
      await database.rpc('tick_recompute_hours')
    }

    for (const ahead of [7, -4]) {
      test(`minutes of a clock ${ahead} minutes ahead are read where they belong, from parts, sums and hours`, async () => {
        for (const minute of [0, 1, 2, 40]) {
          await send('right', atUs + minute * minuteUs + 5_000_000, 0, 1)
          await send('wrong', atUs + minute * minuteUs + 5_000_000, ahead * minuteUs, 10)
          if (minute === 0) expect(await tick()).toEqual({ done: 1, more: false })
        }
        expect(await tick()).toEqual({ done: 0, more: false })
        const wanted = [0, 1, 2, 40].map((minute) => [minute, 11])
        const check = async () => {
          expect(await counted(atUs - 20 * minuteUs, atUs + 60 * minuteUs)).toEqual(wanted)
          expect(await counted(atUs + minuteUs, atUs + 2 * minuteUs)).toEqual([[1, 11]])
          expect(await counted(atUs, atUs + 60 * minuteUs, 3_600)).toEqual([
            [-30, 33],
            [30, 11],
          ])
          expect(await counted(atUs, atUs + 3 * minuteUs, 60, { service: 'other' })).toEqual([])
        }
        await check()
        await setClock(atUs + 3 * hourUs)
        await rollUp()
        await check()
        const view = (await database.rpc('overview', { filter: { from: atUs, to: atUs + hourUs } })) as {
          total: { count: number }
          clocks: object[]
          health: { status: string; reasons: string[] }
        }
        expect(view.total.count).toBe(44)
        expect(view.clocks).toEqual([
          { service: 'exai', environment: 'test', instance: 'wrong', offset_ms: ahead * 60_000 },
        ])
        expect(view.health.reasons.join()).toContain(`${Math.abs(ahead)} minutes ${ahead > 0 ? 'ahead' : 'behind'}`)
      })
    }

    test('a clock that is set right is believed from then on, and what came before stays moved', async () => {
      await send('wrong', atUs, 7 * minuteUs)
      await tick()
      await send('wrong', atUs + 20 * minuteUs, 7 * minuteUs)
      await send('wrong', atUs + 40 * minuteUs, 0)
      expect(await tick()).toEqual({ done: 1, more: false })
      await send('wrong', atUs + 50 * minuteUs, 0)
      expect(await tick()).toEqual({ done: 0, more: false })
      const every = [0, 20, 40, 50].map((minute) => [minute, 1])
      expect(await counted(atUs - 10 * minuteUs, atUs + 60 * minuteUs)).toEqual(every)
      // And set wrong again, another way.
      await send('wrong', atUs + 80 * minuteUs, -3 * minuteUs)
      await tick()
      await send('wrong', atUs + 90 * minuteUs, -3 * minuteUs)
      expect((await counted(atUs - 10 * minuteUs, atUs + 100 * minuteUs)).slice(0, 4)).toEqual(every)
      expect((await counted(atUs + 85 * minuteUs, atUs + 100 * minuteUs)).at(-1)).toEqual([90, 1])
      await setClock(atUs + 40 * dayUs)
      await database.query('update telltale.source_clocks set to_minute = from_minute where to_minute is null')
      await tick()
      expect(await database.query('select from telltale.source_clocks')).toEqual([])
    })

    test('a clock that is off by seconds moves nothing, and one of several that is right speaks for all', async () => {
      await send('right', atUs, 40_000_000)
      expect(await tick()).toEqual({ done: 0, more: false })
      expect(await database.query('select from telltale.source_clocks')).toEqual([])
    })
  })
}
