import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  defaultRange,
  filterKeys,
  filterOf,
  isFiltered,
  type Place,
  pages,
  pathOf,
  placeOf,
  type Range,
  rangeSeconds,
  stateShownOf,
  statesShown,
  withFilter,
  withPlace,
} from '../web/view/place.ts'

const origin = 'http://127.0.0.1:8080'
const nowUs = 1_800_000_000_000_000
const opened = (path: string): Place => placeOf(new URL(path, origin))

const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((text) => !text.includes('\0'))
const id = word.filter((text) => text !== '.' && text !== '..')
const time = fc.oneof(
  fc
    .constantFrom(...(Object.keys(rangeSeconds) as Range[]))
    .map((range): Pick<Place, 'range' | 'from_us' | 'to_us'> => ({ range, from_us: null, to_us: null })),
  fc
    .tuple(fc.integer({ min: 0, max: nowUs }), fc.integer({ min: 1, max: 1e12 }))
    .map(([from_us, length]) => ({ range: null, from_us, to_us: from_us + length })),
)
const filter = fc.record(
  {
    ...Object.fromEntries(filterKeys.map((key) => [key, word])),
    call_number: fc.integer({ min: 1, max: 1_000 }).map(String),
    state: fc.constantFrom(...statesShown),
    min_duration_ms: fc.integer({ min: 0, max: 100_000 }).map((ms) => String(ms / 8)),
    max_duration_ms: fc.integer({ min: 0, max: 100_000 }).map((ms) => String(ms / 8)),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Record<string, string>>
const place: fc.Arbitrary<Place> = fc
  .tuple(fc.constantFrom(...pages), id, time, filter)
  .map(([page, one, when, narrowed]) => ({
    page,
    id: page === 'trace' || page === 'session' || page === 'error' ? one : null,
    ...when,
    filter: narrowed,
  }))

test('placeOf() reads back what pathOf() wrote, whatever the names', () => {
  fc.assert(
    fc.property(place, (written) => {
      expect(opened(pathOf(written))).toEqual(written)
    }),
  )
})

test('pathOf() writes one address for what placeOf() reads from any', () => {
  fc.assert(
    fc.property(
      fc.webUrl({ withQueryParameters: true }),
      fc.constantFrom('', '/traces', '/errors/%E0%'),
      (url, part) => {
        const { pathname, search } = new URL(url)
        const read = placeOf(new URL(`${origin}${part}${pathname}${search}`))
        expect(opened(pathOf(read))).toEqual(read)
      },
    ),
  )
})

test('placeOf() leaves out what an address says wrongly', () => {
  const overview = opened('/')
  expect(overview).toEqual({ page: 'overview', id: null, range: defaultRange, from_us: null, to_us: null, filter: {} })
  for (const wrong of [
    '/nowhere',
    '/?range=1y',
    '/?range=toString',
    '/?from=5&to=4',
    '/?from=5',
    '/?from=-1&to=99999999999999999999',
    '/?call_number=first',
    '/?min_duration_ms=1e9',
    '/?tool=',
    '/?colour=red',
  ]) {
    expect(opened(wrong), wrong).toEqual(overview)
  }
})

test('placeOf() tells a list from one of it', () => {
  expect(opened('/traces')).toMatchObject({ page: 'traces', id: null })
  expect(opened('/traces/')).toMatchObject({ page: 'traces', id: null })
  expect(opened('/traces/0af7')).toMatchObject({ page: 'trace', id: '0af7' })
  expect(opened('/errors/v1:0af7')).toMatchObject({ page: 'error', id: 'v1:0af7' })
})

test('filterOf() gives a range without an end, so that what arrives meanwhile is in it', () => {
  expect(filterOf(opened('/?range=6h&tool=chat&call_number=3&outcome=failed'), nowUs)).toEqual({
    from: nowUs - 6 * 3_600e6,
    tool: 'chat',
    call_number: 3,
    outcome: ['tool_error', 'server_fault', 'timeout', 'interrupted'],
  })
  expect(filterOf(opened('/?from=5&to=9'), nowUs)).toEqual({ from: 5, to: 9 })
})

test('filterOf() keeps from a reader what it does not know, and the address keeps it', () => {
  const errors = opened('/errors?tool=chat&environment=production&text=boom')
  expect(filterOf(errors, nowUs)).toEqual({
    from: nowUs - 3_600e6,
    environment: 'production',
    text: 'boom',
    state: 'open',
  })
  expect(pathOf(errors)).toContain('tool=chat')
  expect(isFiltered(opened('/errors?tool=chat'))).toBe(false)
  expect(isFiltered(opened('/traces?tool=chat'))).toBe(true)
})

test('withPlace() drops the id with its page, and withFilter() takes a key away', () => {
  const trace = opened('/traces/0af7?tool=chat')
  expect(pathOf(withPlace(trace, { page: 'errors' }))).toBe('/errors?tool=chat')
  expect(pathOf(withPlace(trace, { range: '7d' }))).toBe('/traces/0af7?range=7d&tool=chat')
  expect(pathOf(withFilter(trace, 'tool', null))).toBe('/traces/0af7')
  expect(pathOf(withFilter(trace, 'model', 'a b&c'))).toBe('/traces/0af7?tool=chat&model=a+b%26c')
})

test('filterOf() asks for open errors unless the address says which, and no other page for a state', () => {
  const stateAt = (path: string) => filterOf(opened(path), nowUs).state
  expect(stateAt('/errors')).toBe('open')
  expect(stateAt('/errors?state=closed')).toBe('open')
  expect(stateAt('/errors?state=resolved')).toBe('resolved')
  expect(stateAt('/errors?state=all')).toBeUndefined()
  expect(stateAt('/traces?state=resolved')).toBeUndefined()
  expect(stateShownOf(opened('/errors?state=all'))).toBe('all')
  expect(isFiltered(opened('/errors?state=resolved'))).toBe(false)
})
