import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as limit from '../src/core/limit.ts'
import type { Span } from '../src/core/record.ts'
import { type ParsedBatch, parseBatch } from '../src/wire/parse_batch.ts'
import { nowUs, wireBatch, wireError, wireGauge, wireRunning, wireSpan } from './batch_fixture.ts'
import { arbitraryBatch, fixtureBaseUs } from './span_fixture.ts'

const dayUs = 86_400_000_000

function parsed(batch: unknown): ParsedBatch {
  const result = parseBatch(JSON.stringify(batch), nowUs)
  if (!result.ok) throw new Error(result.error.detail)
  return result.value
}

function refusalOf(body: string | Uint8Array): readonly [number, string] {
  const result = parseBatch(body, nowUs)
  return result.ok ? [200, ''] : [result.error.status, result.error.detail]
}

test('parseBatch() takes a clean batch as it is', () => {
  fc.assert(
    fc.property(arbitraryBatch(), (batch) => {
      const result = parseBatch(JSON.stringify(batch), fixtureBaseUs + 1_000_000)
      // Through JSON once more, for -0.
      expect(result.ok && JSON.parse(JSON.stringify(result.value.batch))).toEqual(JSON.parse(JSON.stringify(batch)))
      expect(result.ok && result.value.rejected).toEqual([])
    }),
    { numRuns: 200 },
  )
})

test('parseBatch() takes what it made as it is, cut or not', () => {
  const mess = fc.dictionary(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.jsonValue({ maxDepth: 12, stringUnit: 'binary' }),
    { maxKeys: 90 },
  )
  fc.assert(
    fc.property(mess, fc.string({ unit: 'binary', maxLength: 400 }), (attributes, name) => {
      const once = parsed(wireBatch([{ ...attributes, ...wireSpan, tool: name, attributes }]))
      const twice = parsed(JSON.parse(JSON.stringify(once.batch)))
      expect(twice.batch).toEqual(once.batch)
    }),
    { numRuns: 100 },
  )
})

test('parseBatch() never throws, whatever JSON it is given', () => {
  const anything = fc.jsonValue({ maxDepth: 4 })
  const batches = fc.dictionary(fc.constantFrom(...Object.keys(wireBatch()), 'running', 'piece'), anything, {
    maxKeys: 2,
  })
  const records = fc.array(fc.dictionary(fc.constantFrom(...Object.keys(wireSpan), 'attributes', 'session'), anything))
  fc.assert(
    fc.property(
      fc.oneof(
        anything,
        fc.tuple(batches, records).map(([changes, list]) => ({
          ...wireBatch(list.map((fields) => ({ ...wireSpan, ...fields }))),
          ...changes,
        })),
      ),
      (value) => {
        const result = parseBatch(JSON.stringify(value), nowUs)
        if (result.ok) {
          const { batch, rejected, accepted } = result.value
          expect(batch.records.length + rejected.length).toBe((value as { records: unknown[] }).records.length)
          expect(accepted.span ?? 0).toBe(batch.records.length)
        } else expect([400, 413, 422]).toContain(result.error.status)
      },
    ),
    { numRuns: 500 },
  )
})

test('parseBatch() never throws, whatever bytes it is given', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(refusalOf(bytes)[0]).toBe(400)
    }),
    { numRuns: 300 },
  )
})

const clean = JSON.stringify(wireBatch())
const deep = (levels: number) =>
  JSON.stringify(wireBatch([])).replace('"records":[]', `"records":[],"x":${'['.repeat(levels)}${']'.repeat(levels)}`)

test.each<[string, string | Uint8Array, number]>([
  ['the least', clean, 200],
  ['a byte order mark', new TextEncoder().encode(`\ufeff${clean}`), 200],
  ['an unknown field', JSON.stringify(wireBatch([], { colour: 'red' })), 200],
  ['brackets inside text', JSON.stringify(wireBatch([], { x: `"\\${'['.repeat(10_000)}` })), 200],
  ['nothing', '', 400],
  ['null', 'null', 400],
  ['an array', '[]', 400],
  ['half a batch', clean.slice(0, -1), 400],
  ['bytes that are not UTF-8', Uint8Array.of(0x22, 0xff, 0x22), 400],
  ['the greatest depth', deep(limit.parseDepthMax - 1), 200],
  ['a greater depth', deep(limit.parseDepthMax), 400],
  ['a million brackets', '['.repeat(1_000_000), 400],
  ['a million backslashes', `"${'\\'.repeat(1_000_000)}`, 400],
  ['all the bytes', clean.padEnd(limit.batchBytesMax, ' '), 200],
  ['a byte too many', clean.padEnd(limit.batchBytesMax + 1, ' '), 413],
  ['bytes too many', new TextEncoder().encode(clean.padEnd(limit.batchBytesMax + 1, ' ')), 413],
  ['all the records', JSON.stringify(wireBatch(Array(limit.batchRecordsMax).fill(wireSpan))), 200],
  ['a record too many', JSON.stringify(wireBatch(Array(limit.batchRecordsMax + 1).fill(wireSpan))), 413],
  ['the oldest batch', JSON.stringify(wireBatch([], { made_at_us: nowUs - limit.batchAgeDaysMax * dayUs })), 200],
  ['too old a batch', JSON.stringify(wireBatch([], { made_at_us: nowUs - limit.batchAgeDaysMax * dayUs - 1 })), 422],
  ['the earliest batch of tomorrow', JSON.stringify(wireBatch([], { made_at_us: nowUs + dayUs })), 200],
  ['a batch from further ahead', JSON.stringify(wireBatch([], { made_at_us: nowUs + dayUs + 1 })), 422],
  ['a batch of 1970', JSON.stringify(wireBatch([], { made_at_us: 0 })), 422],
  ['the last piece', JSON.stringify(wireBatch([], { piece: [3, 3] })), 200],
  ['a piece beyond the last', JSON.stringify(wireBatch([], { piece: [4, 3] })), 400],
])('parseBatch() of %s', (_, body, status) => {
  const [answered, detail] = refusalOf(body)
  expect(answered, detail).toBe(status)
})

test.each<[string, Record<string, unknown>, string]>([
  ['batch_id', { batch_id: 'sk-live-secret' }, 'text of 14 characters'],
  ['made_at_us', { made_at_us: '1789393600000000' }, 'text of 16 characters'],
  ['seq', { seq: 0 }, '0'],
  ['seq', { seq: 1.5 }, '1.5'],
  ['source', { source: { service: ' ', instance: 'a', environment: 'b' } }, 'an object'],
  ['process', { process: null }, 'null'],
  ['piece', { piece: [0, 1] }, 'an array of 2'],
  ['piece', { piece: [1, limit.piecesMax + 1] }, 'an array of 2'],
  ['counters', { counters: { recorded: -1, dropped: {} } }, 'an object'],
  ['counters', { counters: { recorded: 1, dropped: { full: '3' } } }, 'an object'],
  ['running', { running: {} }, 'an object'],
  ['records', { records: 'none' }, 'text of 4 characters'],
])(
  'parseBatch() refuses a batch whole when its %s is wrong, and says so without repeating it',
  (field, changes, now) => {
    const [status, detail] = refusalOf(JSON.stringify(wireBatch([], changes)))
    expect(status).toBe(400)
    expect(detail).toContain(`${field} is ${now}, wanted `)
    expect(detail).not.toContain('secret')
  },
)

test('parseBatch() is not led astray by names that objects have anyway', () => {
  const hostile = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":"x","a":1}'
  const text = JSON.stringify(
    wireBatch([
      { ...wireSpan, attributes: 'HERE', layer: '__proto__' },
      { ...wireGauge, labels: 'THERE' },
    ]),
  )
  const labels = '{"__proto__":"x","constructor":"y"}'
  const dropped = '"dropped":{"__proto__":3,"constructor":2,"other":1}'
  const body = text.replace('"HERE"', hostile).replace('"THERE"', labels).replace('"dropped":{}', dropped)
  const result = parseBatch(body, nowUs)
  if (!result.ok) throw new Error(result.error.detail)
  const [span, gauge] = result.value.batch.records as [Span, { labels: object }]
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  expect(Object.keys(span.attributes).sort()).toEqual(['a', 'constructor', 'telltale.truncated', 'toString'])
  expect(Object.getPrototypeOf(span.attributes)).toBe(Object.prototype)
  expect(Object.entries(gauge.labels)).toEqual([['constructor', 'y']])
  expect(Object.entries(result.value.batch.counters.dropped)).toEqual([
    ['other', 4],
    ['constructor', 2],
  ])
})

test('parseBatch() refuses no other record for one that is nested as deep as a batch may be', () => {
  const text = JSON.stringify(wireBatch([wireSpan, { ...wireSpan, attributes: { a: 'HERE' } }, wireError]))
  // A batch, its records, a span and its attributes are around it.
  const levels = limit.parseDepthMax - 4
  const result = parseBatch(text.replace('"HERE"', '['.repeat(levels) + ']'.repeat(levels)), nowUs)
  expect(result).toMatchObject({ ok: true, value: { accepted: { span: 2, error: 1 }, rejected: [] } })
})

test('parseBatch() keeps one of several records with one id, the same in any order, and counts them all', () => {
  const other = { ...wireError, message: 'another text' }
  const one = parsed(wireBatch([wireError, wireGauge, other, { ...wireGauge }]))
  const two = parsed(wireBatch([other, wireGauge, wireError]))
  expect(one.batch.records).toEqual(two.batch.records)
  expect(one.accepted).toEqual({ error: 2, gauge: 2 })
  const spans = parsed(wireBatch([wireSpan, { ...wireSpan, end_us: nowUs }]))
  expect(spans.batch.records).toHaveLength(2)
})

test('parseBatch() keeps the reasons of loss bounded and their sum true', () => {
  const dropped = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`reason ${i}`, 2]))
  const { counters } = parsed(wireBatch([], { counters: { recorded: 200, dropped } })).batch
  expect(Object.keys(counters.dropped)).toHaveLength(limit.droppedReasonsMax)
  expect(Object.values(counters.dropped).reduce((sum, n) => sum + n, 0)).toBe(200)
})

test('parseBatch() lists at most runningMax calls, leaves out wrong ones, and keeps the true total', () => {
  const wrong = { ...wireRunning, span_id: 'x' }
  const few = parsed(wireBatch([], { running: [wireRunning, wrong], running_total: 9 }))
  expect(few.batch.running).toEqual([{ ...wireRunning, layer: 'websocket', tool: null, session: null }])
  expect([few.batch.running_total, few.running_refused]).toEqual([9, 1])
  const many = parsed(wireBatch([], { running: Array(limit.runningMax + 5).fill(wireRunning) }))
  expect([many.batch.running.length, many.batch.running_total]).toEqual([limit.runningMax, limit.runningMax + 5])
})
