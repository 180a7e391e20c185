import fc from 'fast-check'
import { expect, test } from 'vitest'
import { outcomes } from '../src/core/outcome.ts'
import type { StoredSpan, StoredSpans } from '../src/core/trace.ts'
import { whyOf } from '../src/core/why/why.ts'
import { causes, type WhyAnswer } from '../src/core/why/why_answer.ts'
import type { Predecessor, WhyData, WhyProcess, WhyQuestion, WhyTrace } from '../src/core/why/why_data.ts'
import { startUs, whyDataOf } from './why_fixture.ts'

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

const question: fc.Arbitrary<WhyQuestion> = fc
  .record(
    {
      call_number: fc.constantFrom(0, 1, 3),
      after_us: instantUs,
      above_ms: uglyNumber,
      trace_id: fc.constantFrom('nothing', 'first'),
      region: fc.record({ from_us: instantUs, to_us: instantUs, min_ms: uglyNumber, max_ms: nullOr(uglyNumber) }),
    },
    { requiredKeys: [] },
  )
  .map((some) => ({
    ...{ call_number: null, after_us: null, above_ms: null, trace_id: null, region: null },
    ...some,
    from_us: startUs,
    to_us: startUs + 1_000_000,
  }))

const ugly: fc.Arbitrary<WhyData> = fc
  .record({
    question,
    alike,
    kinds: fc.array(trace, { minLength: 1, maxLength: 12 }),
    order: fc.array(fc.nat(11), { maxLength: 90 }),
    processes: fc.dictionary(id, process),
    matched: uglyNumber,
  })
  .map(({ question: asks, alike: same, kinds, order, processes, matched }) => {
    const traces = order.map((at, i): WhyTrace => {
      const kind = kinds[at % kinds.length] as WhyTrace
      return { ...kind, trace_id: `${kind.trace_id}${i}`, ...same }
    })
    const trace_id = asks.trace_id === 'first' ? (traces[0]?.trace_id ?? null) : asks.trace_id
    return { question: { ...asks, trace_id }, matched, traces, processes }
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

test('whyOf() answers well-formed whatever the data', () => {
  fc.assert(
    fc.property(ugly, (data) => expectWellFormed(whyOf(data), data)),
    { numRuns: 600 },
  )
})
