import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { GroupDecision } from '../web/view/answer.ts'
import { decisionText, ignoredRequest, isRegressed, versionsText } from '../web/view/group_state_view.ts'
import { sparkOf } from '../web/view/spark_view.ts'
import { fixtureBaseUs } from './span_fixture.ts'

const nowUs = fixtureBaseUs + 7_200e6
const iso = (us: number) => new Date(us / 1_000).toISOString()
const plain: GroupDecision = {
  said: 'resolved',
  set_at: iso(fixtureBaseUs),
  set_by: 'a@example.org',
  revision: 1,
  since: null,
  version: null,
  until: null,
  count_max: null,
  counted: 0,
  reopened_at: null,
  reopened_by: null,
}
const error = {
  at_us: nowUs,
  error_id: 'e',
  error_type: 'E',
  message: '',
  trace_id: null,
  service: 's',
  environment: 'x',
  version: '1.3',
}
const space = '\u00a0'

const said: [string, 'open' | 'resolved' | 'ignored', GroupDecision | null, RegExp | null][] = [
  ['nothing', 'open', null, null],
  ['resolved', 'resolved', plain, /^Resolved by a@example.org 2 h ago$/],
  ['resolved in a version', 'resolved', { ...plain, version: '1.2' }, /^Resolved by .+, in 1\.2$/],
  ['reopened', 'open', { ...plain, said: 'open' }, /^Reopened by/],
  ['ignored', 'ignored', { ...plain, said: 'ignored' }, /^Ignored by a@example.org 2 h ago$/],
  [
    'ignored until a time',
    'ignored',
    { ...plain, said: 'ignored', until: iso(nowUs + 60e6) },
    /, until \d\d:\d\d:\d\d$|, until \d{4}-/,
  ],
  [
    'ignored under a count',
    'ignored',
    { ...plain, said: 'ignored', count_max: 50, counted: 3 },
    /, until 50 more came \(3 so far\)$/,
  ],
  [
    'an end that is past',
    'open',
    { ...plain, said: 'ignored', until: iso(nowUs - 60e6) },
    /^No longer ignored: was ignored by/,
  ],
  [
    'a regression',
    'open',
    { ...plain, version: '1.2', reopened_at: iso(nowUs - 60e6), reopened_by: error },
    /^Back 1 min ago by an error of 1\.3: was resolved by a@example\.org 2 h ago, in 1\.2$/,
  ],
  [
    'a count that was reached',
    'open',
    { ...plain, said: 'ignored', count_max: 50, counted: 50, reopened_at: iso(nowUs - 60e6) },
    /^Back 1 min ago: was ignored by .+, until 50 more came$/,
  ],
]
test.each(said)('decisionText() tells of %s', (_, state, decision, wanted) => {
  const text = decisionText({ state, decision }, nowUs)
  if (wanted === null) expect(text).toBe(null)
  else expect(text?.replaceAll(space, ' ')).toMatch(wanted)
})

test('isRegressed() is what an error showed, not what a person said', () => {
  expect([null, plain, { ...plain, reopened_at: iso(nowUs) }].map((decision) => isRegressed({ decision }))).toEqual([
    false,
    false,
    true,
  ])
})

test('ignoredRequest() ends so many seconds from now, or never', () => {
  expect(ignoredRequest(60, nowUs)).toEqual({ state: 'ignored', options: { until: nowUs + 60e6 } })
  expect(ignoredRequest(null, nowUs)).toEqual({ state: 'ignored', options: {} })
})

test.each([
  [null, null, null],
  ['1.2', '1.2', 'in version 1.2'],
  ['1.2', '1.4', 'from version 1.2 to 1.4'],
  [null, '1.4', 'last in version 1.4'],
  ['1.2', null, 'from version 1.2 to an unknown one'],
])('versionsText() of %s and %s', (first_version, last_version, text) => {
  expect(versionsText({ first_version, last_version })).toBe(text)
})

test('sparkOf() draws each step that has any inside the line, the greatest to its top, and says their sum', () => {
  const counts = fc.array(fc.nat(1_000), { maxLength: 49 })
  fc.assert(
    fc.property(counts, (values) => {
      const { bars, text } = sparkOf({ from_us: fixtureBaseUs, step_s: 60, values })
      expect(bars.length).toBe(values.filter((n) => n > 0).length)
      for (const { x, width, height } of bars) {
        expect(x).toBeGreaterThanOrEqual(0)
        expect(x + width).toBeLessThanOrEqual(100.000_001)
        expect(height).toBeGreaterThan(0)
        expect(height).toBeLessThanOrEqual(100)
      }
      if (bars.length === 0) expect(text).toBe('None in this time')
      else expect(Math.max(...bars.map(({ height }) => height))).toBe(100)
    }),
  )
  const { text } = sparkOf({ from_us: fixtureBaseUs, step_s: 60, values: [1, 0, 4] })
  expect(text.replaceAll(space, ' ')).toMatch(/^5 in this time, at most 4 in 1 min, from .+ UTC$/)
})
