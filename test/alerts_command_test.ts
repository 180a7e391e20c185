import { randomUUID } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { asInstant, asSeconds } from '../src/cli/alert_words.ts'
import { eventually, openReceiver } from './alert_fixture.ts'
import { aBatch, anError } from './rows_fixture.ts'
import { createDataDir, type RunningStack, runTelltale, startTelltale } from './stack_fixture.ts'

describe('telltale alerts', { timeout: 120_000 }, () => {
  let stack: RunningStack
  let receiver: Awaited<ReturnType<typeof openReceiver>>
  const data = createDataDir()
  beforeAll(async () => {
    receiver = await openReceiver()
    stack = await startTelltale(data.dir, { env: { TELLTALE_ALLOW_PRIVATE_DESTINATIONS: '1' } })
  }, 60_000)
  afterAll(async () => {
    await stack?.stop('SIGTERM')
    await receiver?.close()
    data.remove()
  })
  const run = async (...args: readonly string[]) => runTelltale(['alerts', ...args], { TELLTALE_DATA_DIR: data.dir })
  const answer = async (...args: readonly string[]) => {
    const { printed, errors, code } = await run(...args, '--json')
    expect(errors).toBe('')
    expect(code).toBe(0)
    return JSON.parse(printed)
  }

  test('says whom to tell, tells them by the tick of a running stack, acknowledges, silences and plays again', async () => {
    const added = await answer('destinations', 'add', 'webhook', 'pager', '--url', receiver.url)
    expect(added).toMatchObject({
      name: 'pager',
      kind: 'webhook',
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/\.\.\.$/),
    })
    expect(await answer('destinations', 'test', 'pager')).toMatchObject({ event: 'test', state: 'sent', attempts: 1 })

    const nowUs = Date.now() * 1_000
    const error = anError({ at_us: nowUs, error_type: 'QuotaError', message: 'the quota is used up' })
    const batch = aBatch([error], {
      made_at_us: nowUs,
      process: { ...aBatch().process, id: randomUUID(), started_at_us: nowUs },
    })
    const sent = await fetch(stack.env.TELLTALE_INGEST_URL ?? '', {
      method: 'POST',
      headers: { authorization: `Bearer ${stack.env.TELLTALE_INGEST_KEY}`, 'content-type': 'application/json' },
      body: JSON.stringify(batch),
    })
    expect(sent.status).toBe(200)
    await eventually(() => receiver.received.length >= 2, 30_000)
    const [{ body = '', headers = {} } = {}] = receiver.received.slice(1)
    const said = new Webhook(added.secret).verify(body, headers as Record<string, string>)
    expect(said).toMatchObject({
      type: 'alert.firing',
      data: { rule_id: 'new_error', url: expect.stringMatching(new RegExp(`^${stack.url}/errors/v1`)) },
    })

    const [alert] = await answer()
    expect(alert).toMatchObject({ rule_id: 'new_error', state: 'firing', severity: 'warning' })
    expect(await answer('ack', alert.alert_id.slice(0, 8))).toMatchObject({
      state: 'acknowledged',
      acknowledged_by: 'operator',
    })
    expect((await run()).printed).toContain('acknowledged by operator  A new error in exai (test): QuotaError')
    const silence = await answer('silence', '--for', '2h', '--service', 'exai', '--every', '1d', '--reason', 'nightly')
    expect(silence).toMatchObject({ service: 'exai', repeat_s: 86_400, reason: 'nightly' })
    expect(await answer('silences')).toEqual([silence])
    expect(await answer('unsilence', silence.silence_id)).toEqual({ silence_id: silence.silence_id, ended: true })
    expect(await answer('test', 'new_error', '--from', '1h')).toMatchObject({ fired: [{ resolved_us: null }] })
    expect(await answer('deliveries')).toHaveLength(2)
  })

  test('keeps rules', async () => {
    const added = await answer(
      'rules',
      'add',
      'slow_chat',
      '--metric',
      'p95_ms',
      '--above',
      '2000',
      '--key',
      'tool:chat',
      '--for',
      '2m',
      '--severity',
      'critical',
      '--destination',
      'pager',
    )
    expect(added).toMatchObject({
      kind: 'metric',
      condition: 'above',
      threshold: 2_000,
      for_s: 120,
      filter: { keys: ['tool:chat'] },
    })
    expect(added.destinations).toHaveLength(1)
    expect(await answer('rules', 'set', 'slow_chat', '--times', '3')).toMatchObject({
      condition: 'above_baseline',
      threshold: 3,
    })
    expect(await answer('rules', 'disable', 'slow_chat')).toMatchObject({ enabled: false })
    expect((await run('rules')).printed).toMatch(/^slow_chat +off +critical +metric p95_ms above_baseline 3 /m)
    expect(await answer('rules', 'remove', 'slow_chat')).toEqual({ rule_id: 'slow_chat', removed: true })
  })

  test.each([
    [['rules', 'add', 'x', '--metric', 'luck', '--above', '1']],
    [['rules', 'remove', 'slow']],
    [['ack', 'ffffffff']],
    [['test', 'gap']],
    [['destinations', 'add', 'pigeon', 'x', '--url', 'https://example.com']],
    [['destinations', 'add', 'email', 'x', '--to', 'a@example.org', '--from', 'b@example.org']],
    [['destinations', 'remove', 'nothing']],
  ])('%j fails and says why', async (args) => {
    const { code, printed, errors } = await run(...args)
    expect(code).not.toBe(0)
    expect(printed).toBe('')
    expect(errors).toMatch(/^telltale: /m)
  })
})

test('asSeconds() and asInstant() read times as people write them, and nothing else', () => {
  expect(['90s', '30m', '2h', '7d'].map(asSeconds)).toEqual([90, 1_800, 7_200, 604_800])
  for (const wrong of ['', 'ever', '1', '1w', '-1h', '1.5h'])
    expect(() => asSeconds(wrong)).toThrow(/^Cannot read time/)
  expect(asInstant('2h', 10_000_000_000)).toBe(2_800_000_000)
  expect(asInstant('2026-11-30T00:00:00Z', 0)).toBe(Date.UTC(2026, 10, 30) * 1_000)
  expect(() => asInstant('yesterday', 0)).toThrow(/^Cannot read instant/)
})
