import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Batch } from '../src/core/record.ts'
import { mergeSeries, minutePartsOf, type Series } from '../src/core/window.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, aSpan, dayUs, minuteUs, noonUs, nowUs, processId, rowsOf, traceId } from './rows_fixture.ts'

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await open()
      await database.rpc('make_partitions', { days: [-3, -2, -1, 0].map((n) => dayOf(nowUs + n * dayUs)) })
    })
    afterAll(() => database.close())
    afterEach(() =>
      database.query(`truncate telltale.traces, telltale.trace_days, telltale.errors, telltale.error_groups,
    telltale.rollup_minutes, telltale.processes, telltale.batches, telltale.sources cascade`),
    )

    const dayOf = (us: number) => new Date(us / 1_000).toISOString().slice(0, 10)
    const store = (records: Batch['records'], changes: Partial<Batch> = {}) =>
      database.rpc('ingest_batch', { batch: rowsOf(aBatch(records, changes)) })
    const step = (name: string) => database.rpc(`tick_${name}`)
    const seriesOfAll = async (table: string) =>
      (await database.query(`select telltale.series_merge(series) as series from telltale.${table}`))[0]?.series

    test('tick_compact_minutes() leaves one row a minute and the sums as they were', async () => {
      const batches = Array.from({ length: 8 }, (_, i) =>
        aBatch([
          aSpan({ trace_id: traceId(i), start_us: noonUs, end_us: noonUs + 1_000 * (i + 1) }),
          aSpan({
            trace_id: traceId(i),
            span_id: '00000000000000b2',
            end_us: noonUs + minuteUs + i,
            outcome: 'timeout',
          }),
        ]),
      )
      for (const batch of batches) await database.rpc('ingest_batch', { batch: rowsOf(batch) })
      const wanted = batches.flatMap(minutePartsOf).reduce((sum, { series }) => mergeSeries(sum, series), {} as Series)
      expect(await step('compact_minutes')).toEqual({ done: 2, more: false })
      const rows = await database.query('select batch_id from telltale.rollup_minutes')
      expect(rows).toEqual([{ batch_id: null }, { batch_id: null }])
      expect(await seriesOfAll('rollup_minutes')).toEqual(wanted)
      expect(await step('compact_minutes')).toEqual({ done: 0, more: false })
      await store([aSpan({ trace_id: traceId(99) })])
      expect(await step('compact_minutes')).toEqual({ done: 1, more: false })
      expect((await database.query('select from telltale.rollup_minutes')).length).toBe(2)
    })

    test('tick_compact_minutes() lets the minute be that is still being written', async () => {
      await store([aSpan({ start_us: nowUs - 10, end_us: nowUs })])
      expect(await step('compact_minutes')).toEqual({ done: 0, more: false })
    })

    test('tick_recompute_hours() makes hours equal to their minutes, again when one of them changes', async () => {
      await store([aSpan(), aSpan({ trace_id: traceId(2), end_us: noonUs + 30 * minuteUs })])
      await step('compact_minutes')
      expect(await step('recompute_hours')).toEqual({ done: 1, more: false })
      expect(await seriesOfAll('rollup_hours')).toEqual(await seriesOfAll('rollup_minutes'))
      await store([aSpan({ trace_id: traceId(3) })])
      await step('compact_minutes')
      expect(await step('recompute_hours')).toEqual({ done: 1, more: false })
      expect(await seriesOfAll('rollup_hours')).toEqual(await seriesOfAll('rollup_minutes'))
      expect(await step('recompute_hours')).toEqual({ done: 0, more: false })
    })

    const running = [
      {
        trace_id: traceId(1),
        span_id: '00000000000000b2',
        layer: 'api',
        name: 'chat',
        tool: 'chat',
        session: null,
        start_us: nowUs - 1_000,
      },
      {
        trace_id: traceId(2),
        span_id: '00000000000000c3',
        layer: 'tool',
        name: 'x',
        tool: null,
        session: null,
        start_us: nowUs - 500,
      },
    ]
    const pending = [
      aSpan({ start_us: nowUs - 2_000, end_us: null, outcome: null }),
      aSpan({
        span_id: '00000000000000b2',
        parent_span_id: '00000000000000a1',
        entry: false,
        layer: 'api',
        start_us: nowUs - 1_000,
        end_us: null,
        outcome: null,
      }),
    ]
    const silence = () =>
      database.query(`update telltale.processes set renewed_at = renewed_at - interval '61 seconds'`)
    const tracesNow = () =>
      database.query(
        'select trace_id, outcome, duration_ms is null as runs, span_count from telltale.traces order by trace_id',
      )

    test('tick_mark_interrupted() ends what a silent process ran, and a reported end that comes late wins', async () => {
      await store(pending, { running, running_total: 2 })
      expect(await step('mark_interrupted')).toEqual({ done: 0, more: false })
      await silence()
      expect(await step('mark_interrupted')).toEqual({ done: 2, more: true })
      expect(await step('mark_interrupted')).toEqual({ done: 0, more: false })
      expect(await tracesNow()).toEqual([
        { trace_id: traceId(1), outcome: 'interrupted', runs: false, span_count: 2 },
        { trace_id: traceId(2), outcome: 'interrupted', runs: false, span_count: 1 },
      ])
      const [row] = await database.query('select running, running_total, running_seq from telltale.processes')
      expect(row).toEqual({ running: [], running_total: 0, running_seq: 1 })
      expect(await seriesOfAll('rollup_minutes')).toEqual({})
      await store([aSpan({ start_us: nowUs - 2_000, end_us: nowUs - 100, outcome: 'ok' })], { seq: 2 })
      expect((await tracesNow())[0]).toEqual({ trace_id: traceId(1), outcome: 'ok', runs: false, span_count: 2 })
      const [span] = await database.query(
        `select spans -> '00000000000000b2' ->> 'concluded' as concluded from telltale.traces where trace_id = $1`,
        [traceId(1)],
      )
      expect(span?.concluded).toBe('true')
    })

    test('tick_mark_interrupted() ends calls that no list names: cut from it, or from a backlog that renewed nothing', async () => {
      await store(pending, { running: running.slice(1), running_total: 2 })
      const hourAgo = nowUs - 60 * minuteUs
      const backlog = aBatch([aSpan({ trace_id: traceId(9), start_us: hourAgo, end_us: null, outcome: null })], {
        process: { ...aBatch().process, id: randomUUID() },
        made_at_us: hourAgo,
      })
      await database.rpc('ingest_batch', { batch: rowsOf(backlog, { sent_at_us: nowUs, received_at_us: nowUs }) })
      await silence()
      await database.query(`update telltale.processes set last_seen_at = last_seen_at - interval '61 seconds'`)
      await database.query(`update telltale.traces set changed_at = changed_at - interval '61 seconds'`)
      const steps = [await step('mark_interrupted'), await step('mark_interrupted'), await step('mark_interrupted')]
      expect(steps.map((answer) => (answer as { more: boolean }).more)).toEqual([true, true, false])
      expect((await tracesNow()).map(({ outcome, runs }) => [outcome, runs])).toEqual(
        Array(3).fill(['interrupted', false]),
      )
    })

    test('tick_mark_interrupted() leaves alone what a process that is heard of may still run', async () => {
      await store(pending, { running: running.slice(1), running_total: 2 })
      await database.query(`update telltale.traces set changed_at = changed_at - interval '1 hour'`)
      expect(await step('mark_interrupted')).toEqual({ done: 0, more: false })
    })

    test('tick_mark_interrupted() never touches a span that has been reported as ended', async () => {
      await store(pending, { running, running_total: 2 })
      await store([aSpan({ start_us: nowUs - 2_000, end_us: nowUs - 100 })], { seq: 1, batch_id: randomUUID() })
      await silence()
      await step('mark_interrupted')
      expect((await tracesNow())[0]).toEqual({ trace_id: traceId(1), outcome: 'ok', runs: false, span_count: 2 })
    })

    test('tick_make_partitions() makes yesterday to three days ahead, once', async () => {
      const first = (await step('make_partitions')) as { done: number }
      expect(first.done).toBe(3)
      expect(await step('make_partitions')).toEqual({ done: 0, more: false })
    })

    test('make_partitions() refuses days out of range', async () => {
      for (const n of [-31, 4]) {
        const asked = database.rpc('make_partitions', { days: [dayOf(nowUs + n * dayUs)] })
        await expect(asked).rejects.toMatchObject({ code: '22023' })
      }
    })

    test('tick_drop_partitions() drops what is more than 30 days old and nothing else', async () => {
      const old = dayOf(nowUs - 30 * dayUs)
      await database.rpc('make_partitions', { days: [old] })
      expect(await step('drop_partitions')).toEqual({ done: 0, more: false })
      // As if two days had passed since.
      const older = dayOf(nowUs - 32 * dayUs)
      const suffix = (day: string) => day.replaceAll('-', '')
      for (const table of ['traces', 'errors', 'messages', 'gauges', 'rollup_minutes']) {
        await database.query(`alter table telltale.${table} detach partition telltale.${table}_${suffix(old)}`)
        await database.query(`alter table telltale.${table}_${suffix(old)} rename to ${table}_${suffix(older)}`)
        await database.query(
          `alter table telltale.${table} attach partition telltale.${table}_${suffix(older)} for values in ('${older}')`,
        )
      }
      await database.query('update telltale.partition_days set day = $1 where day = $2', [older, old])
      await database.query('insert into telltale.trace_days values ($1, $2)', [traceId(1), older])
      expect(await step('drop_partitions')).toEqual({ done: 1, more: false })
      expect(await database.query(`select from pg_class where relname = 'traces_${suffix(older)}'`)).toEqual([])
      expect(await database.query('select from telltale.trace_days')).toEqual([])
      expect(await step('drop_partitions')).toEqual({ done: 0, more: false })
    })

    test('tick_prune() deletes what is too old and keeps what is not', async () => {
      await store([])
      await store([], {
        source: { service: 'y', instance: 'a', environment: 'test', version: null },
        process: { id: randomUUID(), started_at_us: 1, host: null, pid: null, sdk: 'x' },
      })
      expect(await step('prune')).toEqual({ done: 0, more: false })
      await database.query(
        `update telltale.batches set received_at = now() - interval '31 days' where process_id = $1`,
        [processId],
      )
      await database.query(
        `update telltale.processes set last_seen_at = now() - interval '61 days' where process_id = $1`,
        [processId],
      )
      await database.query(`update telltale.sources set created_at = now() - interval '61 days'`)
      await database.query(
        `insert into telltale.viewers values (gen_random_uuid(), gen_random_uuid(), now() - interval '1 hour')`,
      )
      await database.query(`insert into telltale.trace_days values ($1, current_date - 40)`, [traceId(1)])
      expect(await step('prune')).toEqual({ done: 5, more: false })
      expect(await database.query('select service from telltale.sources')).toEqual([{ service: 'y' }])
    })

    test('claim_tick() gives the lease to one holder at a time', async () => {
      const claim = (holder: string) => database.rpc('claim_tick', { holder, seconds: 30 })
      expect(await claim('a')).toBe(true)
      expect(await claim('b')).toBe(false)
      expect(await claim('a')).toBe(true)
      expect(await database.rpc('release_tick', { holder: 'b' })).toBe(false)
      expect(await database.rpc('release_tick', { holder: 'a' })).toBe(true)
      expect(await claim('b')).toBe(true)
      await database.query(`update telltale.tick_lease set expires_at = now() - interval '1 second'`)
      expect(await claim('a')).toBe(true)
    })
  })
}
