import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AnyValue } from '../src/wire/otlp_proto_generated.ts'
import { jsonOfValue } from '../src/wire/otlp_value.ts'
import { byImport } from './privacy_log_fixture.ts'
import { byOtlp } from './privacy_otlp_fixture.ts'
import { outboxTextOf } from './privacy_outbox_fixture.ts'
import { byHooks, byPython } from './privacy_python_fixture.ts'
import { byInstrument } from './privacy_server_fixture.ts'
import { openPrivacyStage, type PrivacyStage } from './privacy_stage_fixture.ts'
import { byHttp, byMcpSocket, byWebSocket } from './privacy_tap_fixture.ts'
import { byBatch, byReporter, byWrap, type WayIn } from './privacy_way_fixture.ts'
import { noPythonReason, pythonWith } from './python_fixture.ts'
import { leaksIn, seedSecrets } from './secret_seed_fixture.ts'

const secretsSeeded = 10_000

let stage: PrivacyStage

beforeAll(async () => {
  stage = await openPrivacyStage()
}, 60_000)

afterAll(() => stage?.close())

const { python } = await pythonWith('sdk')

type NamedWay = readonly (readonly [name: string, way: WayIn])[]

/** From senders that take nothing out. */
const raw: NamedWay = [
  ['batches by POST', byBatch],
  ['OpenTelemetry in JSON', byOtlp('json')],
  ['OpenTelemetry in protobuf', byOtlp('protobuf')],
]
const reporting: NamedWay = [
  ['the TypeScript reporter', byReporter],
  ['instrument() with the content of every tool', byInstrument],
  ['the stdio tap with the content of every tool', byWrap],
  ['the WebSocket tap with the content of every tool', byWebSocket],
  ['the WebSocket tap on MCP with the content of every tool', byMcpSocket],
  ['the HTTP tap with the content of every tool', byHttp],
  ['telltale import', byImport],
  ...(noPythonReason ? [] : [['the Python reporter', byPython] as const]),
  ...(python === null
    ? []
    : [['the hooks of the Python reporter with the content of every tool', byHooks(python)] as const]),
]

async function expectNoLeak(way: WayIn, reports: boolean): Promise<void> {
  await stage.begin()
  const said = await way(seedSecrets(secretsSeeded, 7), reports ? stage.overheardEnv : stage.env)
  expect.soft(leaksIn(said).slice(0, 20)).toEqual([])
  const sent = stage.overheard()
  if (reports) expect(sent.length).toBeGreaterThan(secretsSeeded)
  expect.soft(leaksIn(sent).slice(0, 20)).toEqual([])
  const postgres = await stage.postgres()
  expect(postgres.length).toBeGreaterThan(secretsSeeded)
  expect(leaksIn(postgres).slice(0, 20)).toEqual([])
  expect.soft(leaksIn(await stage.redis()).slice(0, 5)).toEqual([])
  expect.soft(leaksIn(stage.printed())).toEqual([])
  await expect.poll(() => stage.pushes.length, { timeout: 5_000 }).toBeGreaterThan(0)
  expect(leaksIn(stage.pushes.join('\n')).slice(0, 5)).toEqual([])
}

test.each(raw)(
  'of 10,000 secrets none is found in any place, sent by %s',
  (_, way) => expectNoLeak(way, false),
  120_000,
)

test.each(reporting)(
  'of 10,000 secrets none is found in any place, on the way to the edge or in what is printed, sent by %s',
  (_, way) => expectNoLeak(way, true),
  120_000,
)

const spillers: NamedWay = [
  ['the TypeScript reporter', byReporter],
  ...(noPythonReason ? [] : [['the Python reporter', byPython] as const]),
]

test.each(spillers)(
  'of 10,000 secrets none is found in the outbox file of %s',
  async (_, way) => {
    const text = await outboxTextOf(way, seedSecrets(secretsSeeded, 8))
    expect(text.length).toBeGreaterThan(secretsSeeded)
    expect(leaksIn(text).slice(0, 20)).toEqual([])
  },
  120_000,
)

test('leaksIn() knows each of the 10,000 secrets in a text', () => {
  const secrets = seedSecrets(secretsSeeded, 7)
  expect(
    secrets.filter(({ text, value }) => leaksIn(`a ${text} b`).length === 0 || leaksIn(value).length === 0),
  ).toEqual([])
  expect(new Set(secrets.map(({ text }) => text)).size).toBe(secretsSeeded)
})

test('jsonOfValue() keeps bytes as base64, unless they are a text with a secret, however short', () => {
  const kept = (text: string) => {
    const bytes = { case: 'bytesValue', value: new TextEncoder().encode(text) }
    return jsonOfValue({ value: bytes } as AnyValue)
  }
  expect(kept('password=hunter2hunter2 and more')).toBe('password=[redacted] and more')
  expect(kept('two words')).toBe('dHdvIHdvcmRz')
})
