import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { selfTimesOf } from '../src/core/breakdown.ts'
import { jsonbTextOf } from '../src/core/jsonb_text.ts'
import type { Json } from '../src/core/record.ts'
import { type StoredSpans, strongerSpan, summaryOf } from '../src/core/trace.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { arbitraryStoredSpans } from './span_fixture.ts'

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await open()
    })
    afterAll(() => database.close())

    const samples = (count: number) =>
      fc.sample(
        fc.oneof(
          arbitraryStoredSpans(),
          arbitraryStoredSpans({ spanIds: 40, spansMax: 40, spread_us: 5_000 }),
          arbitraryStoredSpans({ spanIds: 4, spansMax: 4, spread_us: 5 }),
        ),
        count,
      )

    /** JSON as Postgres would print it: object keys that toEqual() would overlook, such as __proto__, are in it. */
    const textOf = (value: unknown) => jsonbTextOf(JSON.parse(JSON.stringify(value)) as Json)

    test('summary_of() answers what summaryOf() does on 500 generated traces', async () => {
      const traces = samples(500)
      const rows = await database.query(
        `select telltale.summary_of(t.value)::text as summary
    from jsonb_array_elements($1::jsonb) with ordinality as t(value, place) order by t.place`,
        [JSON.stringify(traces)],
      )
      for (const [i, spans] of traces.entries()) {
        expect(textOf(JSON.parse(String(rows[i]?.summary)))).toBe(textOf(summaryOf(spans)))
      }
    })

    test('summaries_of() and merged_spans() answer for many traces at once what they do for each alone', async () => {
      const all = samples(600)
      const [sent, stored] = [all.slice(300), all.slice(0, 300)].map((traces) => JSON.stringify(traces))
      const [row] = await database.query(
        `with pair as materialized (
      select a.value as stored, b.value as sent, a.place
      from jsonb_array_elements($1::jsonb) with ordinality as a(value, place)
      join jsonb_array_elements($2::jsonb) with ordinality as b(value, place) using (place)
    ), alone as (
      select pair.place, m.spans, m.dropped, telltale.summary_of(m.spans) as summary from pair
      cross join lateral telltale.merged_spans(array[stored], array[sent], 9) as m
    ), merged as materialized (
      select m.* from telltale.merged_spans((select array_agg(stored order by place) from pair),
        (select array_agg(sent order by place) from pair), 9) as m
    ), together as (
      select m.place, m.spans, m.dropped, to_jsonb(s) - 'place' as summary from merged as m
      join telltale.summaries_of((select array_agg(spans order by place) from merged)) as s using (place)
    )
    select count(*) as same, sum(dropped) as dropped from alone join together using (place, spans, dropped, summary)`,
        [stored, sent],
      )
      expect(row?.same).toBe(300)
      expect(Number(row?.dropped)).toBeGreaterThan(0)
    })

    test('self_times() answers what selfTimesOf() does', async () => {
      const traces = samples(200)
      const rows = await database.query(
        `select (select coalesce(jsonb_object_agg(s.span_id, s.self_us), '{}') from telltale.self_times(t.value) as s) as times
    from jsonb_array_elements($1::jsonb) with ordinality as t(value, place) order by t.place`,
        [JSON.stringify(traces)],
      )
      for (const [i, spans] of traces.entries()) expect(rows[i]?.times).toEqual(Object.fromEntries(selfTimesOf(spans)))
    })

    test('merge_spans() keeps of each span what strongerSpan() does, from either side', async () => {
      const pairs = fc.sample(fc.tuple(arbitraryStoredSpans(), arbitraryStoredSpans()), 300)
      const rows = await database.query(
        `select telltale.merge_spans(p.value -> 0, p.value -> 1)::text as ab, telltale.merge_spans(p.value -> 1, p.value -> 0)::text as ba
    from jsonb_array_elements($1::jsonb) with ordinality as p(value, place) order by p.place`,
        [JSON.stringify(pairs)],
      )
      for (const [i, [a, b]] of pairs.entries()) {
        const wanted: { [id: string]: unknown } = { ...a }
        for (const [id, span] of Object.entries(b)) {
          const other = (a as StoredSpans)[id]
          wanted[id] = other === undefined ? span : strongerSpan(other, span)
        }
        expect(rows[i]?.ab).toBe(textOf(wanted))
        expect(rows[i]?.ba).toBe(rows[i]?.ab)
      }
    })

    test('merge_spans() adds no new span past its limit, and still strengthens those it has', async () => {
      const span = (end_us?: number) => ({
        layer: 'tool',
        name: 'x',
        start_us: 1,
        process: 'p',
        ...(end_us ? { end_us } : {}),
      })
      const [row] = await database.query('select telltale.merge_spans($1::jsonb, $2::jsonb, 3) as merged', [
        JSON.stringify({ a: span(), b: span() }),
        JSON.stringify({ a: span(9), c: span(), d: span(), e: span() }),
      ])
      expect(row?.merged).toEqual({ a: span(9), b: span(), c: span() })
    })
  })
}
