import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { BatchRows, IngestReply } from '../functions/store/port.ts'
import type { Batch, RunningCall } from '../src/core/record.ts'
import { mergeSeries, minutePartsOf, type Series } from '../src/core/window.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, anError, aSpan, dayUs, minuteUs, noonUs, nowUs, processId, rowsOf, traceId } from './rows_fixture.ts'
import { arbitraryBatch, fixtureProcesses } from './span_fixture.ts'

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await open()
      await database.rpc('make_partitions', { days: [-3, -2, -1, 0].map((n) => dayOf(nowUs + n * dayUs)) })
    })
    afterEach(() => empty())
    afterAll(() => database.close())

    const dayOf = (us: number) => new Date(us / 1_000).toISOString().slice(0, 10)
    const ingest = (rows: BatchRows) => database.rpc('ingest_batch', { batch: rows }) as Promise<IngestReply>
    const store = (records: Batch['records'], changes: Partial<Batch> = {}, rows: Partial<BatchRows> = {}) =>
      ingest(rowsOf(aBatch(records, changes), rows))

    async function empty(): Promise<void> {
      await database.query(`truncate telltale.traces, telltale.trace_days, telltale.errors, telltale.error_groups,
    telltale.messages, telltale.gauges, telltale.rollup_minutes, telltale.processes, telltale.batches,
    telltale.admitted_names, telltale.sources cascade`)
    }

    const processOf = async (id = processId) =>
      (await database.query('select *, seqs::text as seqs from telltale.processes where process_id = $1', [id]))[0]

    describe('ingest_batch()', () => {
      test('stores a batch and answers what was taken', async () => {
        const reply = await store([aSpan(), anError()])
        expect(reply).toEqual({
          status: 'stored',
          accepted: { span: 1, error: 1 },
          rejected: [],
          renamed: {},
          watched: false,
          tick_due: true,
        })
        const [trace] = await database.query('select * from telltale.traces where trace_id = $1', [traceId(1)])
        expect(trace).toMatchObject({ duration_ms: 5, outcome: 'ok', tool: 'read_file', span_count: 1, revision: 1 })
      })

      test('answers a repeated batch what it was first, and changes nothing', async () => {
        const rows = rowsOf(aBatch([aSpan(), anError()]), { rejected: [{ index: 3, reason: 'no name' }] })
        const first = await ingest(rows)
        const before = await everything()
        for (let i = 0; i < 3; i++) expect(await ingest(rows)).toEqual({ ...first, status: 'repeated' })
        expect(await everything()).toEqual(before)
        expect(await processOf()).toMatchObject({ stored: 2, rejected: 1, recorded: 2 })
      })

      test('raises TT001 with the days before it writes anything', async () => {
        const old = noonUs - 9 * dayUs
        const rows = rowsOf(aBatch([aSpan({ start_us: old, end_us: old + 1 }), anError({ at_us: old - dayUs })]))
        await expect(ingest(rows)).rejects.toMatchObject({
          code: 'TT001',
          detail: `${dayOf(old - dayUs)},${dayOf(old)}`,
        })
        expect(await database.query('select from telltale.batches')).toEqual([])
        await database.rpc('make_partitions', { days: [dayOf(old - dayUs), dayOf(old)] })
        expect((await ingest(rows)).status).toBe('stored')
      })

      test('puts a trace that goes on after midnight into the partition that its first batch chose', async () => {
        const midnight = noonUs + dayUs / 2
        await store([
          aSpan({ span_id: '00000000000000b2', entry: false, start_us: midnight + 10, end_us: midnight + 20 }),
        ])
        await store([aSpan({ start_us: midnight - 10, end_us: midnight + 30 })])
        const rows = await database.query('select day::text, span_count, duration_ms from telltale.traces')
        expect(rows).toEqual([{ day: dayOf(midnight), span_count: 2, duration_ms: 0.04 }])
      })

      test('stores a trace whose day is known but whose row is missing', async () => {
        await store([aSpan(), aSpan({ trace_id: traceId(2) })])
        await database.query('delete from telltale.traces where trace_id = $1', [traceId(2)])
        await store([1, 2, 3].map((n) => aSpan({ trace_id: traceId(n), span_id: '00000000000000b2' })))
        const rows = await database.query('select span_count, revision from telltale.traces order by trace_id')
        expect(rows).toEqual([
          { span_count: 2, revision: 2 },
          { span_count: 1, revision: 1 },
          { span_count: 1, revision: 1 },
        ])
      })

      test('merges rows of more spans than are held in memory at a time, each once', async () => {
        const spansOf = (span_id: string) => [1, 2, 3, 4, 5].map((n) => aSpan({ trace_id: traceId(n), span_id }))
        await store(spansOf('00000000000000a1'))
        await database.query('update telltale.traces set span_count = 12000')
        await store([...spansOf('00000000000000b2'), aSpan({ trace_id: traceId(6) })])
        const rows = await database.query('select span_count, revision from telltale.traces order by trace_id')
        expect(rows).toEqual([...Array(5).fill({ span_count: 2, revision: 2 }), { span_count: 1, revision: 1 }])
      })

      test('leaves new spans out where a trace has 10,000, counts them, and still takes the ends of those it has', async () => {
        await store([aSpan()])
        await database.query(`update telltale.traces set spans = spans || (
      select jsonb_object_agg('f' || i, spans -> '00000000000000a1') from generate_series(1, 9999) as i)`)
        const more = ['00000000000000b2', '00000000000000b3'].map((span_id) => aSpan({ span_id }))
        await store([aSpan({ end_us: noonUs + 9_000 }), ...more])
        const [row] = await database.query('select span_count, spans_dropped, duration_ms from telltale.traces')
        expect(row).toEqual({ span_count: 10_000, spans_dropped: 2, duration_ms: 9 })
      })

      test('counts an error once however often it comes, and keeps the greater of two contents', async () => {
        const error_id = randomUUID()
        for (const traceback of ['b', 'a', 'c', 'a']) await store([anError({ error_id, traceback })])
        expect(await database.query('select traceback from telltale.errors')).toEqual([{ traceback: 'c' }])
        expect(await database.query('select count from telltale.error_groups')).toEqual([{ count: 1 }])
        await store([anError({ at_us: noonUs + 5, message: 'Cannot read properties of undefined' })])
        expect(await database.query('select count, sample from telltale.error_groups')).toMatchObject([{ count: 2 }])
      })

      test('keeps one gauge for process, name, labels and instant', async () => {
        const gauge = {
          type: 'gauge' as const,
          name: 'redis_memory_mb',
          at_us: noonUs,
          value: 1,
          labels: { pool: 'a' },
        }
        await store([gauge, { ...gauge, labels: {} }])
        await store([{ ...gauge, value: 3 }])
        await store([{ ...gauge, value: 2 }])
        const rows = await database.query('select value, labels from telltale.gauges order by value')
        expect(rows).toEqual([
          { value: 1, labels: {} },
          { value: 3, labels: { pool: 'a' } },
        ])
      })

      test('refuses what breaks a constraint with class 23, and stores none of it', async () => {
        const rows = rowsOf(aBatch([aSpan()], { seq: 0 }))
        await expect(ingest(rows)).rejects.toMatchObject({ code: '23514' })
        expect(await database.query('select from telltale.traces')).toEqual([])
      })
    })

    describe('sequence numbers', () => {
      test('leave their gaps visible until they are filled', async () => {
        for (const seq of [2, 3, 7, 5]) await store([], { seq })
        expect(await processOf()).toMatchObject({ seqs: '{[2,4),[5,6),[7,8)}', counters_seq: 7 })
        expect(await database.rpc('gaps')).toMatchObject({
          rows: [
            {
              process: processId,
              missing: 3,
              gaps: [
                [1, 1],
                [4, 4],
                [6, 6],
              ],
            },
          ],
          next: null,
        })
        for (const seq of [1, 4, 6]) await store([], { seq })
        expect(await database.rpc('gaps')).toEqual({ rows: [], next: null })
      })

      test('count a batch that was cut when all of its pieces are there, however they were cut again', async () => {
        for (const piece of [
          [1, 2],
          [3, 4],
        ] as const)
          await store([], { seq: 1, piece })
        expect(await processOf()).toMatchObject({ seqs: '{}' })
        await store([], { seq: 1, piece: [4, 4] })
        expect(await processOf()).toMatchObject({ seqs: '{[1,2)}' })
      })

      test('are closed from the oldest when there are too many gaps, and the lost ones counted', async () => {
        await store([], { seq: 1 })
        await database.query(`update telltale.processes set seqs = (select range_agg(int8range(2 * i, 2 * i + 1))
      from generate_series(1, 1000) as i)`)
        await store([], { seq: 5_000 })
        const [row] = await database.query(
          'select lower(seqs) as low, seqs_forgotten, (select count(*) from unnest(seqs)) as n from telltale.processes',
        )
        expect(row).toEqual({ low: 2, seqs_forgotten: 1, n: 1000 })
      })
    })

    describe('what runs now', () => {
      const call: RunningCall = {
        trace_id: traceId(9),
        span_id: '00000000000000a1',
        layer: 'tool',
        name: 'tools/call',
        tool: 'chat',
        session: null,
        start_us: nowUs,
      }

      test('is replaced whole by a greater sequence number only', async () => {
        const other = { ...call, trace_id: traceId(8) }
        await store([], { seq: 5, running: [call], running_total: 1 })
        await store([], { seq: 4, running: [other], running_total: 40 })
        expect(await processOf()).toMatchObject({ running: [call], running_total: 1, running_seq: 5 })
        await store([], { seq: 6, running: [other], running_total: 2_000 })
        expect(await processOf()).toMatchObject({ running: [other], running_total: 2000, running_seq: 6 })
        await store([], { seq: 7 })
        expect(await processOf()).toMatchObject({ running: [], running_total: 0 })
      })

      test('is not renewed by a list that was old when it was sent', async () => {
        const late = { sent_at_us: nowUs, received_at_us: nowUs }
        await store([], { seq: 5, made_at_us: nowUs - 61_000_000, running: [call], running_total: 1 }, late)
        expect(await processOf()).toMatchObject({ running: [], running_seq: 0, renewed_at: null, counters_seq: 5 })
        await store([], { seq: 6, made_at_us: nowUs - 59_000_000, running: [call], running_total: 1 }, late)
        expect(await processOf()).toMatchObject({ running: [call], running_seq: 6 })
      })

      test('comes with the counters of the greatest sequence number, and the clock of the quickest batch', async () => {
        const counters = (recorded: number) => ({ recorded, dropped: { full: recorded } })
        await store([], { seq: 2, counters: counters(20) }, { sent_at_us: nowUs, received_at_us: nowUs + 5_000 })
        await store([], { seq: 1, counters: counters(10) }, { sent_at_us: nowUs, received_at_us: nowUs + 2_000 })
        expect(await processOf()).toMatchObject({ recorded: 20, dropped: { full: 20 }, clock_offset_us: 2000 })
      })
    })

    describe('names', () => {
      const tools = (first: number, last: number) =>
        Array.from({ length: last - first + 1 }, (_, i) =>
          aSpan({ trace_id: traceId(first + i), tool: `tool_${first + i}` }),
        )

      test('past the first 64 tools of a source are counted under other, and nothing is lost', async () => {
        expect((await store(tools(1, 60))).renamed).toEqual({})
        const { renamed } = await store(tools(50, 70))
        expect(renamed).toEqual({
          'tool:tool_65': 'tool:other',
          'tool:tool_66': 'tool:other',
          'tool:tool_67': 'tool:other',
          'tool:tool_68': 'tool:other',
          'tool:tool_69': 'tool:other',
          'tool:tool_70': 'tool:other',
        })
        const [row] = await database.query(`select telltale.series_merge(series) -> 'tool:other' ->> 'count' as other,
      telltale.series_merge(series) -> 'tool:tool_60' ->> 'count' as known,
      telltale.series_merge(series) -> 'all' ->> 'count' as every from telltale.rollup_minutes`)
        expect(row).toEqual({ other: '6', known: '2', every: '81' })
        const again = { source: { service: 'exai', instance: 'b', environment: 'test', version: null } }
        expect((await store(tools(70, 70), again)).renamed).toEqual({})
      })

      test('keep a repeated answer the same', async () => {
        await store(tools(1, 64))
        const rows = rowsOf(aBatch(tools(65, 65)))
        expect((await ingest(rows)).renamed).toEqual({ 'tool:tool_65': 'tool:other' })
        expect(await ingest(rows)).toMatchObject({ status: 'repeated', renamed: { 'tool:tool_65': 'tool:other' } })
      })
    })

    /** Every row, apart from what tells when and in which order it came. */
    async function everything(): Promise<Record<string, unknown>> {
      const [row] = await database.query(`select jsonb_build_object(
    'traces', (select jsonb_agg(to_jsonb(t) - '{day,revision,changed_at,changed_xid}'::text[] order by trace_id)
      from telltale.traces as t),
    'errors', (select jsonb_agg(to_jsonb(e) order by error_id, fingerprint) from telltale.errors as e),
    'groups', (select jsonb_agg(to_jsonb(g) - 'noticed_at' order by fingerprint, source_id)
      from telltale.error_groups as g),
    'messages', (select jsonb_agg(to_jsonb(m) order by message_id) from telltale.messages as m),
    'gauges', (select jsonb_agg(to_jsonb(g) order by process_id, name, labels_hash, at) from telltale.gauges as g),
    'processes', (select jsonb_agg(to_jsonb(p) - '{first_seen_at,last_seen_at,renewed_at,clock_offset_us}'::text[]
      || jsonb_build_object('seqs', seqs::text) order by process_id) from telltale.processes as p),
    'batches', (select jsonb_agg(to_jsonb(b) - 'received_at' order by batch_id) from telltale.batches as b),
    'parts', (select jsonb_agg(to_jsonb(m) order by minute, batch_id) from telltale.rollup_minutes as m),
    'names', (select jsonb_agg(to_jsonb(n) - 'admitted_at' order by source_id, series_key) from telltale.admitted_names as n)
  )::text as everything`)
      return JSON.parse(String(row?.everything))
    }

    /** Batches around midnight that share traces; each process has one source, and each batch a seq of its own. */
    const batches = fc
      .array(arbitraryBatch({ base_us: noonUs + dayUs / 2 - 100, recordsMax: 10, spread_us: 200 }), {
        minLength: 1,
        maxLength: 4,
      })
      .map((list) =>
        list.map((batch, i) => ({
          ...batch,
          made_at_us: nowUs,
          seq: i + 1,
          source: {
            service: 'x',
            environment: 'test',
            version: null,
            instance: String(fixtureProcesses.indexOf(batch.process.id as never)),
          },
        })),
      )

    describe('any order of any batches, sent once, twice or ten times', () => {
      test('leaves the same rows', async () => {
        const property = fc.asyncProperty(batches, fc.infiniteStream(fc.nat()), async (list, noise) => {
          const rows = list.map((batch) => rowsOf(batch))
          const shuffled = (times: number) =>
            Array.from({ length: times }, () => rows)
              .flat()
              .map((row) => ({ row, key: noise.next().value as number }))
              .sort((a, b) => a.key - b.key)
              .map(({ row }) => row)
          const results: unknown[] = []
          for (const order of [rows, shuffled(2), shuffled(10)]) {
            await empty()
            for (const row of order) await ingest(row)
            results.push(await everything())
          }
          expect(results[1]).toEqual(results[0])
          expect(results[2]).toEqual(results[0])
        })
        await fc.assert(property, { numRuns: 15 })
      }, 60_000)

      test('adds up to the minutes of all batches', async () => {
        const property = fc.asyncProperty(batches, async (list) => {
          await empty()
          for (const batch of list) await ingest(rowsOf(batch))
          const wanted = new Map<string, Series>()
          for (const batch of list) {
            for (const { minute, series } of minutePartsOf(batch)) {
              const key = `${batch.source.instance} ${minute}`
              wanted.set(key, mergeSeries(wanted.get(key) ?? {}, series))
            }
          }
          const rows = await database.query(`select s.instance || ' ' || extract(epoch from m.minute)::bigint as key,
        telltale.series_merge(m.series)::text as series from telltale.rollup_minutes as m
        join telltale.sources as s on s.source_id = m.source_id group by 1`)
          const stored = Object.fromEntries(rows.map(({ key, series }) => [String(key), JSON.parse(String(series))]))
          expect(stored).toEqual(JSON.parse(JSON.stringify(Object.fromEntries(wanted))))
        })
        await fc.assert(property, { numRuns: 25 })
      }, 60_000)
    })

    test('a batch a minute before midnight lies in the partitions of its own day', async () => {
      const midnight = noonUs + dayUs / 2
      await store([
        anError({ at_us: midnight - 1 }),
        anError({ at_us: midnight }),
        aSpan({ end_us: midnight - minuteUs }),
      ])
      const rows = await database.query('select day::text from telltale.errors order by at')
      expect(rows).toEqual([{ day: dayOf(midnight - 1) }, { day: dayOf(midnight) }])
    })
  })
}
