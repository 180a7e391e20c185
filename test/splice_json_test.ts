import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { itemsOf, spliceMembers } from '../src/wire/splice_json.ts'

const members = { traceparent: '00-aa-bb-01', tracestate: 'telltale="x"' }
const meta = ['params', '_meta']

test('spliceMembers() sets members where they are, and makes what is missing on the way', () => {
  const cases: [string, readonly string[], string][] = [
    ['{}', [], '{"a":"1"}'],
    [' { } ', [], ' {"a":"1" } '],
    ['{"b":2 }\r', [], '{"b":2,"a":"1" }\r'],
    ['{"a":null,"b":[1, 2]}', [], '{"a":"1","b":[1, 2]}'],
    ['{"a":0,"a":{"x":1}}', [], '{"a":0,"a":"1"}'],
    ['{"\\u0061":0}', [], '{"\\u0061":"1"}'],
    ['{"id":1}', meta, '{"id":1,"params":{"_meta":{"a":"1"}}}'],
    ['{"params":{"name":"t"},"id":1}', meta, '{"params":{"name":"t","_meta":{"a":"1"}},"id":1}'],
    ['{"params":1,"params":{"_meta":{"p":3}}}', meta, '{"params":1,"params":{"_meta":{"p":3,"a":"1"}}}'],
    ['{"params":{"_meta":{"a":"0"}},"x":"}{\\""}', meta, '{"params":{"_meta":{"a":"1"}},"x":"}{\\""}'],
  ]
  for (const [text, path, result] of cases) expect(spliceMembers(text, path, { a: '1' }), text).toBe(result)
})

test('spliceMembers() answers null for what is no JSON object, and where the path meets something else', () => {
  const refused = [
    '',
    'x',
    '[]',
    '"a"',
    '{',
    '{}}',
    '{"a" 1}',
    '{a:1}',
    '{"a":1,}',
    '{"a":01}',
    '{"a":"\n"}',
    '\ufeff{}',
  ]
  const malformed = ['{"a":"\\x"}', '{"a":tru}', '{"a":[1,]}', '{"a":[1}}', '{"a":{]}', '{,}', '{"a":+1}', '{} {}']
  for (const text of [...refused, ...malformed]) expect(spliceMembers(text, [], members), text).toBe(null)
  for (const text of ['{"params":[]}', '{"params":null}', '{"params":{"_meta":"x"}}', '{"params":{},"params":7}'])
    expect(spliceMembers(text, meta, members), text).toBe(null)
})

/** Any JSON written with any blanks, escapes in keys, and members that stand twice. */
const blank = fc.constantFrom('', '', '', ' ', '\n', '\t\r ')
const key = fc.oneof(fc.constantFrom('params', '_meta', 'traceparent', 'tracestate', '__proto__'), fc.string())
const jsonString = fc
  .oneof(key, fc.string({ unit: 'binary' }))
  .chain((text) =>
    fc.constantFrom(
      JSON.stringify(text),
      `"${Array.from({ length: text.length }, (_, n) => `\\u${text.charCodeAt(n).toString(16).padStart(4, '0')}`).join('')}"`,
    ),
  )
const { json } = fc.letrec<{ json: string; object: string }>((tie) => ({
  object: fc
    .array(
      fc.tuple(
        blank,
        fc.oneof(
          jsonString,
          key.map((text) => JSON.stringify(text)),
        ),
        blank,
        blank,
        tie('json'),
        blank,
      ),
      {
        maxLength: 4,
      },
    )
    .map((list) => `{${list.map(([a, k, b, c, v, d]) => `${a}${k}${b}:${c}${v}${d}`).join(',')}}`),
  json: fc.oneof(
    { depthSize: 'small' },
    fc.oneof(
      jsonString,
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
      fc.constantFrom('null', 'true', '-0', '1E5'),
    ),
    tie('object'),
    fc
      .tuple(
        blank,
        fc.array(
          fc.tuple(blank, tie('json'), blank).map((parts) => parts.join('')),
          { maxLength: 3 },
        ),
      )
      .map(([a, list]) => `[${list.length === 0 ? a : list.join(',')}]`),
  ),
}))

type Json = { [key: string]: Json } | unknown

function isPlain(value: Json): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What spliceMembers promises, said on the parsed value. */
function expectedOf(text: string, path: readonly string[]): Json | null {
  const whole = JSON.parse(text) as Json
  let place = whole
  for (const name of path) {
    if (!isPlain(place)) return null
    if (!Object.hasOwn(place, name))
      Object.defineProperty(place, name, { value: {}, enumerable: true, writable: true, configurable: true })
    place = place[name]
  }
  if (!isPlain(place)) return null
  for (const [name, value] of Object.entries(members))
    Object.defineProperty(place, name, { value, enumerable: true, writable: true, configurable: true })
  return whole
}

test('spliceMembers() gives the JSON with the members set, whatever the JSON and however it is written', () => {
  fc.assert(
    fc.property(blank, json, blank, fc.constantFrom([], ['params'], meta), (before, body, after, path) => {
      const text = before + body + after
      const result = spliceMembers(text, path, members)
      const expected = expectedOf(text, path)
      if (expected === null) expect(result).toBe(null)
      else expect(JSON.parse(result ?? 'null')).toEqual(expected)
    }),
    { numRuns: 2_000 },
  )
})

test('spliceMembers() leaves every other character: without what it wrote, the text is the one that came', () => {
  const marks = { traceparent: '\u0001p', tracestate: '\u0001s' }
  fc.assert(
    fc.property(json, (text) => {
      if (text.includes('traceparent') || text.includes('tracestate')) return
      const result = spliceMembers(text, meta, marks)
      if (result === null) return
      const added = '"traceparent":"\\u0001p","tracestate":"\\u0001s"'
      const made = [`,${added}`, `"params":{"_meta":{${added}}}`, `"_meta":{${added}}`, added]
      const without = made.flatMap((piece) => [result.replace(`,${piece}`, ''), result.replace(piece, '')])
      expect(without).toContain(text)
    }),
    { numRuns: 1_000 },
  )
})

test('spliceMembers() never throws and takes exactly what JSON.parse takes', () => {
  const broken = fc
    .tuple(json, fc.nat(), fc.constantFrom('', '"', '\\', '{', ']', ',', 'x', '\ud800'))
    .map(([text, at, put]) => {
      const cut = at % (text.length + 1)
      return text.slice(0, cut) + put + text.slice(cut + 1)
    })
  fc.assert(
    fc.property(fc.oneof(fc.string(), broken), (text) => {
      let object = false
      try {
        object = isPlain(JSON.parse(text) as Json)
      } catch {
        // No JSON.
      }
      expect(spliceMembers(text, [], members) !== null).toBe(object)
    }),
    { numRuns: 3_000 },
  )
})

test('spliceMembers() takes time in proportion to the text, however deep or long', () => {
  const deep = `{"x":${'['.repeat(500_000)}${']'.repeat(500_000)}}`
  const long = `{"x":"${'\\"'.repeat(2_000_000)}","params":{"_meta":{}}}`
  const wide = `{"x":[${'1, '.repeat(500_000)}1]}`
  const began = performance.now()
  for (const text of [deep, long, wide]) expect(spliceMembers(text, meta, members)).toContain('telltale=')
  expect(performance.now() - began).toBeLessThan(3_000)
})

test('itemsOf() finds the items of an array, and nothing in anything else', () => {
  const text = ' [ {"a":"]"} ,[1,2], 3 ] '
  expect(itemsOf(text)?.map(({ start, end }) => text.slice(start, end))).toEqual(['{"a":"]"}', '[1,2]', '3'])
  expect(itemsOf('[ ]')).toEqual([])
  for (const other of ['{}', '[', '[1,]', '1', '']) expect(itemsOf(other)).toBe(null)
})
