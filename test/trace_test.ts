import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Span } from '../src/core/record.ts'
import { rankOf, type StoredSpan, storedSpanOf, strongerSpan, summaryOf, traceRowOf } from '../src/core/trace.ts'
import { cpuMsOf } from './cost_fixture.ts'
import {
  arbitrarySpan,
  arbitraryStoredSpans,
  arbitraryTrace,
  fixtureProcesses,
  plainSpan,
  spanIdOf,
} from './span_fixture.ts'

const [here, there] = fixtureProcesses
const one = spanIdOf(0)
const two = spanIdOf(1)
const three = spanIdOf(2)

function storedWith(fields: Partial<StoredSpan>): StoredSpan {
  return { layer: 'tool', name: 'x', start_us: 1_000, end_us: 2_000, process: here, ...fields }
}

const pending: StoredSpan = { layer: 'tool', name: 'x', start_us: 1_000, process: here }
const bareSpan: Span = { ...plainSpan, trace_id: 'a'.repeat(32), span_id: one, name: 'x', start_us: 1_000 }

test('storedSpanOf() leaves out what is null, false or empty, and keeps zeros and empty texts', () => {
  expect(storedSpanOf(bareSpan, here)).toStrictEqual(pending)
  expect(storedSpanOf({ ...bareSpan, bytes_in: 0, request_id: '', end_us: 1_000, outcome: 'ok' }, there)).toStrictEqual(
    {
      layer: 'tool',
      name: 'x',
      start_us: 1_000,
      end_us: 1_000,
      outcome: 'ok',
      request_id: '',
      bytes_in: 0,
      process: there,
    },
  )
})

test('storedSpanOf() flattens the session, and writes kind, entry and attributes where they say something', () => {
  const span: Span = {
    ...bareSpan,
    parent_span_id: two,
    kind: 'wait',
    entry: true,
    session: { key: 's', rule: 'mcp' },
    holder: 'lock 7',
    attributes: { a: null },
  }
  expect(storedSpanOf(span, here)).toStrictEqual({
    ...pending,
    parent_span_id: two,
    kind: 'wait',
    entry: true,
    session_key: 's',
    session_rule: 'mcp',
    holder: 'lock 7',
    attributes: { a: null },
  })
})

test('strongerSpan() prefers an end to a concluded one, that to none, then the later end, then the greater text', () => {
  const rising = [
    pending,
    { ...pending, start_us: 1_001 },
    storedWith({ end_us: 9_000, concluded: true }),
    storedWith({ end_us: 2_000, name: 'a' }),
    storedWith({ end_us: 2_000, name: 'b' }),
    storedWith({ end_us: 2_001, name: 'a' }),
  ]
  expect(rising.map(rankOf)).toEqual([0, 0, 1, 2, 2, 2])
  for (const [i, weaker] of rising.entries()) {
    for (const stronger of rising.slice(i)) {
      expect(strongerSpan(weaker, stronger)).toEqual(stronger)
      expect(strongerSpan(stronger, weaker)).toEqual(stronger)
    }
  }
})

test('strongerSpan() is associative, commutative and idempotent', () => {
  const version = arbitraryStoredSpans({ spanIds: 1, spread_us: 3, spansMax: 1 }).map(
    (spans) => spans[one] as StoredSpan,
  )
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      expect(strongerSpan(strongerSpan(a, b), c)).toEqual(strongerSpan(a, strongerSpan(b, c)))
      expect(strongerSpan(a, b)).toEqual(strongerSpan(b, a))
      expect(strongerSpan(a, a)).toEqual(a)
    }),
    { numRuns: 500 },
  )
})

test.each<[string, { readonly [id: string]: StoredSpan }, string]>([
  [
    'the entry span, even under another',
    { [one]: storedWith({}), [two]: storedWith({ entry: true, parent_span_id: one }) },
    two,
  ],
  [
    'the first of two entries',
    { [one]: storedWith({ entry: true, start_us: 2 }), [two]: storedWith({ entry: true, start_us: 1 }) },
    two,
  ],
  ['the first root', { [one]: storedWith({ parent_span_id: two, start_us: 1 }), [two]: storedWith({}) }, two],
  [
    'a span whose parent is elsewhere',
    { [one]: storedWith({ parent_span_id: two }), [two]: storedWith({ parent_span_id: three }) },
    two,
  ],
  [
    'a span that is its own parent',
    { [one]: storedWith({ parent_span_id: two }), [two]: storedWith({ parent_span_id: two }) },
    two,
  ],
  [
    'the first of a circle',
    { [one]: storedWith({ parent_span_id: two }), [two]: storedWith({ parent_span_id: one, start_us: 1 }) },
    two,
  ],
  ['the least id of equal starts', { [two]: storedWith({}), [one]: storedWith({}) }, one],
])('summaryOf() takes as head %s', (_, spans, head) => {
  const named = Object.fromEntries(Object.entries(spans).map(([id, span]) => [id, { ...span, name: id }]))
  expect(summaryOf(named).name).toBe(head)
})

test('summaryOf() of a head that still runs has neither duration nor outcome, whatever ended beneath it', () => {
  const spans = {
    [one]: { ...pending, outcome: 'ok' as const },
    [two]: storedWith({ parent_span_id: one, start_us: 500 }),
  }
  expect(summaryOf(spans)).toMatchObject({ started_at_us: 500, ended_at_us: 2_000, duration_ms: null, outcome: null })
})

test('summaryOf() takes a fact from the head, else from the first span in time that has it', () => {
  const spans = {
    [one]: storedWith({ entry: true, start_us: 5, tool: 'head', bytes_in: 0 }),
    [two]: storedWith({
      start_us: 9,
      tool: 'late',
      session_key: 'late',
      session_rule: 'mcp',
      call_number: 9,
      bytes_in: 7,
    }),
    [three]: storedWith({ start_us: 7, provider: 'kimi', session_key: 'first', session_rule: 'explicit' }),
  }
  expect(summaryOf(spans)).toMatchObject({
    tool: 'head',
    bytes_in: 0,
    bytes_out: null,
    provider: 'kimi',
    model: null,
    call_number: 9,
    session_key: 'first',
    session_rule: 'explicit',
    request_id: null,
    span_count: 3,
  })
})

test('summaryOf() keeps the session of the head before an earlier one', () => {
  const own = { session_key: 'own', session_rule: 'connection' }
  const spans = {
    [one]: storedWith({ entry: true, start_us: 5, ...own }),
    [two]: storedWith({ start_us: 1, session_key: 'other', session_rule: 'mcp' }),
  }
  expect(summaryOf(spans)).toMatchObject(own)
})

test('summaryOf() adds the tokens of layer api where the head tells none', () => {
  const api = { layer: 'api', parent_span_id: one }
  const spans = {
    [one]: storedWith({ tokens_in: 5 }),
    [two]: storedWith({ ...api, tokens_in: 30, tokens_out: 2 }),
    [three]: storedWith({ ...api, tokens_out: 3 }),
    [spanIdOf(3)]: storedWith({ layer: 'provider', parent_span_id: one, tokens_out: 100 }),
  }
  expect(summaryOf(spans)).toMatchObject({ tokens_in: 5, tokens_out: 5 })
  expect(summaryOf({ ...spans, [one]: storedWith({ tokens_out: 0 }) })).toMatchObject({ tokens_in: 30, tokens_out: 0 })
  expect(summaryOf({ [one]: storedWith({}), [two]: storedWith({ tokens_out: 100 }) }).tokens_out).toBeNull()
})

test('summaryOf() tells duration in ms to the µs', () => {
  expect(summaryOf({ [one]: storedWith({ start_us: 1, end_us: 1_234_568 }) }).duration_ms).toBe(1_234.567)
})

test('summaryOf() does not care for the order of spans', () => {
  const shuffled = arbitraryStoredSpans().chain((spans) => {
    const entries = Object.entries(spans)
    return fc.tuple(fc.constant(spans), fc.shuffledSubarray(entries, { minLength: entries.length }))
  })
  fc.assert(
    fc.property(shuffled, ([spans, entries]) => {
      expect(summaryOf(Object.fromEntries(entries))).toEqual(summaryOf(spans))
    }),
    { numRuns: 300 },
  )
})

test('summaryOf() refuses a trace without spans', () => {
  expect(() => summaryOf({})).toThrow('at least one span')
})

test('traceRowOf() keeps the strongest version of each span, in whatever order the records came', () => {
  const records = fc.array(arbitrarySpan({ traceIds: 1, spread_us: 4 }), { minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(
      records.chain((spans) => fc.tuple(fc.constant(spans), fc.shuffledSubarray(spans, { minLength: spans.length }))),
      ([spans, shuffled]) => {
        const row = traceRowOf('a'.repeat(32), spans, here)
        expect(traceRowOf('a'.repeat(32), shuffled, here)).toEqual(row)
        for (const span of spans) {
          const kept = row.spans[span.span_id] as StoredSpan
          expect(strongerSpan(kept, storedSpanOf(span, here))).toEqual(kept)
        }
        expect(row).toEqual({ trace_id: 'a'.repeat(32), spans: row.spans, ...summaryOf(row.spans) })
      },
    ),
    { numRuns: 200 },
  )
})

test('traceRowOf() of pieces, merged span by span, is the same in every order of arrival', () => {
  fc.assert(
    fc.property(arbitraryTrace(), ({ trace_id, pieces }) => {
      const mergedSummaryOf = (order: typeof pieces) => {
        const merged = new Map<string, StoredSpan>()
        for (const { process, spans } of order) {
          for (const [id, span] of Object.entries(traceRowOf(trace_id, spans, process).spans)) {
            merged.set(id, strongerSpan(merged.get(id) ?? span, span))
          }
        }
        return summaryOf(Object.fromEntries(merged))
      }
      expect(mergedSummaryOf(pieces.toReversed())).toEqual(mergedSummaryOf(pieces))
    }),
    { numRuns: 200 },
  )
})

test('traceRowOf() takes 10,000 spans in well under a second', () => {
  const spans = Array.from({ length: 10_000 }, (_, n) => ({
    ...bareSpan,
    span_id: spanIdOf(n),
    parent_span_id: n === 0 ? null : one,
    start_us: n,
    end_us: n + 50,
  }))
  expect(traceRowOf('a'.repeat(32), spans, here).span_count).toBe(10_000)
  expect(cpuMsOf(() => traceRowOf('a'.repeat(32), spans, here))).toBeLessThan(500)
})
