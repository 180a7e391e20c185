import { PGlite } from '@electric-sql/pglite'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareBytes, jsonbTextOf } from '../src/core/jsonb_text.ts'
import type { Json } from '../src/core/record.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 6 }).map((raw) => raw.replaceAll('\0', ''))
const json = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(
      null,
      true,
      false,
      0,
      -0,
      1e21,
      -1.25e22,
      1e-7,
      1.5e-10,
      5e-324,
      1.7976931348623157e308,
      123456.789,
    ),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.maxSafeInteger(),
    text,
    fc.constantFrom('\u0001\b\f\n\r\t"\\/\u007f', '\u2028', '\u{1f600}', '\uffee'),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(text, fc.constantFrom('a', 'b', 'é', 'aa', '\u{1f600}', '\uffee\u0001')), tie('value')),
  ),
})).value

test('jsonbTextOf() and compareBytes() agree with Postgres on every JSON value and text', async () => {
  const postgres = await PGlite.create()
  try {
    const values = fc.sample(json, { numRuns: 600, seed: 7 })
    const texts = fc.sample(fc.tuple(text, text), { numRuns: 300, seed: 7 })
    texts.push(['\u{1f600}', '\uffee'], ['\ud7ff', '\ue000'], ['a', ''], ['a\u{10000}', 'a\u{10001}'])
    const printed = await postgres.query<{ printed: string }>(
      'select value::text as printed from jsonb_array_elements($1::jsonb) with ordinality t(value, n) order by n',
      [JSON.stringify(values)],
    )
    expect(printed.rows.map((row) => row.printed)).toEqual(values.map(jsonbTextOf))
    const ordered = await postgres.query<{ order: number }>(
      `select case when (value->>0) collate "C" < (value->>1) collate "C" then -1
                   when (value->>0) = (value->>1) then 0 else 1 end as "order"
       from jsonb_array_elements($1::jsonb) with ordinality t(value, n) order by n`,
      [JSON.stringify(texts)],
    )
    expect(ordered.rows.map((row) => row.order)).toEqual(texts.map(([a, b]) => Math.sign(compareBytes(a, b))))
  } finally {
    await postgres.close()
  }
})

test('jsonbTextOf() does not care for the order of keys', () => {
  expect(jsonbTextOf({ b: 1, aa: [], a: { d: null, c: 'x' } })).toBe('{"a": {"c": "x", "d": null}, "b": 1, "aa": []}')
  expect(jsonbTextOf({ aa: [], a: { c: 'x', d: null }, b: 1 })).toBe('{"a": {"c": "x", "d": null}, "b": 1, "aa": []}')
})
