import { gzipSync } from 'node:zlib'
import { PostgrestClient } from '@supabase/postgrest-js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ingestApp } from '../functions/route/ingest.ts'
import { tickApp } from '../functions/route/tick.ts'
import { PostgresStore } from '../functions/store/postgres.ts'
import { batchBytesMax, embeddedFlushMs, pushMsMin, retryAfterSeconds } from '../src/core/limit.ts'
import { openHttpServer } from '../src/local/http_server.ts'
import { createIngestKey } from '../src/local/ingest_key.ts'
import { startStack } from '../src/local/stack.ts'
import {
  buildWorker,
  checkEntry,
  createEdgeDir,
  type EdgeRuntime,
  type FunctionName,
  functionNames,
  noDenoReason,
  noWorkerdReason,
  type Settings,
  startDeno,
  startWorkerd,
} from './edge_runtime_fixture.ts'
import { eventually } from './ingest_fixture.ts'
import { createDataDir, liveBatch } from './stack_fixture.ts'
import { openStoreGate, type StoreGate } from './store_gate_fixture.ts'

// The functions are the same everywhere or they are not the functions: one list of requests, sent to Node as the
// embedded stack has it, to Deno as Supabase has it, and to workerd as Cloudflare has it, over one and the same project.

const absent = { node: null, deno: noDenoReason(), workerd: noWorkerdReason() }
type RuntimeName = keyof typeof absent
const runtimeNames = Object.keys(absent) as RuntimeName[]
const { dir, remove } = createEdgeDir()
const cleanups: (() => unknown)[] = [remove]
const runtimes: { [name in RuntimeName]?: EdgeRuntime } = {}
let env: Settings
let gate: StoreGate
let build: Awaited<ReturnType<typeof buildWorker>>
let worker: Awaited<ReturnType<typeof startWorkerd>>
let revokedKey: string

beforeAll(async () => {
  const data = createDataDir()
  cleanups.push(data.remove)
  const building = buildWorker(dir)
  const stack = await startStack({ dataDir: data.dir, port: 0 })
  cleanups.push(stack.close)
  env = stack.env
  gate = await openStoreGate(stack.url)
  cleanups.push(gate.close)
  const settings = settingsOf(env, gate.url)
  runtimes.node = nodeRuntime(stack.url)
  if (absent.deno === null) runtimes.deno = await started(startDeno(settings, dir))
  build = await building
  if (absent.workerd === null && build.code === 0) {
    worker = await startWorkerd(settings, { dir, outDir: build.outDir })
    runtimes.workerd = await started(Promise.resolve(worker))
  }
  revokedKey = await createKey()
  await rpc('revoke_key', { key_id: revokedKey.slice(3, 15) })
}, 120_000)

afterAll(async () => {
  for (let next = cleanups.pop(); next !== undefined; next = cleanups.pop()) await next()
})

async function started(starting: Promise<EdgeRuntime>): Promise<EdgeRuntime> {
  const runtime = await starting
  cleanups.push(runtime.close)
  return runtime
}

function nodeRuntime(url: string): EdgeRuntime {
  return { name: 'node', addressOf: (name) => `${url}/functions/v1/${name}`, printed: () => '', close: async () => {} }
}

/** The stack's own settings, with every store behind the gate. */
function settingsOf(stackEnv: Settings, gateUrl: string): Settings {
  const names = ['SUPABASE_PUBLISHABLE_KEY', 'SUPABASE_SECRET_KEY', 'UPSTASH_REDIS_REST_TOKEN']
  return {
    ...Object.fromEntries(names.map((name) => [name, stackEnv[name] ?? ''])),
    SUPABASE_URL: gateUrl,
    UPSTASH_REDIS_REST_URL: `${gateUrl}/redis`,
    TELLTALE_FLUSH_MS: String(embeddedFlushMs),
    TELLTALE_PUSH_MS: String(pushMsMin),
  }
}

async function rpc(name: string, args: Record<string, unknown>): Promise<unknown> {
  const headers = { apikey: env.SUPABASE_SECRET_KEY ?? '' }
  const client = new PostgrestClient(`${env.SUPABASE_URL}/rest/v1`, { headers, schema: 'telltale' })
  const { data, error } = await client.rpc(name, args)
  expect(error).toBeNull()
  return data
}

async function createKey(): Promise<string> {
  const { id, text, hash } = createIngestKey()
  await rpc('create_key', { key_id: id, key_hash: hash, name: 'conformance' })
  return text
}

type Ask = {
  readonly name: FunctionName
  readonly path?: string
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: BodyInit
  readonly signal?: AbortSignal
}

async function send(runtime: EdgeRuntime, { name, path = '', method = 'POST', ...init }: Ask): Promise<Response> {
  const signal = init.signal ?? AbortSignal.timeout(15_000)
  const attempt = () => fetch(`${runtime.addressOf(name)}${path}`, { method, ...init, signal })
  // The connection on which a body was refused may close under the next request; a reporter tries again too.
  return await attempt().catch((error: unknown) => (signal.aborted ? Promise.reject(error) : attempt()))
}

const toldHeaders = ['content-type', 'retry-after', 'allow', 'www-authenticate', 'accept', 'accept-encoding']

/** What a caller can tell one answer from another by: ids and times apart. */
async function seenOf(answer: Response) {
  const text = await answer.text()
  return {
    status: answer.status,
    headers: Object.fromEntries(toldHeaders.map((name) => [name, answer.headers.get(name)])),
    hasRequestId: /^[\w-]{36}$/.test(answer.headers.get('x-request-id') ?? ''),
    body: answer.ok ? shapeOf(JSON.parse(text)) : { ...JSON.parse(text), request_id: 'any' },
  }
}

function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf)
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, field]) => [key, shapeOf(field)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )
}

function batchAsk(changes: Partial<Ask> = {}, key = env.TELLTALE_INGEST_KEY): Ask {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...changes.headers }
  return { name: 'ingest', body: liveBatch().body, ...changes, headers }
}

const json = { 'content-type': 'application/json' }
const asks: [string, number, () => Ask][] = [
  ['a batch', 200, () => batchAsk()],
  [
    'a batch in gzip',
    200,
    () => batchAsk({ body: gzipSync(liveBatch().body), headers: { 'content-encoding': 'gzip' } }),
  ],
  ['a batch at an address with a slash', 200, () => batchAsk({ path: '/' })],
  ['a batch with a record that is none', 200, () => batchAsk({ body: withBadRecord(liveBatch().body) })],
  ['what is no JSON', 400, () => batchAsk({ body: '{"batch_id"' })],
  ['no body', 400, () => batchAsk({ body: '' })],
  ['what is said to be gzip and is not', 400, () => batchAsk({ headers: { 'content-encoding': 'gzip' } })],
  ['a body that is too large', 413, () => batchAsk({ body: ' '.repeat(batchBytesMax + 1) })],
  ['a body that unfolds too large', 413, () => bombAsk()],
  ['another media type', 415, () => batchAsk({ headers: { 'content-type': 'text/plain' } })],
  ['another encoding', 415, () => batchAsk({ headers: { 'content-encoding': 'br' } })],
  ['a batch of no form', 400, () => batchAsk({ body: '{}' })],
  ['no key', 401, () => ({ name: 'ingest', body: '{}', headers: json })],
  ['an unknown key', 401, () => batchAsk({}, createIngestKey().text)],
  ['a revoked key', 403, () => batchAsk({}, revokedKey)],
  ['the document of the interface', 200, () => ({ name: 'ingest', path: '/openapi.json', method: 'GET' })],
  ['another method', 405, () => ({ name: 'ingest', method: 'GET' })],
  ['another path', 404, () => ({ name: 'ingest', path: '/nothing', method: 'GET' })],
  ['a tick without a key', 401, () => ({ name: 'tick' })],
  ['a tick with a wrong key', 401, () => ({ name: 'tick', headers: { apikey: 'sb_secret_wrong' } })],
  ['a tick by another method', 405, () => ({ name: 'tick', method: 'GET' })],
]

function withBadRecord(body: string): string {
  const batch = JSON.parse(body) as { records: unknown[] }
  return JSON.stringify({ ...batch, records: [...batch.records, { type: 'strange' }] })
}

function bombAsk(): Ask {
  return batchAsk({ body: gzipSync(' '.repeat(batchBytesMax + 1)), headers: { 'content-encoding': 'gzip' } })
}

const seenByNode = new Map<string, unknown>()

async function seenByNodeOf(title: string, ask: () => Ask): Promise<unknown> {
  const seen = seenByNode.get(title) ?? (await seenOf(await send(runtimeOf('node'), ask())))
  seenByNode.set(title, seen)
  return seen
}

function runtimeOf(name: RuntimeName): EdgeRuntime {
  const runtime = runtimes[name]
  if (runtime === undefined) throw new Error(`Cannot ask ${name}: it did not start: ${build.printed}`)
  return runtime
}

describe.each(runtimeNames)('%s', (name) => {
  const here = test.skipIf(absent[name] !== null)

  here.each(asks)('answers %s with %i, as Node does', async (title, status, ask) => {
    const runtime = runtimeOf(name)
    const seen = await seenOf(await send(runtime, ask()))
    expect(seen.status, runtime.printed()).toBe(status)
    expect(seen).toEqual(await seenByNodeOf(title, ask))
  })

  here('stores a batch once, whoever took it first', async () => {
    const ask = batchAsk()
    const answers = []
    const others = runtimeNames.filter((other) => other !== name && absent[other] === null)
    for (const next of [name, ...others, name]) answers.push(await (await send(runtimeOf(next), ask)).json())
    const [first, ...later] = answers
    expect(first).toMatchObject({ status: 'stored', accepted: { span: 2 } })
    for (const answer of later) expect(answer).toEqual({ ...first, status: 'repeated' })
  })

  here('runs a tick for who has the key, and says what it did', async () => {
    const runtime = runtimeOf(name)
    const key = env.SUPABASE_SECRET_KEY ?? ''
    for (const headers of [{ apikey: key }, { authorization: `Bearer ${key}` }]) {
      // The stack's own cron may have the lease at this moment.
      await expect
        .poll(async () => await (await send(runtime, { name: 'tick', headers })).json(), { timeout: 10_000 })
        .toMatchObject({ claimed: true, steps: { compact_minutes: { failed: null }, prune: { more: false } } })
    }
  })
})

describe.each(runtimeNames)('%s without its stores', (name) => {
  const here = test.skipIf(absent[name] !== null)
  let runtime: EdgeRuntime

  beforeAll(async () => {
    runtime = name === 'node' ? await startGated() : runtimeOf(name)
  })

  here('asks to come back later, and takes the batch then', async () => {
    const ask = batchAsk({}, await createKey())
    gate.shut()
    const away = await send(runtime, ask)
    const tick = await send(runtime, { name: 'tick', headers: { apikey: env.SUPABASE_SECRET_KEY ?? '' } })
    gate.open()
    for (const answer of [away, tick]) {
      expect(answer.headers.get('retry-after')).toBe(String(retryAfterSeconds))
      expect(await seenOf(answer)).toMatchObject({ status: 503, body: { title: 'Unavailable', status: 503 } })
    }
    expect(await (await send(runtime, ask)).json()).toMatchObject({ status: 'stored' })
  })

  here('lets nobody wait for a caller who hung up', async () => {
    const key = await createKey()
    const before = gate.calls.length
    gate.hold('/rpc/read_key')
    const leaving = new AbortController()
    const left = send(runtime, { ...batchAsk({}, key), signal: leaving.signal }).catch(() => 'left')
    await eventually(() => gate.calls.slice(before).some((path) => path.endsWith('/rpc/read_key')))
    leaving.abort()
    expect(await left).toBe('left')
    const second = send(runtime, batchAsk({}, key))
    await new Promise((resolve) => setTimeout(resolve, 200))
    gate.open()
    expect((await second).status).toBe(200)
    expect((await send(runtime, batchAsk({}, key))).status).toBe(200)
  })
})

/** The routes on Node as the stack builds them, but over the gate. */
async function startGated(): Promise<EdgeRuntime> {
  const store = new PostgresStore({ url: gate.url, secretKey: env.SUPABASE_SECRET_KEY ?? '' })
  const clock = () => Date.now() * 1_000
  const apps = {
    ingest: ingestApp({ store, clock, flushMs: embeddedFlushMs }),
    tick: tickApp({ store, clock, secret: env.SUPABASE_SECRET_KEY ?? '' }),
  }
  const server = await openHttpServer({ host: '127.0.0.1', port: 0 }, (request) =>
    apps[new URL(request.url).pathname.startsWith('/tick') ? 'tick' : 'ingest'].fetch(request),
  )
  cleanups.push(server.close)
  return { name: 'node', addressOf: (name) => `${server.url}/${name}`, printed: () => '', close: server.close }
}

describe('Deno', () => {
  const here = test.skipIf(absent.deno !== null)

  here.each([...functionNames])('finds the types of functions/%s right', async (name) => {
    const { code, printed } = await checkEntry(name, dir)
    expect(code, printed).toBe(0)
  })
})

describe('the Worker', () => {
  const here = test.skipIf(absent.workerd !== null)

  test('is built for `wrangler deploy` without a login', () => {
    expect(build.code, build.printed).toBe(0)
    expect(build.printed).toContain('env.ASSETS')
  })

  here('ticks when the cron says so', async () => {
    const before = gate.calls.length
    expect(await worker.tickByCron(), worker.printed()).toBe('ok')
    expect(gate.calls.slice(before)).toContain('/rest/v1/rpc/claim_tick')
  })
})
