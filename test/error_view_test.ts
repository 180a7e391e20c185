import { expect, test } from 'vitest'
import type { LiveError } from '../src/core/live_snapshot.ts'
import type { ErrorGroup, ErrorRow } from '../web/view/answer.ts'
import { errorLinesOf, firstLineOf, occurrencesOf } from '../web/view/error_view.ts'
import { placeOf } from '../web/view/place.ts'
import { fixtureBaseUs } from './span_fixture.ts'

const none: ReadonlySet<string> = new Set()
const never = Number.POSITIVE_INFINITY
const everywhere = placeAt('')

function placeAt(query: string) {
  return placeOf(new URL(`http://host/errors${query}`))
}

function errorFrom(n: number, more: Partial<LiveError> = {}): LiveError {
  return {
    error_id: `e${n}`,
    at_us: fixtureBaseUs + n * 1_000_000,
    trace_id: null,
    span_id: null,
    fingerprint: 'v1:a',
    error_type: 'TimeoutError',
    message: `message ${n}`,
    culprit: null,
    traceback: null,
    service: 'daemon',
    environment: 'production',
    ...more,
  }
}

function groupFrom(fingerprint: string, count: number, lastN: number): ErrorGroup {
  return {
    fingerprint,
    error_type: 'TimeoutError',
    message: 'stored',
    culprit: 'call (src/a.ts)',
    error_id: 'e0',
    trace_id: null,
    first_seen_at: new Date(fixtureBaseUs / 1_000).toISOString(),
    last_seen_at: new Date(fixtureBaseUs / 1_000 + lastN * 1_000).toISOString(),
    count,
    services: ['daemon'],
    environments: ['production'],
    first_version: null,
    last_version: null,
    state: 'open',
    decision: null,
    counts: { from_us: fixtureBaseUs, step_s: 60, values: [count] },
  }
}

test('errorLinesOf() adds live errors to their group, on top and marked, and counts none twice', () => {
  const groups = [groupFrom('v1:b', 3, 5), groupFrom('v1:a', 7, 1)]
  const live = [errorFrom(9), errorFrom(8, { service: 'shim' }), errorFrom(1)]
  const lines = errorLinesOf(groups, live, everywhere, new Set(['e1']), fixtureBaseUs + 8e6)
  expect(lines.map(({ fingerprint, count, fresh }) => [fingerprint, count, fresh])).toEqual([
    ['v1:a', 9, 2],
    ['v1:b', 3, 0],
  ])
  expect(lines[0]).toMatchObject({ message: 'message 9', services: ['daemon', 'shim'] })
})

test('errorLinesOf() makes a line of a group that SQL has not told of', () => {
  const lines = errorLinesOf([], [errorFrom(2), errorFrom(1)], everywhere, none, never)
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatchObject({ count: 2, firstUs: fixtureBaseUs + 1e6, lastUs: fixtureBaseUs + 2e6 })
})

test('errorLinesOf() makes no line of an error that SQL knew and left out', () => {
  expect(errorLinesOf([], [errorFrom(1)], everywhere, new Set(['e1']), never)).toEqual([])
})

test('errorLinesOf() makes no line of a later error of a group that SQL left out, say as ignored', () => {
  const live = [errorFrom(2), errorFrom(1), errorFrom(3, { fingerprint: 'v1:b' })]
  const lines = errorLinesOf([], live, everywhere, new Set(['e1']), never)
  expect(lines.map(({ fingerprint }) => fingerprint)).toEqual(['v1:b'])
})

test.each(['?service=other', '?environment=demo', '?text=boom', '?from=1&to=2', '?state=resolved'])(
  'errorLinesOf() makes no line of a live error outside of %s',
  (query) => expect(errorLinesOf([], [errorFrom(1)], placeAt(query), none, never)).toEqual([]),
)

test('errorLinesOf() takes what is no later than the last that SQL saw for counted', () => {
  const [line] = errorLinesOf([groupFrom('v1:a', 1, 5)], [errorFrom(2), errorFrom(5)], everywhere, none, never)
  expect(line).toMatchObject({ count: 1 })
})

test('errorLinesOf() lets an older live error leave the last message alone', () => {
  const [line] = errorLinesOf([groupFrom('v1:a', 1, 5)], [errorFrom(2)], everywhere, none, never)
  expect(line).toMatchObject({ message: 'stored', count: 1 })
})

test('occurrencesOf() lists each error once, the newest first, the whole one before the live one', () => {
  const row = { ...errorFrom(1), context: { a: 1 }, connection_type: null } as unknown as ErrorRow
  const found = occurrencesOf([row], [errorFrom(1), errorFrom(2)])
  expect(found.map(({ error_id, context }) => [error_id, context])).toEqual([
    ['e2', undefined],
    ['e1', { a: 1 }],
  ])
})

test('firstLineOf() cuts a message after its first line and before it grows long', () => {
  expect(firstLineOf('\n first\r\nsecond')).toBe('first')
  expect(firstLineOf('x'.repeat(100_000)).length).toBeLessThan(1_000)
})
