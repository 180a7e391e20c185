import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { selfTimesOf } from '../src/core/breakdown.ts'
import { criticalPathOf, pathTimesOf } from '../src/core/critical_path.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, aSpan, noonUs, rowsOf, traceId } from './rows_fixture.ts'
import { arbitraryStoredSpans, spanIdOf } from './span_fixture.ts'

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await open()
      await database.rpc('make_partitions', { days: [new Date(noonUs / 1_000).toISOString().slice(0, 10)] })
    })
    afterAll(() => database.close())

    test('critical_path_of() answers what criticalPathOf() does on 400 generated traces', async () => {
      const traces = fc.sample(
        fc.oneof(
          arbitraryStoredSpans(),
          arbitraryStoredSpans({ spanIds: 40, spansMax: 40, spread_us: 5_000 }),
          arbitraryStoredSpans({ spanIds: 12, spansMax: 12, spread_us: 20 }),
        ),
        400,
      )
      const rows = await database.query(
        `select (select coalesce(jsonb_agg(to_jsonb(p) - 'part' order by p.part), '[]')
            from telltale.critical_path_of(t.value) as p) as path
          from jsonb_array_elements($1::jsonb) with ordinality as t(value, place) order by t.place`,
        [JSON.stringify(traces)],
      )
      for (const [i, spans] of traces.entries()) {
        const wanted = criticalPathOf(spans).map(({ span_id, start, end, moved_us }) => ({
          ...{ span_id, start_us: start, end_us: end, moved_us },
        }))
        expect(rows[i]?.path).toEqual(wanted)
      }
    })

    test('critical_path() tells the path and the self time of every span of a trace, and nothing of one that is not', async () => {
      const call = { trace_id: traceId(1), start_us: noonUs, end_us: noonUs + 100_000 }
      const below = { parent_span_id: '00000000000000a1', entry: false }
      await database.rpc('ingest_batch', {
        batch: rowsOf(
          aBatch([
            aSpan(call),
            aSpan({ ...call, ...below, span_id: spanIdOf(1), kind: 'wait', name: 'permit', end_us: noonUs + 60_000 }),
            aSpan({
              ...call,
              ...below,
              span_id: spanIdOf(2),
              layer: 'api',
              start_us: noonUs + 50_000,
              end_us: noonUs + 90_000,
            }),
          ]),
        ),
      })
      const answer = (await database.rpc('critical_path', { trace_id: traceId(1).toUpperCase() })) as {
        spans: { span_id: string; path_ms: number; self_ms: number }[]
      }
      expect(answer).toMatchObject({ trace_id: traceId(1), total_ms: 100, unexplained_ms: 0 })
      expect(answer.spans.map(({ span_id, path_ms, self_ms }) => [span_id, path_ms, self_ms])).toEqual([
        [spanIdOf(1), 50, 60],
        [spanIdOf(2), 40, 40],
        ['00000000000000a1', 10, 10],
      ])
      const [row] = await database.query('select spans from telltale.traces where trace_id = $1', [traceId(1)])
      const spans = row?.spans as Parameters<typeof criticalPathOf>[0]
      expect(new Map(answer.spans.map(({ span_id, path_ms }) => [span_id, path_ms * 1_000]))).toEqual(
        new Map(pathTimesOf(criticalPathOf(spans))),
      )
      expect(new Map(answer.spans.map(({ span_id, self_ms }) => [span_id, self_ms * 1_000]))).toEqual(
        selfTimesOf(spans),
      )
      expect(await database.rpc('critical_path', { trace_id: traceId(7) })).toBe(null)
    })
  })
}
