import { randomUUID } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { batchBytesMax, retryAfterSeconds } from '../src/core/limit.ts'
import type { Push } from '../src/core/live_snapshot.ts'
import { createIngestKey } from '../src/local/ingest_key.ts'
import { otlpMediaTypes } from '../src/wire/otlp_answer.ts'
import { otlpBytesOf } from '../src/wire/otlp_encode.ts'
import type { OtlpEncoding } from '../src/wire/otlp_request.ts'
import { type Ask, seenOf, send } from './edge_ask_fixture.ts'
import { absent, type EdgeProject, runtimeNames, startEdgeProject } from './edge_project_fixture.ts'
import { checkEntry, type EdgeRuntime, functionNames } from './edge_runtime_fixture.ts'
import { eventually } from './ingest_fixture.ts'
import { otlpSpan, traceRequest } from './otlp_fixture.ts'
import { liveBatch } from './stack_fixture.ts'

// The functions are the same everywhere or they are not the functions: one list of requests, sent to Node as the
// embedded stack has it, to Deno as Supabase has it, and to workerd as Cloudflare has it, over one and the same project.

let project: EdgeProject
let revokedKey: string
let viewer: Awaited<ReturnType<EdgeProject['signIn']>>
let stranger: Record<string, string>

beforeAll(async () => {
  project = await startEdgeProject()
  revokedKey = await project.createKey()
  await project.revokeKey(revokedKey)
  viewer = await project.signIn('viewer')
  stranger = (await project.signIn('stranger')).headers
}, 120_000)

afterAll(async () => {
  await viewer?.client.removeAllChannels()
  await project?.close()
})

function batchAsk(changes: Partial<Ask> = {}, key = project.env.TELLTALE_INGEST_KEY): Ask {
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
  ['OTLP in JSON', 200, () => otlpAsk('json')],
  ['OTLP in protobuf', 200, () => otlpAsk('protobuf')],
  ['OTLP of which a part is refused', 200, () => otlpAsk('protobuf', { startTimeUnixNano: '1' })],
  ['OTLP that is none', 400, () => ({ ...otlpAsk('protobuf'), body: 'no' })],
  ['OTLP without a key', 401, () => ({ ...otlpAsk('json'), headers: json })],
  ['OTLP by another method', 405, () => ({ name: 'ingest', path: '/v1/traces', method: 'GET' })],
  ['no key', 401, () => ({ name: 'ingest', body: '{}', headers: json })],
  ['an unknown key', 401, () => batchAsk({}, createIngestKey().text)],
  ['a revoked key', 403, () => batchAsk({}, revokedKey)],
  ['the document of the interface', 200, () => ({ name: 'ingest', path: '/openapi.json', method: 'GET' })],
  ['another method', 405, () => ({ name: 'ingest', method: 'GET' })],
  ['another path', 404, () => ({ name: 'ingest', path: '/nothing', method: 'GET' })],
  ['a tick without a key', 401, () => ({ name: 'tick' })],
  ['a tick with a wrong key', 401, () => ({ name: 'tick', headers: { apikey: 'sb_secret_wrong' } })],
  ['a tick by another method', 405, () => ({ name: 'tick', method: 'GET' })],
  ['live data to a member', 200, () => liveAsk(viewer.headers)],
  ['live data to a member who looks', 200, () => liveAsk(viewer.headers, `?viewer=${randomUUID()}&minutes=5`)],
  ['live data asked for by POST', 200, () => ({ ...liveAsk(viewer.headers), method: 'POST' })],
  ['live data with a viewer that is none', 400, () => liveAsk(viewer.headers, '?viewer=me')],
  ['live data without a token', 401, () => liveAsk({ apikey: viewer.headers.apikey ?? '' })],
  ['live data with a wrong token', 401, () => liveAsk({ ...viewer.headers, authorization: 'Bearer e30.e30.e30' })],
  ['live data to a stranger', 403, () => liveAsk(stranger)],
  ['live data by another method', 405, () => ({ name: 'live', method: 'PUT' })],
]

function liveAsk(headers: Record<string, string>, path = ''): Ask {
  return { name: 'live', method: 'GET', path, headers }
}

function otlpAsk(encoding: OtlpEncoding, changes: Record<string, unknown> = {}): Ask {
  const times = { startTimeUnixNano: `${Date.now() - 5}000000`, endTimeUnixNano: `${Date.now()}000000` }
  const request = traceRequest([otlpSpan({}, { ...times, ...changes })])
  const body = gzipSync(otlpBytesOf('traces', encoding, request))
  const headers = { 'content-type': otlpMediaTypes[encoding], 'content-encoding': 'gzip' }
  return batchAsk({ path: '/v1/traces', body, headers })
}

function withBadRecord(body: string): string {
  const batch = JSON.parse(body) as { records: unknown[] }
  return JSON.stringify({ ...batch, records: [...batch.records, { type: 'strange' }] })
}

function bombAsk(): Ask {
  return batchAsk({ body: gzipSync(' '.repeat(batchBytesMax + 1)), headers: { 'content-encoding': 'gzip' } })
}

const seenByNode = new Map<string, unknown>()

async function seenByNodeOf(title: string, ask: () => Ask): Promise<unknown> {
  const seen = seenByNode.get(title) ?? (await seenOf(await send(project.runtimeOf('node'), ask())))
  seenByNode.set(title, seen)
  return seen
}

const pushes: Push[] = []
let watching: Promise<void> | null = null

/** Resolves when the viewer hears what is pushed. */
function watch(): Promise<void> {
  return new Promise((resolve, reject) => {
    viewer.client
      .channel('telltale:live', { config: { private: true } })
      .on('broadcast', { event: 'live' }, ({ payload }) => pushes.push(payload as Push))
      .subscribe((status, error) => {
        if (status === 'SUBSCRIBED') resolve()
        else reject(error ?? new Error(`Cannot watch: the channel says ${status}`))
      })
  })
}

describe.each(runtimeNames)('%s', (name) => {
  const here = test.skipIf(absent[name] !== null)

  here.each(asks)('answers %s with %i, as Node does', async (title, status, ask) => {
    const runtime = project.runtimeOf(name)
    const seen = await seenOf(await send(runtime, ask()))
    expect(seen.status, runtime.printed()).toBe(status)
    expect(seen).toEqual(await seenByNodeOf(title, ask))
  })

  here('stores a batch once, whoever took it first', async () => {
    const ask = batchAsk()
    const answers = []
    const others = runtimeNames.filter((other) => other !== name && absent[other] === null)
    for (const next of [name, ...others, name]) answers.push(await (await send(project.runtimeOf(next), ask)).json())
    const [first, ...later] = answers
    expect(first).toMatchObject({ status: 'stored', accepted: { span: 2 } })
    for (const answer of later) expect(answer).toEqual({ ...first, status: 'repeated' })
  })

  here('runs a tick for who has the key, and says what it did', async () => {
    const runtime = project.runtimeOf(name)
    const key = project.env.SUPABASE_SECRET_KEY ?? ''
    for (const headers of [{ apikey: key }, { authorization: `Bearer ${key}` }]) {
      // The stack's own cron may have the lease at this moment.
      await expect
        .poll(async () => await (await send(runtime, { name: 'tick', headers })).json(), { timeout: 10_000 })
        .toMatchObject({ claimed: true, steps: { compact_minutes: { failed: null }, prune: { more: false } } })
    }
  })

  here('lets a page of another origin ask for live data', async () => {
    const headers = {
      origin: 'http://127.0.0.1:5173',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'apikey,authorization,content-type',
    }
    const answer = await send(project.runtimeOf(name), { name: 'live', method: 'OPTIONS', headers })
    expect(answer.status).toBe(204)
    const allowed = (what: string) => answer.headers.get(`access-control-allow-${what}`)?.toLowerCase()
    expect(['*', headers.origin]).toContain(allowed('origin'))
    expect(allowed('methods')).toContain('post')
    for (const asked of headers['access-control-request-headers'].split(','))
      expect(allowed('headers')).toContain(asked)
  })

  here('pushes what it took to a page that watches', async () => {
    const runtime = project.runtimeOf(name)
    watching ??= watch()
    await watching
    await send(runtime, liveAsk(viewer.headers, `?viewer=${randomUUID()}`))
    const { traceId, body } = liveBatch()
    expect(await (await send(runtime, batchAsk({ body }))).json()).toMatchObject({ status: 'stored', watched: true })
    await expect
      .poll(() => pushes.flatMap(({ ended }) => ended.map((trace) => trace.trace_id)), { timeout: 10_000 })
      .toContain(traceId)
    expect(runtime.printed()).not.toContain('push')
  })
})

describe.each(runtimeNames)('%s before its stores', (name) => {
  const here = test.skipIf(absent[name] !== null)
  let runtime: EdgeRuntime

  beforeAll(async () => {
    runtime = await project.gatedOf(name)
  })

  here('asks to come back later, and takes the batch then', async () => {
    const ask = batchAsk({}, await project.createKey())
    project.gate.shut()
    const away = await send(runtime, ask)
    const tick = await send(runtime, { name: 'tick', headers: { apikey: project.env.SUPABASE_SECRET_KEY ?? '' } })
    project.gate.open()
    for (const answer of [away, tick]) {
      expect(answer.headers.get('retry-after')).toBe(String(retryAfterSeconds))
      expect(await seenOf(answer)).toMatchObject({ status: 503, body: { title: 'Unavailable', status: 503 } })
    }
    expect(await (await send(runtime, ask)).json()).toMatchObject({ status: 'stored' })
  })

  here('remembers a key, and asks for it once', async () => {
    const key = await project.createKey()
    const before = project.gate.calls.length
    for (let sent = 0; sent < 3; sent += 1) expect((await send(runtime, batchAsk({}, key))).status).toBe(200)
    const calls = project.gate.calls.slice(before)
    expect(calls.filter((path) => path.endsWith('/rpc/read_key'))).toHaveLength(1)
    expect(calls.filter((path) => path.endsWith('/rpc/ingest_batch'))).toHaveLength(3)
  })

  here('lets nobody wait for a caller who hung up', async () => {
    const key = await project.createKey()
    const before = project.gate.calls.length
    project.gate.hold('/rpc/read_key')
    const leaving = new AbortController()
    const left = send(runtime, { ...batchAsk({}, key), signal: leaving.signal }).catch(() => 'left')
    await eventually(() => project.gate.calls.slice(before).some((path) => path.endsWith('/rpc/read_key')))
    leaving.abort()
    expect(await left).toBe('left')
    const second = send(runtime, batchAsk({}, key))
    await new Promise((resolve) => setTimeout(resolve, 200))
    project.gate.open()
    expect((await second).status).toBe(200)
    expect((await send(runtime, batchAsk({}, key))).status).toBe(200)
  })
})

describe('Deno', () => {
  const here = test.skipIf(absent.deno !== null)

  here.each([...functionNames])(
    'finds the types of functions/%s right',
    async (name) => {
      const { code, printed } = await checkEntry(name, project.dir)
      expect(code, printed).toBe(0)
    },
    120_000,
  )
})

describe('the Worker', () => {
  const here = test.skipIf(absent.workerd !== null)

  test('is built for `wrangler deploy` without a login', () => {
    expect(project.build.code, project.build.printed).toBe(0)
    expect(project.build.printed).toContain('env.ASSETS')
  })

  here('ticks when the cron says so', async () => {
    const before = project.gate.calls.length
    expect(await project.worker?.tickByCron(), project.worker?.printed()).toBe('ok')
    expect(project.gate.calls.slice(before)).toContain('/rest/v1/rpc/claim_tick')
  })

  here.each([
    ['the page', '/', 200],
    ['the page at its own paths', '/errors/v1:0a', 200],
    ['what the page must know first', '/config.json', 200],
    ['the script of the page', 'script', 200],
    ['the script of an earlier page', '/assets/gone-0a1b2c3d.js', 404],
  ])('shows %s under the same policy as the stack', async (_, place, status) => {
    const [there, here] = [project.env.TELLTALE_URL ?? '', project.worker?.url ?? '']
    const read = async (url: string) => {
      const script = /\/assets\/[\w-]+\.js/.exec(await (await fetch(url)).text())?.[0] ?? ''
      return await fetch(new URL(place === 'script' ? script : place, url))
    }
    const [expected, answer] = [await read(there), await read(here)]
    expect([expected.status, answer.status]).toEqual([status, status])
    expect(pageTold(answer)).toEqual(pageTold(expected))
    const isAsset = place === 'script'
    expect(answer.headers.get('cache-control')).toBe(isAsset ? 'public, max-age=31536000, immutable' : 'no-cache')
    if (answer.ok) expect(typeOf(answer)).toBe(typeOf(expected))
    const policy = answer.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("script-src 'self'; style-src 'self'")
    expect(policy).toContain(`connect-src 'self' ${project.gate.url} ${project.gate.url.replace('http', 'ws')};`)
  })

  here('answers no page where a service is asked for', async () => {
    const answer = await fetch(`${project.worker?.url}/functions/v1/none`)
    expect([answer.status, typeOf(answer)]).toEqual([404, 'application/problem+json'])
  })

  here('tells the page where its project is', async () => {
    const answer = await fetch(`${project.worker?.url}/config.json`)
    const { SUPABASE_PUBLISHABLE_KEY: key } = project.env
    expect(await answer.json()).toEqual({ supabase_url: project.gate.url, publishable_key: key })
  })
})

const pageHeaderNames = [
  'cache-control',
  'x-content-type-options',
  'referrer-policy',
  'permissions-policy',
  'cross-origin-opener-policy',
]

function pageTold(answer: Response) {
  return Object.fromEntries(pageHeaderNames.map((name) => [name, answer.headers.get(name)]))
}

function typeOf(answer: Response): string | undefined {
  return answer.headers.get('content-type')?.split(';')[0]
}
