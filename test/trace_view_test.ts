import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EndedTrace } from '../src/core/live_snapshot.ts'
import { outcomes } from '../src/core/outcome.ts'
import type { SpanRow, TraceRow } from '../web/view/answer.ts'
import type { RunningTrace } from '../web/view/live_view.ts'
import { extendedPage, refreshedPage } from '../web/view/paged_list.ts'
import { placeOf } from '../web/view/place.ts'
import { factsOfObject, factsOfSpan, waitText } from '../web/view/span_view.ts'
import { layerSharesOf, layerSharesText } from '../web/view/trace_layer_view.ts'
import { endedMarkOf, isJudgedBySql, runningSince, traceLinesOf } from '../web/view/trace_list_view.ts'
import { outcomeViewOf } from '../web/view/trace_outcome_view.ts'
import {
  factsOfTrace,
  layerLinesOf,
  liveMarkOf,
  rereadMsOf,
  sessionPlaceOf,
  settleMs,
  waitsByLayer,
} from '../web/view/trace_page_view.ts'
import { moveIn, waterfallOf } from '../web/view/waterfall_view.ts'
import { fixtureBaseUs, fixtureProcesses, plainSpan, spanIdOf, traceIdOf } from './span_fixture.ts'

const nowUs = fixtureBaseUs + 60_000_000
const empty: ReadonlyMap<string, number> = new Map()

function placeAt(query: string) {
  return placeOf(new URL(`http://host/traces${query}`))
}

function rowFrom(n: number, more: Partial<TraceRow> = {}): TraceRow {
  const started_at_us = fixtureBaseUs + n * 1_000_000
  return {
    trace_id: traceIdOf(n),
    started_at: new Date(started_at_us / 1_000).toISOString(),
    started_at_us,
    ended_at: null,
    ended_at_us: null,
    duration_ms: 5,
    wait_ms: 0,
    name: 'tools/call',
    outcome: 'ok',
    request_id: null,
    session_key: 's',
    session_rule: 'mcp',
    call_number: n,
    tool: 'chat',
    provider: 'kimi',
    model: 'k2',
    bytes_in: 1,
    bytes_out: 2,
    tokens_in: 3,
    tokens_out: 4,
    span_count: 2,
    spans_dropped: 0,
    sampled: false,
    layers: { tool: 5 },
    process: fixtureProcesses[0],
    service: 'daemon',
    environment: 'production',
    instance: 'a',
    revision: 1,
    ...more,
  }
}

function endedFrom(n: number, more: Partial<EndedTrace> = {}): EndedTrace {
  const { trace_id, started_at_us, name, tool, provider, model, outcome, layers, session_key, call_number } = rowFrom(n)
  const facts = { trace_id, started_at_us, name, tool, provider, model, outcome, layers, session_key, call_number }
  const where = { service: 'daemon', environment: 'production' }
  return { ...facts, ...where, at_us: started_at_us + 5_000, duration_ms: 5, ...more }
}

function runningFrom(n: number, more: Partial<RunningTrace> = {}): RunningTrace {
  const call = { trace_id: traceIdOf(n), span_id: spanIdOf(n), layer: 'api', name: 'chat.completions', tool: 'chat' }
  const where = { process: fixtureProcesses[0], service: 'daemon', environment: 'production' }
  return { ...call, ...where, session: 's', start_us: fixtureBaseUs + n * 1_000_000, ...more }
}

function idsOf(rows: readonly TraceRow[], ended: EndedTrace[], running: RunningTrace[], query = ''): string[] {
  return traceLinesOf(rows, { ended, running }, placeAt(query), nowUs, empty).map(({ id }) => id)
}

test('traceLinesOf() puts what runs first, then the newest, each trace once', () => {
  const ids = idsOf([rowFrom(1), rowFrom(2)], [endedFrom(3), endedFrom(2)], [runningFrom(0), runningFrom(2)])
  expect(ids).toEqual([0, 3, 2, 1].map(traceIdOf))
})

test('traceLinesOf() lets the row that SQL answered replace the live one, but not an end by a start', () => {
  const [line] = traceLinesOf([rowFrom(1)], { ended: [endedFrom(1)], running: [] }, placeAt(''), nowUs, empty)
  expect(line).toMatchObject({ tokensIn: 3, running: null })
  const open = rowFrom(1, { duration_ms: null, outcome: null })
  const ended = traceLinesOf([open], { ended: [endedFrom(1)], running: [] }, placeAt(''), nowUs, empty)
  expect(ended[0]).toMatchObject({ durationMs: 5, running: null })
})

test('endedMarkOf() changes when another process tells more of a trace, or another ends, and not by itself', () => {
  const markOf = (ended: EndedTrace[], query = '') => endedMarkOf({ ended }, placeAt(query), nowUs)
  const outer = endedFrom(1, { session_key: 'conversation', service: 'shim' })
  expect(markOf([endedFrom(1)])).toBe(markOf([endedFrom(1)]))
  expect(markOf([endedFrom(1)])).not.toBe(markOf([outer]))
  expect(markOf([endedFrom(1)])).not.toBe(markOf([endedFrom(2), endedFrom(1)]))
  expect(markOf([endedFrom(1)], '?session=s')).toBe(markOf([endedFrom(1), outer], '?session=s'))
})

test('traceLinesOf() shows no live trace that SQL was asked for and did not list: it is part of another', () => {
  const linesOf = (asked: { ids: ReadonlySet<string>; sinceUs: number }) =>
    traceLinesOf([rowFrom(1)], { ended: [endedFrom(1), endedFrom(2)], running: [] }, placeAt(''), nowUs, empty, asked)
      .map(({ id }) => id)
      .sort()
  const ids = new Set([endedFrom(1), endedFrom(2)].map(({ trace_id }) => trace_id))
  expect(linesOf({ ids, sinceUs: 0 })).toEqual([rowFrom(1).trace_id])
  // One older than the answer reaches, and one that came after the question, may well be requests of their own.
  expect(linesOf({ ids, sinceUs: endedFrom(2).started_at_us + 1 }).length).toBe(2)
  expect(linesOf({ ids: new Set([endedFrom(1).trace_id]), sinceUs: 0 }).length).toBe(2)
})

test('traceLinesOf() says where a running trace is, and since when it was seen to run', () => {
  const first = runningSince(empty, [runningFrom(4, { start_us: 100 })])
  const since = runningSince(first, [runningFrom(4, { start_us: 900 }), runningFrom(5, { start_us: 500 })])
  expect([...since.values()]).toEqual([100, 500])
  const [line] = traceLinesOf([], { ended: [], running: [runningFrom(4)] }, placeAt(''), nowUs, since)
  expect(line?.running).toEqual({ layer: 'api', name: 'chat.completions', sinceUs: 100 })
  expect(runningSince(since, []).size).toBe(0)
})

test('traceLinesOf() leaves a trace that nobody tells of any more at its time, without a layer', () => {
  const open = rowFrom(1, { duration_ms: null, outcome: null })
  const lines = traceLinesOf([open, rowFrom(2)], null, placeAt(''), nowUs, empty)
  expect(lines.map(({ id }) => id)).toEqual([2, 1].map(traceIdOf))
  expect(lines[1]?.running).toMatchObject({ layer: null })
})

const filters: readonly [query: string, fits: Partial<EndedTrace>, not: Partial<EndedTrace>][] = [
  ['?tool=chat', {}, { tool: 'other' }],
  ['?tool=chat', {}, { tool: null }],
  ['?provider=kimi', {}, { provider: 'glm' }],
  ['?model=k2', {}, { model: null }],
  ['?session=s', {}, { session_key: 't' }],
  ['?service=daemon', {}, { service: 'x' }],
  ['?environment=production', {}, { environment: 'demo' }],
  ['?layer=tool', {}, { layers: { api: 5 } }],
  ['?layer=constructor', { layers: { constructor: 1 } as never }, {}],
  ['?min_duration_ms=4', {}, { duration_ms: 3 }],
  ['?outcome=ok', {}, { outcome: 'timeout' }],
  ['?outcome=failed', { outcome: 'timeout' }, { outcome: 'empty' }],
  ['?call_number=9', { call_number: 9 }, { call_number: 8 }],
  ['?call_number=9', { call_number: 9 }, { call_number: null }],
  ['?range=15m', {}, { started_at_us: nowUs - 16 * 60_000_000 }],
  [`?from=${fixtureBaseUs}&to=${nowUs}`, {}, { started_at_us: nowUs }],
]

test.each(filters)('traceLinesOf() keeps live entries to %s', (query, fits, not) => {
  expect(idsOf([], [endedFrom(1, fits)], [], query)).toHaveLength(1)
  expect(idsOf([], [endedFrom(1, not)], [], query)).toHaveLength(0)
})

test('traceLinesOf() shows no live entry that only SQL can judge', () => {
  expect(idsOf([], [endedFrom(1)], [runningFrom(2)], '?text=boom')).toEqual([])
  expect(isJudgedBySql(placeAt('?text=boom'))).toBe(true)
  expect(isJudgedBySql(placeAt('?tool=chat'))).toBe(false)
})

test.each(['?provider=kimi', '?outcome=ok', '?min_duration_ms=1', '?tool=x', '?from=1&to=2'])(
  'traceLinesOf() shows no running trace of which %s is not known to be true',
  (query) => expect(idsOf([], [], [runningFrom(1)], query)).toEqual([]),
)

const idOf = (n: number): string => String(n)

test('refreshedPage() and extendedPage() keep every row once, whatever came meanwhile', () => {
  const newer = fc.integer({ min: 0, max: 5 })
  fc.assert(
    fc.property(newer, fc.integer({ min: 2, max: 6 }), (more, size) => {
      const all = Array.from({ length: 20 }, (_, i) => 20 - i)
      const first = { rows: all.slice(0, size), next: 'a' }
      const loaded = extendedPage(first, { rows: all.slice(size - 1, 2 * size), next: 'b' }, idOf, 100)
      expect(loaded).toEqual({ rows: all.slice(0, 2 * size), next: 'b' })
      const now = [...Array.from({ length: more }, (_, i) => 20 + more - i), ...all]
      const page = { rows: now.slice(0, size), next: 'c' }
      const refreshed = refreshedPage(loaded, page, idOf, 100)
      if (more >= size) expect(refreshed).toEqual(page)
      else expect(refreshed).toEqual({ rows: now.slice(0, 2 * size + more), next: 'b' })
    }),
  )
})

test('refreshedPage() drops what has gone from among the rows that it read again', () => {
  const loaded = { rows: [9, 8, 7, 6, 5], next: 'b' }
  expect(refreshedPage(loaded, { rows: [10, 9, 7], next: 'c' }, idOf, 100)).toEqual({
    rows: [10, 9, 7, 6, 5],
    next: 'b',
  })
})

test('refreshedPage() and extendedPage() end at the bound', () => {
  const loaded = extendedPage({ rows: [4, 3], next: 'a' }, { rows: [2, 1], next: 'b' }, idOf, 3)
  expect(loaded).toEqual({ rows: [4, 3, 2], next: null })
  expect(refreshedPage(loaded, { rows: [5, 4], next: 'c' }, idOf, 3)).toEqual({ rows: [5, 4, 3], next: null })
})

test('layerSharesOf() fills the bar, the six layers outermost first and unexplained last', () => {
  const layers = { unexplained: 10, gpu: 10, api: 60, shim: 20, storage: 0 }
  const shares = layerSharesOf(layers)
  expect(shares.map(({ layer, x, width }) => [layer, x, width])).toEqual([
    ['shim', 0, 20],
    ['api', 20, 60],
    ['gpu', 80, 10],
    ['unexplained', 90, 10],
  ])
  expect(layerSharesText({ api: 998, shim: 2 })).toBe('api 100\u00a0%, shim <1\u00a0%')
  expect(layerSharesOf({})).toEqual([])
})

test('layerSharesOf() never leaves the bar', () => {
  const layers = fc.dictionary(fc.string({ maxLength: 3 }), fc.double({ min: 0, max: 1e9, noNaN: true }))
  fc.assert(
    fc.property(layers, (parts) => {
      for (const { x, width } of layerSharesOf(parts)) expect(x + width).toBeLessThanOrEqual(100.000_001)
    }),
  )
})

test('outcomeViewOf() gives every outcome a word and a shape, and failures the colour of errors', () => {
  const views = outcomes.map((outcome) => outcomeViewOf(outcome, false))
  expect(new Set(views.map(({ word }) => word)).size).toBe(outcomes.length)
  const failed = outcomes.filter((_, i) => views[i]?.tone === 'error')
  expect(failed).toEqual(['tool_error', 'server_fault', 'timeout', 'interrupted'])
  const shapeOfTone = new Map(views.map(({ tone, path }) => [tone, path]))
  expect(new Set(shapeOfTone.values()).size).toBe(shapeOfTone.size)
  expect(outcomeViewOf(null, true).word).toBe('Running')
  expect(outcomeViewOf('<b>', false)).toMatchObject({ word: '<b>', tone: 'muted' })
})

const span: SpanRow = {
  span_id: spanIdOf(0),
  parent_span_id: null,
  layer: 'tool',
  kind: 'wait',
  name: 'permit',
  start_us: plainSpan.start_us,
  end_us: plainSpan.start_us + 1_500,
  holder: 'call 7',
  bytes_in: 2_048,
  process: fixtureProcesses[0],
  self_ms: 1.5,
  service: 'daemon',
  instance: 'a',
  clock_offset_us: null,
}

test('waitText() says what was waited for and who held it', () => {
  expect(waitText(span, false)).toBe('waited for permit, held by call 7')
  expect(waitText({ ...span, end_us: null }, true)).toBe('waits for permit, held by call 7')
  expect(waitText({ ...span, kind: 'work' }, false)).toBeNull()
})

test('factsOfSpan() lists what is known and nothing else', () => {
  const waterfall = waterfallOf([span], nowUs)
  const facts = new Map(factsOfSpan(span, waterfall.nodes[0] as never, waterfall.start).map((f) => [f.term, f.text]))
  expect(facts.get('Duration')).toBe('1.5\u00a0ms')
  expect(facts.get('Bytes in')).toBe('2\u00a0KiB')
  expect(facts.has('Model')).toBe(false)
  expect(factsOfObject({ a: 'x', b: { c: 1 }, d: null }).map(({ text }) => text)).toEqual(['x', '{"c":1}', 'null'])
})

test('rereadMsOf() follows what runs, lets what ended settle, then leaves it alone', () => {
  const detailOf = (more: Partial<TraceRow>, end_us: number | null) => ({
    trace: { ...rowFrom(1, more), spans: [{ ...span, end_us }] },
    errors: [],
    messages: [],
  })
  const open = detailOf({ duration_ms: null }, null)
  expect(rereadMsOf(open, nowUs, nowUs)).toBe(2_000)
  expect(rereadMsOf(open, nowUs, nowUs - 61e6)).toBe(10_000)
  expect(rereadMsOf(detailOf({ ended_at_us: nowUs }, null), nowUs, nowUs)).toBe(2_000)
  expect(rereadMsOf(detailOf({ ended_at_us: nowUs - 1e6 }, 1), nowUs, nowUs)).toBe(3_000)
  expect(rereadMsOf(detailOf({ ended_at_us: nowUs - 2_000 * settleMs }, 1), nowUs, nowUs)).toBeNull()
})

test('liveMarkOf() changes with every news of the trace and with none of another', () => {
  const id = traceIdOf(1)
  const lives = [
    { running: [], ended: [], errors: [] },
    { running: [runningFrom(1)], ended: [], errors: [] },
    { running: [runningFrom(1, { span_id: spanIdOf(9) })], ended: [], errors: [] },
    { running: [], ended: [endedFrom(1)], errors: [] },
  ]
  expect(new Set(lives.map((live) => liveMarkOf(live, id))).size).toBe(lives.length)
  expect(liveMarkOf({ running: [runningFrom(2)], ended: [], errors: [] }, id)).toBe(liveMarkOf(null, id))
})

test('sessionPlaceOf() reaches back to the trace and the calls before it', () => {
  const session = (ageUs: number) =>
    sessionPlaceOf(placeAt('?tool=x'), rowFrom(0, { started_at_us: nowUs - ageUs }), nowUs)
  expect(session(60e6)).toMatchObject({ page: 'traces', range: '15m', filter: { session: 's' } })
  expect(session(3_600e6 * 20)).toMatchObject({ range: '7d' })
  expect(session(86_400e6 * 29)).toMatchObject({ range: '30d' })
})

test('layerLinesOf() says of each layer how much of its time was waiting', () => {
  const waits = waitsByLayer(waterfallOf([span], nowUs).nodes)
  const lines = layerLinesOf(rowFrom(1, { layers: { tool: 3, unexplained: 1 } }), waits)
  expect(lines.map(({ layer, share, waited }) => [layer, share, waited])).toEqual([
    ['tool', '75\u00a0%', '1.5\u00a0ms'],
    ['unexplained', '25\u00a0%', '–'],
  ])
  const terms = factsOfTrace(rowFrom(1, { tokens_in: null, tokens_out: null }), nowUs).map(({ term }) => term)
  expect(terms).not.toContain('Tokens')
  expect(terms).toContain('Bytes')
})

test('moveIn() walks the tree by keys', () => {
  const child = { ...span, span_id: spanIdOf(1), parent_span_id: spanIdOf(0) }
  const { nodes } = waterfallOf([span, child], nowUs)
  const [parentId, childId] = [spanIdOf(0), spanIdOf(1)]
  const none = new Set<string>()
  expect(moveIn(nodes, null, 'ArrowDown', none)).toEqual({ id: parentId })
  expect(moveIn(nodes, parentId, 'ArrowDown', none)).toEqual({ id: childId })
  expect(moveIn(nodes, childId, 'ArrowDown', none)).toEqual({ id: childId })
  expect(moveIn(nodes, childId, 'ArrowLeft', none)).toEqual({ id: parentId })
  expect(moveIn(nodes, parentId, 'ArrowLeft', none)).toEqual({ id: parentId, fold: true })
  expect(moveIn(nodes.slice(0, 1), parentId, 'ArrowRight', new Set([parentId]))).toEqual({ id: parentId, fold: false })
  expect(moveIn(nodes, parentId, 'x', none)).toBeNull()
  expect(moveIn([], null, 'End', none)).toBeNull()
})
