import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { StoreError } from '../functions/store/port.ts'
import { RealtimeChannel } from '../functions/store/realtime.ts'
import { UpstashHotStore } from '../functions/store/redis.ts'
import { hotBatchesReadMax, hotSecondsKept, redisMsMax, snapshotBatchesMax } from '../src/core/limit.ts'
import type { Push } from '../src/core/live_snapshot.ts'
import { type LiveState, stateAfter } from '../src/core/live_state.ts'
import { createRedis, type Redis } from '../src/local/embedded_redis.ts'
import { redisApp } from '../src/local/redis_rest.ts'
import { hotBatch, streamMs, streamSecond, windowAt } from './live_fixture.ts'

// The hot store against the embedded Redis, and what both clients make of answers that are not what they should be.

type Answer = { status: number; body: string; delayMs?: number; hangUp?: boolean }
type Request = { url: string; headers: IncomingHttpHeaders; body: string }

let redis: Redis
let scripted: Answer | null = null
let requests: Request[] = []
const server = createServer(async (request, response) => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks).toString()
  const { url = '', headers } = request
  requests.push({ url, headers, body })
  if (scripted?.hangUp) return void request.socket.destroy()
  if (scripted !== null) {
    await new Promise((resolve) => setTimeout(resolve, scripted?.delayMs ?? 0))
    return void response.writeHead(scripted.status).end(scripted.body)
  }
  const authorization = headers.authorization ?? ''
  const answer = await redisApp(redis, 'tok').request(url, { method: 'POST', headers: { authorization }, body })
  response.writeHead(answer.status).end(await answer.text())
})
let url = ''
let store: UpstashHotStore

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  store = new UpstashHotStore({ url, token: 'tok' })
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  redis = createRedis()
  scripted = null
  requests = []
})

function stateOf(seconds: readonly number[] = [0]): LiveState {
  const windows = seconds.map((s) => windowAt(streamSecond + s))
  const merged = stateAfter(null, [{ id: `${streamMs}-0`, batch: hotBatch(1, windows) }], streamMs * 1_000)
  if (merged === null) throw new Error('Cannot make state: there was no entry')
  return merged.state
}

async function failureOf(call: Promise<unknown>): Promise<StoreError> {
  const failure = await call.then(
    () => null,
    (error: unknown) => error,
  )
  expect(failure).toBeInstanceOf(StoreError)
  return failure as StoreError
}

test('UpstashHotStore gives back what was added, in order and after an id', async () => {
  // A text that the client would take for a number, or for JSON, if it were let.
  const batch = hotBatch(1, [windowAt(1, 5, 'tool:"12"\u2028', 'tool:\u{1f600}')], {
    batch_id: '12',
    instance: '{"a":1}',
  })
  const first = await store.add(batch, null)
  const second = await store.add(hotBatch(2, []), null)
  expect(await store.readEntries('0-0')).toEqual({
    entries: [
      { id: first.id, batch },
      { id: second.id, batch: hotBatch(2, []) },
    ],
    more: false,
  })
  expect((await store.readEntries(first.id)).entries).toHaveLength(1)
  expect((await store.readEntries(second.id)).entries).toEqual([])
  expect(await store.readHot()).toMatchObject({
    state: null,
    seconds: [],
    entries: [{ id: second.id }, { id: first.id }],
  })
  expect(redis.call(['TTL', 'telltale:batches'])).toBe(hotSecondsKept)
})

test('UpstashHotStore lets one have the turn, one an error, and one wait', async () => {
  const request = { everyMs: 1_000, urgent: false }
  const turnOf = async (urgent: boolean) => (await store.add(hotBatch(1, []), { ...request, urgent })).turn
  expect([await turnOf(false), await turnOf(false), await turnOf(true), await turnOf(true)]).toEqual([
    'regular',
    null,
    'urgent',
    null,
  ])
  const first = await store.joinWait(1_000)
  expect([first.isFirst, first.waitMs > 500 && first.waitMs <= 1_000]).toEqual([true, true])
  expect((await store.joinWait(1_000)).isFirst).toBe(false)
  expect(await store.takeTurn(1_000)).toBe(false)
  // It waits no more, whether it got the turn or not.
  expect((await store.joinWait(1_000)).isFirst).toBe(true)
  redis.call(['DEL', 'telltale:push'])
  expect((await store.joinWait(1_000)).waitMs).toBe(0)
  expect(await store.takeTurn(1_000)).toBe(true)
  await store.readState(5_000)
  expect(redis.call(['PTTL', 'telltale:push'])).toBeGreaterThan(4_000)
})

test('UpstashHotStore writes a second once, and the state with it', async () => {
  const state = stateOf([0, 1])
  const finished = [windowAt(streamSecond), windowAt(streamSecond + 1)]
  await store.writeState(state, finished)
  await store.writeState(state, [windowAt(streamSecond, 7), windowAt(streamSecond + 1, 7), windowAt(streamSecond + 2)])
  const hot = await store.readHot()
  expect(hot.seconds).toEqual([windowAt(streamSecond + 2), windowAt(streamSecond + 1), windowAt(streamSecond)])
  expect([hot.state, await store.readState(null)]).toEqual([state, state])
  for (const key of ['telltale:seconds', 'telltale:state']) expect(redis.call(['TTL', key])).toBe(hotSecondsKept)
})

test('UpstashHotStore reads so many at a time, and says when there may be more', async () => {
  for (let n = 1; n <= hotBatchesReadMax + 1; n += 1) {
    redis.call(['XADD', 'telltale:batches', `${n}-0`, 'b', JSON.stringify(hotBatch(n, []))])
  }
  const page = await store.readEntries('0-0')
  expect([page.entries.length, page.more]).toEqual([hotBatchesReadMax, true])
  const rest = await store.readEntries(page.entries.at(-1)?.id ?? '')
  expect([rest.entries.map(({ id }) => id), rest.more]).toEqual([[`${hotBatchesReadMax + 1}-0`], false])
  expect((await store.readHot()).entries).toHaveLength(snapshotBatchesMax)
})

const garbage = [
  '',
  'x',
  '7',
  'null',
  '[]',
  '{"version":1}',
  '{"version":1,"rev":"1-0","before":null,"from":0,"windows":[{}]}',
]
test.each(garbage)('UpstashHotStore takes %j for no state, no batch and no second', async (text) => {
  redis.call(['SET', 'telltale:state', text])
  redis.call(['XADD', 'telltale:batches', '5-0', 'b', text])
  redis.call(['XADD', 'telltale:batches', '6-0', 'other', JSON.stringify(hotBatch(1, []))])
  redis.call(['XADD', 'telltale:batches', '7-0', 'b', JSON.stringify(hotBatch(1, []))])
  redis.call(['XADD', 'telltale:seconds', '5-0', 'w', text])
  expect(await store.readState(null)).toBeNull()
  expect((await store.readEntries('0-0')).entries.map(({ id }) => id)).toEqual(['7-0'])
  expect(await store.readHot()).toMatchObject({ state: null, seconds: [], entries: [{ id: '7-0' }] })
})

test('UpstashHotStore fails with one StoreError where a key holds something else', async () => {
  redis.call(['SET', 'telltale:batches', 'x'])
  const failure = await failureOf(store.add(hotBatch(1, []), null))
  expect([failure.reason, failure.code, failure.message]).toEqual([
    'unavailable',
    'WRONGTYPE',
    'Cannot add batch: Redis answers WRONGTYPE',
  ])
  await failureOf(store.readHot())
})

test.each<[string, Answer]>([
  ['a refused request', { status: 400, body: '{"error":"ERR max daily request limit exceeded. Limit: 10000"}' }],
  ['a wrong token', { status: 401, body: '{"error":"WRONGPASS invalid or missing auth token"}' }],
  ['a page in place of JSON', { status: 502, body: '<html>bad gateway</html>' }],
  ['a page with 200', { status: 200, body: '<html></html>' }],
  ['an object', { status: 200, body: '{"result":"OK"}' }],
  ['too few results', { status: 200, body: '[{"result":"1-0"}]' }],
  ['results that are none', { status: 200, body: '[1,2]' }],
  ['an id that is none', { status: 200, body: '[{"result":"soon"},{"result":1}]' }],
  ['no answer', { status: 200, body: '', hangUp: true }],
])('UpstashHotStore tries once and fails with a StoreError that quotes nothing after %s', async (_, answer) => {
  scripted = answer
  const failure = await failureOf(store.add(hotBatch(1, [], { instance: 's3cret' }), null))
  expect(failure.reason).toBe('unavailable')
  expect(`${failure.message}${failure.stack}${String(failure.cause)}`).not.toMatch(/s3cret|tok\b/)
  expect(requests).toHaveLength(1)
})

test('UpstashHotStore waits for Redis no longer than its time', async () => {
  scripted = { status: 200, body: '[]', delayMs: redisMsMax * 3 }
  const startedAt = performance.now()
  await failureOf(store.readState(null))
  expect(performance.now() - startedAt).toBeLessThan(redisMsMax + 500)
})

test('UpstashHotStore sends its token as a header, and nothing about who uses it', async () => {
  await store.add(hotBatch(1, []), null)
  const [request] = requests
  expect([request?.url, request?.headers.authorization]).toEqual(['/pipeline', 'Bearer tok'])
  expect(Object.keys(request?.headers ?? {}).filter((name) => /telemetry/i.test(name))).toEqual([])
})

const push: Push = { rev: '1-0', at_us: 1, windows: [], running: [], ended: [], errors: [], stale: [] }

test('RealtimeChannel broadcasts on the private topic, its key in a header alone', async () => {
  scripted = { status: 202, body: '' }
  await new RealtimeChannel({ url: `${url}/`, secretKey: 'sb_secret_x' }).push('live', push)
  await new RealtimeChannel({ url, secretKey: 'eyJ.e30.x' }).push('live', push)
  expect(requests.map((request) => request.url)).toEqual(['/realtime/v1/api/broadcast', '/realtime/v1/api/broadcast'])
  expect(requests.map(({ headers }) => [headers.apikey, headers.authorization])).toEqual([
    ['sb_secret_x', undefined],
    ['eyJ.e30.x', 'Bearer eyJ.e30.x'],
  ])
  const message = { topic: 'telltale:live', event: 'live', payload: push, private: true }
  expect(JSON.parse(requests[0]?.body ?? '')).toEqual({ messages: [message] })
})

test.each<[string, Answer]>([
  ['it answers 401', { status: 401, body: '{"message":"x"}' }],
  ['it answers 429', { status: 429, body: '' }],
  ['it answers 200', { status: 200, body: '' }],
  ['Realtime is not reached', { status: 202, body: '', hangUp: true }],
])('RealtimeChannel fails with a StoreError where %s', async (now, answer) => {
  scripted = answer
  const failure = await failureOf(new RealtimeChannel({ url, secretKey: 'sb_secret_x' }).push('live', push))
  expect(failure.message).toBe(`Cannot push to telltale:live: ${now}`)
  expect(requests).toHaveLength(1)
})
