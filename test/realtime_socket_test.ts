import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { broadcastsPerSecondMax, connectionChannelsMax, framesPerSecondMax } from '../src/core/limit.ts'
import type { Statement } from '../src/local/database.ts'
import { readProjectKeys } from '../src/local/project_key.ts'
import {
  type EmbeddedRealtime,
  openEmbeddedRealtime,
  openRaw,
  postBroadcast,
  type RawClient,
} from './realtime_fixture.ts'
import { signToken } from './rest_fixture.ts'

// What the official clients never do, and what happens to a connection over time.

const heartbeatMs = 1_500
const member = randomUUID()
let project: EmbeddedRealtime
/** In a hurry: what takes minutes takes a moment. */
let hasty: EmbeddedRealtime
let token: string

beforeAll(async () => {
  project = await openEmbeddedRealtime({ unsentBytesMax: 1_000_000 })
  hasty = await openEmbeddedRealtime({ heartbeatMs, rightsMs: 300 }, project.database)
  await project.exec(`insert into telltale.members (user_id) values ('${member}')`)
  token = await signToken(project.keys, { sub: member, role: 'authenticated' })
})
afterAll(async () => {
  await hasty?.close()
  await project?.close()
})

const privately = (access_token?: string, config = {}) => ({
  config: { private: true, presence: { enabled: false }, ...config },
  ...(access_token === undefined ? {} : { access_token }),
})
const publicly = { config: { presence: { enabled: false }, broadcast: { ack: true } } }
const joined = { status: 'ok', response: { postgres_changes: [] } }
const refused = (reason: unknown) => ({ status: 'error', response: { reason } })

async function waitUntil(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** What comes within a moment, as long as the client keeps its connection alive. */
async function expectClosed(client: RawClient, topic: string, message: string): Promise<void> {
  const beat = setInterval(() => client.send([null, 'beat', 'phoenix', 'heartbeat', {}]), heartbeatMs / 3)
  const heard = async () => {
    for (;;) {
      const next = await client.next()
      if (next[3] !== 'phx_reply') return next
    }
  }
  const payload = { extension: 'system', status: 'error', message: expect.stringContaining(message), channel: topic }
  expect(await heard()).toEqual(['1', null, `realtime:${topic}`, 'system', payload])
  expect(await heard()).toEqual(['1', '1', `realtime:${topic}`, 'phx_close', {}])
  clearInterval(beat)
}

test('a frame that is none ends its connection and no other', async () => {
  const witness = await openRaw(project)
  expect(await witness.join('t', publicly)).toEqual(joined)
  const frames = ['', 'x', '{', '[]', '{"topic":"t"}', '[1,2]', '[{},null,"t","e",{}]', '[null,null,1,"e",{}]']
  for (const frame of [...frames, Buffer.from([]), Buffer.from([9]), Buffer.from([3, 255, 255])]) {
    const client = await openRaw(project)
    client.send(frame)
    expect(await client.ended, String(frame)).toBe(1003)
  }
  const huge = await openRaw(project)
  huge.send(Buffer.alloc(600_000))
  expect(await huge.ended).toBe(1009)
  const text = await openRaw(project)
  text.ws.send(Buffer.from([0xff, 0xfe]), { binary: false })
  expect(await text.ended).toBe(1007)
  witness.send([null, '9', 'phoenix', 'heartbeat', {}])
  expect(await witness.next()).toEqual([null, '9', 'phoenix', 'phx_reply', { status: 'ok', response: {} }])
  witness.ws.close()
  await witness.ended
  await waitUntil(() => project.realtime.connections() === 0)
  expect(project.logged).toEqual([])
})

test('what is no message of a channel is answered or passed over', async () => {
  const client = await openRaw(project)
  expect(await client.join('', publicly)).toEqual(refused('TopicNameRequired: You must provide a topic name'))
  expect(await client.join('x'.repeat(300), publicly)).toEqual(refused(expect.stringContaining('InvalidTopicName')))
  const changes = { config: { postgres_changes: [{ event: '*', schema: 'public' }] } }
  expect(await client.join('t', changes)).toEqual(
    refused(expect.stringContaining('postgres_changes are not served here')),
  )
  for (const [topic, event] of [
    ['other:t', 'phx_join'],
    ['realtime:t', 'broadcast'],
    ['realtime:t', 'access_token'],
  ]) {
    client.send(['1', '2', topic, event, { event: 'e' }])
    expect(await client.next()).toEqual(['1', '2', topic, 'phx_reply', refused('unmatched topic')])
  }
  client.send([null, 7, 'realtime:t', 'phx_leave', {}])
  expect(await client.next()).toEqual([null, 7, 'realtime:t', 'phx_reply', { status: 'ok', response: {} }])
  for (const payload of [null, 1, 'x', [], { config: 1 }, { config: { broadcast: [], private: 'true' } }]) {
    client.send(['1', '1', 'realtime:t', 'phx_join', payload])
    let message = await client.next()
    while (message[3] !== 'phx_reply') message = await client.next()
    expect(message[4], JSON.stringify(payload)).toEqual(joined)
  }
  client.send(['1', '3', 'realtime:t', 'presence', { type: 'presence', event: 'track', payload: {} }])
  client.send(['1', '4', 'realtime:t', 'unheard_of', {}])
  client.send(['1', '5', 'realtime:t', 'access_token', null])
  client.send(['1', '6', 'realtime:t', 'phx_leave', {}])
  const heard = [await client.next()]
  while (heard.at(-1)?.[3] !== 'phx_close') heard.push(await client.next())
  expect(
    heard.filter(([, , , event]) => !String(event).startsWith('presence_')).map(([, ref, , event]) => [ref, event]),
  ).toEqual([
    ['3', 'phx_reply'],
    ['6', 'phx_reply'],
    ['1', 'phx_close'],
  ])
  client.ws.close()
})

test('joining again closes the first join, and leaves one member', async () => {
  const client = await openRaw(project)
  await client.join('twice', publicly)
  client.send(['2', '2', 'realtime:twice', 'phx_join', publicly])
  expect(await client.next()).toEqual(['1', '1', 'realtime:twice', 'phx_close', {}])
  expect((await client.next())[4]).toEqual(joined)
  await postBroadcast(project, [{ topic: 'twice', event: 'e', payload: { n: 1 } }])
  await postBroadcast(project, [{ topic: 'twice', event: 'e', payload: { n: 2 } }])
  const heard = [await client.next(), await client.next()]
  expect(heard.map(([, , , , payload]) => payload)).toMatchObject([{ payload: { n: 1 } }, { payload: { n: 2 } }])
  client.ws.close()
})

test('a private channel refuses whoever shows no token, an ended one, a foreign one or none at all', async () => {
  const client = await openRaw(project)
  const dir = join(tmpdir(), `telltale-foreign-${randomUUID()}`)
  const foreign = await signToken(await readProjectKeys(dir), { sub: member, role: 'authenticated' })
  rmSync(dir, { recursive: true })
  const unauthorized = 'Unauthorized: You do not have permissions to read from this Channel topic: telltale:live'
  // Signed when its turn comes, since what is expected tells its age.
  const ended = () => signToken(project.keys, { sub: member, role: 'authenticated' }, '-5s')
  const cases: [string | undefined | typeof ended, unknown][] = [
    [undefined, unauthorized],
    [project.publishableKey, unauthorized],
    [ended, expect.stringMatching(/^InvalidJWTToken: Token has expired [45] sec/)],
    [
      await signToken(project.keys, { sub: member, role: 'authenticated' }, '-1h'),
      expect.stringMatching(/^InvalidJWTToken: Token has expired 3\d\d\d sec/),
    ],
    [
      await signToken(project.keys, { sub: member, role: 'postgres' }),
      expect.stringContaining('Unauthorized: permission denied to set role'),
    ],
    [await signToken(project.keys, { sub: 'nobody', role: 'authenticated' }), unauthorized],
    [foreign, 'JwtSignatureError: Failed to validate JWT signature'],
    ['x.y.z', 'MalformedJWT: The token provided is not a valid JWT'],
    ['a\nb', 'MalformedJWT: The token provided is not a valid JWT'],
  ]
  for (const [offered, reason] of cases) {
    const shown = typeof offered === 'function' ? await offered() : offered
    expect(await client.join('telltale:live', privately(shown)), String(shown)).toEqual(refused(reason))
  }
  const topics = ['telltale:live ', "telltale:live' or true --", 'telltale', 'telltale:live\u0000']
  for (const topic of topics) {
    expect(await client.join(topic, privately(token))).toEqual(refused(expect.stringContaining('Unauthorized: ')))
  }
  expect(await client.join('telltale:live', privately(token))).toEqual(joined)
  client.ws.close()
})

test('a channel ends with its token, and with the right of its member', async () => {
  const first = await openRaw(hasty)
  const long = await signToken(hasty.keys, { sub: member, role: 'authenticated' })
  const short = await signToken(hasty.keys, { sub: member, role: 'authenticated' }, '2s')
  expect(await first.join('telltale:live', privately(short))).toEqual(joined)
  await expectClosed(first, 'telltale:live', 'Token has expired')
  const second = await openRaw(hasty)
  expect(await second.join('telltale:live', privately(long))).toEqual(joined)
  await hasty.exec(`delete from telltale.members where user_id = '${member}'`)
  await expectClosed(second, 'telltale:live', 'You no longer have permission to read from this Channel topic')
  await hasty.exec(`insert into telltale.members (user_id) values ('${member}')`)
  expect(await second.join('telltale:live', privately(long))).toEqual(joined)
  for (const { ws } of [first, second]) ws.close()
})

test('a channel ends when nobody can judge its rights any more, and the process does not', async () => {
  let broken = false
  const query = (statement: Statement) =>
    broken ? Promise.reject(new Error('Cannot query: broken')) : project.database.query(statement)
  const breaking = await openEmbeddedRealtime({ heartbeatMs, rightsMs: 300 }, { ...project.database, query })
  const client = await openRaw(breaking)
  const own = await signToken(breaking.keys, { sub: member, role: 'authenticated' })
  expect(await client.join('telltale:live', privately(own))).toEqual(joined)
  broken = true
  await expectClosed(client, 'telltale:live', 'unable to connect to the project database')
  client.ws.close()
  await breaking.close()
})

test('the secret key reads and writes a private channel that nobody else may', async () => {
  const service = await openRaw(project, project.secretKey)
  expect(await service.join('nobody:else', privately(undefined, { broadcast: { self: true } }))).toEqual(joined)
  service.send(['1', '2', 'realtime:nobody:else', 'broadcast', { type: 'broadcast', event: 'e', payload: { n: 1 } }])
  expect((await service.next())[4]).toEqual({ type: 'broadcast', event: 'e', payload: { n: 1 } })
  service.ws.close()
})

test('a broadcast that is too large, no JSON or not allowed is refused, and the channel stays', async () => {
  const client = await openRaw(project)
  await client.join('t', publicly)
  const json = (text: string) =>
    Buffer.concat([Buffer.from([3, 1, 1, 10, 1, 0, 1]), Buffer.from(`12realtime:te${text}`)])
  for (const frame of [
    ['1', '2', 'realtime:t', 'broadcast', { event: 'e', payload: 'x'.repeat(300_000) }],
    json(`"${'x'.repeat(300_000)}"`),
  ]) {
    client.send(frame)
    expect((await client.next())[4]).toEqual(refused('Payload size exceeds tenant limit'))
  }
  client.send(json('{no json'))
  expect((await client.next())[4]).toEqual(refused('Payload is not valid JSON'))
  client.send(['1', '2', 'realtime:t', 'broadcast', 'text'])
  expect((await client.next())[4]).toEqual(refused('Payload must be a map'))
  // Bytes that are no text become three each, more than the header of whoever hears it could say.
  client.send(
    Buffer.concat([
      Buffer.from([3, 1, 1, 10, 200, 0, 1]),
      Buffer.from('12realtime:t'),
      Buffer.alloc(200, 0xff),
      Buffer.from('{}'),
    ]),
  )
  expect((await client.next())[4]).toEqual(refused('Event has over 255 bytes'))
  client.send(json('{}'))
  expect((await client.next())[4]).toEqual({ status: 'ok', response: {} })
  client.ws.close()
})

describe('limits', () => {
  test('a client that sends too much loses its channel, and one that floods its connection', async () => {
    const client = await openRaw(project)
    await client.join('t', { config: { presence: { enabled: false } } })
    for (let i = 0; i < 2 * broadcastsPerSecondMax + 2; i++) {
      client.send(['1', null, 'realtime:t', 'broadcast', { type: 'broadcast', event: 'e', payload: {} }])
    }
    await expectClosed(client, 't', 'Too many messages per second')
    client.ws.close()
    const flood = await openRaw(project)
    for (let i = 0; i < 2 * framesPerSecondMax + 2; i++) flood.send([null, '1', 'phoenix', 'heartbeat', {}])
    expect(await flood.ended).toBe(1008)
  })

  test('a thousand channels are joined at once, private ones too, and one more on a connection is refused', async () => {
    const clients = await Promise.all([...Array(10)].map(() => openRaw(project)))
    await project.exec(`drop policy if exists thousand on realtime.messages;
      create policy thousand on realtime.messages for select to authenticated using (realtime.topic() like 'thousand:%')`)
    const replies = await Promise.all(
      clients.flatMap((client) =>
        [...Array(connectionChannelsMax)].map((_, i) => client.join(`thousand:${i}`, privately(token))),
      ),
    )
    expect(replies.filter((reply) => JSON.stringify(reply) !== JSON.stringify(joined))).toEqual([])
    const [first] = clients as [RawClient]
    expect(await first.join('one:more', publicly)).toEqual(refused('ChannelRateLimitReached: Too many channels'))
    await postBroadcast(project, [{ topic: 'thousand:7', event: 'e', payload: { n: 7 }, private: true }])
    const heard = await Promise.all(clients.map((client) => client.next()))
    expect(heard.map(([, , topic]) => topic)).toEqual(clients.map(() => 'realtime:thousand:7'))
    for (const { ws } of clients) ws.close()
  }, 20_000)

  test('a client that does not read is cut off, and the others hear everything', async () => {
    const [reader, sleeper] = [await openRaw(project), await openRaw(project)]
    for (const client of [reader, sleeper]) await client.join('flow', publicly)
    await waitUntil(() => project.realtime.connections() === 2)
    sleeper.ws.pause()
    const payload = { text: 'x'.repeat(200_000) }
    let sent = 0
    while (project.realtime.connections() > 1) {
      await postBroadcast(project, [{ topic: 'flow', event: 'e', payload }])
      sent++
      expect((await reader.next())[2]).toBe('realtime:flow')
      expect(sent).toBeLessThan(200)
    }
    reader.ws.close()
    sleeper.ws.terminate()
  }, 20_000)

  test('a connection without a heartbeat is closed, one with it stays', async () => {
    const [silent, alive] = [await openRaw(hasty), await openRaw(hasty)]
    const beat = setInterval(() => alive.send([null, '1', 'phoenix', 'heartbeat', {}]), heartbeatMs / 4)
    expect(await silent.ended).toBe(1001)
    expect(alive.ws.readyState).toBe(alive.ws.OPEN)
    clearInterval(beat)
    alive.ws.close()
  })
})

test('upgrade() answers what it does not serve in HTTP, and survives a client that is gone', async () => {
  const { port, host } = new URL(project.url)
  const ask = (path: string, key = '') =>
    new Promise<string>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1')
      const lines = [`GET ${path} HTTP/1.1`, `Host: ${host}`, 'Connection: Upgrade', 'Upgrade: websocket']
      const rest = ['Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`, '', '']
      socket.on('data', (data) => resolve(String(data).split('\r\n')[0] ?? '')).on('error', () => resolve('error'))
      socket.write([...lines, ...rest].join('\r\n'), () => {
        if (path === '/gone') socket.destroy()
      })
      if (path === '/gone') resolve('gone')
    })
  const query = `vsn=2.0.0&apikey=${project.publishableKey}`
  expect(await ask('/elsewhere')).toContain('404')
  expect(await ask(`/realtime/v1/websocket?vsn=3.0.0&apikey=${project.publishableKey}`)).toContain('403')
  expect(await ask('/realtime/v1/websocket')).toContain('401')
  expect(await ask(`/realtime/v1/websocket?${query}`)).toContain('400') // No key of a WebSocket's.
  expect(await ask('/gone')).toBe('gone')
  expect(await ask('/elsewhere')).toContain('404')
})

test('POST /api/broadcast refuses whoever has no key before it has read what they send', async () => {
  const body = new ReadableStream({ pull: () => new Promise(() => {}) })
  const request = { method: 'POST', headers: { 'Transfer-Encoding': 'chunked' }, body, duplex: 'half' } as const
  expect((await project.realtime.fetch(new Request('http://localhost/api/broadcast', request))).status).toBe(401)
})

test('close() ends what is connected at once, and takes nothing more', async () => {
  const client = await openRaw(hasty)
  await client.join('t', publicly)
  const startedAt = performance.now()
  await hasty.realtime.close()
  expect([1001, 1006]).toContain(await client.ended)
  expect(hasty.realtime.connections()).toBe(0)
  await expect(openRaw(hasty)).rejects.toThrow('503')
  expect(performance.now() - startedAt).toBeLessThan(1_000)
})
