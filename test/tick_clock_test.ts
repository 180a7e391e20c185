import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { runTick } from '../functions/action/run_tick.ts'
import { type TickStore, tickSteps } from '../functions/store/port.ts'
import type { Batch } from '../src/core/record.ts'
import { mergeSeries, minutePartsOf, type Series } from '../src/core/window.ts'
import { stoppedClock, type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, anError, aSpan, dayUs, minuteUs, nowUs, rowsOf, traceId } from './rows_fixture.ts'

// The tick as time goes on, stands still, jumps and comes back.

const hourUs = 60 * minuteUs
const startUs = Math.floor(nowUs / dayUs) * dayUs - 2 * dayUs + 10 * hourUs

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    let setClock: (us: number) => Promise<void>
    beforeAll(async () => {
      database = await open()
      setClock = await stoppedClock(database, startUs)
    })
    afterAll(() => database.close())
    afterEach(async () => {
      await database.query(`truncate telltale.traces, telltale.trace_days, telltale.errors, telltale.error_groups,
        telltale.rollup_minutes, telltale.rollup_hours, telltale.hours_due, telltale.processes, telltale.batches,
        telltale.sources cascade`)
      await database.query(`update telltale.tick_lease set holder = null, expires_at = 'epoch', claimed_at = 'epoch'`)
    })

    const store: TickStore = {
      claimTick: (holder, seconds) => database.rpc('claim_tick', { holder, seconds }) as Promise<boolean>,
      runStep: (step) => database.rpc(`tick_${step}`) as Promise<{ done: number; more: boolean }>,
      releaseTick: async (holder) => void (await database.rpc('release_tick', { holder })),
    }
    const tick = (holder = 'me') => runTick(store, {}, holder, () => Date.now() * 1_000)
    /** One request a minute for so many minutes. */
    const aStretch = (fromUs: number, minutes: number, instance = 'a'): Batch => {
      const spans = Array.from({ length: minutes }, (_, n) => {
        const end_us = fromUs + n * minuteUs + 7_000_000
        const trace_id = randomUUID().replaceAll('-', '')
        return aSpan({ trace_id, start_us: end_us - 1_000 * (n + 1), end_us })
      })
      const source = { service: 'x', instance, environment: 'test', version: null }
      const process = { id: randomUUID(), started_at_us: fromUs, host: null, pid: null, sdk: 'x' }
      return aBatch(spans, { seq: 1, batch_id: randomUUID(), source, process, made_at_us: fromUs })
    }
    const put = (batch: Batch) => database.rpc('ingest_batch', { batch: rowsOf(batch) })
    const sumOf = (batches: readonly Batch[]) =>
      batches.flatMap(minutePartsOf).reduce((sum: Series, { series }) => mergeSeries(sum, series), {})
    const stored = async (table: string) =>
      (await database.query(`select telltale.series_merge(series) as series from telltale.${table}`))[0]?.series
    const failed = (report: Awaited<ReturnType<typeof tick>>) =>
      Object.entries(report.steps).filter(([, step]) => step.failed !== null)

    test('two ticks at once: one has the lease, and without it both leave what one would', async () => {
      await setClock(startUs)
      await tick()
      const batches = Array.from({ length: 6 }, (_, i) => aStretch(startUs, 50, String(i)))
      for (const batch of batches) await put(batch)
      await setClock(startUs + 2 * hourUs)
      const reports = await Promise.all([tick('a'), tick('b')])
      expect(reports.map(({ claimed }) => claimed).sort()).toEqual([false, true])
      for (const batch of batches.slice(0, 3)) await put({ ...batch, batch_id: randomUUID() })
      const steps = tickSteps.flatMap((step) => [step, step, step])
      await Promise.all(steps.map((step) => database.rpc(`tick_${step}`)))
      for (const step of ['compact_minutes', 'recompute_hours']) await database.rpc(`tick_${step}`)
      const wanted = sumOf([...batches, ...batches.slice(0, 3)])
      expect(await stored('rollup_minutes')).toEqual(wanted)
      expect(await stored('rollup_hours')).toEqual(wanted)
    })

    test('an hour’s backlog is worked off in steps that each do a bounded amount', async () => {
      await setClock(startUs)
      await tick()
      const batches = Array.from({ length: 10 }, (_, i) => aStretch(startUs, 60, String(i)))
      for (const batch of batches) await put(batch)
      await setClock(startUs + 2 * hourUs)
      const steps: { done: number; more: boolean }[] = []
      do steps.push((await database.rpc('tick_compact_minutes')) as { done: number; more: boolean })
      while (steps.at(-1)?.more)
      expect(steps.map(({ done }) => done)).toEqual([200, 200, 200, 0])
      const report = await tick()
      expect(failed(report)).toEqual([])
      expect(report.steps.recompute_hours).toMatchObject({ done: 10, more: false })
      expect(await stored('rollup_hours')).toEqual(sumOf(batches))
    })

    test('a clock that jumps forward and back loses nothing, and stops no tick', async () => {
      const batches: Batch[] = []
      // To the hour ahead of it, where a tick died with the lease, back, and on.
      for (const [i, hours] of [0, 30, -1, 1, 29, 2, 4].entries()) {
        const at = startUs + hours * hourUs
        await setClock(at)
        if (i === 1) expect(await database.rpc('claim_tick', { holder: 'dead', seconds: 120 })).toBe(true)
        else expect(failed(await tick())).toEqual([])
        const batch = aStretch(startUs + i * minuteUs, 5, String(i % 3))
        await put(batch)
        batches.push(batch)
      }
      await setClock(startUs + 6 * hourUs)
      expect(await database.rpc('is_tick_due')).toBe(true)
      for (let n = 0; n < 3; n += 1) expect((await tick()).claimed).toBe(true)
      expect(await stored('rollup_minutes')).toEqual(sumOf(batches))
      expect(await stored('rollup_hours')).toEqual(sumOf(batches))
    })

    test('detail goes after 30 days and hours after 13 months, as the clock goes on, in bounded steps', async () => {
      await setClock(startUs)
      await tick()
      const batch = aStretch(startUs, 30)
      await put(batch)
      await put(aBatch([anError({ at_us: startUs }), aSpan({ trace_id: traceId(1), start_us: startUs, end_us: null })]))
      await setClock(startUs + 2 * hourUs)
      await tick()
      const counts = async () =>
        (
          await database.query(`select (select count(*)::int from telltale.traces) as traces,
            (select count(*)::int from telltale.errors) as errors, (select count(*)::int from telltale.trace_days) as days,
            (select count(*)::int from telltale.rollup_minutes) as minutes,
            (select count(*)::int from telltale.rollup_hours) as hours, (select count(*)::int from telltale.batches) as batches,
            (select count(*)::int from telltale.error_groups) as groups,
            (select count(*)::int from telltale.sources where source_id <> telltale.own_source()) as sources`)
        )[0]
      expect(await counts()).toMatchObject({ traces: 31, errors: 1, minutes: 30, hours: 1, batches: 2, groups: 1 })
      for (const [days, wanted] of [
        [29, { traces: 31, days: 31, errors: 1, minutes: 30, hours: 1 }],
        [32, { traces: 0, days: 0, errors: 0, minutes: 0, hours: 1, batches: 0, groups: 1 }],
        [390, { hours: 1, groups: 1, sources: 2 }],
        [402, { hours: 0, groups: 0, sources: 0 }],
      ] as const) {
        await setClock(startUs + days * dayUs)
        for (let n = 0; n < 8; n += 1) expect(failed(await tick())).toEqual([])
        expect(await counts(), `after ${days} days`).toMatchObject(wanted)
      }
      const old = await database.query('select day from telltale.partition_days where day < telltale.today() - 30')
      expect(old).toEqual([])
    })
  })
}
