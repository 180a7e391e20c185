import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { seriesPointsMax, seriesPointsWanted } from '../src/core/limit.ts'
import type { Batch } from '../src/core/record.ts'
import { type MinutePart, minutePartsOf } from '../src/core/window.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, aSpan, dayUs, minuteUs, noonUs, nowUs, rowsOf, traceId } from './rows_fixture.ts'
import { arbitraryBatch } from './span_fixture.ts'
import { cellOfParts, expectStats, nothing, pointOf, type Stats, statsOf } from './stats_fixture.ts'

type Series = {
  readonly from_us: number
  readonly to_us: number
  readonly step_s: number
  readonly key: string
  readonly source: string
  readonly points: readonly ({ readonly at_us: number } & Stats)[]
}

const midnightUs = noonUs - dayUs / 2
const hourUs = 60 * minuteUs

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await open()
      await database.rpc('make_partitions', { days: [-4, -3, -2, -1, 0, 1].map((n) => dayOf(nowUs + n * dayUs)) })
    })
    afterAll(() => database.close())
    afterEach(() =>
      database.query(`truncate telltale.traces, telltale.trace_days, telltale.errors, telltale.rollup_minutes,
        telltale.rollup_hours, telltale.hours_due, telltale.processes, telltale.batches, telltale.sources cascade`),
    )

    const dayOf = (us: number) => new Date(us / 1_000).toISOString().slice(0, 10)
    const series = (filter: Record<string, unknown> = {}, more: Record<string, unknown> = {}) =>
      database.rpc('series', { filter, ...more }) as Promise<Series>
    const put = (batch: Batch) => database.rpc('ingest_batch', { batch: rowsOf(batch) })
    /** Spans and events over six hours around midnight. */
    const generated = (count: number) =>
      fc
        .sample(
          arbitraryBatch({ base_us: midnightUs - 3 * hourUs, spread_us: 6 * hourUs, types: ['span', 'event'] }),
          count,
        )
        .map((batch) => ({ ...batch, batch_id: randomUUID(), process: { ...batch.process, id: randomUUID() } }))
    const partsOf = (batches: readonly Batch[]) => batches.flatMap(minutePartsOf)
    const tick = async () => {
      for (const step of ['compact_minutes', 'recompute_hours']) {
        while (((await database.rpc(`tick_${step}`)) as { more: boolean }).more);
      }
    }

    function expectPoints(answer: Series, parts: readonly MinutePart[], keys: readonly string[]): void {
      const { from_us, to_us, step_s, points } = answer
      const places = Array.from({ length: (to_us - from_us) / 1e6 / step_s }, (_, i) => from_us + i * step_s * 1e6)
      expect(points.map(({ at_us }) => at_us)).toEqual(places)
      for (const { at_us, ...point } of points) {
        const at = at_us / 1e6
        expectStats(point, pointOf(cellOfParts(parts, keys, at, at + step_s)), `${keys} at ${at} by ${step_s}`)
      }
    }

    test('series() answers what TypeScript counts, step by step, before and after the tick and across midnight', async () => {
      const batches = generated(60)
      const late = generated(15)
      for (const batch of batches) await put(batch)
      const range = { from: midnightUs - 3 * hourUs, to: midnightUs + 3 * hourUs }
      const check = async (parts: readonly MinutePart[]) => {
        for (const [key, step_s] of [
          ['all', 60],
          ['layer:api', 300],
          ['connection:redis', 900],
          ['cache:redis:hit', 900],
          ['tool:__proto__', 3_600],
          ['call:6+', 7_200],
          ['all', 3_600],
          ['all', 5_400],
          ['all', 86_400],
        ] as const) {
          const answer = await series(range, { key, step_s })
          expect(answer).toMatchObject({ key, step_s, source: 'parts' })
          expectPoints(answer, parts, [key])
        }
        const demo = await series({ ...range, environment: 'demo', provider: ['chat', '42'] })
        expect(demo.source).toBe('parts')
      }
      await check(partsOf(batches))
      await tick()
      expect((await database.query('select from telltale.rollup_hours')).length).toBeGreaterThan(5)
      await check(partsOf(batches))
      for (const batch of late) await put(batch)
      await check(partsOf([...batches, ...late]))
      await database.rpc('tick_compact_minutes')
      await check(partsOf([...batches, ...late]))
    })

    test('overview() reads whole hours as hours, and still counts each minute once', async () => {
      const batches = generated(40)
      for (const batch of batches.slice(0, 20)) await put(batch)
      await tick()
      for (const batch of batches.slice(20)) await put(batch)
      for (const [before, after] of [
        [90, 100],
        [170, 5],
        [7, 3],
      ] as const) {
        const [from, to] = [midnightUs / 1e6 - before * 60, midnightUs / 1e6 + after * 60]
        const answer = (await database.rpc('overview', { filter: { from: from * 1e6, to: to * 1e6 } })) as {
          total: object
        }
        expectStats(answer.total, statsOf(cellOfParts(partsOf(batches), ['all'], from, to), to - from))
      }
      // Nothing but the hours themselves says that they were read.
      await tick()
      await database.query(`update telltale.rollup_hours set series = '{}'`)
      const [from, to] = [midnightUs - 90 * minuteUs, midnightUs + 90 * minuteUs]
      const edges = [
        [from, midnightUs - hourUs],
        [midnightUs + hourUs, to],
      ].map(([a = 0, b = 0]) => cellOfParts(partsOf(batches), ['all'], a / 1e6, b / 1e6).count)
      const { total } = (await database.rpc('overview', { filter: { from, to } })) as { total: { count: number } }
      expect(total.count).toBe((edges[0] ?? 0) + (edges[1] ?? 0))
    })

    test('series() within a filter of one kind is that filter for all, and the traces for a key of another', async () => {
      const call = (n: number, tool: string, at: number) => [
        aSpan({ trace_id: traceId(n), tool, start_us: at, end_us: at + 4_000 }),
        aSpan({
          trace_id: traceId(n),
          span_id: '00000000000000b2',
          tool,
          layer: 'api',
          entry: false,
          start_us: at,
          end_us: at + 3_000,
        }),
      ]
      const batch = aBatch([
        ...call(1, 'chat', noonUs),
        ...call(2, 'chat', noonUs + minuteUs),
        ...call(3, 'listen', noonUs),
      ])
      await put(batch)
      const range = { from: noonUs, to: noonUs + 3 * minuteUs, tool: 'chat' }
      const all = await series(range)
      expect(all.source).toBe('parts')
      expectPoints(all, minutePartsOf(batch), ['tool:chat'])
      expectPoints(await series(range, { key: 'tool:chat' }), minutePartsOf(batch), ['tool:chat'])
      const api = await series(range, { key: 'layer:api' })
      expect([api.source, api.points.map(({ count, p50_ms }) => [count, p50_ms])]).toEqual([
        'traces',
        [
          [1, 3],
          [1, 3],
          [0, null],
        ],
      ])
      const other = await series(range, { key: 'tool:listen' })
      expect([other.source, other.points.map(({ count }) => count)]).toEqual(['traces', [0, 0, 0]])
      const slow = await series({ ...range, min_duration_ms: 4 }, { key: 'call:unknown', step_s: 300 })
      expect([slow.source, slow.points.map(({ count }) => count)]).toEqual(['traces', [2]])
    })

    test('series() chooses the least step with at most 120 points, and begins at multiples of it', async () => {
      for (const [seconds, step_s] of [
        [900, 60],
        [7_000, 60],
        [7_201, 300],
        [86_400, 900],
        [7 * 86_400, 14_400],
        [29 * 86_400, 86_400],
      ] as const) {
        const answer = await series({ from: nowUs - seconds * 1e6 })
        expect(answer.step_s).toBe(step_s)
        expect(answer.points.length).toBeLessThanOrEqual(seriesPointsWanted)
        expect(answer.from_us % (step_s * 1e6)).toBe(0)
        expect(answer.from_us).toBeLessThanOrEqual(nowUs - seconds * 1e6)
        expect(answer.to_us).toBeGreaterThanOrEqual(nowUs)
        expect(answer.to_us).toBeLessThan(Date.now() * 1_000 + step_s * 1e6)
        expectPoints(answer, [], ['all'])
      }
    })

    test('series() counts the current minute up to now', async () => {
      await put(aBatch([aSpan({ start_us: nowUs - 10, end_us: nowUs })]))
      const { points } = await series()
      expect(points.reduce((sum, { count }) => sum + Number(count), 0)).toBe(1)
    })

    test('series() and overview() read hours where the minutes are gone, also one that is still to be computed', async () => {
      await put(aBatch())
      const hour = Math.floor(nowUs / 1e6 / 3_600) * 3_600 - 40 * 86_400
      const [part] = minutePartsOf(aBatch([aSpan()]))
      await database.query(
        `insert into telltale.rollup_hours (hour, source_id, series)
         select to_timestamp($1), source_id, $2::jsonb from telltale.sources`,
        [hour, JSON.stringify(part?.series)],
      )
      await database.query(
        'insert into telltale.hours_due (hour, source_id) select to_timestamp($1), source_id from telltale.sources',
        [hour],
      )
      const filter = { from: hour * 1e6 + minuteUs, to: hour * 1e6 + 3 * hourUs }
      const answer = await series(filter)
      expect([answer.step_s, answer.points.map(({ count }) => count)]).toEqual([3_600, [1, 0, 0]])
      const year = await series({ from: nowUs - 300 * dayUs })
      expect([year.step_s, year.points.reduce((sum, { count }) => sum + Number(count), 0)]).toEqual([86_400, 1])
      expect(await database.rpc('overview', { filter })).toMatchObject({ from_us: hour * 1e6, total: { count: 1 } })
      await expect(series(filter, { step_s: 60 })).rejects.toMatchObject({
        code: '22023',
        hint: expect.stringMatching('multiple of 3600'),
      })
    })

    test('series() of an empty store has a point for every step', async () => {
      const answer = await series({ from: noonUs, to: noonUs + 5 * minuteUs })
      expect(answer.points.length).toBe(5)
      for (const { at_us: _, ...point } of answer.points) expectStats(point, pointOf(nothing))
    })

    const refused: [string, Record<string, unknown>, RegExp][] = [
      ['a step below a minute', { step_s: 59 }, /multiple of 60/],
      ['a step of no length', { step_s: 0 }, /multiple of 60/],
      ['a step backwards', { step_s: -60 }, /multiple of 60/],
      ['a step between minutes', { step_s: 90 }, /multiple of 60/],
      ['a step of years', { step_s: 60 * 1e7 }, /multiple of 60/],
      [
        'more points than anybody draws',
        { step_s: 60, filter: { from: nowUs - (seriesPointsMax + 2) * minuteUs } },
        /greater/,
      ],
      ['an unknown key', { key: 'tol:x' }, /layer:, tool:/],
      ['a kind without a name', { key: 'tool:' }, /layer:, tool:/],
      ['a call number that has no key', { key: 'call:7' }, /call:6\+/],
      ['no key', { key: null }, /layer:, tool:/],
      ['a connection among calls', { key: 'connection:websocket', filter: { outcome: 'timeout' } }, /from, to/],
      ['a cache among calls', { key: 'cache:hit', filter: { outcome: 'timeout' } }, /from, to/],
      ['a connection of one tool', { key: 'connection:websocket', filter: { tool: 'chat' } }, /from, to/],
    ]
    for (const [name, args, hint] of refused) {
      test(`series() refuses ${name} with 22023 and a hint`, async () => {
        const asked = database.rpc('series', args)
        await expect(asked).rejects.toMatchObject({ code: '22023', hint: expect.stringMatching(hint) })
      })
    }
  })
}
