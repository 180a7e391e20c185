import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { liveApp } from '../functions/route/live.ts'
import { readLiveData } from '../functions/store/caller.ts'
import { CallerError } from '../functions/store/caller_port.ts'
import { UpstashHotStore } from '../functions/store/redis.ts'
import { livesInFlightMax } from '../src/core/limit.ts'
import type { LiveSnapshot } from '../src/core/live_snapshot.ts'
import { createCallerReader } from '../src/local/claims.ts'
import { createRedis, type Redis } from '../src/local/embedded_redis.ts'
import { openHttpServer } from '../src/local/http_server.ts'
import { migrate } from '../src/local/migrate.ts'
import { openPgliteDatabase, type PgliteDatabase } from '../src/local/pglite_database.ts'
import { type ProjectKeys, readProjectKeys } from '../src/local/project_key.ts'
import { redisApp } from '../src/local/redis_rest.ts'
import { restApp, restSchema } from '../src/local/rest.ts'
import { createCatalogue } from '../src/local/rest_catalogue.ts'
import { gatewayOf } from './gateway_fixture.ts'
import { hotBatch, windowAt } from './live_fixture.ts'
import { signToken } from './rest_fixture.ts'

// The function over the real REST interface, rights and all, and the real Redis over HTTP.

const dir = join(tmpdir(), `telltale-live-route-${randomUUID()}`)
const member = randomUUID()
let keys: ProjectKeys
let database: PgliteDatabase
let server: Awaited<ReturnType<typeof openHttpServer>>
let redis: Redis
let hot: UpstashHotStore
let tokens: { readonly member: string; readonly stranger: string; readonly expired: string }
/** What stands in for a store, null for the store itself. */
let restAnswer: (() => Response | Promise<Response>) | null
let redisAnswer: (() => Response | Promise<Response>) | null

beforeAll(async () => {
  keys = await readProjectKeys(dir)
  database = await openPgliteDatabase({ dir, password: keys.databasePassword })
  await migrate(database)
  await database.exec(`insert into telltale.members (user_id) values ('${member}')`)
  const rest = restApp({
    database,
    catalogue: createCatalogue(database, restSchema),
    readCaller: createCallerReader(keys),
  })
  redis = createRedis()
  const gateway = gatewayOf({
    rest: (request) => restAnswer?.() ?? rest.fetch(request),
    redis: (request) => redisAnswer?.() ?? redisApp(redis, 'token').fetch(request),
  })
  server = await openHttpServer({ host: '127.0.0.1', port: 0 }, (request) => gateway.fetch(request))
  hot = new UpstashHotStore({ url: `${server.url}/redis`, token: 'token', msMax: 2_000 })
  const sign = (sub: string, expiresIn?: string) => signToken(keys, { role: 'authenticated', sub }, expiresIn)
  tokens = {
    member: await sign(member),
    stranger: await sign(randomUUID()),
    expired: await sign(member, '-10m'),
  }
})
afterAll(async () => {
  await server?.close()
  redis?.close()
  await database?.close()
  rmSync(dir, { recursive: true, force: true })
})
beforeEach(async () => {
  restAnswer = null
  redisAnswer = null
  await database.exec('delete from telltale.viewers')
})

function setUp(stores: { readonly hot?: UpstashHotStore | null; readonly url?: string } = {}) {
  const log: string[] = []
  const app = liveApp({
    hot: stores.hot === undefined ? hot : stores.hot,
    readData: (caller) => readLiveData({ url: stores.url ?? server.url }, caller),
    clock: () => Date.now() * 1_000,
    log: (entry) => log.push(JSON.stringify(entry)),
  })
  const ask = (query = '', headers: Record<string, string> = asMember(), method = 'GET') =>
    app.request(`/live${query}`, { method, headers })
  return { app, ask, log }
}

const as = (token: string) => ({ apikey: keys.publishableKey, authorization: `Bearer ${token}` })
const asMember = () => as(tokens.member)

async function expectProblem(answer: Response, status: number, detail: RegExp): Promise<void> {
  expect(answer.status).toBe(status)
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(answer.headers.get('cache-control')).toBe('no-store')
  const text = await answer.text()
  expect(JSON.parse(text)).toMatchObject({ status, detail: expect.stringMatching(detail) })
  for (const token of Object.values(tokens)) expect(text).not.toContain(token)
}

async function snapshotOf(answer: Response): Promise<LiveSnapshot> {
  expect(answer.status).toBe(200)
  expect(answer.headers.get('cache-control')).toBe('no-store')
  return (await answer.json()) as LiveSnapshot
}

const isWatched = async () =>
  (await database.query({ text: 'select telltale.is_watched()::text as watched' }))[0]?.watched

test('liveApp() answers a member from both stores', async () => {
  const now = Date.now() * 1_000
  const second = Math.floor(now / 1e6) - 1
  const said = hotBatch(1, [windowAt(second)], { received_at_us: now })
  const running = { ...said.running, received_at_us: now }
  await hot.add({ ...said, running }, null)
  const { ask } = setUp()
  const snapshot = await snapshotOf(await ask())
  expect(snapshot).toMatchObject({ degraded: false, rev: expect.stringMatching(/^\d+-\d+$/), running: [running] })
  expect(snapshot.seconds).toEqual([windowAt(second)])
  expect(Object.keys(snapshot)).toEqual(expect.arrayContaining(['minutes', 'sessions', 'gauges', 'gaps', 'real']))
  expect((await snapshotOf(await ask('?minutes=0', asMember(), 'POST'))).minutes).toEqual([])
})

test('liveApp() keeps the store watched while a page asks with its id, by GET or POST', async () => {
  const { ask } = setUp()
  await snapshotOf(await ask())
  expect(await isWatched()).toBe('false')
  for (const method of ['GET', 'POST']) {
    await database.exec('delete from telltale.viewers')
    await snapshotOf(await ask(`?viewer=${randomUUID()}`, asMember(), method))
    expect(await isWatched()).toBe('true')
  }
})

test('liveApp() answers 401 to whoever Postgres does not know', async () => {
  const { ask } = setUp()
  const { publishableKey: apikey } = keys
  const unknown: Record<string, string>[] = [
    {},
    { apikey },
    { authorization: `Bearer ${tokens.member}` },
    { apikey, authorization: tokens.member },
    { apikey, authorization: 'Bearer x' },
    { apikey, authorization: `Bearer ${apikey}` },
    { apikey: 'sb_publishable_x', authorization: `Bearer ${tokens.member}` },
    as(tokens.expired),
    as(`${tokens.member.slice(0, -4)}AAAA`),
  ]
  for (const headers of unknown) {
    const answer = await ask(`?viewer=${randomUUID()}`, headers)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    await expectProblem(answer, 401, /key or token/)
  }
  expect(await isWatched()).toBe('false')
})

test('liveApp() answers 403 to a user who is no member, and nothing of what is hot', async () => {
  const answer = await setUp().ask(`?viewer=${randomUUID()}`, as(tokens.stranger))
  await expectProblem(answer, 403, /not a member/)
  expect(await isWatched()).toBe('false')
})

test('liveApp() asks Redis for nobody whom Postgres refuses, and beside Postgres for whom it has let look', async () => {
  let asked = 0
  redisAnswer = () => {
    asked += 1
    return new Response('{"error":"ERR"}', { status: 400 })
  }
  const { ask } = setUp()
  for (const token of [tokens.stranger, tokens.expired, 'x']) await ask('', as(token))
  expect(asked).toBe(0)
  await snapshotOf(await ask())
  expect(asked).toBe(1)
  // Postgres fails from now on: whoever is known has Redis asked all the same.
  restAnswer = () => new Response(null, { status: 503 })
  await ask()
  await ask('', as(tokens.stranger))
  expect(asked).toBe(2)
})

test('liveApp() answers what Postgres knows, degraded, where Redis refuses, hangs, or is not there', async () => {
  const expectDegraded = async (answer: Response) =>
    expect(await snapshotOf(answer)).toMatchObject({ degraded: true, rev: null, seconds: [], minutes: [] })
  await expectDegraded(await setUp({ hot: null }).ask())
  redisAnswer = () => new Response('{"error":"ERR max requests limit exceeded"}', { status: 400 })
  await expectDegraded(await setUp().ask())
  redisAnswer = () => new Promise(() => {})
  const impatient = new UpstashHotStore({ url: `${server.url}/redis`, token: 'token', msMax: 50 })
  await expectDegraded(await setUp({ hot: impatient }).ask())
  const gone = new UpstashHotStore({ url: 'http://127.0.0.1:1', token: 'token' })
  await expectDegraded(await setUp({ hot: gone }).ask())
})

test('liveApp() answers 503 and when to come back where Postgres is away, fails, or says what nobody understands', async () => {
  const answers: [string, RegExp, (() => Response) | null][] = [
    ['http://127.0.0.1:1', /not reached/, null],
    [server.url, /answers 503/, () => new Response(null, { status: 503 })],
    [server.url, /answers 500/, () => Response.json({ code: 'XX000', message: 'secret row' }, { status: 500 })],
    [server.url, /not understood/, () => Response.json({ at_us: 1 })],
    [server.url, /not understood/, () => Response.json(null)],
  ]
  for (const [url, logged, answer] of answers) {
    restAnswer = answer
    const { ask, log } = setUp({ url })
    const response = await ask()
    expect(response.headers.get('retry-after')).toMatch(/^\d+$/)
    await expectProblem(response, 503, /store is unavailable/)
    expect(log).toEqual([expect.stringMatching(logged)])
    expect(log.join()).not.toContain('secret row')
  }
})

test('liveApp() refuses what it cannot read, and methods and paths that it does not have', async () => {
  const { app, ask } = setUp()
  for (const query of ['?viewer=me', '?viewer=', `?viewer=${randomUUID()}x`]) {
    await expectProblem(await ask(query), 400, /viewer is no UUID/)
  }
  for (const query of ['?minutes=61', '?minutes=-1', '?minutes=x', '?minutes=']) {
    await expectProblem(await ask(query), 400, /minutes is not 0 to 60/)
  }
  const answer = await ask('', asMember(), 'DELETE')
  expect(answer.headers.get('allow')).toBe('GET, POST')
  await expectProblem(answer, 405, /Cannot DELETE here/)
  await expectProblem(await app.request('/live/x', { headers: asMember() }), 404, /live data is read at/)
})

test('liveApp() lets a page of any origin ask with the headers that the official client sends', async () => {
  const { app, ask } = setUp()
  const origin = 'https://dash.example.org'
  const wanted = 'apikey,authorization,content-type,x-client-info'
  const preflight = await app.request('/live?viewer=x', {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'GET',
      'access-control-request-headers': wanted,
    },
  })
  expect(preflight.status).toBe(204)
  const allowed = (preflight.headers.get('access-control-allow-headers') ?? '').split(/\s*,\s*/)
  expect(allowed).toEqual(expect.arrayContaining(wanted.split(',')))
  expect(preflight.headers.get('access-control-allow-origin')).toBe('*')
  for (const headers of [asMember(), as('x')]) {
    const answer = await ask('', { ...headers, origin })
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
  }
})

test('liveApp() takes no more at once than it can hold, and none of them is lost', async () => {
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const app = liveApp({
    hot: null,
    readData: async () => {
      await held
      throw new CallerError('forbidden', 'no')
    },
    clock: () => 0,
  })
  const asked = Array.from({ length: livesInFlightMax }, async () => app.request('/live', { headers: asMember() }))
  const refused = await app.request('/live', { headers: asMember() })
  await expectProblem(refused, 429, /too many/)
  release()
  expect(new Set((await Promise.all(asked)).map(({ status }) => status))).toEqual(new Set([403]))
  expect((await app.request('/live', { headers: asMember() })).status).toBe(403)
})

test('liveApp() answers 500 for a fault of its own, and logs where it came from but not what it quotes', async () => {
  const log: string[] = []
  const app = liveApp({
    hot: null,
    readData: async () => {
      throw new TypeError('quotes a secret')
    },
    clock: () => 0,
    log: (entry) => log.push(JSON.stringify(entry)),
  })
  await expectProblem(await app.request('/live', { headers: asMember() }), 500, /the edge failed/)
  expect(log).toEqual([expect.stringMatching(/TypeError/)])
  expect(log.join()).not.toContain('quotes a secret')
})
