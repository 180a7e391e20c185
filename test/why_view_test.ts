import { expect, test } from 'vitest'
import type { WhyAnswer } from '../src/core/why/why_answer.ts'
import { placeOf } from '../web/view/place.ts'
import { cohortLinesOf, factsOfVerdict, whyFilterOf } from '../web/view/why_view.ts'

const nowUs = 1_800_000_000_000_000
const placeAt = (path: string) => placeOf(new URL(path, 'http://127.0.0.1'))
const hourUs = 3_600_000_000

const waiting: WhyAnswer = {
  slow: { n: 12, p50_ms: 3_000, p95_ms: 4_000 },
  baseline: { n: 1_200, p50_ms: 200, p95_ms: 1_000 },
  verdict: {
    cause: 'waiting',
    layer: 'tool',
    attribute: 'permit chat',
    value: 'chat',
    since: null,
    share: 0.94,
    confidence: 0.9,
    sentence: 'They wait.',
  },
  factors: [],
  exemplars: [],
  note: null,
}

test('whyFilterOf() asks about what the place shows; a call number or a least duration names the slow ones', () => {
  expect(whyFilterOf(placeAt('/'), nowUs, null)).toEqual({ from: nowUs - hourUs })
  expect(whyFilterOf(placeAt('/?from=5&to=9&tool=chat&outcome=ok&text=x'), nowUs, null)).toEqual({
    from: 5,
    to: 9,
    tool: 'chat',
  })
  expect(whyFilterOf(placeAt('/?call_number=3&min_duration_ms=50'), nowUs, null)).toMatchObject({ call_number: 3 })
  expect(whyFilterOf(placeAt('/?call_number=3&min_duration_ms=50'), nowUs, null)).not.toHaveProperty('above_ms')
  expect(whyFilterOf(placeAt('/?min_duration_ms=50'), nowUs, null)).toMatchObject({ above_ms: 50 })
  expect(whyFilterOf(placeAt('/?tool=chat'), nowUs, { traceId: 'abc' })).toEqual({ trace_id: 'abc' })
  const region = { from: 3, to: 7, min_ms: 100 }
  expect(whyFilterOf(placeAt('/?from=1&to=9&tool=chat&min_duration_ms=50'), nowUs, { region })).toEqual({
    from: 1,
    to: 9,
    tool: 'chat',
    region,
  })
})

test('factsOfVerdict() names the wait and its holder, and leaves out what does not apply', () => {
  expect(factsOfVerdict(waiting, nowUs).map(({ name }) => name)).toEqual([
    'Cause',
    'Layer',
    'Waits for',
    'Held by',
    'Explains',
    'Confidence',
  ])
  const pair = { ...waiting.verdict, cause: 'attribute_value', attribute: ['a', 'b'], value: [1, 'x'] } as const
  const facts = factsOfVerdict({ ...waiting, verdict: pair as unknown as WhyAnswer['verdict'] }, nowUs)
  expect(facts.find(({ name }) => name === 'Attribute')?.value).toBe('a with b')
  expect(facts.find(({ name }) => name === 'Value')?.value).toBe('1 with x')
  expect(factsOfVerdict({ ...waiting, verdict: null }, nowUs)).toEqual([])
})

test('cohortLinesOf() draws both cohorts on one scale, also where there is none', () => {
  expect(cohortLinesOf(waiting).map(({ middle, end }) => [middle, end])).toEqual([
    [0.75, 1],
    [0.05, 0.25],
  ])
  const none = { n: 0, p50_ms: null, p95_ms: null }
  expect(cohortLinesOf({ ...waiting, slow: none, baseline: none }).every(({ end }) => end === 0)).toBe(true)
})
