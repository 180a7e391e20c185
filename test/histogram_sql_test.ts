import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { emptyHistogram, histogramOf, mergeHistograms, quantileOf } from '../src/core/histogram.ts'
import { mergeSeries, minutePartsOf, type Series } from '../src/core/window.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { arbitraryBatch } from './span_fixture.ts'

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await open()
    })
    afterAll(() => database.close())

    const latency = fc.oneof(
      fc.nat(2_000_000),
      fc.double({ min: 0, max: 1e12, noNaN: true }),
      fc.constantFrom(0, 1, 2, 1024),
    )
    const histogram = fc.array(latency, { maxLength: 12 }).map((values) => histogramOf(values).histogram)

    test('histogram_merge() and histogram_quantile() answer what TypeScript does on 500 bags of histograms', async () => {
      const bags = fc.sample(fc.array(histogram, { maxLength: 5 }), 500)
      const quantiles = [0, 0.25, 0.5, 0.95, 0.99, 1]
      const rows = await database.query(
        `select telltale.histogram_merge(h.value) as merged,
      (select jsonb_agg(telltale.histogram_quantile((select telltale.histogram_merge(x.value)
        from jsonb_array_elements(bag.value) as x), q) order by q) from unnest($2::float8[]) as q) as quantiles
    from jsonb_array_elements($1::jsonb) with ordinality as bag(value, place)
    left join lateral jsonb_array_elements(bag.value) as h on true
    group by bag.place, bag.value order by bag.place`,
        [JSON.stringify(bags.map((bag) => (bag.length === 0 ? [emptyHistogram()] : bag))), quantiles],
      )
      expect(rows.length).toBe(500)
      for (const [i, bag] of bags.entries()) {
        const merged = bag.reduce(mergeHistograms, emptyHistogram())
        expect(rows[i]?.merged).toEqual(merged)
        const read = rows[i]?.quantiles as (number | null)[]
        for (const [k, q] of quantiles.entries()) {
          const wanted = quantileOf(merged, q)
          if (wanted === null || wanted === 0) expect(read[k]).toBe(wanted)
          else expect(Math.abs((read[k] as number) / wanted - 1)).toBeLessThan(1e-12)
        }
      }
    })

    test('histogram_merge() of nothing is the empty histogram, which has no quantile', async () => {
      const [row] = await database.query(
        `select telltale.histogram_merge(h) as h, telltale.histogram_quantile(telltale.histogram_merge(h), 0.5) as q
    from (select null::jsonb as h where false) as nothing`,
      )
      expect(row).toEqual({ h: { z: 0, sum: 0, b: {} }, q: null })
    })

    test('histogram_merge() stops at 2^53 - 1, as TypeScript does', async () => {
      const most = { z: Number.MAX_SAFE_INTEGER, sum: Number.MAX_SAFE_INTEGER, b: { 5: Number.MAX_SAFE_INTEGER } }
      const [row] = await database.query(
        'select telltale.histogram_merge(h.value) as merged from jsonb_array_elements($1::jsonb) as h',
        [JSON.stringify([most, most])],
      )
      expect(row?.merged).toEqual(mergeHistograms(most, most))
    })

    test('histogram_quantile() refuses a quantile outside 0..1', async () => {
      for (const q of [-0.1, 1.1, null]) {
        const asked = database.query('select telltale.histogram_quantile($1::jsonb, $2::float8)', [
          '{"z":1,"sum":0,"b":{}}',
          q,
        ])
        await expect(asked).rejects.toMatchObject({ code: '22023' })
      }
    })

    test('series_merge() answers what mergeSeries() does, whatever the order', async () => {
      const bags = fc
        .sample(fc.array(arbitraryBatch(), { minLength: 1, maxLength: 4 }), 100)
        .map((batches) => batches.flatMap((batch) => minutePartsOf(batch).map(({ series }) => series)))
      const rows = await database.query(
        `select coalesce(telltale.series_merge(part.value) filter (where part.value is not null), '{}')::text as merged,
      telltale.series_merge(part.value order by part.place desc) filter (where part.value is not null)::text as reversed
    from jsonb_array_elements($1::jsonb) with ordinality as bag(value, place)
    left join lateral jsonb_array_elements(bag.value) with ordinality as part(value, place) on true
    group by bag.place order by bag.place`,
        [JSON.stringify(bags)],
      )
      for (const [i, bag] of bags.entries()) {
        const wanted = bag.reduce(mergeSeries, {} as Series)
        expect(JSON.parse(String(rows[i]?.merged))).toEqual(JSON.parse(JSON.stringify(wanted)))
        expect(rows[i]?.reversed).toEqual(rows[i]?.merged)
      }
    })

    test('renamed_series() adds up the cells that meet under one key', async () => {
      const [batch] = fc.sample(arbitraryBatch({ recordsMax: 40, types: ['span'] }), 1)
      const [part] = minutePartsOf(batch as never)
      const series = part?.series ?? {}
      const keys = Object.keys(series).slice(0, 3)
      const renamed = Object.fromEntries(keys.map((key) => [key, 'tool:other']))
      const [row] = await database.query('select telltale.renamed_series($1::jsonb, $2::jsonb) as series', [
        JSON.stringify(series),
        JSON.stringify(renamed),
      ])
      const wanted = Object.entries(series).reduce<Series>(
        (merged, [key, cell]) => mergeSeries(merged, { [renamed[key] ?? key]: cell }),
        {},
      )
      expect(row?.series).toEqual(wanted)
    })
  })
}
