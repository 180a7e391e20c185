import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { expect, test, vi } from 'vitest'
import { ingestApp } from '../functions/route/ingest.ts'
import { type BatchRows, type BatchStore, type IngestReply, StoreError } from '../functions/store/port.ts'
import {
  batchBytesMax,
  batchRecordsMax,
  hostedFlushMs,
  ingestsAtOnceMax,
  ingestsInFlightMax,
  watchedFlushMs,
} from '../src/core/limit.ts'
import { messageFields } from '../src/core/record.ts'
import { nowUs, wireBatch, wireError, wireEvent, wireGauge, wireMessage, wireSpan } from './batch_fixture.ts'

// The port's other side is Postgres, tested against the real one elsewhere. Here it is a script of answers: what this
// file proves is which HTTP answer each of them becomes.

const keyId = 'abc123def456'
const secret = 'S3cr3t_'.repeat(7).slice(0, 43)
const key = `tt_${keyId}_${secret}`
const storedReply = (rows: BatchRows): IngestReply => ({
  status: 'stored',
  accepted: rows.accepted,
  rejected: rows.rejected,
  renamed: {},
  watched: false,
  tick_due: false,
})

type Script = Partial<BatchStore> & {
  reply?: Partial<IngestReply>
  revoked?: boolean
  failures?: unknown[]
  nudge?: () => void
}

function setUp({ reply = {}, revoked = false, failures = [], nudge, ...store }: Script = {}) {
  const seen = { rows: [] as BatchRows[], days: [] as string[], nudges: 0, log: [] as string[] }
  const app = ingestApp({
    store: {
      readKey: async (id) =>
        id === keyId ? { key_id: keyId, key_hash: createHash('sha256').update(key).digest('hex'), revoked } : null,
      ingestBatch: async (rows) => {
        seen.rows.push(rows)
        const failure = failures.shift()
        if (failure !== undefined) throw failure
        return { ...storedReply(rows), ...reply }
      },
      endedSpans: async () => ({}),
      makePartitions: async (days) => {
        seen.days.push(...days)
      },
      ...store,
    },
    clock: () => nowUs,
    flushMs: hostedFlushMs,
    nudge: () => {
      seen.nudges += 1
      nudge?.()
    },
    log: (entry) => seen.log.push(JSON.stringify(entry)),
  })
  const post = (body: BodyInit | object | null, headers: Record<string, string> = {}, path = '/ingest') =>
    app.request(path, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
      body:
        body instanceof Uint8Array || typeof body === 'string' || body === null
          ? (body as BodyInit)
          : JSON.stringify(body),
    })
  return { app, seen, post }
}

async function problemOf(answer: Response) {
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  const body = (await answer.json()) as {
    type: string
    title: string
    status: number
    detail: string
    request_id: string
  }
  expect(body).toMatchObject({ status: answer.status, request_id: answer.headers.get('x-request-id') })
  expect(body.type).toMatch(/^urn:telltale:problem:/)
  expect(JSON.stringify(body)).not.toContain(secret)
  return body
}

test('ingestApp() stores a batch and answers its ack', async () => {
  const { post, seen } = setUp()
  const records = [
    { ...wireSpan, entry: true, end_us: nowUs, outcome: 'ok' },
    wireError,
    wireMessage,
    wireEvent,
    wireGauge,
  ]
  const answer = await post(wireBatch([...records, { type: 'span' }]), { 'telltale-sent-at': String(nowUs - 5) })
  expect(answer.status).toBe(200)
  expect(await answer.json()).toEqual({
    batch_id: wireBatch().batch_id,
    status: 'stored',
    accepted: { span: 1, error: 1, message: 1, event: 1, gauge: 1 },
    rejected: [{ index: 5, reason: expect.stringContaining('trace_id is missing') }],
    flush_after_ms: hostedFlushMs,
    watched: false,
    records_max: batchRecordsMax,
    missing: Object.fromEntries(messageFields.map((field) => [field, 1])),
  })
  const [rows] = seen.rows
  expect(rows).toMatchObject({
    key_id: keyId,
    sent_at_us: nowUs - 5,
    received_at_us: nowUs,
    flush_ms: hostedFlushMs,
    piece: [1, 1],
  })
  expect(rows?.traces).toMatchObject([
    { trace_id: wireSpan.trace_id, duration_ms: 5, outcome: 'ok', layers: { tool: 5 } },
  ])
  expect(rows?.errors).toMatchObject([
    { error_id: wireError.error_id, fingerprint: expect.stringMatching(/^v1:[0-9a-f]{32}$/) },
  ])
  expect(rows?.parts[0]?.series).toHaveProperty('connection:websocket')
  expect(seen.nudges).toBe(0)
})

test('ingestApp() answers 200 when every record is refused', async () => {
  const answer = await setUp().post(wireBatch([{}, null]))
  expect(answer.status).toBe(200)
  expect(await answer.json()).toMatchObject({ accepted: {}, rejected: [{ index: 0 }, { index: 1 }] })
})

test('ingestApp() passes on what the store says: repeated, watched, tick due', async () => {
  const reply = { status: 'repeated', accepted: { span: 3 }, rejected: [], watched: true, tick_due: true } as const
  const { post, seen } = setUp({ reply })
  const answer = await post(wireBatch())
  expect(await answer.json()).toMatchObject({
    status: 'repeated',
    accepted: { span: 3 },
    flush_after_ms: watchedFlushMs,
  })
  expect(seen.nudges).toBe(1)
})

test('ingestApp() acks what is stored even where the platform lets no tick be started', async () => {
  const nudge = () => {
    throw new ReferenceError('EdgeRuntime is not defined')
  }
  const { post, seen } = setUp({ reply: { tick_due: true }, nudge })
  const answer = await post(wireBatch())
  expect([answer.status, await answer.json()]).toMatchObject([200, { status: 'stored' }])
  expect(seen.log.join()).toContain('nudge')
})

test('ingestApp() stores an event with an error as an error, and one id once', async () => {
  const { post, seen } = setUp()
  const failed = { ...wireEvent, error: 'boom', error_traceback: 'Traceback', data_size_bytes: 3 }
  await post(wireBatch([failed, wireEvent, { ...wireError, error_id: '018f0000-0000-7000-8000-0000000000c2' }]))
  await post(wireBatch([failed, { ...wireError, error_id: wireEvent.event_id }]))
  expect(seen.rows[0]?.errors).toHaveLength(2)
  expect(seen.rows[0]?.errors[1]).toMatchObject({
    error_id: wireEvent.event_id,
    error_type: 'websocket error',
    message: 'boom',
    traceback: 'Traceback',
    connection_type: 'websocket',
    data_size_bytes: 3,
  })
  expect(seen.rows[1]?.errors).toMatchObject([{ error_type: 'TypeError' }])
})

test('ingestApp() sorts traces and redacts before it stores', async () => {
  const { post, seen } = setUp()
  const token = `sk-${'a1B2'.repeat(8)}`
  const other = { ...wireSpan, trace_id: '1'.repeat(32), name: `call with ${token}` }
  await post(wireBatch([wireSpan, other]))
  expect(seen.rows[0]?.traces.map((trace) => trace.trace_id)).toEqual(['1'.repeat(32), 'a'.repeat(32)])
  expect(JSON.stringify(seen.rows)).not.toContain(token)
})

test('ingestApp() makes the partitions that are missing and tries once more', async () => {
  const missing = new StoreError('missing_partition', 'Cannot call', { code: 'TT001', days: ['2026-09-14'] })
  const { post, seen } = setUp({ failures: [missing] })
  expect((await post(wireBatch())).status).toBe(200)
  expect([seen.rows.length, seen.days]).toEqual([2, ['2026-09-14']])
  const again = setUp({ failures: [missing, missing] })
  expect((await again.post(wireBatch())).status).toBe(503)
  expect(again.seen.rows).toHaveLength(2)
})

test.each<[string, unknown, number, string | null]>([
  ['an unavailable store', new StoreError('unavailable', 'Cannot call ingest_batch: not reached'), 503, '2'],
  ['a store that refuses the data', new StoreError('refused', 'Cannot call', { code: '23514' }), 422, null],
  ['our own bug', new TypeError(`quotes ${secret}`), 500, null],
])('ingestApp() answers %s', async (_, failure, status, retryAfter) => {
  const { post, seen } = setUp({ failures: [failure] })
  const answer = await post(wireBatch())
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([status, retryAfter])
  await problemOf(answer)
  expect(seen.log).toHaveLength(1)
  expect(seen.log[0]).not.toContain(secret)
})

test('ingestApp() answers 503, not 401, when the key cannot be looked up', async () => {
  const readKey = async () => {
    throw new StoreError('unavailable', 'Cannot call read_key: Postgres is not reached')
  }
  const answer = await setUp({ readKey }).post(wireBatch())
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2'])
})

test('ingestApp() answers 401 to no key and to a wrong one, 403 to a revoked one, before it reads the body', async () => {
  const { post, seen } = setUp()
  for (const authorization of ['', `Bearer tt_${keyId}_${'x'.repeat(43)}`, `Basic ${key}`]) {
    const answer = await post('{', { authorization, 'content-type': 'text/plain' })
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    await problemOf(answer)
  }
  expect((await setUp({ revoked: true }).post('{')).status).toBe(403)
  expect(seen.rows).toEqual([])
})

const text = JSON.stringify(wireBatch([wireSpan]))
const bytes = new TextEncoder().encode(text)
const large = text.padEnd(batchBytesMax + 1, ' ')
test.each<[string, string | Uint8Array, Record<string, string>, number]>([
  ['gzip', gzipSync(bytes), { 'content-encoding': 'gzip' }, 200],
  ['GZIP', gzipSync(bytes), { 'content-encoding': 'GZIP' }, 200],
  ['identity', text, { 'content-encoding': 'identity' }, 200],
  ['a charset', text, { 'content-type': 'Application/JSON; charset="UTF-8"' }, 200],
  ['another charset', text, { 'content-type': 'application/json; charset=utf-16' }, 415],
  ['another type', text, { 'content-type': 'text/plain' }, 415],
  ['no type', text, { 'content-type': '' }, 415],
  ['brotli', bytes, { 'content-encoding': 'br' }, 415],
  ['gzip twice', bytes, { 'content-encoding': 'gzip, gzip' }, 415],
  ['gzip that is none', text, { 'content-encoding': 'gzip' }, 400],
  ['half of the gzip', gzipSync(bytes).subarray(0, 100), { 'content-encoding': 'gzip' }, 400],
  [
    'gzip and something after',
    Buffer.concat([gzipSync(bytes), Buffer.from('more')]),
    { 'content-encoding': 'gzip' },
    400,
  ],
  ['all the bytes', large.slice(0, -1), {}, 200],
  ['a byte too many', large, {}, 413],
  ['all the bytes in gzip', gzipSync(large.slice(0, -1)), { 'content-encoding': 'gzip' }, 200],
  ['a byte too many in gzip', gzipSync(large), { 'content-encoding': 'gzip' }, 413],
  ['a length that is a lie', text, { 'content-length': String(batchBytesMax + 1) }, 413],
  ['nothing', '', {}, 400],
  ['half of the JSON', text.slice(0, -2), {}, 400],
])('ingestApp() of a body with %s', async (_, body, headers, status) => {
  const { post, seen } = setUp()
  const answer = await post(body, headers)
  expect(answer.status).toBe(status)
  if (status !== 200) await problemOf(answer)
  expect(seen.rows).toHaveLength(status === 200 ? 1 : 0)
})

test('ingestApp() stops a gzip bomb early', async () => {
  const bomb = gzipSync(Buffer.alloc(128 * batchBytesMax))
  expect(bomb.length).toBeLessThan(batchBytesMax)
  const { post } = setUp()
  await post(wireBatch())
  const before = process.memoryUsage()
  const times: number[] = []
  for (let i = 0; i < 3; i++) {
    const start = performance.now()
    expect((await post(bomb, { 'content-encoding': 'gzip' })).status).toBe(413)
    times.push(performance.now() - start)
  }
  const after = process.memoryUsage()
  expect(after.rss - before.rss).toBeLessThan(48 * batchBytesMax)
  const wholeAt = performance.now()
  gunzipSync(bomb)
  expect(Math.min(...times)).toBeLessThan((performance.now() - wholeAt) / 4)
})

test('ingestApp() reads no more of an endless body than it takes, and answers', async () => {
  const { app } = setUp()
  let pulled = 0
  const body = new ReadableStream({
    pull(controller) {
      pulled += 1
      controller.enqueue(new Uint8Array(65_536).fill(32))
    },
  })
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const answer = await app.request(
    new Request('http://edge/ingest', { method: 'POST', headers, body, duplex: 'half' } as RequestInit),
  )
  expect(answer.status).toBe(413)
  expect(pulled).toBeLessThan(20)
})

test('ingestApp() answers a body that ends early so that the reporter keeps it', async () => {
  const { app } = setUp()
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(bytes.subarray(0, 50))
      controller.error(new Error('aborted'))
    },
  })
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const answer = await app.request(
    new Request('http://edge/ingest', { method: 'POST', headers, body, duplex: 'half' } as RequestInit),
  )
  expect(answer.status).toBe(408)
  await problemOf(answer)
})

test('ingestApp() takes a bounded number of batches at once, of which the store sees few', async () => {
  let release = (): void => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  let atOnce = 0
  let most = 0
  const { post } = setUp({
    ingestBatch: async (rows) => {
      most = Math.max(most, ++atOnce)
      await gate
      atOnce -= 1
      return storedReply(rows)
    },
  })
  const answers = Array.from({ length: ingestsInFlightMax + 1 }, () => post(wireBatch()))
  const refused = await (answers[ingestsInFlightMax] as Promise<Response>)
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '2'])
  await problemOf(refused)
  await vi.waitFor(() => expect(most).toBe(ingestsAtOnceMax))
  release()
  const statuses = await Promise.all(answers.map(async (answer) => (await answer).status))
  expect(statuses.filter((status) => status === 200)).toHaveLength(ingestsInFlightMax)
  expect(most).toBe(ingestsAtOnceMax)
  expect((await post(wireBatch())).status).toBe(200)
})

test('ingestApp() turns a batch away that finds no room in time, and takes the next once there is', async () => {
  let release = (): void => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const { post } = setUp({
    ingestBatch: async (rows) => {
      await gate
      return storedReply(rows)
    },
  })
  const inside = Array.from({ length: ingestsAtOnceMax }, () => post(wireBatch()))
  const refused = await post(wireBatch())
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '2'])
  await problemOf(refused)
  release()
  expect(new Set(await Promise.all(inside.map(async (answer) => (await answer).status)))).toEqual(new Set([200]))
  expect((await post(wireBatch())).status).toBe(200)
})

test.each([
  ['GET', '/ingest', 405],
  ['PUT', '/ingest', 405],
  ['DELETE', '/ingest/', 405],
  ['POST', '/ingest/openapi.json', 405],
  ['GET', '/ingest/nothing', 404],
  ['POST', '/ingest/a/b', 404],
])('ingestApp() answers %s %s with %i', async (method, path, status) => {
  const answer = await setUp().app.request(path, { method })
  expect(answer.status).toBe(status)
  if (status === 405) expect(answer.headers.get('allow')).not.toBeNull()
  await problemOf(answer)
})

test('ingestApp() takes batches at its path with and without a slash', async () => {
  const { post } = setUp()
  expect((await post(wireBatch(), {}, '/ingest/')).status).toBe(200)
})

test('ingestApp() serves its document to anyone', async () => {
  const answer = await setUp().app.request('/ingest/openapi.json')
  expect(answer.status).toBe(200)
  expect(await answer.json()).toMatchObject({
    openapi: '3.1.0',
    paths: { '/ingest': { post: { operationId: 'sendBatch' } } },
  })
})

test.each(['now', '-1', '1.5', '9'.repeat(17), ''])('ingestApp() reads Telltale-Sent-At %j as none', async (sent) => {
  const { post, seen } = setUp()
  expect((await post(wireBatch(), { 'telltale-sent-at': sent })).status).toBe(200)
  expect(seen.rows[0]?.sent_at_us).toBeNull()
})
