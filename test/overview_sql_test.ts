import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Batch, Span } from '../src/core/record.ts'
import { type MinutePart, minutePartsOf } from '../src/core/window.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, aSpan, dayUs, minuteUs, noonUs, nowUs, rowsOf, traceId } from './rows_fixture.ts'
import { arbitraryBatch, arbitrarySpan } from './span_fixture.ts'
import { cellOfParts, expectStats, samplesOfLayer, samplesOfRows, statsOf, statsOfSamples } from './stats_fixture.ts'

type Overview = {
  readonly from_us: number
  readonly to_us: number
  readonly source: 'parts' | 'traces'
  readonly total: Record<string, number | null>
  readonly before: Record<string, number | null>
  readonly health: { readonly status: string; readonly reasons: readonly string[] }
  readonly environments: readonly string[]
  readonly services: readonly string[]
  readonly last_received_at_us: number | null
} & { readonly [list in (typeof lists)[number]]: readonly Record<string, unknown>[] }

const lists = ['layers', 'tools', 'providers', 'models', 'calls', 'connections', 'caches'] as const
/** The midnight before yesterday's noon: half of what is generated lies in one partition, half in the next. */
const midnightUs = noonUs - dayUs / 2

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
        telltale.rollup_hours, telltale.processes, telltale.batches, telltale.sources cascade`),
    )

    const dayOf = (us: number) => new Date(us / 1_000).toISOString().slice(0, 10)
    const overview = (filter: Record<string, unknown> = {}) => database.rpc('overview', { filter }) as Promise<Overview>
    const put = (batch: Batch) => database.rpc('ingest_batch', { batch: rowsOf(batch) })
    const store = (spans: readonly Span[], changes: Partial<Batch> = {}) => put(aBatch(spans, changes))
    const generated = (count: number, base_us = midnightUs - 75_000_000) =>
      fc
        .sample(arbitraryBatch({ base_us, recordsMax: 30, types: ['span', 'event'] }), count)
        .map((batch) => ({ ...batch, batch_id: randomUUID(), process: { ...batch.process, id: randomUUID() } }))
    const partsOf = (batches: readonly Batch[]) => batches.flatMap(minutePartsOf)
    const range = { from: midnightUs - 2 * minuteUs, to: midnightUs + 2 * minuteUs }
    const keysOf = (parts: readonly MinutePart[], kind: string, from: number, to: number) => {
      const within = parts.filter(({ minute }) => minute >= from && minute < to)
      return new Set(within.flatMap(({ series }) => Object.keys(series).filter((key) => key.startsWith(`${kind}:`))))
    }

    test('overview() answers what TypeScript counts, for every key, across midnight', async () => {
      const batches = generated(100)
      for (const batch of batches) await put(batch)
      const parts = partsOf(batches)
      const answer = await overview(range)
      const [from, to] = [range.from / 1e6, range.to / 1e6]
      expect(answer).toMatchObject({ from_us: range.from, to_us: range.to, source: 'parts' })
      expectStats(answer.total, statsOf(cellOfParts(parts, ['all'], from, to), to - from), 'total')
      for (const list of lists) {
        const kind = list.slice(0, -1)
        const keys = keysOf(parts, kind, from, to)
        expect(new Set(answer[list].map(({ key }) => `${kind}:${key}`))).toEqual(keys)
        expect(keys.size).toBeGreaterThan(2)
        for (const { key, ...stats } of answer[list]) {
          expectStats(stats, statsOf(cellOfParts(parts, [`${kind}:${key}`], from, to), to - from), `${kind}:${key}`)
        }
        const counts = answer[list].map(({ count }) => Number(count))
        expect(counts).toEqual([...counts].sort((a, b) => b - a))
      }
    })

    test('overview() keeps to whole minutes, its end exclusive, and looks as far back again before them', async () => {
      const batches = generated(20)
      for (const batch of batches) await put(batch)
      const parts = partsOf(batches)
      for (const [from_us, to_us] of [
        [midnightUs, midnightUs + minuteUs],
        [midnightUs - minuteUs, midnightUs],
        [midnightUs - 1, midnightUs + 1],
        [midnightUs + 30_000_000, midnightUs + 59_000_000],
      ] as const) {
        const from = Math.floor(from_us / minuteUs) * 60
        const to = Math.ceil(to_us / minuteUs) * 60
        const answer = await overview({ from: from_us, to: new Date(to_us / 1_000).toISOString(), service: null })
        expect(answer).toMatchObject({ from_us: from * 1e6 })
        if (to_us % 1_000 === 0) expect(answer.to_us).toBe(to * 1e6)
        const upto = answer.to_us / 1e6
        expectStats(answer.total, statsOf(cellOfParts(parts, ['all'], from, upto), upto - from), 'total')
        const before = cellOfParts(parts, ['all'], from - (upto - from), from)
        expectStats(answer.before, statsOf(before, upto - from), 'before')
      }
    })

    test('overview() filtered by one name or by source is still exact, from the parts', async () => {
      const batches = generated(30)
      for (const batch of batches) await put(batch)
      const [from, to] = [range.from / 1e6, range.to / 1e6]
      const cases: [Record<string, unknown>, string[], (batch: Batch) => boolean][] = [
        [{ tool: 'chat' }, ['tool:chat'], () => true],
        [{ tool: ['chat', 'read_file'] }, ['tool:chat', 'tool:read_file'], () => true],
        [{ layer: '__proto__' }, ['layer:__proto__'], () => true],
        [{ model: 'größe' }, ['model:größe'], () => true],
        [{ provider: '42' }, ['provider:42'], () => true],
        [{ call_number: 3 }, ['call:3'], () => true],
        [{ environment: 'demo' }, ['all'], ({ source }) => source.environment === 'demo'],
        [{ service: ['chat', '42'], tool: 'chat' }, ['tool:chat'], ({ source }) => /^chat$|^42$/.test(source.service)],
        [{ service: 'nobody' }, ['all'], () => false],
      ]
      for (const [filter, keys, isMeant] of cases) {
        const answer = await overview({ ...range, ...filter })
        const cell = cellOfParts(partsOf(batches.filter(isMeant)), keys, from, to)
        expectStats(answer.total, statsOf(cell, to - from), JSON.stringify(filter))
        expect(answer.source).toBe('parts')
      }
    })

    test('overview() of filters that no one key answers counts the traces, and their spans by layer', async () => {
      const shape = { base_us: midnightUs - 100, spread_us: 200, traceIds: 90, spanIds: 8 }
      const batch = aBatch(fc.sample(arbitrarySpan(shape), 300))
      await put(batch)
      const rows = rowsOf(batch).traces
      const seconds = (range.to - range.from) / 1e6
      const cases: [Record<string, unknown>, (row: (typeof rows)[number]) => boolean][] = [
        [
          { outcome: ['ok', 'timeout', 'interrupted', 'empty'] },
          ({ outcome }) => /^(ok|timeout|int|empty)/.test(`${outcome}`),
        ],
        [{ tool: 'chat', layer: 'api' }, ({ tool, layers }) => tool === 'chat' && layers.api !== undefined],
        [{ min_duration_ms: 0.01 }, ({ duration_ms }) => (duration_ms ?? 0) >= 0.01],
        [
          { session: '42', model: ['chat', '42'] },
          (row) => row.session_key === '42' && /^chat$|^42$/.test(`${row.model}`),
        ],
      ]
      for (const [filter, isMeant] of cases) {
        const meant = rows.filter(isMeant)
        const answer = await overview({ ...range, ...filter })
        expect(answer.source).toBe('traces')
        expectStats(answer.total, statsOfSamples(samplesOfRows(meant), seconds), JSON.stringify(filter))
        for (const { key, ...stats } of answer.layers) {
          expectStats(stats, statsOfSamples(samplesOfLayer(meant, String(key)), seconds), `layer ${key}`)
        }
      }
      expect((await overview({ ...range, call_number: 7 })).source).toBe('traces')
    })

    test('overview() of one tool takes the other lists from its traces, and nothing twice', async () => {
      const call = (n: number, tool: string) => [
        aSpan({ trace_id: traceId(n), tool, call_number: n }),
        aSpan({
          trace_id: traceId(n),
          span_id: '00000000000000b2',
          tool,
          layer: 'api',
          model: `m-${tool}`,
          entry: false,
        }),
      ]
      await store([...call(1, 'chat'), ...call(2, 'chat'), ...call(3, 'listen')])
      const answer = await overview({ from: noonUs - minuteUs, to: noonUs + minuteUs, tool: 'chat' })
      const counts = (list: (typeof lists)[number]) => answer[list].map(({ key, count }) => [key, count])
      expect(counts('tools')).toEqual([['chat', 2]])
      expect(counts('models')).toEqual([['m-chat', 2]])
      expect(counts('layers')).toEqual([
        ['api', 2],
        ['tool', 2],
      ])
      expect(counts('calls')).toEqual([
        ['1', 1],
        ['2', 1],
      ])
    })

    test('overview() of a name that came too late to be admitted counts the traces, which keep every name', async () => {
      const spans = Array.from({ length: 66 }, (_, n) =>
        aSpan({ trace_id: traceId(n), tool: `tool_${String(n).padStart(2, '0')}` }),
      )
      await store(spans)
      const of = (tool: string) => overview({ from: noonUs, to: noonUs + minuteUs, tool })
      expect(await of('tool_00')).toMatchObject({ source: 'parts', total: { count: 1 } })
      expect(await of('tool_65')).toMatchObject({ source: 'traces', total: { count: 1 } })
      expect(await of('other')).toMatchObject({ source: 'parts', total: { count: 2 } })
    })

    test('overview() counts what the tick concluded nowhere, though its traces are there', async () => {
      await store([aSpan({ end_us: null, outcome: null, start_us: noonUs }), aSpan({ trace_id: traceId(2) })])
      await database.query(`update telltale.processes set last_seen_at = last_seen_at - interval '61 seconds',
        renewed_at = renewed_at - interval '61 seconds'`)
      await database.query(`update telltale.traces set changed_at = changed_at - interval '61 seconds'`)
      await database.rpc('tick_mark_interrupted')
      const [row] = await database.query(`select count(*) as n from telltale.traces where outcome = 'interrupted'`)
      expect(row?.n).toBe(1)
      for (const filter of [{}, { session: [] }, { text: 'tools' }]) {
        const { total, source } = await overview({ from: noonUs, to: noonUs + minuteUs, ...filter })
        const count = 'session' in filter ? 0 : 1
        expect([total.count, total.errors, source]).toEqual([
          count,
          0,
          'text' in filter || 'session' in filter ? 'traces' : 'parts',
        ])
      }
    })

    describe('health', () => {
      const calls = (n: number, failed: number, at_us: number, length_us = 1_000) =>
        Array.from({ length: n }, (_, i) =>
          aSpan({
            trace_id: traceId(at_us / 1e6 + i),
            start_us: at_us - length_us,
            end_us: at_us,
            outcome: i < failed ? 'timeout' : 'ok',
          }),
        )
      const cases: [string, string, Batch[], RegExp[], string?][] = [
        ['empty, of a store that never received anything', 'empty', [], [/Nothing has ever been received/]],
        ['ok', 'ok', [aBatch(calls(60, 1, nowUs - minuteUs))], []],
        [
          'ok, though one of three failed just now',
          'degraded',
          [aBatch(calls(3, 1, nowUs - minuteUs))],
          [/1 of 3 requests failed/],
        ],
        [
          'failing',
          'failing',
          [aBatch(calls(10, 3, nowUs - minuteUs))],
          [/3 of 10 requests failed in the last five minutes \(30 %\)/, /3 of 10 requests failed in the whole time/],
        ],
        [
          'degraded by failures',
          'degraded',
          [aBatch(calls(100, 3, nowUs - 8 * minuteUs))],
          [/3 of 100 requests failed in the whole time \(3 %\)/],
        ],
        [
          'degraded by slowness',
          'degraded',
          [
            aBatch(calls(20, 0, nowUs - 25 * minuteUs, 10_000)),
            aBatch(calls(20, 0, nowUs - minuteUs, 30_000), { seq: 2 }),
          ],
          [/took over 30 ms, against 10 ms/],
        ],
        ['degraded by a gap', 'degraded', [aBatch(calls(9, 0, nowUs - minuteUs), { seq: 3 })], [/never arrived: 2/]],
        [
          'degraded by drops',
          'degraded',
          [aBatch(calls(9, 0, nowUs - minuteUs), { counters: { recorded: 20, dropped: { full: 4, size: 7 } } })],
          [/give up: 11/],
        ],
        ['silent', 'silent', [aBatch(calls(9, 0, nowUs - 8 * minuteUs))], [/received for [67] minutes/], '7 minutes'],
      ]
      for (const [name, status, batches, reasons, silence] of cases) {
        test(`is ${name}`, async () => {
          for (const batch of batches) await put(batch)
          await database.query(`update telltale.processes set last_seen_at = last_seen_at - $1::interval`, [
            silence ?? '0',
          ])
          const { health } = await overview()
          expect(health).toEqual({ status, reasons: reasons.map((reason) => expect.stringMatching(reason)) })
        })
      }
    })

    test('overview() of an empty store is whole, and names nothing', async () => {
      const answer = await overview()
      expectStats(answer.total, statsOf(cellOfParts([], [], 0, 0), 900))
      for (const list of [...lists, 'environments', 'services'] as const) expect(answer[list]).toEqual([])
      expect(answer).toMatchObject({ last_received_at_us: null, health: { status: 'empty' } })
      expect(answer.to_us - answer.from_us).toBeGreaterThanOrEqual(900e6)
      expect(answer.to_us - answer.from_us).toBeLessThanOrEqual(960e6)
      for (const filter of [{ text: 'x' }, { tool: 'x' }, { tool: [] }])
        expect((await overview(filter)).total.count).toBe(0)
    })

    test('overview() names every environment and service, whatever the filter', async () => {
      await store([])
      await store([], { source: { service: 'b', environment: 'demo', instance: 'x', version: null } })
      const { environments, services, last_received_at_us } = await overview({ service: 'nobody' })
      expect([environments, services, last_received_at_us]).toEqual([['demo', 'test'], ['b', 'exai'], null])
    })

    const refused: [string, Record<string, unknown>, RegExp][] = [
      ['an unknown key', { tol: 'x' }, /Allowed are: from, to, tool/],
      ['an instant that is none', { from: 'yesterday' }, /ISO 8601/],
      ['a range that ends before it begins', { from: noonUs, to: noonUs - 1 }, /from is before to/],
      ['a range of no length', { from: noonUs, to: noonUs }, /from is before to/],
      ['a range of years', { from: 0 }, /longer than 400 days/],
      ['a call number between two', { call_number: 1.5 }, /whole number/],
      ['a call number that is none', { call_number: 'first' }, /is a number/],
      ['a call number beyond all', { call_number: 1e30 }, /is a number/],
      ['a duration that is not a number', { min_duration_ms: 'NaN' }, /is a number/],
      ['an endless duration', { min_duration_ms: 'Infinity' }, /is a number/],
      ['a tool that is no text', { tool: 7 }, /a string or an array/],
    ]
    for (const [name, filter, hint] of refused) {
      test(`overview() and series() refuse ${name} with 22023 and a hint`, async () => {
        for (const reader of ['overview', 'series']) {
          const asked = database.rpc(reader, { filter })
          await expect(asked).rejects.toMatchObject({ code: '22023', hint: expect.stringMatching(hint) })
        }
      })
    }
  })
}
