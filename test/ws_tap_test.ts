import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import * as fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { type ClientOptions, WebSocket } from 'ws'
import type { SocketEnd, SocketObserver } from '../src/tap/ws_observer.ts'
import type { WsTap, WsTapOptions } from '../src/tap/ws_tap.ts'
import { eventually } from './ingest_fixture.ts'
import { endOf, type FarServer, type Heard, nextMessages, opened, startFarServer, tapBefore } from './ws_tap_fixture.ts'

const open: { close(): unknown }[] = []

afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close()
})

function kept<T extends { close(): unknown }>(thing: T): T {
  open.push(thing)
  return thing
}

async function tapped(more: Partial<WsTapOptions> = {}, onSocket?: (socket: WebSocket) => void) {
  const far = kept(await startFarServer(onSocket))
  const tap = kept(await tapBefore(far.url, more))
  return { far, tap }
}

async function clientOf(tap: WsTap, options: ClientOptions = {}) {
  const client = new WebSocket(`ws://127.0.0.1:${tap.port}`, options)
  open.push({ close: () => client.terminate() })
  await opened(client)
  return client
}

const echo = (socket: WebSocket) => socket.on('message', (data, binary) => socket.send(data, { binary }))

/** Compared as text: bytes one by one take longer than the tap. */
const textOf = ({ data, binary }: Heard) => `${binary}${data.toString('latin1')}`

/** Listens and notes what it hears. */
function notingObserver(more: Partial<SocketObserver> = {}) {
  const heard: string[] = []
  const ends: SocketEnd[] = []
  const observer: SocketObserver = {
    rewrites: false,
    clientMessage({ data }) {
      heard.push(`> ${data}`)
      return null
    },
    serverMessage: ({ data }) => void heard.push(`< ${data}`),
    refused: (why) => void heard.push(`! ${why}`),
    close: (end) => void ends.push(end),
    ...more,
  }
  return { heard, ends, observer }
}

test('startWsTap() passes texts and bytes both ways unchanged and in order, observed or not', async () => {
  const { observer } = notingObserver({ rewrites: true, clientMessage: () => null })
  for (const observerOf of [null, () => observer]) {
    const { tap } = await tapped({ observerOf }, echo)
    const client = await clientOf(tap)
    const messages = fc.array(
      fc.record({
        data: fc.constantFrom(0, 1, 125, 126, 65_535, 65_536, 200_000).map((bytes) => randomBytes(bytes)),
        binary: fc.boolean(),
      }),
      { minLength: 1, maxLength: 12 },
    )
    await fc.assert(
      fc.asyncProperty(messages, async (sent) => {
        const heard = nextMessages(client, sent.length)
        const texts = sent.map(({ data, binary }) => ({
          data: binary ? data : Buffer.from(data.toString('hex')),
          binary,
        }))
        for (const { data, binary } of texts) client.send(data, { binary })
        expect((await heard).map(textOf)).toEqual(texts.map(textOf))
      }),
      { numRuns: 12 },
    )
  }
})

test('startWsTap() passes a message of 32 MiB, and text that is no UTF-8 is for the far end to judge', async () => {
  const { tap, far } = await tapped({}, echo)
  const client = await clientOf(tap)
  const large = Buffer.alloc(32 * 1024 * 1024, 'x')
  const heard = nextMessages(client, 1)
  client.send(large, { binary: false })
  const [message] = await heard
  expect(message?.binary).toBe(false)
  expect(message?.data.equals(large)).toBe(true)
  const ended = endOf(client)
  client.send(Buffer.from([0xff, 0xfe]), { binary: false })
  expect((await ended)[0]).toBe(1007)
  expect(far.sockets).toHaveLength(1)
})

test('startWsTap() lets who sends wait until the other side has read', async () => {
  const { tap, far } = await tapped()
  const client = await clientOf(tap)
  await eventually(() => far.sockets.length === 1)
  const [server] = far.sockets
  server?.pause()
  const part = Buffer.alloc(1024 * 1024)
  let left = 0
  const count = 64
  for (let number = 0; number < count; number++) client.send(part, () => left++)
  // What lies in the sockets' own buffers and what the tap holds is far from all of it: it stops, and stays so.
  let [before, polls] = [-1, 0]
  await eventually(() => {
    polls = left === before ? polls + 1 : 0
    before = left
    return polls >= 30
  })
  expect(left).toBeLessThan(count / 2)
  const heard = nextMessages(server as WebSocket, count)
  server?.resume()
  expect((await heard).every(({ data }) => data.length === part.length)).toBe(true)
})

test('startWsTap() asks the target as the client asked: path, query, headers and subprotocols', async () => {
  const far = kept(await startFarServer(undefined, { handleProtocols: (offered) => [...offered][1] ?? false }))
  far.server.on('headers', (lines) => lines.push('Set-Cookie: a=b', 'X-Far: 1'))
  const tap = kept(await tapBefore(new URL('/base/', far.url)))
  const headers = { authorization: 'Bearer x', cookie: 'c=d', 'x-own': 'Yes' }
  const client = new WebSocket(`ws://127.0.0.1:${tap.port}/ws?a=%20b&c`, ['one', 'two'], {
    headers,
    origin: 'http://o.test',
  })
  open.push({ close: () => client.terminate() })
  const [[answer]] = await Promise.all([once(client, 'upgrade'), opened(client)])
  expect(answer.headers).toMatchObject({ 'set-cookie': ['a=b'], 'x-far': '1' })
  expect(client.protocol).toBe('two')
  expect(far.asked).toMatchObject([
    { url: '/base/ws?a=%20b&c', headers: { ...headers, origin: 'http://o.test', host: `127.0.0.1:${far.port}` } },
  ])
})

test('startWsTap() compresses where both ends would, and chooses no subprotocol where the target chooses none', async () => {
  for (const [asked, offered, agreed] of [
    [true, true, 'permessage-deflate'],
    [true, false, ''],
    [false, true, ''],
  ] as const) {
    const far = kept(await startFarServer(echo, { perMessageDeflate: asked, handleProtocols: () => false }))
    const tap = kept(await tapBefore(far.url))
    const client = await clientOf(tap, { perMessageDeflate: offered })
    expect([asked, offered, client.extensions]).toEqual([asked, offered, agreed])
    const heard = nextMessages(client, 1)
    client.send('words '.repeat(1_000))
    expect((await heard)[0]?.data.toString()).toBe('words '.repeat(1_000))
  }
  const far = kept(await startFarServer(undefined, { handleProtocols: () => false }))
  const tap = kept(await tapBefore(far.url))
  const raw = connect(tap.port, '127.0.0.1')
  open.push({ close: () => raw.destroy() })
  const key = Buffer.alloc(16).toString('base64')
  raw.write(
    `GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: one\r\n\r\n`,
  )
  const [head] = (await once(raw, 'data')) as [Buffer]
  expect(head.toString()).toMatch(/^HTTP\/1.1 101 /)
  expect(head.toString()).not.toMatch(/sec-websocket-protocol/i)
})

test('startWsTap() passes pings, pongs and both kinds of end on, with code and reason', async () => {
  const { observer, ends } = notingObserver()
  const { tap, far } = await tapped({ observerOf: () => observer })
  const pair = async (): Promise<[WebSocket, WebSocket]> => {
    const client = await clientOf(tap)
    await eventually(() => far.sockets.length > 0)
    return [client, far.sockets.pop() as WebSocket]
  }
  const [client, server] = await pair()
  const pong = once(client, 'pong')
  const ping = once(server, 'ping')
  client.ping('are you there')
  expect([String((await ping)[0]), String((await pong)[0])]).toEqual(['are you there', 'are you there'])
  const ended = endOf(server)
  client.close(4321, 'had enough')
  expect(await ended).toEqual([4321, 'had enough'])
  const cases: ((socket: WebSocket) => unknown)[] = [(socket) => socket.close(), (socket) => socket.terminate()]
  for (const [index, end] of cases.entries()) {
    const [left, right] = await pair()
    const heard = endOf(left)
    // What was said before the end is heard before it.
    const last = nextMessages(left, 1)
    right.send('the last', () => end(right))
    expect((await last)[0]?.data.toString()).toBe('the last')
    expect((await heard)[0]).toBe([1005, 1006][index])
  }
  await eventually(() => ends.length === 3)
  expect(ends).toEqual([
    { by: 'client', code: 4321, reason: 'had enough' },
    { by: 'server', code: 1005, reason: '' },
    { by: 'server', code: 1006, reason: '' },
  ])
})

test('startWsTap() shows a client what the target shows: nobody there, a refusal, plain HTTP', async () => {
  const { observer, heard } = notingObserver()
  const { tap, far } = await tapped({ observerOf: () => observer })
  far.server.options.verifyClient = (_info, answer) =>
    answer(false, 401, 'who are you', { 'www-authenticate': 'Basic' })
  const refused = new WebSocket(`ws://127.0.0.1:${tap.port}`)
  refused.on('error', () => undefined)
  const [, response] = await once(refused, 'unexpected-response')
  expect([response.statusCode, response.headers['www-authenticate']]).toEqual([401, 'Basic'])
  response.resume()
  await once(response, 'end')
  const health = await fetch(`http://127.0.0.1:${tap.port}/health`, { method: 'POST', body: 'x' })
  expect([health.status, health.headers.get('x-far'), await health.text()]).toEqual([200, 'yes', 'plain POST'])
  await far.close()
  const nobody = new WebSocket(`ws://127.0.0.1:${tap.port}`)
  const [error] = await once(nobody, 'error')
  expect(error.code).toBe('ECONNRESET')
  await expect(fetch(`http://127.0.0.1:${tap.port}/health`)).rejects.toThrow()
  expect(heard).toEqual(['! the server answered HTTP 401', `! connect ECONNREFUSED 127.0.0.1:${far.port}`])
})

test('startWsTap() passes everything unread once its observer has thrown, and says so once a connection', async () => {
  const said: string[] = []
  const boom = () => {
    throw new Error('boom')
  }
  const { observer } = notingObserver({ rewrites: true, clientMessage: boom, close: boom, serverMessage: boom })
  const observers = [() => observer, boom]
  const { tap } = await tapped(
    { observerOf: () => (observers.shift() ?? boom)(), warn: (text) => said.push(text) },
    echo,
  )
  for (let turn = 0; turn < 2; turn++) {
    const client = await clientOf(tap)
    const heard = nextMessages(client, 2)
    client.send('one')
    client.send('two')
    expect((await heard).map(({ data }) => data.toString())).toEqual(['one', 'two'])
  }
  expect(said).toEqual([
    'Cannot read a connection any longer, it passes unread: boom',
    'Cannot read a connection, it passes unread: boom',
  ])
})

test('startWsTap() keeps hundreds of connections apart and counts them', async () => {
  const counts: number[] = []
  const { tap } = await tapped({ connections: (count) => counts.push(count) }, echo)
  const clients = await Promise.all(Array.from({ length: 200 }, () => clientOf(tap)))
  const answers = await Promise.all(
    clients.map(async (client, index) => {
      const heard = nextMessages(client, 1)
      client.send(`I am ${index}`)
      return (await heard)[0]?.data.toString()
    }),
  )
  expect(answers).toEqual(clients.map((_, index) => `I am ${index}`))
  expect(Math.max(...counts)).toBe(200)
  for (const client of clients) client.close()
  await eventually(() => counts.at(-1) === 0)
})

test('startWsTap() tells both ends when it stops, and refuses an address that is taken', async () => {
  const { tap, far } = await tapped()
  const client = await clientOf(tap)
  await eventually(() => far.sockets.length === 1)
  const ends = [endOf(client), endOf(far.sockets[0] as WebSocket)]
  await tap.close()
  expect((await Promise.all(ends)).map(([code]) => code)).toEqual([1001, 1001])
  const taken = { host: '127.0.0.1', port: (far as FarServer).port }
  await expect(tapBefore(far.url, { listen: taken })).rejects.toThrow(/^Cannot listen on 127.0.0.1:\d+: .*EADDRINUSE/)
})
