import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { StoredSpan } from '../src/core/trace.ts'
import { sentenceOf } from '../src/core/why/sentence.ts'
import { whyOf } from '../src/core/why/why.ts'
import type { WhyData, WhyProcess, WhyTrace } from '../src/core/why/why_data.ts'
import { type Call, startUs, type World, whyDataOf } from './why_fixture.ts'

const halfUs = startUs + 1_800_000_000

/** Only the span that a client sees, in one layer, as where logs are all there is. */
function flattened(data: WhyData): WhyData {
  const flat = (trace: WhyTrace): WhyTrace => {
    const head = Object.entries(trace.spans).filter(([, span]) => span.entry === true)
    const spans = head.map(([id, span]): [string, StoredSpan] => [id, { ...span, layer: 'tool' }])
    return { ...trace, spans: Object.fromEntries(spans) }
  }
  return { ...data, traces: data.traces.map(flat) }
}

const sometimesSlow = (call: Call): void => {
  if (call.chance() < 0.2) call.work.storage += 1_500 + 6_000 * call.chance()
}

test.each<[string, World['question'], (call: Call) => void]>([
  ['calls above a duration', { above_ms: 2_500 }, sometimesSlow],
  ['slow calls that nobody named', {}, sometimesSlow],
  [
    'calls of a number',
    { call_number: 3 },
    (call) => {
      if (call.number === 3) call.work.api *= 6
    },
  ],
])('whyOf() blames no layer of %s where there is only one', (_, question, disturb) => {
  const data = whyDataOf({ seed: 5, traces: 400, noiseAttributes: 3, disturb, ...(question ? { question } : {}) })
  expect(whyOf(data).verdict?.cause).toBe('layer_slow')
  const { verdict, factors, note } = whyOf(flattened(data))
  expect(verdict).toBeNull()
  expect(factors.filter(({ cause }) => cause === 'layer_slow')).toEqual([])
  expect(note).toMatch(/longer at the median; nothing .* tells why\. Only layer tool was recorded/)
})

test('whyOf() says that no spans were recorded where there are none', () => {
  const data = whyDataOf({ seed: 5, traces: 400, question: { above_ms: 2_500 }, disturb: sometimesSlow })
  const { verdict, note } = whyOf({ ...data, traces: data.traces.map((trace) => ({ ...trace, spans: {} })) })
  expect(verdict).toBeNull()
  expect(note).toMatch(/No spans say where they spend it/)
})

const growing: readonly [string, number, string][] = [
  ['call_number', 120, ', by 120 ms for each call more;'],
  ['call_number', 0.3, ', by 0.3 ms for each call more;'],
  ['call_number', 0.000_2, ' grows with call_number;'],
  ['running', 45.4, ', by 45 ms for each call more that runs besides;'],
  ['bytes_in', 0.02, ', by 20 ms for each 1,000 bytes more;'],
  ['history_bytes', 2.5, ', by 2.5 ms for each byte more;'],
  ['tokens_in', 0.5, ', by 500 ms for each 1,000 tokens more;'],
  ['gen_ai.usage.tokens.total', 0.000_05, ', by 50 ms for each million tokens more;'],
  ['rows', 6, ', by 6.0 ms for each one more;'],
  ['rows', 0.006, ', by 6.0 ms for each 1,000 more;'],
  ['rows', 1e-9, ' grows with rows;'],
]

test.each(growing)('sentenceOf() says how %s grows by %d ms', (attribute, slope, words) => {
  const subject = { calls: 'The slow calls', extraMs: 900, layer: 'api', share: 0.8, since: null }
  expect(sentenceOf(subject, { cause: 'grows_with', attribute, value: null, slope })).toContain(words)
})

const disturbances: readonly ((call: Call) => void)[] = [
  sometimesSlow,
  (call) => {
    if (call.provider === 'kimi') call.work.api *= 4
  },
  (call) => {
    call.work.api += call.number * 300
  },
  (call) => {
    if (call.chance() < 0.2) call.waits.push({ layer: 'tool', name: 'permit a', ms: 2_000, holder: 'b' })
  },
  (call) => {
    if (call.host === 'host-1') call.work.tool += 1_500
    if (call.host === 'host-1') call.version = '1.0.1'
  },
]

test('whyOf() considers nothing twice, nothing that is its verdict, and no growth that cannot be read', () => {
  const worlds = fc.record({
    seed: fc.integer({ min: 1, max: 10_000 }),
    disturb: fc.constantFrom(...disturbances),
    question: fc.constantFrom({}, { above_ms: 2_000 }, { call_number: 3 }, { after_us: halfUs }),
  })
  let considered = 0
  fc.assert(
    fc.property(worlds, (world) => {
      const { verdict, factors } = whyOf(whyDataOf({ ...world, traces: 300 }))
      const sentences = factors.map(({ sentence }) => sentence)
      expect(new Set(sentences).size).toBe(sentences.length)
      const named = verdict === null ? [] : [verdict]
      const said = [...named, ...factors].map(({ cause, layer, attribute, value }) =>
        JSON.stringify(
          cause === 'layer_slow' ? [cause, layer] : [cause, attribute, cause === 'waiting' ? layer : value],
        ),
      )
      expect(new Set(said).size).toBe(said.length)
      // A version that runs on one host alone is that host.
      if (verdict?.attribute === 'version') expect(factors.map(({ attribute }) => attribute)).not.toContain('host')
      for (const { sentence } of [...named, ...factors]) expect(sentence).not.toMatch(/by -?0(\.0)? ms|by -/)
      considered += factors.length
    }),
    { numRuns: 15 },
  )
  expect(considered).toBeGreaterThan(10)
})

/** Every other call is another service's, on a host of its own, whose process is new. */
function ofTwoServices(data: WhyData): WhyData {
  const process = (service: string, started_us: number): WhyProcess => ({
    ...{ service, environment: `of ${service}`, instance: `${service} 1`, version: '1', host: `${service} host` },
    started_us,
  })
  const traces = data.traces.map((trace, index) => {
    const own = index % 2 === 0 ? 'search' : 'chat'
    const spans = Object.entries(trace.spans).map(([id, span]): [string, StoredSpan] => [id, { ...span, process: own }])
    return { ...trace, process: own, spans: Object.fromEntries(spans) }
  })
  return { ...data, traces, processes: { search: process('search', startUs), chat: process('chat', 0) } }
}

test('whyOf() names a service, and not what only tells it from another', () => {
  for (let seed = 1; seed <= 4; seed++) {
    const data = whyDataOf({
      ...{ seed, traces: 400, noiseAttributes: 3, question: { above_ms: 1_800 } },
      disturb: (call) => {
        if (call.index % 2 === 1 && call.chance() < 0.5) call.work.storage += 1_500 + 4_000 * call.chance()
      },
    })
    const { verdict, factors } = whyOf(ofTwoServices(data))
    expect(verdict).toMatchObject({ cause: 'attribute_value', attribute: 'service', value: 'chat' })
    const names = factors.flatMap(({ attribute }) => attribute ?? [])
    for (const name of ['host', 'instance', 'version', 'environment', 'cold_start']) expect(names).not.toContain(name)
  }
})

test('whyOf() names a host of a service that has several', () => {
  const disturb = (call: Call): void => {
    if (call.host === 'host-1' && call.chance() < 0.6) call.work.storage += 2_000 + 3_000 * call.chance()
  }
  const { verdict } = whyOf(whyDataOf({ seed: 3, traces: 400, question: { above_ms: 1_800 }, disturb }))
  expect(verdict).toMatchObject({ cause: 'attribute_value', attribute: 'host', value: 'host-1' })
})
