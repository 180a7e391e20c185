import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { destinationPolicyOf } from '../functions/store/destination_check.ts'
import { fetchDial } from '../functions/store/destination_dial.ts'
import { HttpNotifier, type NotifierOptions } from '../functions/store/http_notifier.ts'
import type { Notification } from '../functions/store/port.ts'
import type { AlertDocument } from '../src/core/alert/alert_document.ts'
import { notificationMsMax } from '../src/core/limit.ts'
import { isPrivateAddress } from '../src/core/private_address.ts'
import { type LookupAll, nodeDial } from '../src/local/node_dial.ts'
import { openReceiver, webhookSecret } from './alert_fixture.ts'

const alert: AlertDocument = {
  alert_id: '018f0000-0000-7000-8000-000000000001',
  rule_id: 'slow',
  rule: 'Slower than usual',
  state: 'firing',
  severity: 'critical',
  topic: 'latency',
  service: 'exai',
  environment: 'prod',
  title: 'P95 latency of provider <kimi> & co is 4 s where 1 s is usual @everyone',
  subject: 'provider:kimi',
  metric: 'p95_ms',
  value: 4_000,
  expected: { low: null, mid: 1_000, high: 2_000 },
  count: 40,
  others: [],
  trace_ids: ['c'.repeat(32)],
  link: '/traces?provider=kimi',
  verdict: null,
  started_us: 1_800_000_000_000_000,
  fired_us: 1_800_000_010_000_000,
  acknowledged_us: null,
  acknowledged_by: null,
  resolved_us: null,
  silenced: false,
  under: null,
  revision: 3,
}

/** Stands for a public address: on this machine everything that can be listened on is loopback. */
const publicAddress = '127.0.0.2'
const isForbidden = (address: string) => address !== publicAddress && isPrivateAddress(address)
const policy = { isForbidden, allowsPlain: true, allowsPrivateNames: false }
const names: { readonly [host: string]: string } = {
  'public.example': publicAddress,
  'inside.example': '127.0.0.1',
  'cloud.example': '169.254.169.254',
}
const lookUp: LookupAll = (host, done) => {
  const address = names[host]
  done(address === undefined ? new Error('ENOTFOUND') : null, address === undefined ? [] : [{ address, family: 4 }])
}

function aNotification(url: string, changes: Partial<Notification> = {}): Notification {
  const facts = {
    notification_id: 'a:firing:b',
    attempt: 1,
    event: 'firing' as const,
    alert,
    created_us: 1_800_000_010_000_000,
  }
  return { ...facts, kind: 'webhook', url, secret: webhookSecret, detail: {}, ...changes }
}

let receiver: Awaited<ReturnType<typeof openReceiver>>
beforeEach(async () => {
  receiver = await openReceiver(publicAddress)
})
afterEach(() => receiver.close())

const notifierWith = (changes: Partial<NotifierOptions> = {}) =>
  new HttpNotifier({
    dial: nodeDial(lookUp),
    policy,
    pageUrl: 'https://telltale.example/',
    clock: () => Date.now() * 1_000,
    ...changes,
  })
const send = (url: string, changes: Partial<Notification> = {}) => notifierWith().send(aNotification(url, changes))

describe('a message', () => {
  test('to a webhook is signed as Standard Webhooks says, with the same id for every attempt', async () => {
    const url = `http://public.example:${receiver.port}/hook`
    expect(await send(url)).toEqual({ ok: true, final: true, status: 204, error: null, retry_after_s: null })
    await send(url, { attempt: 2 })
    const said = receiver.received.map(({ headers, body }) => {
      expect(headers['content-type']).toBe('application/json')
      return new Webhook(webhookSecret).verify(body, headers as Record<string, string>)
    })
    expect(said[0]).toEqual({
      type: 'alert.firing',
      timestamp: '2027-01-15T08:00:10.000Z',
      data: { ...alert, url: 'https://telltale.example/traces?provider=kimi' },
    })
    expect(said[1]).toEqual(said[0])
    expect(receiver.received.map(({ headers }) => headers['webhook-id'])).toEqual(['a:firing:b', 'a:firing:b'])
    const [{ body = '', headers = {} } = {}] = receiver.received
    const tampered = body.replace('critical', 'info')
    expect(() => new Webhook(webhookSecret).verify(tampered, headers as Record<string, string>)).toThrow()
  })

  test('to Slack says it in its markup, in which nothing that was recorded is markup', async () => {
    await send(`http://public.example:${receiver.port}/services/T/B/x`, { kind: 'slack', secret: null })
    const said = JSON.parse(receiver.received[0]?.body ?? '')
    expect(said.text).toContain('Firing: P95 latency')
    const { text } = said.blocks[0].text
    expect(text).toContain('provider &lt;kimi&gt; &amp; co')
    expect(text).toContain('*Seen:* 4 s')
    expect(text).toContain('*Expected:* about 1 s, at most 2 s')
    expect(text).toContain('<https://telltale.example/traces?provider=kimi|Open the dashboard>')
  })

  test('to Discord mentions nobody', async () => {
    await send(`http://public.example:${receiver.port}/api/webhooks/1/x`, { kind: 'discord', secret: null })
    const said = JSON.parse(receiver.received[0]?.body ?? '')
    expect(said.allowed_mentions).toEqual({ parse: [] })
    expect(said.embeds[0]).toMatchObject({ url: 'https://telltale.example/traces?provider=kimi', color: 0xdc2626 })
    expect(said.embeds[0].fields).toContainEqual({ name: 'Seen', value: '4 s', inline: true })
  })

  test('by e-mail carries the key in its head and the id that keeps it from being sent twice', async () => {
    const detail = { from: 'telltale@example.org', to: ['a@example.org', 'b@example.org'] }
    await send(`http://public.example:${receiver.port}/emails`, {
      kind: 'email',
      secret: 're_key',
      detail,
      event: 'resolved',
    })
    const [{ headers = {}, body = '' } = {}] = receiver.received
    expect(headers.authorization).toBe('Bearer re_key')
    expect(headers['idempotency-key']).toBe('a:firing:b')
    expect(JSON.parse(body)).toMatchObject({ ...detail, subject: expect.stringMatching(/^Resolved: P95/) })
  })

  test('that cannot be signed is given up', async () => {
    expect(await send(`http://public.example:${receiver.port}/`, { secret: '' })).toMatchObject({
      ok: false,
      final: true,
    })
    expect(receiver.received).toEqual([])
  })
})

describe('an answer', () => {
  test.each([
    [200, { ok: true, final: true }],
    [500, { ok: false, final: false }],
    [404, { ok: false, final: false }],
    [410, { ok: false, final: true }],
    [304, { ok: false, final: false }],
  ])('%i', async (status, wanted) => {
    receiver.world.answer = (response) => void response.writeHead(status).end()
    expect(await send(`http://public.example:${receiver.port}/`)).toMatchObject({ ...wanted, status })
  })
  test('with Retry-After says when', async () => {
    receiver.world.answer = (response) => void response.writeHead(429, { 'Retry-After': '120' }).end()
    expect(await send(`http://public.example:${receiver.port}/`)).toMatchObject({
      ok: false,
      status: 429,
      retry_after_s: 120,
    })
  })
  test('that does not come is waited for no longer than the bound', async () => {
    receiver.world.answer = () => undefined
    const began = performance.now()
    const attempt = await notifierWith({ msMax: 200 }).send(aNotification(`http://public.example:${receiver.port}/`))
    expect(attempt).toMatchObject({ ok: false, final: false, status: null, error: 'It did not answer within 0.2 s' })
    expect(performance.now() - began).toBeLessThan(notificationMsMax)
  })
  test('that has no end holds nobody up', async () => {
    receiver.world.answer = (response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write('x'.repeat(65_536)), 5)
      response.on('close', () => clearInterval(timer)).on('error', () => undefined)
    }
    expect(await send(`http://public.example:${receiver.port}/`)).toMatchObject({ ok: true })
  })
  test('from a receiver that is down is tried again, and its address is in no reason', async () => {
    const { port } = receiver
    await receiver.close()
    const attempt = await send(`http://public.example:${port}/secret-path`)
    expect(attempt).toMatchObject({ ok: false, final: false, status: null })
    expect(JSON.stringify(attempt)).not.toMatch(/secret-path|public\.example|127\.0/)
    receiver = await openReceiver(publicAddress)
  })
})

describe('a destination', () => {
  const forbidden = [
    'http://127.0.0.1:1/',
    'http://[::1]:1/',
    'http://2130706433/',
    'http://0x7f.1/',
    'http://169.254.169.254/latest/meta-data/',
    'http://[::ffff:169.254.169.254]/',
    'http://10.1.2.3/',
    'http://localhost:1/',
    'http://metadata.google.internal/',
    'http://metadata/',
    'http://printer/',
    'http://user:password@public.example/',
    'http://inside.example/',
    'http://cloud.example/',
  ]
  test.each(forbidden)('%s is refused for good, and nothing is sent', async (url) => {
    expect(await send(url)).toMatchObject({
      ok: false,
      final: true,
      status: null,
      error: expect.stringMatching(/^Refused: /),
    })
    expect(receiver.received).toEqual([])
  })

  test.each(forbidden.filter((url) => !url.includes('@')))('that redirects to %s is refused', async (location) => {
    receiver.world.answer = (response) => void response.writeHead(307, { Location: location }).end()
    expect(await send(`http://public.example:${receiver.port}/`)).toMatchObject({ ok: false, final: true })
    expect(receiver.received.length).toBe(1)
  })

  test('may redirect within what is public, a few times, with the same body and signature', async () => {
    let hops = 0
    receiver.world.answer = (response) =>
      void (hops++ < 2 ? response.writeHead(308, { Location: `/next/${hops}` }).end() : response.writeHead(204).end())
    expect(await send(`http://public.example:${receiver.port}/first`)).toMatchObject({ ok: true })
    expect(receiver.received.map(({ path }) => path)).toEqual(['/first', '/next/1', '/next/2'])
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1)
    receiver.world.answer = (response) => void response.writeHead(308, { Location: '/again' }).end()
    expect(await send(`http://public.example:${receiver.port}/`)).toMatchObject({
      ok: false,
      error: 'It redirects too often',
    })
  })

  test('that holds a key of ours follows nowhere', async () => {
    receiver.world.answer = (response) => void response.writeHead(307, { Location: '/elsewhere' }).end()
    for (const kind of ['slack', 'discord', 'email'] as const) {
      expect(await send(`http://public.example:${receiver.port}/`, { kind })).toMatchObject({ ok: false, final: true })
    }
    expect(receiver.received.length).toBe(3)
  })

  test('is asked at the address that was checked, whatever its name leads to afterwards', async () => {
    let asked = 0
    const rebinding: LookupAll = (_, done) =>
      done(null, [{ address: asked++ === 0 ? publicAddress : '127.0.0.1', family: 4 }])
    const notifier = notifierWith({ dial: nodeDial(rebinding) })
    expect(await notifier.send(aNotification(`http://public.example:${receiver.port}/`))).toMatchObject({ ok: true })
    expect(asked).toBe(1)
    expect(await notifier.send(aNotification(`http://public.example:${receiver.port}/`))).toMatchObject({
      final: true,
      ok: false,
    })
  })

  test('with one forbidden address among several is refused', async () => {
    const both: LookupAll = (_, done) =>
      done(
        null,
        [publicAddress, '10.0.0.1'].map((address) => ({ address, family: 4 })),
      )
    const attempt = await notifierWith({ dial: nodeDial(both) }).send(
      aNotification(`http://public.example:${receiver.port}/`),
    )
    expect(attempt).toMatchObject({ ok: false, final: true })
    expect(receiver.received).toEqual([])
  })

  test('has to speak TLS where private ones are not allowed; with the setting all but link-local ones may be asked', async () => {
    const strict = notifierWith({ policy: destinationPolicyOf(false) })
    expect(await strict.send(aNotification('http://example.com/'))).toMatchObject({ error: 'Refused: it is not https' })
    const open = notifierWith({ policy: destinationPolicyOf(true), dial: nodeDial() })
    expect(await open.send(aNotification(receiver.url))).toMatchObject({ ok: true })
    expect(await open.send(aNotification('http://169.254.169.254/'))).toMatchObject({ ok: false, final: true })
  })

  test('on a platform with fetch alone is checked as far as it goes, and without names may redirect nowhere', async () => {
    const resolve = async (host: string) => (names[host] === undefined ? [] : [names[host]])
    const plain = notifierWith({ dial: fetchDial(resolve) })
    for (const url of ['http://inside.example/', 'http://cloud.example/', 'http://127.0.0.1:1/']) {
      expect(await plain.send(aNotification(url)), url).toMatchObject({ ok: false, final: true })
    }
    expect(await plain.send(aNotification('http://unknown.example/'))).toMatchObject({ ok: false, final: false })
    receiver.world.answer = (response) => void response.writeHead(307, { Location: '/next' }).end()
    const nameless = notifierWith({ dial: fetchDial(null) })
    expect(await nameless.send(aNotification(receiver.url))).toMatchObject({ ok: false, final: true, status: 307 })
    expect(receiver.received.length).toBe(1)
    receiver.world.answer = (response) => void response.writeHead(200).end('ok')
    expect(await nameless.send(aNotification(receiver.url))).toMatchObject({ ok: true })
  })
})
