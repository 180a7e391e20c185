import fc from 'fast-check'
import { expect, test } from 'vitest'
import { countOf, emptyHistogram } from '../src/core/histogram.ts'
import type { ConnectionEvent, Span, TelltaleRecord } from '../src/core/record.ts'
import { mergeCells, mergeSeries, minutePartsOf, type Series, windowsOf } from '../src/core/window.ts'
import { arbitraryBatch, arbitraryRecord, fixtureBaseUs, plainSpan } from './span_fixture.ts'

const baseSecond = fixtureBaseUs / 1_000_000

function spanWith(fields: Partial<Span>): Span {
  return { ...plainSpan, name: 'tools/call', end_us: fixtureBaseUs + 1_024, outcome: 'ok', ...fields }
}

function eventWith(fields: Partial<ConnectionEvent>): ConnectionEvent {
  return {
    type: 'event',
    event_id: '018f0000-0000-7000-8000-000000000001',
    at_us: fixtureBaseUs,
    trace_id: null,
    span_id: null,
    connection_type: 'redis',
    direction: 'send',
    script_name: null,
    function_name: null,
    data_size_bytes: 10,
    response_time_ms: 0.1,
    error: null,
    error_type: null,
    error_traceback: null,
    metadata: {},
    ...fields,
  }
}

function keysOf(record: TelltaleRecord): string[] {
  return windowsOf({ records: [record] })
    .flatMap(({ series }) => Object.keys(series))
    .sort()
}

const all = (records: readonly TelltaleRecord[]): Series =>
  windowsOf({ records })
    .map((w) => w.series)
    .reduce(mergeSeries, {})

test('windowsOf() counts a span once, in the second of its end, with its full duration', () => {
  const [window, ...rest] = windowsOf({
    records: [
      spanWith({ entry: true, end_us: fixtureBaseUs + 2_000_000, bytes_in: 5, tokens_out: 7, outcome: 'timeout' }),
    ],
  })
  expect(rest).toEqual([])
  expect(window?.second).toBe(baseSecond + 2)
  expect(window?.series.all).toEqual({
    count: 1,
    errors: 1,
    bytes_in: 5,
    bytes_out: 0,
    tokens_in: 0,
    tokens_out: 7,
    latency: { z: 0, sum: 2_000_000, b: { '669': 1 } },
  })
})

test.each<[string, Partial<Span>, string[]]>([
  ['an inner span', { tool: 'x' }, ['layer:tool']],
  ['an entry span', { entry: true, tool: 'x' }, ['all', 'call:unknown', 'layer:tool', 'tool:x']],
  ['an entry without a tool', { entry: true }, ['all', 'call:unknown', 'layer:tool']],
  ['the fifth call', { entry: true, call_number: 5 }, ['all', 'call:5', 'layer:tool']],
  ['a late call', { entry: true, call_number: 6 }, ['all', 'call:6+', 'layer:tool']],
  ['an api span', { layer: 'api', provider: 'kimi', model: 'k2' }, ['layer:api', 'model:k2', 'provider:kimi']],
  ['a provider span', { layer: 'provider', provider: 'kimi', model: 'k2' }, ['layer:provider']],
  ['a span that runs', { entry: true, end_us: null, outcome: null }, []],
  ['an answer of a cache', { attributes: { 'telltale.from_cache': true } }, ['cache:hit', 'layer:tool']],
  ['an answer that no cache had', { attributes: { 'telltale.from_cache': false } }, ['cache:miss', 'layer:tool']],
  ['what is said of a cache in other words', { attributes: { 'telltale.from_cache': 'true' } }, ['layer:tool']],
  [
    'an answer of a cache with a name',
    { attributes: { 'telltale.from_cache': true, 'telltale.cache': 'semantic' } },
    ['cache:semantic:hit', 'layer:tool'],
  ],
  [
    'an answer that a call under way shared',
    { attributes: { 'telltale.from_cache': false, 'telltale.from_inflight': true } },
    ['cache:shared', 'layer:tool'],
  ],
])('windowsOf() counts %s under its own keys', (_, fields, keys) => {
  expect(keysOf(spanWith(fields))).toEqual(keys)
})

test.each([
  ['ok', 0],
  ['tool_error', 1],
  ['empty', 0],
  ['truncated', 0],
  ['caller_fault', 0],
  ['server_fault', 1],
  ['timeout', 1],
  ['cancelled', 0],
  ['interrupted', 1],
  [null, 0],
] as const)('windowsOf() counts a span that ended %s as %i errors', (outcome, errors) => {
  expect(all([spanWith({ outcome })])['layer:tool']?.errors).toBe(errors)
})

test('windowsOf() counts events under their connection, bytes by direction, an error where one is told', () => {
  const series = all([
    eventWith({}),
    eventWith({ direction: 'receive', data_size_bytes: 3, response_time_ms: null }),
    eventWith({ direction: 'duration_recorded', data_size_bytes: 99, response_time_ms: 0, error: '' }),
  ])
  expect(Object.keys(series)).toEqual(['connection:redis'])
  expect(series['connection:redis']).toMatchObject({ count: 3, errors: 1, bytes_in: 3, bytes_out: 10 })
  expect(series['connection:redis']?.latency).toEqual({ z: 1, sum: 100, b: { '212': 1 } })
})

test('windowsOf() counts what an event says of a cache by the name of its connection', () => {
  const lookups = ['hit', 'miss', 'hit', 'send'].map((direction) =>
    eventWith({ connection_type: 'file_cache', direction }),
  )
  const counts = Object.entries(all(lookups)).map(([key, { count }]) => [key, count])
  expect(new Map(counts as [string, number][])).toEqual(
    new Map([
      ['connection:file_cache', 4],
      ['cache:file_cache:hit', 2],
      ['cache:file_cache:miss', 1],
    ]),
  )
})

test('windowsOf() counts a request whose latency is refused, without its latency', () => {
  const series = all([spanWith({ end_us: fixtureBaseUs - 1 }), eventWith({ response_time_ms: -1 })])
  expect(series['layer:tool']).toMatchObject({ count: 1, latency: emptyHistogram() })
  expect(series['connection:redis']).toMatchObject({ count: 1, latency: emptyHistogram() })
})

test('windowsOf() keeps names of Object.prototype as plain keys', () => {
  const series = all([spanWith({ entry: true, tool: '__proto__', layer: '__proto__' })])
  expect(Object.keys(series).sort()).toEqual(['all', 'call:unknown', 'layer:__proto__', 'tool:__proto__'])
  expect(Object.getPrototypeOf(series)).toBe(Object.prototype)
})

test('minutePartsOf() is the sum of the windows over the seconds of each minute', () => {
  fc.assert(
    fc.property(arbitraryBatch({ recordsMax: 20 }), (batch) => {
      const minutes = new Map<number, Series>()
      for (const { second, series } of windowsOf(batch)) {
        const minute = second - (second % 60)
        minutes.set(minute, mergeSeries(minutes.get(minute) ?? {}, series))
      }
      expect(minutePartsOf(batch)).toEqual([...minutes].map(([minute, series]) => ({ minute, series })))
    }),
    { numRuns: 200 },
  )
})

test('windowsOf() does not care for the order of records, nor for how they are cut into batches', () => {
  const cut = fc.array(arbitraryRecord({ spread_us: 3_000_000 }), { maxLength: 15 }).chain((records) =>
    fc.record({
      records: fc.constant(records),
      shuffled: fc.shuffledSubarray(records, { minLength: records.length }),
      at: fc.nat(records.length),
    }),
  )
  fc.assert(
    fc.property(cut, ({ records, shuffled, at }) => {
      const whole = windowsOf({ records })
      expect(windowsOf({ records: shuffled })).toEqual(whole)
      const seconds = new Map<number, Series>()
      for (const part of [shuffled.slice(0, at), shuffled.slice(at)]) {
        for (const { second, series } of windowsOf({ records: part })) {
          seconds.set(second, mergeSeries(seconds.get(second) ?? {}, series))
        }
      }
      expect(new Map(whole.map(({ second, series }) => [second, series]))).toEqual(seconds)
    }),
    { numRuns: 200 },
  )
})

test('mergeSeries() is associative and commutative, and {} changes nothing', () => {
  const series = fc.array(arbitraryRecord({ types: ['span', 'event'] }), { maxLength: 6 }).map(all)
  fc.assert(
    fc.property(series, series, series, (a, b, c) => {
      expect(mergeSeries(mergeSeries(a, b), c)).toEqual(mergeSeries(a, mergeSeries(b, c)))
      expect(mergeSeries(a, b)).toEqual(mergeSeries(b, a))
      expect(mergeSeries(a, {})).toEqual(a)
    }),
    { numRuns: 100 },
  )
})

test('mergeCells() adds at the end of the exact integers without losing the law', () => {
  const cell = { count: 1, errors: 0, bytes_in: Number.MAX_SAFE_INTEGER, bytes_out: 1, tokens_in: 0, tokens_out: 0 }
  const a = { ...cell, latency: emptyHistogram() }
  expect(mergeCells(a, a)).toMatchObject({ count: 2, bytes_in: Number.MAX_SAFE_INTEGER, bytes_out: 2 })
})

test('windowsOf() takes 500 records in well under 2 ms once warm', () => {
  const records = Array.from({ length: 500 }, (_, n) =>
    spanWith({
      entry: n % 3 === 0,
      layer: n % 3 === 1 ? 'api' : 'tool',
      tool: `tool_${n % 20}`,
      model: `model_${n % 4}`,
      start_us: fixtureBaseUs + n * 2_000,
      end_us: fixtureBaseUs + n * 2_500,
    }),
  )
  const times: number[] = []
  for (let i = 0; i < 60; i += 1) {
    const at = performance.now()
    const windows = windowsOf({ records })
    times.push(performance.now() - at)
    expect(
      windows.reduce(
        (n, { series }) => n + countOf((series['layer:tool'] ?? series['layer:api'])?.latency ?? emptyHistogram()),
        0,
      ),
    ).toBeGreaterThan(0)
  }
  times.sort((a, b) => a - b)
  expect(times[10]).toBeLessThan(2)
})
