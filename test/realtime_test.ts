import type { RealtimeClient } from '@supabase/realtime-js'
import { createClient } from '@supabase/supabase-js'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import {
  type ClientOptions,
  openRealtimeProject,
  openTopic,
  postBroadcast,
  type RealtimeProject,
  realtimeClientOf,
  received,
  subscribed,
  transport,
} from './realtime_fixture.ts'

// A contract: it holds for the embedded stack, and for a hosted project named by SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY,
// SUPABASE_SECRET_KEY and DATABASE_URL, with the migrations applied.

let project: RealtimeProject
let memberToken: string
let strangerToken: string
const clients: RealtimeClient[] = []

beforeAll(async () => {
  project = await openRealtimeProject()
  memberToken = await project.signIn(true)
  strangerToken = await project.signIn(false)
})
afterEach(async () => {
  for (const client of clients.splice(0)) await client.removeAllChannels()
})
afterAll(() => project?.close())

function connect(options: ClientOptions = {}): RealtimeClient {
  const client = realtimeClientOf(project, options)
  clients.push(client)
  return client
}

async function signedIn(token: string, options: ClientOptions = {}): Promise<RealtimeClient> {
  const client = connect(options)
  await client.setAuth(token)
  return client
}

const live = { config: { private: true } }
const wide = { text: 'é ü 漢字 🎉 \u2028 "\\ \u0000', n: [1, -0.5, 1e21, null, true], deep: { a: [{ b: {} }] } }
const large = { text: 'x漢'.repeat(50_000) }

describe.each(['1.0.0', '2.0.0'])('version %s', (vsn) => {
  test('a member joins the live view and receives what the secret key broadcasts, exactly', async () => {
    const client = await signedIn(memberToken, { vsn })
    const channel = client.channel('telltale:live', live)
    const next = received(channel, 'live')
    expect(await subscribed(channel).next()).toEqual(['SUBSCRIBED', ''])
    const batch = [wide, large].map((payload) => ({ topic: 'telltale:live', event: 'live', payload, private: true }))
    expect((await postBroadcast(project, batch)).status).toBe(202)
    expect(await next()).toEqual(wide)
    expect(await next()).toEqual(large)
  })

  test('httpSend() reaches a channel, as JSON and as bytes where the version has them', async () => {
    const client = await signedIn(memberToken, { vsn })
    const channel = client.channel('telltale:live', live)
    const next = received(channel, 'live')
    await subscribed(channel).next()
    const sender = connect({ apikey: project.secretKey }).channel('telltale:live', live)
    expect(await sender.httpSend('live', wide)).toEqual({ success: true })
    expect(await next()).toEqual(wide)
    await sender.httpSend('live', new Uint8Array([0, 255, 1]).buffer)
    await sender.httpSend('live', large)
    if (vsn === '2.0.0') expect(new Uint8Array((await next()) as ArrayBuffer)).toEqual(new Uint8Array([0, 255, 1]))
    expect(await next()).toEqual(large)
  })

  test('a stranger, and whoever is not signed in, are refused the live view and told why', async () => {
    for (const client of [await signedIn(strangerToken, { vsn }), connect({ vsn })]) {
      const [state, why] = await subscribed(client.channel('telltale:live', live)).next()
      expect(state).toBe('CHANNEL_ERROR')
      expect(why).toContain('Unauthorized: You do not have permissions to read from this Channel topic: telltale:live')
    }
  })

  test('a public channel of the name hears nothing of the private one', async () => {
    const channel = connect({ vsn }).channel('telltale:live')
    const next = received(channel, 'live')
    await subscribed(channel).next()
    const at = (isPrivate: boolean) => ({
      topic: 'telltale:live',
      event: 'live',
      payload: { private: isPrivate },
      private: isPrivate,
    })
    await postBroadcast(project, [at(true), at(false)])
    expect(await next()).toEqual({ private: false })
  })

  test('clients see who is on a channel, who comes, says something else and goes', async () => {
    for (const [topic, isPrivate] of [
      [`${openTopic}:presence:${vsn}`, true],
      [`contract:presence:${vsn}`, false],
    ] as const) {
      const config = (key: string) => ({ config: { private: isPrivate, presence: { key } } })
      const [first, second, third] = [
        await signedIn(memberToken, { vsn }),
        await signedIn(strangerToken, { vsn }),
        await signedIn(strangerToken, { vsn: vsn === '1.0.0' ? '2.0.0' : '1.0.0' }),
      ]
      const mine = first.channel(topic, config('mine')).on('presence', { event: 'sync' }, () => {})
      const theirs = second.channel(topic, config('theirs')).on('presence', { event: 'sync' }, () => {})
      // Without a listener it hears nothing, and is seen all the same.
      const silent = third.channel(topic, config('theirs'))
      for (const channel of [mine, theirs, silent]) await subscribed(channel).next()
      const said = () =>
        Object.fromEntries(
          Object.entries(mine.presenceState()).map(([key, metas]) => [
            key,
            metas.map(({ presence_ref: _, ...meta }) => meta),
          ]),
        )
      expect(await mine.track({ page: 1 })).toBe('ok')
      expect(await theirs.track({ page: 2 })).toBe('ok')
      await expect.poll(said).toEqual({ mine: [{ page: 1 }], theirs: [{ page: 2 }] })
      expect(await silent.track({ page: 3, deep: [null] })).toBe('ok')
      await expect.poll(said).toEqual({ mine: [{ page: 1 }], theirs: [{ page: 2 }, { page: 3, deep: [null] }] })
      expect(silent.presenceState()).toEqual({})
      expect(await theirs.track({ page: 4 })).toBe('ok')
      await expect
        .poll(() =>
          said()
            .theirs?.map((meta) => (meta as { page?: number }).page)
            .sort(),
        )
        .toEqual([3, 4])
      const late = (await signedIn(memberToken, { vsn })).channel(topic, config(''))
      late.on('presence', { event: 'sync' }, () => {})
      await subscribed(late).next()
      await expect.poll(() => Object.keys(late.presenceState()).sort()).toEqual(['mine', 'theirs'])
      expect(await theirs.untrack()).toBe('ok')
      await expect.poll(() => said().theirs).toEqual([{ page: 3, deep: [null] }])
      await third.disconnect()
      await expect.poll(said).toEqual({ mine: [{ page: 1 }] })
    }
  })

  test('a member tells on the live channel that it is there, and may not broadcast; a stranger sees nobody', async () => {
    const client = await signedIn(memberToken, { vsn })
    const channel = client.channel('telltale:live', live).on('presence', { event: 'sync' }, () => {})
    await subscribed(channel).next()
    expect(await channel.track({})).toBe('ok')
    await expect.poll(() => Object.keys(channel.presenceState()).length).toBe(1)
    const open = (await signedIn(strangerToken, { vsn })).channel('telltale:live')
    open.on('presence', { event: 'sync' }, () => {})
    await subscribed(open).next()
    expect(open.presenceState()).toEqual({})
  })

  test('clients broadcast to each other, confirmed on request, to themselves only on request', async () => {
    const client = await signedIn(memberToken, { vsn })
    const other = await signedIn(strangerToken, { vsn: vsn === '1.0.0' ? '2.0.0' : '1.0.0' })
    for (const [topic, isPrivate] of [
      [`${openTopic}:${vsn}`, true],
      [`contract:public:${vsn}`, false],
    ] as const) {
      const config = (self: boolean) => ({ config: { private: isPrivate, broadcast: { ack: true, self } } })
      const mine = client.channel(topic, config(true))
      const theirs = other.channel(topic, config(false))
      const [hear, heard] = [received(mine, 'word'), received(theirs, 'word')]
      expect(await subscribed(mine).next()).toEqual(['SUBSCRIBED', ''])
      expect(await subscribed(theirs).next()).toEqual(['SUBSCRIBED', ''])
      expect(await mine.send({ type: 'broadcast', event: 'word', payload: wide })).toBe('ok')
      expect([await hear(), await heard()]).toEqual([wide, wide])
      expect(await theirs.send({ type: 'broadcast', event: 'word', payload: { from: 'them' } })).toBe('ok')
      expect(await mine.send({ type: 'broadcast', event: 'word', payload: { from: 'me' } })).toBe('ok')
      expect([await hear(), await hear()]).toEqual([{ from: 'them' }, { from: 'me' }])
      expect(await heard()).toEqual({ from: 'me' })
    }
  })

  test('a member may not send on the live view', async () => {
    const client = await signedIn(memberToken, { vsn })
    const channel = client.channel('telltale:live', { config: { private: true, broadcast: { self: true } } })
    const next = received(channel, 'live')
    await subscribed(channel).next()
    await channel.send({ type: 'broadcast', event: 'live', payload: { forged: true } })
    const message = { topic: 'telltale:live', event: 'live', payload: { forged: true }, private: true }
    const headers = { apikey: project.publishableKey, Authorization: `Bearer ${memberToken}` }
    expect((await postBroadcast(project, [message], headers)).status).toBe(202)
    await postBroadcast(project, [{ ...message, payload: { forged: false } }])
    expect(await next()).toEqual({ forged: false })
  })

  test('setAuth() with the token of one who may not read closes the channel, and a new one opens again', async () => {
    const client = await signedIn(memberToken, { vsn })
    const channel = client.channel('telltale:live', live)
    const told = new Promise<{ status: string; message: string }>((resolve) => {
      channel.on('system', {}, (payload) => resolve(payload))
    })
    const states = subscribed(channel)
    expect(await states.next()).toEqual(['SUBSCRIBED', ''])
    await client.setAuth(strangerToken)
    expect(await told).toMatchObject({ status: 'error', extension: 'system', channel: 'telltale:live' })
    expect((await states.next())[0]).toBe('CLOSED')
    await client.setAuth(memberToken)
    const again = client.channel('telltale:live', live)
    const next = received(again, 'live')
    expect(await subscribed(again).next()).toEqual(['SUBSCRIBED', ''])
    await postBroadcast(project, [{ topic: 'telltale:live', event: 'live', payload: { n: 1 }, private: true }])
    expect(await next()).toEqual({ n: 1 })
  })

  test('setAuth() with another token of a reader keeps the channel open', async () => {
    const client = await signedIn(memberToken, { vsn })
    const channel = client.channel('telltale:live', live)
    const next = received(channel, 'live')
    await subscribed(channel).next()
    await client.setAuth(await project.signIn(true))
    await postBroadcast(project, [{ topic: 'telltale:live', event: 'live', payload: { n: 2 }, private: true }])
    expect(await next()).toEqual({ n: 2 })
    expect(channel.state).toBe('joined')
  })

  test('the heartbeat is answered, and leaving is confirmed', async () => {
    const client = connect({ vsn })
    const channel = client.channel('contract:heart')
    const states = subscribed(channel)
    await states.next()
    const beat = new Promise<string>((resolve) => {
      client.onHeartbeat((status) => {
        if (status !== 'sent') resolve(status)
      })
    })
    await client.sendHeartbeat()
    expect(await beat).toBe('ok')
    expect(await channel.unsubscribe()).toBe('ok')
    expect((await states.next())[0]).toBe('CLOSED')
    expect(client.isConnected()).toBe(true)
  })
})

test('supabase-js follows the live view with the session it has', async () => {
  const supabase = createClient(project.url, project.publishableKey, {
    accessToken: async () => memberToken,
    realtime: { transport },
  })
  await supabase.realtime.setAuth()
  const channel = supabase.channel('telltale:live', live)
  const next = received(channel, 'live')
  expect(await subscribed(channel).next()).toEqual(['SUBSCRIBED', ''])
  await postBroadcast(project, [{ topic: 'telltale:live', event: 'live', payload: wide, private: true }])
  expect(await next()).toEqual(wide)
  await supabase.removeAllChannels()
})

test('POST /api/broadcast refuses without a key, with a wrong one, and what is no batch', async () => {
  const message = { topic: 't', event: 'e', payload: {} }
  expect((await postBroadcast(project, [message], { apikey: '' })).status).toBe(401)
  expect((await postBroadcast(project, [message], { apikey: 'sb_secret_wrong' })).status).toBe(401)
  expect((await postBroadcast(project, undefined)).status).toBe(422)
  expect((await postBroadcast(project, [{ ...message, event: undefined }])).status).toBe(422)
  const missing = await postBroadcast(project, [message, { topic: 't', event: 'e' }])
  expect(missing.status).toBe(422)
  expect(await missing.json()).toEqual({ errors: { messages: [{}, { payload: ["can't be blank"] }] } })
  const huge = await postBroadcast(project, [{ ...message, payload: { text: 'x'.repeat(300_000) } }])
  expect(huge.status).toBe(422)
})

test('POST /api/broadcast/<topic>/events/<event> says 403 to who may not write, 415 to what is neither', async () => {
  const post = (headers: Record<string, string>) =>
    fetch(`${project.url}/realtime/v1/api/broadcast/telltale%3Alive/events/live?private=true`, {
      method: 'POST',
      headers: { apikey: project.publishableKey, Authorization: `Bearer ${memberToken}`, ...headers },
      body: '{}',
    })
  expect((await post({ 'Content-Type': 'application/json' })).status).toBe(403)
  expect((await post({ 'Content-Type': 'text/html' })).status).toBe(415)
})

test('the upgrade is refused without a key and with a wrong one', async () => {
  for (const query of ['vsn=2.0.0', 'vsn=2.0.0&apikey=sb_publishable_wrong', 'vsn=2.0.0&apikey=%00']) {
    const ws = new WebSocket(`${project.url.replace(/^http/, 'ws')}/realtime/v1/websocket?${query}`)
    const status = await new Promise((resolve) => {
      ws.on('unexpected-response', (_, response) => resolve(response.statusCode))
      ws.on('error', () => resolve('error'))
    })
    expect([401, 403]).toContain(status)
    ws.terminate()
  }
})
