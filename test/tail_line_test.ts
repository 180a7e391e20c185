import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TailFeed } from '../src/cli/tail_feed.ts'
import { colourWanted, durationText, linesOf, safeText, sharesText, type TailRow } from '../src/cli/tail_line.ts'

const row: TailRow = {
  trace_id: '0af7651916cd43dd8448eb211c80319c',
  revision: 1,
  at: '2026-11-23T19:22:33.045+00:00',
  service: 'exai-shim',
  environment: 'demo',
  session_key: 'conv-1f9ac03b',
  call_number: 3,
  tool: 'debug',
  name: 'tools/call debug',
  outcome: 'ok',
  duration_ms: 3465.123,
  layers: { shim: 5, websocket: 1, tool: 3000, provider: 2, api: 450, storage: 7 },
  error: null,
}
const plain = { colour: false, timeZone: 'UTC' }

test('linesOf() tells time, environment, service, session, number, tool, duration, outcome and where the time went', () => {
  expect(linesOf(row, plain)).toBe(
    '19:22:33.045  demo/exai-shim        …f9ac03b  #3    debug                         3.47 s  ok            tool 87% api 13%',
  )
})

test('linesOf() leaves out an environment that nobody named', () => {
  for (const environment of ['default', null]) {
    expect(linesOf({ ...row, environment }, plain).slice(14, 34)).toBe('exai-shim           ')
  }
})

test('linesOf() reads times as ISO text and as µs, and shows what cannot be read as unknown', () => {
  const clock = (at: string | number) => linesOf({ ...row, at }, plain).slice(0, 12)
  expect(clock(1_763_925_753_045_678)).toBe('19:22:33.045')
  expect(clock('yesterday')).toBe('--:--:--.---')
  expect(linesOf(row, { colour: false, timeZone: 'Australia/Melbourne' }).slice(0, 8)).toBe('06:22:33')
})

test('linesOf() puts an error on a line of its own: type, first line of the message, culprit', () => {
  const error = { error_type: 'ProviderError', message: 'Cannot reach glm\n  at once', culprit: 'ask (provider.ts:31)' }
  const [, second, ...more] = linesOf({ ...row, outcome: 'tool_error', error }, plain).split('\n')
  expect(second).toBe('              ProviderError: Cannot reach glm  at ask (provider.ts:31)')
  expect(more).toEqual([])
})

test('linesOf() shows a row of which nothing is known', () => {
  const empty = {
    tool: null,
    name: null,
    environment: null,
    service: null,
    session_key: null,
    call_number: null,
    layers: null,
  }
  const line = linesOf({ ...row, ...empty, outcome: null, duration_ms: null }, plain)
  expect(line).toMatch(/^19:22:33\.045 {2}- .* \.\.\. {2}running$/)
})

test('linesOf() colours only when it is told to, and only around the text', () => {
  const failed: TailRow = { ...row, outcome: 'timeout', error: { error_type: 'E', message: 'm', culprit: null } }
  for (const one of [row, failed, { ...row, outcome: 'cancelled' } satisfies TailRow]) {
    const coloured = linesOf(one, { colour: true, timeZone: 'UTC' })
    expect(coloured).toContain('\x1b[')
    expect(stripVTControlCharacters(coloured)).toBe(linesOf(one, plain))
  }
  expect(linesOf(failed, { colour: true })).toContain('\x1b[31m')
})

test('linesOf() lets nothing through that moves a terminal, whatever the names say', () => {
  const nasty = fc.string({ unit: 'binary', maxLength: 60 }).map((text) => `${text}\x1b[2J\x9b1m\u202e\u2028${text}`)
  fc.assert(
    fc.property(nasty, nasty, (name, message) => {
      const error = { error_type: name, message, culprit: message }
      const text = linesOf(
        { ...row, service: name, tool: name, session_key: name, layers: { [name]: 5 }, error },
        plain,
      )
      expect(text.split('\n')).toHaveLength(2)
      expect(text.replace('\n', '')).not.toMatch(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/u)
    }),
    { numRuns: 300 },
  )
})

test('safeText() shows control characters as what they are and cuts what is long', () => {
  expect(safeText('a\x1b[31mb\r\n\u202e\ud800')).toBe('a\\x1b[31mb\\x0d\\x0a\\u202e\\ud800')
  expect(safeText('naïve 漢字 🙂')).toBe('naïve 漢字 🙂')
  expect([...safeText('🙂'.repeat(500))]).toHaveLength(160)
})

test('durationText() keeps seven characters and a sensible unit', () => {
  const cases: readonly (readonly [number | null, string])[] = [
    [null, '...'],
    [0, '0.0 ms'],
    [9.94, '9.9 ms'],
    [172.4, '172 ms'],
    [999.6, '1.00 s'],
    [3465.1, '3.47 s'],
    [59_949, '59.9 s'],
    [59_990, '1.0 min'],
    [125_000, '2.1 min'],
    [86_400_000, '24 h'],
  ]
  for (const [ms, text] of cases) expect(durationText(ms)).toBe(text)
  fc.assert(
    fc.property(fc.double({ min: 0, max: 86_400_000, noNaN: true }), (ms) => durationText(ms).length <= 8),
    { numRuns: 300 },
  )
})

test('sharesText() names the three largest layers and no share of nothing', () => {
  expect(sharesText({ a: 1, b: 2, c: 3, d: 4 })).toBe('d 40% c 30% b 20%')
  expect(sharesText({ api: 1000, tool: 1 })).toBe('api 100%')
  expect(sharesText({ api: 0 })).toBe('')
  expect(sharesText(null)).toBe('')
})

test('colourWanted() follows NO_COLOR, FORCE_COLOR and the terminal', () => {
  expect(colourWanted({}, true)).toBe(true)
  expect(colourWanted({}, false)).toBe(false)
  expect(colourWanted({ FORCE_COLOR: '1' }, false)).toBe(true)
  expect(colourWanted({ FORCE_COLOR: '0' }, true)).toBe(false)
  expect(colourWanted({ NO_COLOR: '1', FORCE_COLOR: '1' }, true)).toBe(false)
  expect(colourWanted({ NO_COLOR: '' }, true)).toBe(true)
  expect(colourWanted({ TERM: 'dumb' }, true)).toBe(false)
})

const textOf = (row: TailRow) => `${row.trace_id} ${row.outcome}`
const call = (id: string, revision: number, outcome: TailRow['outcome'] = 'ok'): TailRow => {
  return { ...row, trace_id: id, revision, outcome }
}

test('TailFeed shows a call once it has been quiet for a while, with all that arrived meanwhile', () => {
  const feed = new TailFeed(textOf, 100)
  feed.add([call('a', 1), call('b', 1)], 0)
  expect(feed.due(50)).toEqual([])
  feed.add([call('a', 2, 'timeout')], 60)
  expect(feed.due(100)).toEqual(['b ok'])
  expect(feed.due(160)).toEqual(['a timeout'])
})

test('TailFeed shows a call again only where it changed what is shown', () => {
  const feed = new TailFeed(textOf, 0)
  feed.add([call('a', 1)], 0)
  expect(feed.due(0)).toEqual(['a ok'])
  feed.add([call('a', 1)], 1)
  feed.add([call('a', 2)], 2)
  expect(feed.due(2)).toEqual([])
  feed.add([call('a', 3, 'timeout')], 3)
  expect(feed.due(3)).toEqual(['a timeout'])
})

test('TailFeed lets pages that overlap put nothing off', () => {
  const feed = new TailFeed(textOf, 100)
  for (const now of [0, 40, 80]) feed.add([call('a', 1)], now)
  expect(feed.due(100)).toEqual(['a ok'])
})

test('TailFeed shows the calls of a page by their ends', () => {
  const feed = new TailFeed(({ trace_id }) => trace_id, 0)
  const ends = { c: '2026-11-23T10:00:03Z', a: '2026-11-23T10:00:01Z', b: '2026-11-23T10:00:02.5+00:00' }
  feed.add(
    Object.entries(ends).map(([trace_id, at]) => ({ ...row, trace_id, at })),
    0,
  )
  expect(feed.due(0)).toEqual(['a', 'b', 'c'])
})
