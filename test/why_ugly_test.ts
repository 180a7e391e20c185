import fc from 'fast-check'
import { expect, test } from 'vitest'
import { outcomes } from '../src/core/outcome.ts'
import type { StoredSpan, StoredSpans } from '../src/core/trace.ts'
import { whyOf } from '../src/core/why/why.ts'
import { causes, type WhyAnswer } from '../src/core/why/why_answer.ts'
import type { Predecessor, WhyData, WhyProcess, WhyQuestion, WhyTrace } from '../src/core/why/why_data.ts'
import { type Call, chanceOf, startUs, whyDataOf } from './why_fixture.ts'

// Data as no simulation plays it: the engine answers whatever it is given, and in the words of its own contract.

const nullOr = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { freq: 2 })
const huge = [0, -1, 5e-324, Number.MAX_SAFE_INTEGER, 1e18, 1e308, -1e308, Number.POSITIVE_INFINITY, Number.NaN]
const uglyNumber = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 0, max: 9_000 }) }, fc.constantFrom(...huge))
const name = fc.constantFrom('a', 'b', '', 'tool', 'cold_start', '__proto__', 'constructor', 'first chunk', 'backoff 1')
const value = fc.oneof(
  name,
  uglyNumber,
  fc.boolean(),
  fc.constant(null),
  fc.constant([1] as const),
  fc.constant({ deep: [{}] }),
)
const outcome = nullOr(fc.constantFrom(...outcomes))
const id = fc.constantFrom('p', 'q', 'r', '__proto__')
const instantUs = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: startUs, max: startUs + 1_000_000 }) },
  fc.constantFrom(startUs, 0, -startUs, 9e18, 1e308, Number.NaN),
)

const span: fc.Arbitrary<StoredSpan> = fc
  .record(
    {
      parent_span_id: fc.constantFrom('0', '1', '2', 'nowhere'),
      kind: fc.constant('wait' as const),
      end_us: instantUs,
      outcome: fc.constantFrom(...outcomes),
      entry: fc.constant(true as const),
      holder: name,
      tokens_in: uglyNumber,
      tokens_out: uglyNumber,
      concluded: fc.constant(true as const),
      attributes: fc.dictionary(fc.oneof(name, fc.constantFrom('telltale.attempt', 'attempts', 'x')), value, {
        maxKeys: 4,
      }) as fc.Arbitrary<NonNullable<StoredSpan['attributes']>>,
    },
    { requiredKeys: [] },
  )
  .chain((some) =>
    fc.record({ layer: name, name, start_us: instantUs, process: id }).map((all): StoredSpan => ({ ...some, ...all })),
  )

const spans: fc.Arbitrary<StoredSpans> = fc
  .array(span, { maxLength: 3 })
  .map((list) => Object.fromEntries(list.map((one, i) => [String(i), one])))

const predecessor: fc.Arbitrary<Predecessor | null> = nullOr(
  fc.record({ trace_id: name, tool: nullOr(name), outcome, gap_ms: nullOr(uglyNumber) }),
)

const trace: fc.Arbitrary<WhyTrace> = fc.record({
  trace_id: fc.stringMatching(/^[0-9a-f]{8}$/),
  started_us: instantUs,
  duration_ms: uglyNumber,
  outcome,
  tool: nullOr(name),
  provider: nullOr(name),
  model: nullOr(name),
  session_key: nullOr(name),
  session_rule: nullOr(fc.constant('mcp' as const)),
  call_number: nullOr(uglyNumber),
  bytes_in: nullOr(uglyNumber),
  bytes_out: nullOr(uglyNumber),
  tokens_in: nullOr(uglyNumber),
  tokens_out: nullOr(uglyNumber),
  process: id,
  previous: predecessor,
  before: predecessor,
  running: uglyNumber,
  weight: fc.oneof({ weight: 5, arbitrary: fc.constant(1) }, uglyNumber),
  spans,
})

const process: fc.Arbitrary<WhyProcess> = fc.record({
  service: name,
  environment: name,
  instance: name,
  version: nullOr(name),
  host: nullOr(name),
  started_us: instantUs,
})

/** What makes all calls alike in something, and with it many branches reachable. */
const alike: fc.Arbitrary<Partial<WhyTrace>> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  fc.constantFrom({ duration_ms: 0 }, { duration_ms: 250 }, { duration_ms: 1e308 }, { duration_ms: 5e-324 }),
  fc.constantFrom({ spans: {} }, { started_us: startUs }, { tool: 'a', process: 'gone' }, { weight: 0 }),
)

const region = fc.record({ from_us: instantUs, to_us: instantUs, min_ms: uglyNumber, max_ms: nullOr(uglyNumber) })
const question: fc.Arbitrary<Partial<WhyQuestion>> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  fc.record({ call_number: fc.constantFrom(0, 1, 3) }),
  fc.record({ after_us: instantUs }),
  fc.record({ above_ms: uglyNumber }),
  fc.record({ region }),
  fc.record({ trace_id: fc.constantFrom('nothing', 'the first') }),
)

function dataOf(traces: readonly WhyTrace[], asked: Partial<WhyQuestion>, rest: Omit<WhyData, 'traces' | 'question'>) {
  const none = { call_number: null, after_us: null, above_ms: null, trace_id: null, region: null }
  const one = asked.trace_id === 'the first' ? { trace_id: traces[0]?.trace_id ?? null } : {}
  return { ...rest, traces, question: { ...none, from_us: startUs, to_us: startUs + 1_000_000, ...asked, ...one } }
}

/** Calls of a few kinds, each many times. */
const repeated: fc.Arbitrary<WhyData> = fc
  .record({
    question,
    alike,
    kinds: fc.array(trace, { minLength: 3, maxLength: 12, size: 'max' }),
    seed: fc.integer(),
    n: fc.constantFrom(0, 1, 23, 24, 40, 90),
    processes: fc.dictionary(id, process),
    matched: uglyNumber,
  })
  .map(({ question: asked, alike: same, kinds, seed, n, ...rest }) => {
    const chance = chanceOf(seed)
    const traces = Array.from({ length: n }, (_, i): WhyTrace => {
      const kind = kinds[Math.floor(chance() * kinds.length)] as WhyTrace
      const duration_ms = kind.duration_ms + (i % 2 === 0 ? 0 : Math.floor(50 * chance()))
      return { ...kind, duration_ms, trace_id: `${kind.trace_id}${i}`, ...same }
    })
    return dataOf(traces, asked, rest)
  })

/** What slows some calls of a simulated world, so that there is something to find. */
const slowed: readonly ((call: Call) => void)[] = [
  (call) => {
    if (call.provider === 'kimi') call.work.api *= 4
  },
  (call) => {
    if (call.chance() < 0.2) call.waits.push({ layer: 'tool', name: 'permit a', ms: 2_000 + 500 * call.chance() })
  },
  (call) => {
    call.work.storage += call.bytesIn * 3
  },
  (call) => {
    if (call.at > 0.5) call.work.tool += 900
  },
  (call) => {
    if (call.chance() < 0.2) call.work.api = 5_000 - call.work.provider
  },
  (call) => {
    if (call.host === 'host-1' && call.attributes.noise_0 === 'value 1') call.work.tool += 3_000
  },
]

/** A simulated world of which a part of the calls have something else in place of what was recorded. */
const spoilt: fc.Arbitrary<WhyData> = fc
  .record({
    seed: fc.integer({ min: 1, max: 100_000 }),
    cause: fc.nat(slowed.length - 1),
    traces: fc.constantFrom(24, 60, 150),
    question: fc.oneof(question, fc.constantFrom({ above_ms: 1_000 }, { after_us: startUs + 1_800_000_000 })),
    spoiling: fc.constantFrom(0, 0.05, 0.5, 1),
    processes: fc.option(fc.dictionary(id, process), { nil: undefined }),
    part: trace,
    kept: fc.array(fc.constantFrom('duration_ms', 'started_us', 'spans', 'tool', 'call_number', 'bytes_in', 'running')),
  })
  .map(({ seed, cause, traces: n, question: asked, spoiling, processes, part, kept }) => {
    const world = whyDataOf({ seed, traces: n, tools: 2, disturb: slowed[cause] as (call: Call) => void })
    const chance = chanceOf(seed)
    const spoil = (one: WhyTrace): WhyTrace => {
      const keeps = Object.fromEntries(['trace_id', ...kept].map((key) => [key, one[key as keyof WhyTrace]]))
      return chance() < spoiling ? { ...part, ...keeps } : one
    }
    return dataOf(world.traces.map(spoil), asked, {
      matched: world.matched,
      processes: processes ?? world.processes,
    })
  })

function expectWellFormed(answer: WhyAnswer, data: WhyData): void {
  // JSON has no NaN and no infinity: they would come back as null.
  expect(JSON.parse(JSON.stringify(answer))).toEqual(answer)
  const { verdict, factors, exemplars, slow, baseline, note } = answer
  for (const { n, p50_ms, p95_ms } of [slow, baseline]) {
    expect(Number.isSafeInteger(n) && n >= 0).toBe(true)
    expect((p50_ms === null) === (p95_ms === null)).toBe(true)
    expect((p50_ms ?? 0) <= (p95_ms ?? 0)).toBe(true)
  }
  const ids = new Set(data.traces.map((one) => one.trace_id))
  expect(exemplars.every((one) => ids.has(one))).toBe(true)
  for (const said of verdict === null ? factors : [verdict, ...factors]) {
    expect(causes).toContain(said.cause)
    expect(said.share).toBeGreaterThanOrEqual(0)
    expect(said.share).toBeLessThanOrEqual(1)
    expect(said.sentence).toMatch(/^[A-Z].*\.$/s)
    expect(said.sentence).not.toMatch(/NaN|Infinity|undefined|null|\[object/)
  }
  if (verdict === null) expect(note).not.toBeNull()
  else {
    expect(verdict.confidence).toBeGreaterThan(0)
    expect(verdict.confidence).toBeLessThanOrEqual(1)
  }
}

test.each([
  ['calls of a few kinds, each many times', repeated, 300],
  ['a simulated world that is spoilt in part', spoilt, 100],
])('whyOf() answers well-formed of %s', (_, data, numRuns) => {
  fc.assert(
    fc.property(data, (ugly) => expectWellFormed(whyOf(ugly), ugly)),
    { numRuns },
  )
})

test.each([572, 589, 612])(
  'whyOf() answers where only pairs stand out, and none explains more than its halves do (%d)',
  (seed) => {
    const disturb = (call: Call): void => {
      if (call.host !== 'host-1') return
      if (call.attributes.noise_0 === 'value 1') call.work.tool += 2_500
      if (call.attributes.noise_1 === 'value 0') call.work.tool += 2_500 * call.chance()
    }
    const data = whyDataOf({ seed, traces: 90, tools: 12, sigma: 0.9, noiseAttributes: 30, disturb })
    expectWellFormed(whyOf(data), data)
  },
)
