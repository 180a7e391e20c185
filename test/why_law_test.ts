import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { StoredSpan } from '../src/core/trace.ts'
import { whyOf } from '../src/core/why/why.ts'
import type { WhyAnswer } from '../src/core/why/why_answer.ts'
import type { WhyData, WhyTrace } from '../src/core/why/why_data.ts'
import { type Call, chanceOf, startUs, type World, whyDataOf } from './why_fixture.ts'

const halfUs = startUs + 1_800_000_000

/** Some causes, by number, that any law must hold for. */
const causes: readonly ((call: Call) => void)[] = [
  (call) => {
    if (call.provider === 'kimi') call.work.api *= 3
  },
  (call) => {
    if (call.at > 0.6) call.work.storage *= 30
  },
  (call) => {
    if (call.chance() < 0.15)
      call.waits.push({ layer: 'tool', name: 'permit a', ms: 1_500 + 900 * call.chance(), holder: 'b' })
  },
  (call) => {
    const rows = Math.round(400 * call.chance() ** 2)
    call.attributes.rows = rows
    call.work.storage += rows * 6
  },
  (call) => {
    if (call.host === 'host-1' && call.attributes.noise_0 === 'value 1') call.work.tool += 2_000 + 500 * call.chance()
  },
]

const worlds = fc
  .record({
    seed: fc.integer({ min: 1, max: 10_000 }),
    cause: fc.nat(causes.length - 1),
    traces: fc.integer({ min: 250, max: 500 }),
  })
  .map(({ seed, cause, traces }): World => {
    const disturb = causes[cause]
    return { seed, traces, noiseAttributes: 6, ...(disturb ? { disturb } : {}) }
  })
const few = { numRuns: 8 }

function mapped(data: WhyData, change: (trace: WhyTrace) => WhyTrace): WhyData {
  return { ...data, traces: data.traces.map(change) }
}

function withSpans(trace: WhyTrace, change: (span: StoredSpan) => StoredSpan): WhyTrace {
  const spans = Object.entries(trace.spans).map(([id, span]): [string, StoredSpan] => [id, change(span)])
  return { ...trace, spans: Object.fromEntries(spans) }
}

function named({ verdict }: WhyAnswer) {
  if (verdict === null) return null
  const { cause, layer, attribute, value } = verdict
  return { cause, layer, attribute, value }
}

test('whyOf() does not depend on the order of traces, of spans, or of attributes', () => {
  fc.assert(
    fc.property(worlds, fc.integer(), (world, seed) => {
      const data = whyDataOf(world)
      const chance = chanceOf(seed)
      const turned = mapped(data, (trace) => {
        const spans = Object.fromEntries(Object.entries(trace.spans).reverse())
        return withSpans({ ...trace, spans }, (span) =>
          span.attributes === undefined
            ? span
            : { ...span, attributes: Object.fromEntries(Object.entries(span.attributes).reverse()) },
        )
      })
      const traces = turned.traces
        .map((trace) => ({ trace, at: chance() }))
        .sort((a, b) => a.at - b.at)
        .map(({ trace }) => trace)
      expect(whyOf({ ...turned, traces })).toEqual(whyOf(data))
    }),
    few,
  )
})

test('whyOf() names the same cause when all times are so much longer', () => {
  fc.assert(
    fc.property(worlds, fc.constantFrom(2, 5, 10), (world, times) => {
      const data = whyDataOf(world)
      const longer = mapped(data, (trace) => {
        const at = (us: number): number => trace.started_us + (us - trace.started_us) * times
        return withSpans({ ...trace, duration_ms: trace.duration_ms * times }, (span) => ({
          ...span,
          start_us: at(span.start_us),
          ...(span.end_us === undefined ? {} : { end_us: at(span.end_us) }),
        }))
      })
      expect(named(whyOf(longer))).toEqual(named(whyOf(data)))
    }),
    few,
  )
})

test('whyOf() names the same value when its attribute and its layers have other names', () => {
  fc.assert(
    fc.property(worlds, (world) => {
      const data = whyDataOf(world)
      const renamed = mapped(data, (trace) =>
        withSpans(trace, (span) => ({
          ...span,
          ...(span.attributes === undefined
            ? {}
            : {
                attributes: Object.fromEntries(
                  Object.entries(span.attributes).map(([key, value]) => [`x.${key}`, value]),
                ),
              }),
        })),
      )
      const before = named(whyOf(data))
      const after = named(whyOf(renamed))
      const was = (name: unknown): unknown => (/^(noise|rows)/.test(String(name)) ? `x.${name}` : name)
      const attribute = Array.isArray(before?.attribute) ? before.attribute.map(was) : was(before?.attribute ?? null)
      const unordered = (names: unknown): unknown => (Array.isArray(names) ? [...names].sort() : names)
      expect([after?.cause, after?.layer, unordered(after?.attribute)]).toEqual([
        before?.cause,
        before?.layer,
        unordered(attribute),
      ])
    }),
    few,
  )
})

test('whyOf() names the same cause beside one more attribute that means nothing', () => {
  fc.assert(
    fc.property(worlds, fc.integer(), fc.integer({ min: 2, max: 12 }), (world, seed, values) => {
      const data = whyDataOf(world)
      const chance = chanceOf(seed)
      const noisier = mapped(data, (trace) => {
        const value = `v${Math.floor(chance() * values)}`
        return withSpans(trace, (span) =>
          span.entry === true ? { ...span, attributes: { ...span.attributes, another: value } } : span,
        )
      })
      expect(named(whyOf(noisier))).toEqual(named(whyOf(data)))
    }),
    few,
  )
})

test('whyOf() says null where nothing is wrong, whatever is asked and however many attributes there are', () => {
  const questions: readonly (World['question'] | null)[] = [null, { call_number: 3 }, { after_us: halfUs }]
  let verdicts = 0
  let all = 0
  for (let seed = 1; seed <= 20; seed++) {
    for (const [at, question] of questions.entries()) {
      const noiseAttributes = [5, 40, 200][(seed + at) % 3] as number
      const sigma = [0.1, 0.35, 0.9][seed % 3] as number
      const traces = noiseAttributes === 200 ? 150 : 300
      const tools = [3, 12, 60][at] as number
      const data = whyDataOf({ seed, traces, noiseAttributes, sigma, tools, ...(question ? { question } : {}) })
      if (whyOf(data).verdict !== null) verdicts++
      all++
    }
  }
  expect(verdicts / all).toBeLessThanOrEqual(0.02)
})

test.each([
  ['no calls at all', 0, {}, /Too few calls/],
  ['a handful of calls', 20, {}, /Too few calls/],
  ['a call number that nobody reached', 200, { call_number: 40 }, /Too few slow calls/],
  ['a moment before everything', 200, { after_us: 0 }, /Too few other calls/],
])('whyOf() says what is missing of %s', (_, traces, question, note) => {
  const answer = whyOf(whyDataOf({ seed: 1, traces, question }))
  expect(answer).toMatchObject({ verdict: null, factors: [], exemplars: [] })
  expect(answer.note).toMatch(note)
})
