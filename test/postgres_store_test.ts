import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type BatchRows, StoreError } from '../functions/store/port.ts'
import { PostgresStore } from '../functions/store/postgres.ts'
import { turnMsMax } from '../src/core/limit.ts'

// What PostgREST says, and what the port makes of it. The store against the real thing is tested with the stack.

type Answer = { status: number; body: string; delayMs?: number; hangUp?: boolean }
type Request = { path: string; method: string; headers: IncomingMessage['headers']; body: string }

let answer: Answer = { status: 200, body: 'null' }
let requests: Request[] = []
const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const { url = '', method = '', headers } = request
    requests.push({ path: url, method, headers, body: Buffer.concat(chunks).toString() })
    if (answer.hangUp === true) return void request.socket.destroy()
    setTimeout(() => {
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body)
    }, answer.delayMs ?? 0).unref()
  })
})
let url = ''

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  requests = []
})

const storeOf = (secretKey = 'sb_secret_x') => new PostgresStore({ url, secretKey })
const rows = { batch_id: 'b' } as BatchRows
const reply = { status: 'stored', accepted: {}, rejected: [], renamed: {}, watched: false, tick_due: true }
const refusal = (code: string, details: string | null = null) =>
  JSON.stringify({ code, message: 'duplicate key (secret)', details, hint: null })

/** The StoreError that a call ends with. */
async function failureOf(call: Promise<unknown>): Promise<StoreError> {
  const failure = await call.then(
    () => null,
    (error: unknown) => error,
  )
  expect(failure).toBeInstanceOf(StoreError)
  return failure as StoreError
}

test('PostgresStore calls the functions of schema telltale by name', async () => {
  answer = { status: 200, body: JSON.stringify(reply) }
  expect(await storeOf().ingestBatch(rows)).toEqual(reply)
  expect(requests).toMatchObject([
    { path: '/rest/v1/rpc/ingest_batch', method: 'POST', body: '{"batch":{"batch_id":"b"}}' },
  ])
  expect(requests[0]?.headers).toMatchObject({ 'content-profile': 'telltale', 'content-type': 'application/json' })
})

test('PostgresStore sends a new key as apikey alone, a legacy one also as bearer token', async () => {
  answer = { status: 200, body: 'null' }
  await storeOf('sb_secret_x').readKey('abc')
  await storeOf('eyJhbGciOi.e30.x').readKey('abc')
  expect(requests.map(({ headers }) => [headers.apikey, headers.authorization])).toEqual([
    ['sb_secret_x', undefined],
    ['eyJhbGciOi.e30.x', 'Bearer eyJhbGciOi.e30.x'],
  ])
})

test('PostgresStore speaks every call of its ports', async () => {
  const store = storeOf()
  const key = { key_id: 'abc', key_hash: 'f'.repeat(64), revoked: false }
  const calls: readonly (readonly [string, string, () => Promise<unknown>, unknown, object])[] = [
    ['read_key', JSON.stringify(key), () => store.readKey('abc'), key, { key_id: 'abc' }],
    ['read_key', 'null', () => store.readKey('abc'), null, { key_id: 'abc' }],
    ['make_partitions', '{}', () => store.makePartitions(['2026-09-14']), undefined, { days: ['2026-09-14'] }],
    ['ended_spans', '{"t":["a"]}', () => store.endedSpans(['t']), { t: ['a'] }, { trace_ids: ['t'] }],
    ['claim_tick', 'true', () => store.claimTick('me', 60), true, { holder: 'me', seconds: 60 }],
    ['release_tick', '', () => store.releaseTick('me'), undefined, { holder: 'me' }],
    ['tick_prune', '{"done":3,"more":true}', () => store.runStep('prune'), { done: 3, more: true }, {}],
  ]
  for (const [name, body, call, expected, args] of calls) {
    answer = { status: 200, body }
    expect(await call()).toEqual(expected)
    expect(requests.at(-1)?.path).toBe(`/rest/v1/rpc/${name}`)
    expect(JSON.parse(requests.at(-1)?.body ?? '')).toEqual(args)
  }
})

test.each<[string, number, string, StoreError['reason'], string | null]>([
  ['invalid text', 400, refusal('22P02'), 'refused', '22P02'],
  ['a number out of range', 400, refusal('22003'), 'refused', '22003'],
  ['a broken check', 400, refusal('23514'), 'refused', '23514'],
  ['a duplicate', 409, refusal('23505'), 'refused', '23505'],
  ['no turn', 503, refusal('53300'), 'unavailable', '53300'],
  ['a timeout', 500, refusal('57014'), 'unavailable', '57014'],
  ['a serialization failure', 500, refusal('40001'), 'unavailable', '40001'],
  ['a deadlock', 500, refusal('40P01'), 'unavailable', '40P01'],
  ['a lock that is taken', 500, refusal('55P03'), 'unavailable', '55P03'],
  ['a statement that is read only', 400, refusal('25006'), 'unavailable', '25006'],
  ['a bug in a function', 400, refusal('42703'), 'unavailable', '42703'],
  ['a function that is not there', 404, refusal('PGRST202'), 'unavailable', 'PGRST202'],
  ['a key that is not taken', 401, '{"message":"Invalid API key"}', 'unavailable', null],
  ['too many requests', 429, '', 'unavailable', null],
  ['a proxy that says no', 502, '<html>Bad gateway</html>', 'unavailable', null],
  ['a proxy that says yes', 200, '<html>Welcome</html>', 'unavailable', null],
  ['an ack of nothing', 200, 'null', 'unavailable', null],
  ['an ack of another form', 200, '{"status":"done"}', 'unavailable', null],
  ['a missing partition that is not named', 400, refusal('TT001', 'none'), 'unavailable', 'TT001'],
])('PostgresStore takes %s for what it is', async (_, status, body, reason, code) => {
  answer = { status, body }
  const failure = await failureOf(storeOf().ingestBatch(rows))
  expect([failure.reason, failure.code, failure.days]).toEqual([reason, code, []])
  expect(failure.message).toMatch(/^Cannot call ingest_batch: /)
  expect(failure.message).not.toContain('secret')
  expect(requests).toHaveLength(1)
})

test('PostgresStore names the days of a missing partition', async () => {
  answer = { status: 400, body: refusal('TT001', '2026-09-14, 2026-09-15,') }
  const failure = await failureOf(storeOf().ingestBatch(rows))
  expect([failure.reason, failure.days]).toEqual(['missing_partition', ['2026-09-14', '2026-09-15']])
})

test('PostgresStore is unavailable when nobody answers, or hangs up, or takes too long', async () => {
  const nobody = new PostgresStore({ url: 'http://127.0.0.1:1', secretKey: 'sb_secret_x' })
  expect((await failureOf(nobody.readKey('abc'))).reason).toBe('unavailable')
  answer = { status: 200, body: 'null', hangUp: true }
  expect((await failureOf(storeOf().readKey('abc'))).reason).toBe('unavailable')
  answer = { status: 200, body: 'null', delayMs: 20_000 }
  const start = performance.now()
  expect((await failureOf(storeOf().readKey('abc'))).reason).toBe('unavailable')
  expect(performance.now() - start).toBeLessThan(5 * turnMsMax)
})

test('PostgresStore takes no key for another', async () => {
  for (const key of [{ key_id: 'other', key_hash: 'x', revoked: false }, { key_id: 'abc', key_hash: 'x' }, 'abc', []]) {
    answer = { status: 200, body: JSON.stringify(key) }
    expect((await failureOf(storeOf().readKey('abc'))).reason).toBe('unavailable')
  }
})
