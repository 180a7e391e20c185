import { expect, test } from 'vitest'
import { whyOf } from '../src/core/why/why.ts'
import type { Verdict } from '../src/core/why/why_answer.ts'
import { type Call, startUs, type World, whyDataOf } from './why_fixture.ts'

const halfUs = startUs + 1_800_000_000

type Named = Partial<Pick<Verdict, 'cause' | 'layer' | 'attribute' | 'value'>>
type Case = readonly [what: string, named: Named, disturb: (call: Call) => void, question: Question]
type Question = World['question'] | 'none'

const varied = (call: Call, ms: number): number => ms * (0.7 + 0.6 * call.chance())

const cases: readonly Case[] = [
  [
    'a permit that third calls wait for',
    { cause: 'waiting', layer: 'tool', attribute: 'permit global_sem', value: 'chat' },
    (call) => {
      if (call.number !== 3 || call.chance() > 0.8) return
      call.waits.push({ layer: 'tool', name: 'permit global_sem', ms: varied(call, 2_000), holder: 'chat' })
    },
    { call_number: 3 },
  ],
  [
    'a permit that some calls wait for',
    { cause: 'waiting', layer: 'tool', attribute: 'permit global_sem', value: 'chat' },
    (call) => {
      if (call.chance() > 0.15) return
      call.waits.push({ layer: 'tool', name: 'permit global_sem', ms: varied(call, 2_000), holder: 'chat' })
    },
    'none',
  ],
  [
    'a layer that is slow now and then',
    { cause: 'layer_slow', layer: 'storage' },
    (call) => {
      if (call.chance() < 0.15) call.work.storage = varied(call, 2_500) * (0.4 + 1.2 * call.chance())
    },
    'none',
  ],
  [
    'an API that is slow from a moment on',
    { cause: 'changed_at', layer: 'api' },
    (call) => {
      if (call.at > 0.6) call.work.api *= 2.5
    },
    'none',
  ],
  [
    'a provider',
    { cause: 'attribute_value', layer: 'api', attribute: 'provider', value: 'kimi' },
    (call) => {
      if (call.provider === 'kimi') call.work.api *= 3
    },
    'none',
  ],
  [
    'a provider from a moment on',
    { cause: 'attribute_value', layer: 'api', attribute: 'provider', value: 'kimi' },
    (call) => {
      if (call.provider === 'kimi' && call.startedUs >= halfUs) call.work.api *= 3
    },
    { after_us: halfUs },
  ],
  [
    'a model of calls above a duration',
    { cause: 'attribute_value', layer: 'api', attribute: 'model', value: 'glm-4.6' },
    (call) => {
      if (call.model === 'glm-4.6') call.work.api *= 4
    },
    { above_ms: 2_500 },
  ],
  [
    'a version, though it began at a moment',
    { cause: 'attribute_value', layer: 'tool', attribute: 'version', value: '1.1.0' },
    (call) => {
      if (call.at < 0.6) return
      call.version = '1.1.0'
      call.work.tool += varied(call, 700)
    },
    'none',
  ],
  [
    'two attributes of which neither alone is slow',
    { cause: 'attribute_value', layer: 'api', attribute: ['host', 'provider'], value: ['host-2', 'kimi'] },
    (call) => {
      if (call.provider === 'kimi' && call.host === 'host-2') call.work.api *= 5
    },
    'none',
  ],
  [
    'a history that grows, though it is fifth calls that are asked about',
    { cause: 'grows_with', layer: 'api', attribute: 'history_bytes' },
    (call) => {
      const bytes = Math.round(call.number * 20_000 * (0.5 + call.chance()))
      call.attributes.history_bytes = bytes
      call.work.api += bytes / 30
    },
    { call_number: 5 },
  ],
  [
    'a timeout of 30 s',
    { cause: 'fixed_timeout', layer: 'api', value: 30_000 },
    (call) => {
      if (call.chance() > 0.12) return
      call.work.api = 30_000 + 5 * call.chance()
      call.outcome = 'timeout'
    },
    'none',
  ],
  [
    'three attempts',
    { cause: 'retries', layer: 'provider', value: 3 },
    (call) => {
      if (call.chance() > 0.15) return
      call.attributes['telltale.retry_count'] = 2
      call.waits.push({ layer: 'provider', name: 'backoff', ms: varied(call, 2_000) })
    },
    'none',
  ],
  [
    'a call before that raised',
    { cause: 'previous_call', layer: 'websocket' },
    (call) => {
      if (call.previous?.outcome === 'tool_error') call.work.websocket += varied(call, 4_000)
    },
    'none',
  ],
  [
    'the same time more for every tool',
    { cause: 'uniform_overhead', layer: 'websocket' },
    (call) => {
      if (call.startedUs >= halfUs) call.work.websocket += 400 + 20 * call.chance()
    },
    { after_us: halfUs },
  ],
  [
    'a first chunk that comes late',
    { cause: 'first_chunk', layer: 'api' },
    (call) => {
      if (call.chance() > 0.2) return
      const ms = varied(call, 3_000)
      call.work.api += ms
      call.firstChunkMs += ms
    },
    'none',
  ],
  [
    'a tool that third calls are to',
    { cause: 'attribute_value', layer: 'api', attribute: 'tool', value: 'tool_slow' },
    (call) => {
      if (call.chance() > (call.number === 3 ? 0.8 : 0.05)) return
      call.tool = 'tool_slow'
      call.work.api = varied(call, 4_000)
    },
    { call_number: 3 },
  ],
]

test.each(cases)('whyOf() names %s', (_, named, disturb, question) => {
  for (const [seed, traces, noiseAttributes] of [
    [11, 400, 12],
    [12, 1_200, 60],
  ] as const) {
    const answer = whyOf(
      whyDataOf({
        seed,
        traces,
        noiseAttributes,
        disturb,
        ...(question === 'none' || question === undefined ? {} : { question }),
      }),
    )
    expect(answer.verdict).toMatchObject(named)
  }
})
