import { expect, test } from 'vitest'
import { parseInstant, whyFilterOf } from '../src/cli/why_filter.ts'
import { whyText } from '../src/cli/why_text.ts'
import type { WhyAnswer } from '../src/core/why/why_answer.ts'

const answer: WhyAnswer = {
  slow: { n: 12, p50_ms: 2_900, p95_ms: 4_000 },
  baseline: { n: 240, p50_ms: 200, p95_ms: 500 },
  verdict: {
    cause: 'waiting',
    layer: 'tool',
    attribute: 'permit chat',
    value: 'chat',
    since: 1_700_000_000_000_000,
    share: 0.94,
    confidence: 0.97,
    sentence: 'Calls numbered 3 wait for permit chat.',
  },
  factors: [
    {
      cause: 'attribute_value',
      layer: 'tool',
      attribute: 'tool',
      value: 'chat',
      share: 0.41,
      sentence: 'Calls of tool chat take longer.',
    },
  ],
  exemplars: ['a'.repeat(32)],
  note: null,
}

test('whyText() shows the sentence, what it rests on, both cohorts on one scale, and where to look', () => {
  expect(whyText(answer, { colour: false })).toBe(`Calls numbered 3 wait for permit chat.

  cause      waiting
  layer      tool
  attribute  permit chat
  value      chat
  since      2023-11-14T22:13:20.000Z
  explains   94 % of the extra time
  confidence 0.97

              calls       p50       p95
  slow           12    2.90 s    4.00 s  ████████████████████────────
  others        240    200 ms    500 ms  █───

  Also considered, with the share of the extra time that it would explain:
    41 %  Calls of tool chat take longer.

  Typical of the slow calls:
  ${'a'.repeat(32)}
`)
})

test('whyText() lets no recorded name move the cursor', () => {
  const verdict = answer.verdict === null ? null : { ...answer.verdict, sentence: 'x\u001b[2J', value: 'y\u001b[2J' }
  expect(whyText({ ...answer, verdict }, { colour: false })).not.toContain('\u001b[2J')
})

test('whyText() says that there is nothing to say, and why', () => {
  const none = { n: 0, p50_ms: null, p95_ms: null }
  const text = whyText(
    { slow: none, baseline: none, verdict: null, factors: [], exemplars: [], note: 'Too few.' },
    { colour: false },
  )
  expect(text).toBe('Nothing to explain.\n\nToo few.\n')
  expect(whyText({ ...answer, verdict: null, factors: [], exemplars: [] }, { colour: false })).toMatch(
    /^No difference worth naming\.\n/,
  )
})

test('whyFilterOf() names what was asked as SQL does, and nothing else', () => {
  expect(whyFilterOf({ callNumber: 3, source: 'exai', tool: 'chat' })).toEqual({
    call_number: 3,
    service: 'exai',
    tool: 'chat',
  })
  expect(whyFilterOf({})).toEqual({})
})

test('parseInstant() takes ISO 8601 and times ago, and refuses the rest', () => {
  expect(parseInstant('2026-11-23T18:00:00Z')).toBe('2026-11-23T18:00:00.000Z')
  expect(Math.abs(Date.parse(parseInstant('6h')) - (Date.now() - 21_600_000))).toBeLessThan(5_000)
  for (const text of ['', 'yesterday', '6', '6w', '2026-13-99']) expect(() => parseInstant(text)).toThrow()
})
