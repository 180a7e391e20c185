import { expect, test } from 'vitest'
import * as limit from '../src/core/limit.ts'
import type { ErrorRecord, Span } from '../src/core/record.ts'
import { type ParsedBatch, parseBatch } from '../src/wire/parse_batch.ts'
import { utf8Bytes } from '../src/wire/wire_text.ts'
import { nowUs, wireBatch, wireError, wireEvent, wireGauge, wireMessage, wireSpan } from './batch_fixture.ts'

const dayUs = 86_400_000_000

function parsed(batch: unknown): ParsedBatch {
  const result = parseBatch(JSON.stringify(batch), nowUs)
  if (!result.ok) throw new Error(result.error.detail)
  return result.value
}

/** The only record of a batch of one, as taken. */
function taken<T = Span>(record: unknown): T {
  const { batch, rejected } = parsed(wireBatch([record]))
  expect(rejected).toEqual([])
  return batch.records[0] as T
}

function reasonOf(record: unknown): string | undefined {
  return parsed(wireBatch([record])).rejected[0]?.reason
}

test('parseBatch() fills in what may be left out', () => {
  const { batch, accepted, rejected } = parsed(wireBatch([wireSpan, wireError, wireMessage, wireEvent, wireGauge]))
  expect({ accepted, rejected }).toEqual({
    accepted: { span: 1, error: 1, message: 1, event: 1, gauge: 1 },
    rejected: [],
  })
  expect(batch).toMatchObject({ piece: [1, 1], running: [], running_total: 0, source: { version: null } })
  expect(batch.records[0]).toEqual({
    ...wireSpan,
    parent_span_id: null,
    kind: 'work',
    end_us: null,
    outcome: null,
    entry: false,
    request_id: null,
    session: null,
    call_number: null,
    tool: null,
    provider: null,
    model: null,
    bytes_in: null,
    bytes_out: null,
    tokens_in: null,
    tokens_out: null,
    holder: null,
    attributes: {},
  })
  expect(batch.records[4]).toEqual({ ...wireGauge, labels: {} })
})

test.each<[string, unknown, string]>([
  ['no object', 7, 'it is 7'],
  ['null', null, 'it is null'],
  ['no type', {}, 'type is undefined'],
  ['an unknown type', { type: 'sk-secret' }, 'type is text of 9 characters'],
  ['no trace id', { ...wireSpan, trace_id: undefined }, 'trace_id is missing'],
  ['a short trace id', { ...wireSpan, trace_id: 'a'.repeat(31) }, 'trace_id is text of 31 characters'],
  ['a trace id of zeros', { ...wireSpan, trace_id: '0'.repeat(32) }, 'trace_id'],
  ['a span id of zeros', { ...wireSpan, span_id: '0'.repeat(16) }, 'span_id'],
  ['a span id with a line break', { ...wireSpan, span_id: `${'b'.repeat(16)}\n` }, 'span_id'],
  ['a parent that is no id', { ...wireSpan, parent_span_id: 'none' }, 'parent_span_id'],
  ['a time as text', { ...wireSpan, start_us: String(nowUs) }, 'start_us is text of 16 characters'],
  ['half a microsecond', { ...wireSpan, start_us: nowUs + 0.5 }, 'start_us'],
  ['a time in seconds', { ...wireSpan, start_us: Math.round(nowUs / 1e6) }, 'more than 29 days ago'],
  ['the year 2100', { ...wireError, at_us: 4_102_444_800_000_000 }, 'more than 1 day ahead'],
  ['an end before the start', { ...wireSpan, end_us: wireSpan.start_us - 1 }, 'before its start_us'],
  [
    'an end a day and more later',
    { ...wireSpan, start_us: nowUs - 2 * dayUs, end_us: nowUs },
    'more than 24 hours after',
  ],
  ['a blank layer', { ...wireSpan, layer: ' \t' }, 'layer is text of 2 characters'],
  ['an unknown outcome', { ...wireSpan, outcome: 'error' }, 'outcome'],
  ['an unknown kind', { ...wireSpan, kind: 'rest' }, 'kind'],
  ['a session without rule', { ...wireSpan, session: { key: 'k' } }, 'session is an object'],
  ['call number 0', { ...wireSpan, call_number: 0 }, 'call_number is 0'],
  ['call number 2^31', { ...wireSpan, call_number: 2 ** 31 }, 'call_number'],
  ['negative bytes', { ...wireSpan, bytes_in: -1 }, 'bytes_in is -1'],
  ['tokens as text', { ...wireSpan, tokens_in: '12' }, 'tokens_in is text of 2 characters'],
  ['attributes that are a list', { ...wireSpan, attributes: [1] }, 'attributes is an array of 1'],
  ['entry as a number', { ...wireSpan, entry: 1 }, 'entry is 1'],
  ['an error without message', { ...wireError, message: undefined }, 'message is missing'],
  ['an error id that is no UUID', { ...wireError, error_id: '1' }, 'error_id'],
  ['a negative response time', { ...wireMessage, response_time_ms: -0.1 }, 'response_time_ms'],
  ['an event without direction', { ...wireEvent, direction: undefined }, 'direction is missing'],
  ['a gauge without value', { ...wireGauge, value: null }, 'value is null'],
  ['a gauge with number labels', { ...wireGauge, labels: { a: 1 } }, 'labels is an object'],
  ['a gauge with a long name', { ...wireGauge, name: 'n'.repeat(limit.nameBytesMax + 1) }, 'name is over'],
  [
    'a gauge with many labels',
    { ...wireGauge, labels: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`l${i}`, ''])) },
    '17',
  ],
])('parseBatch() refuses a record with %s, and no other', (_, record, reason) => {
  const { batch, rejected, accepted } = parsed(wireBatch([wireGauge, record, wireError]))
  expect(rejected).toEqual([{ index: 1, reason: expect.stringContaining(reason) }])
  expect(rejected[0]?.reason).not.toContain('secret')
  expect(utf8Bytes(rejected[0]?.reason ?? '')).toBeLessThanOrEqual(limit.reasonBytesMax)
  expect([batch.records.length, accepted]).toEqual([2, { gauge: 1, error: 1 }])
})

test('parseBatch() reads Infinity as what JSON writes for it: no number', () => {
  const body = JSON.stringify(wireBatch([{ ...wireGauge, value: 7.25 }])).replace('7.25', '1e999')
  const result = parseBatch(body, nowUs)
  expect(result.ok && result.value.rejected[0]?.reason).toContain('value is Infinity')
})

test.each<[string, unknown]>([
  ['the oldest record', { ...wireError, at_us: nowUs - limit.recordAgeDaysMax * dayUs }],
  ['the furthest ahead', { ...wireError, at_us: nowUs + limit.recordAheadDaysMax * dayUs }],
  ['the longest span', { ...wireSpan, start_us: nowUs - dayUs, end_us: nowUs }],
  ['a span of no length', { ...wireSpan, end_us: wireSpan.start_us }],
  ['the longest gauge name', { ...wireGauge, name: 'n'.repeat(limit.nameBytesMax) }],
])('parseBatch() takes %s', (_, record) => {
  expect(reasonOf(record)).toBeUndefined()
})

test.each<[string, unknown]>([
  ['before the oldest', { ...wireError, at_us: nowUs - limit.recordAgeDaysMax * dayUs - 1 }],
  ['beyond the furthest', { ...wireError, at_us: nowUs + limit.recordAheadDaysMax * dayUs + 1 }],
  ['longer than the longest', { ...wireSpan, start_us: nowUs - dayUs - 1, end_us: nowUs }],
])('parseBatch() refuses what lies %s', (_, record) => {
  expect(reasonOf(record)).toBeDefined()
})

test('parseBatch() maps layers, lowers ids, and takes an empty name for none', () => {
  const span = taken({
    ...wireSpan,
    layer: ' AI API Layer',
    trace_id: 'A'.repeat(32),
    parent_span_id: 'C'.repeat(16),
    tool: '',
  })
  expect(span).toMatchObject({ layer: 'api', trace_id: 'a'.repeat(32), parent_span_id: 'c'.repeat(16), tool: null })
})

test('parseBatch() gives a span that still runs no outcome', () => {
  expect(taken({ ...wireSpan, end_us: null, outcome: 'ok' }).outcome).toBeNull()
})

test('parseBatch() makes unknown fields attributes, context, metadata; what the sender put there himself wins', () => {
  expect(taken({ ...wireSpan, retries: 2, attributes: { retries: 1 } }).attributes).toEqual({ retries: 1 })
  expect(taken<ErrorRecord>({ ...wireError, user: { id: 7 } }).context).toEqual({ user: { id: 7 } })
  expect(taken<{ metadata: object }>({ ...wireEvent, frame: 'hello' }).metadata).toEqual({ frame: 'hello' })
  expect(taken<{ metadata: object }>({ ...wireMessage, cost: 0.5 }).metadata).toEqual({ cost: 0.5 })
})

test('parseBatch() makes NUL and lone surrogates U+FFFD in values and in keys', () => {
  const span = taken({ ...wireSpan, name: 'a\0b\ud800', attributes: { 'k\0': ['\udc00', { '\ud800': '\u{1f600}' }] } })
  expect(span.name).toBe('a\ufffdb\ufffd')
  expect(span.attributes).toEqual({ 'k\ufffd': ['\ufffd', { '\ufffd': '\u{1f600}' }] })
})

const texts: readonly (readonly [string, string, number, object])[] = [
  ['name', 'attributes', limit.nameBytesMax, wireSpan],
  ['request_id', 'attributes', limit.idBytesMax, wireSpan],
  ['tool', 'attributes', limit.nameBytesMax, wireSpan],
  ['message', 'context', limit.messageBytesMax, wireError],
  ['traceback', 'context', limit.stackBytesMax, wireError],
  ['error', 'metadata', limit.messageBytesMax, wireEvent],
  ['conversation_id', 'metadata', limit.idBytesMax, wireMessage],
]
test.each(texts)(
  'parseBatch() cuts %s over its limit, between code points, and notes it',
  (field, bag, bytesMax, record) => {
    const whole = taken<Record<string, unknown>>({ ...record, [field]: 'x'.repeat(bytesMax) })
    expect([whole[field], whole[bag]]).toEqual(['x'.repeat(bytesMax), {}])
    const cut = taken<Record<string, string>>({ ...record, [field]: `x${'\u{1f600}'.repeat(bytesMax / 4)}` })
    expect(utf8Bytes(cut[field] ?? '')).toBeLessThanOrEqual(bytesMax)
    expect(utf8Bytes(cut[field] ?? '')).toBeGreaterThan(bytesMax - 8)
    expect(cut[field]).toMatch(/^x\u{1f600}+\u2026$/u)
    expect(cut[bag]).toEqual({ 'telltale.truncated': [field] })
  },
)

test('parseBatch() bounds attributes in number, length of key, length of value, depth and all together', () => {
  const many = Object.fromEntries(Array.from({ length: limit.attributesMax + 1 }, (_, i) => [`k${i}`, i]))
  const note = { 'telltale.truncated': ['attributes'] }
  const { k64: _, ...kept } = many
  expect(taken({ ...wireSpan, attributes: kept }).attributes).toEqual(kept)
  expect(taken({ ...wireSpan, attributes: many }).attributes).toEqual({ ...kept, ...note })
  const longKey = taken({ ...wireSpan, attributes: { ['k'.repeat(200)]: 1 } }).attributes
  expect(longKey).toEqual({ [`${'k'.repeat(limit.attributeKeyBytesMax - 3)}\u2026`]: 1, ...note })
  const long = taken({
    ...wireSpan,
    attributes: { a: 'v'.repeat(limit.attributeBytesMax + 1), b: [Array(2_000).fill(12)] },
  })
  expect(utf8Bytes(long.attributes.a as string)).toBe(limit.attributeBytesMax)
  expect(long.attributes.b).toMatch(/^\[\[12,12,.*\u2026$/)
  const heavy = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`k${i}`, 'v'.repeat(2_000)]))
  expect(Object.keys(taken({ ...wireSpan, attributes: heavy }).attributes)).toHaveLength(9)
  const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)])
  const whole = taken({ ...wireSpan, attributes: { a: nested(limit.jsonDepthMax) } }).attributes
  expect(whole).toEqual({ a: nested(limit.jsonDepthMax) })
  expect(taken({ ...wireSpan, attributes: { a: nested(limit.jsonDepthMax + 1) } }).attributes).toMatchObject(note)
})
