import { afterAll, beforeAll, expect, test } from 'vitest'
import { openPrivacyStage, type PrivacyStage } from './privacy_stage_fixture.ts'
import { byHttp, byPython, byWebSocket, outboxTextOf } from './privacy_tap_fixture.ts'
import { byBatch, byOtlp, byReporter, byWrap, type WayIn } from './privacy_way_fixture.ts'
import { noPythonReason } from './python_fixture.ts'
import { leaksIn, seedSecrets } from './secret_seed_fixture.ts'

const secretsSeeded = 10_000

let stage: PrivacyStage

beforeAll(async () => {
  stage = await openPrivacyStage()
}, 60_000)

afterAll(() => stage?.close())

const ways: readonly (readonly [name: string, way: WayIn])[] = [
  ['batches by POST', byBatch],
  ['the TypeScript reporter', byReporter],
  ['the stdio tap with the content of every tool', byWrap],
  ['the WebSocket tap with the content of every tool', byWebSocket],
  ['the HTTP tap with the content of every tool', byHttp],
  ['OpenTelemetry', byOtlp],
  ...(noPythonReason ? [] : [['the Python reporter', byPython] as const]),
]

test.each(ways)(
  'of 10,000 secrets none is found in any place, sent by %s',
  async (_, way) => {
    await stage.watch()
    const pushed = stage.pushes.length
    const rows = (await stage.postgres()).length
    await way(seedSecrets(secretsSeeded, 7), stage.env)
    const postgres = await stage.postgres()
    expect(postgres.length - rows).toBeGreaterThan(secretsSeeded)
    expect(leaksIn(postgres).slice(0, 20)).toEqual([])
    expect.soft(leaksIn(await stage.redis()).slice(0, 5)).toEqual([])
    expect.soft(leaksIn(stage.printed())).toEqual([])
    await expect.poll(() => stage.pushes.length, { timeout: 5_000 }).toBeGreaterThan(pushed)
    expect(leaksIn(stage.pushes.join('\n')).slice(0, 5)).toEqual([])
  },
  120_000,
)

const spillers: readonly (readonly [name: string, way: WayIn])[] = [
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
