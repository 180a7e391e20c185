import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { messageBytesMax, nameBytesMax, stackBytesMax } from '../src/core/limit.ts'
import type { TelltaleRecord } from '../src/core/record.ts'
import { withoutSecrets } from '../src/core/secret_form.ts'
import { hintsAtSecret } from '../src/core/secret_hint.ts'
import { redactJsonText, redactRunningList } from '../src/reporter/delivery/redact_frozen.ts'
import { createReporter, type Reporter } from '../src/reporter/reporter.ts'
import { cutMiddle, cutText } from '../src/reporter/text_cut.ts'
import { unredactable } from '../src/wire/bare_record.ts'
import { redactRecord } from '../src/wire/redact_record.ts'
import { nowUs, wireError, wireEvent, wireGauge, wireMessage, wireRunning, wireSpan } from './batch_fixture.ts'
import { cpuMsOf } from './cost_fixture.ts'
import { type IngestFixture, startIngest } from './ingest_fixture.ts'
import { quotedSecrets, secrets } from './secret_fixture.ts'

const wrapScript = fileURLToPath(new URL('./wrap_fixture.ts', import.meta.url))

let far: IngestFixture
let reporter: Reporter

beforeEach(async () => {
  far = await startIngest()
  reporter = createReporter({ ingestUrl: far.url, ingestKey: far.key, service: 's', env: {}, flushOnExit: false })
})

afterEach(async () => {
  await reporter.close(100)
  await far.close()
})

/** Puts the text into every field that a host can fill. */
function recordEverywhere(text: string): void {
  const fields = { tool: text, provider: text, model: text, requestId: text, session: text, holder: text }
  const attributes = { plain: text, [text]: 1, deep: [{ deeper: text }], large: `${text} ${'x'.repeat(20_000)}` }
  const root = reporter.startTrace({ name: text, layer: text, ...fields, attributes: { plain: text, [text]: 1 } })
  const wait = reporter.wait(root, { name: `wait ${text}`, holder: text, attributes })
  const failure = new Error(`Cannot call: ${text}`, { cause: new AggregateError([new TypeError(text)], text) })
  reporter.captureError(failure, { span: root, errorType: text, context: { plain: text, [text]: [text] } })
  reporter.captureError({ thrown: text }, { traceback: `Error: ${text}\n    at f (x.ts:1:1)`, context: attributes })
  const said = { conversation_id: text, role: text, model_used: text, provider_used: text, tool_name: text }
  reporter.recordMessage(
    { ...said, thinking_mode: text, token_usage: { [text]: text }, metadata: { a: { b: text } } },
    root,
  )
  const where = { connection_type: text, direction: text, script_name: text, function_name: text, trace_id: text }
  const what = { error: text, error_type: text, error_traceback: text, metadata: { a: text }, event_id: text }
  reporter.recordEvent({ ...where, ...what, ...{ own: text, owned: { more: text } } })
  reporter.gauge(text, 1, { a: text, [text]: 'b' })
  wait.end('timeout', { ...fields, attributes })
  root.set({ ...fields, name: text })
}

/** All that has left, in full. */
function sent(): string {
  return JSON.stringify(far.batches)
}

const allSecrets: readonly (readonly [string, string, string])[] = [
  ...secrets.map(([name, secret]) => [name, 'with ', secret] as const),
  ...quotedSecrets,
]

test.each(allSecrets)('no byte that leaves a reporter holds %s', async (_, before, secret) => {
  recordEverywhere(before + secret)
  // The root still runs, so that it is in the running list and announced.
  await reporter.flush()
  expect(far.batches[0]?.running).toHaveLength(1)
  reporter.recordEvent({ connection_type: 'a', direction: 'b', metadata: { longAgo: 'x'.repeat(10) } })
  await reporter.flush()
  expect(far.batches.flatMap((batch) => batch.records).length).toBeGreaterThanOrEqual(8)
  expect(sent()).not.toContain(JSON.stringify(secret).slice(1, -1))
  expect(sent()).not.toContain(secret.slice(8, 24))
  expect(reporter.status().dropped).toEqual({})
})

test('no byte that leaves a tap holds a token that a tool quotes in its error, or a server in its last words', async () => {
  const token = 'abcdefgh12345678'
  const said = { content: [{ type: 'text', text: `401: authorization: Bearer ${token}` }], isError: true }
  const server = `process.stdin.once('data', () => {
    console.error('x'.repeat(20000) + ' Bearer ${token}')
    console.error('sent Bearer ${token}')
    console.log(JSON.stringify({ jsonrpc: '2.0', id: 1, result: ${JSON.stringify(said)} }))
    setTimeout(() => process.exit(3), 50)
  })`
  const call = { name: 'fetch', arguments: { token }, _meta: { progressToken: 1 } }
  const asked = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: call }
  const open = { jsonrpc: '2.0', id: 2, method: `Bearer ${token}`, params: {} }
  const words = [wrapScript, 'wrap', '--', process.execPath, '-e', server]
  const env = { ...process.env, TELLTALE_INGEST_URL: far.url, TELLTALE_INGEST_KEY: far.key }
  const tap = spawn(process.execPath, words, { env, stdio: ['pipe', 'pipe', 'ignore'] })
  tap.stdin.write(`${JSON.stringify(asked)}\n${JSON.stringify(open)}\n`)
  let out = ''
  tap.stdout.on('data', (chunk) => {
    out += chunk
  })
  await once(tap, 'close')
  expect(out).toContain(token)
  expect(far.spans().map((span) => span.outcome)).toContain('tool_error')
  expect(far.errors().map((error) => error.message)).toContain('401: authorization: Bearer [redacted]')
  expect(far.errors().map((error) => error.traceback)).toContain('sent Bearer [redacted]')
  expect(sent()).not.toContain(token)
})

test('what stands under the name of a secret does not leave, whatever its form', async () => {
  const root = reporter.startTrace({ name: 'n', layer: 'tool', attributes: { db_password: 'open sesame' } })
  reporter.captureError({ credential: 'open sesame' }, { context: { nested: { 'X-Auth-Token': 'open sesame' } } })
  reporter.recordMessage({ metadata: { accessKey: ['open sesame'] }, token_usage: { credential: 'open sesame' } })
  reporter.recordEvent({ connection_type: 'a', direction: 'b', ...{ clientSecret: 'open sesame' } })
  reporter.gauge('g', 1, { jwt: 'open sesame' })
  reporter.span(root, { name: 'rotate_token', attributes: { old: 'open sesame', new: 'open sesame' } }).end()
  const many = { api_key: 'open sesame', text: 'x'.repeat(20_000) }
  root.end('ok', { attributes: many })
  await reporter.flush()
  expect(reporter.status().stored).toBe(6)
  expect(sent()).not.toContain('open sesame')
})

test('a secret that a limit cuts in two leaves in no part', () => {
  const secret = `postgres://app:${'h2'.repeat(40)}@db`
  for (let at = nameBytesMax - 110; at < nameBytesMax; at += 7) {
    expect(cutText(`${'n'.repeat(at)} ${secret}${'n'.repeat(400)}`, nameBytesMax)).not.toContain('h2h2')
  }
  const half = Math.ceil(stackBytesMax / 2)
  for (let at = half - 200; at < half + 200; at += 9) {
    const traceback = `${'s '.repeat(at / 2)}${secret} ${'s '.repeat(half)}`
    expect(cutMiddle(traceback, stackBytesMax)).not.toContain('h2h2')
    expect(cutMiddle(`${'s '.repeat(half)} ${secret}${' s'.repeat(at / 2)}`, stackBytesMax)).not.toContain('h2h2')
  }
  expect(Buffer.byteLength(cutText('pwd=abcd '.repeat(9_000), messageBytesMax))).toBeLessThanOrEqual(messageBytesMax)
})

test('hintsAtSecret() misses nothing that redaction would change, however JSON escapes it', () => {
  const names = ['password', 'dbPasswd', 'passPhrase', 'PWD', 'client_secrets', 'authorization', 'set-cookie', 'jwt']
  const more = [
    'apiKey',
    'API-KEY',
    'apikey',
    'credential',
    'bearer',
    'tokenStore',
    'token_x',
    'private\n"key',
    'a.token',
  ]
  const rest = [
    'access\t\u0001key',
    'ingest"_key',
    'role  key',
    'auth.key',
    'tokens',
    'input_tokens',
    'key',
    'keyboard',
  ]
  const text = fc.oneof(
    fc.constantFrom(...allSecrets.map(([, before, secret]) => before + secret)),
    fc.constantFrom(...secrets.map(([, secret]) => secret)),
    fc.string({ unit: fc.constantFrom(...'\n\t"\\ :=@/.,;&[]aZ0_-'), maxLength: 12 }),
    fc.constantFrom('token', 'password', 'Bearer', 'api_key', 'sk-', '://', 'eyJ', '\u2028', '\ud800'),
  )
  const value = fc.array(text, { maxLength: 5 }).map((parts) => parts.join(''))
  const name = fc.oneof(fc.constantFrom(...names, ...more, ...rest), value)
  fc.assert(
    fc.property(fc.dictionary(name, value, { maxKeys: 3 }), value, (attributes, other) => {
      const json = JSON.stringify({ ...wireSpan, name: other, attributes })
      const record = JSON.parse(json) as TelltaleRecord
      if (!hintsAtSecret(json)) expect(redactRecord(record)).toBe(record)
    }),
    { numRuns: 2_000 },
  )
})

test('hintsAtSecret() lets the spans of everyday pass unparsed', () => {
  const usage = { 'gen_ai.usage.input_tokens': 5, 'url.full': 'https://api.example.com/v1/chat', author: 'a', key: 1 }
  const texts = { request_id: 'r-1', session: { key: 'k', rule: 'explicit' }, tokens_in: 3, tokens_out: 4 }
  expect(hintsAtSecret(JSON.stringify({ ...wireSpan, ...texts, attributes: usage }))).toBe(false)
})

test.each([
  ['blanks after a kind of key', 'auth '.repeat(10_000)],
  ['kinds of keys', 'apiapi'.repeat(9_000)],
  ['separators', `api${'\\'.repeat(50_000)}`],
  ['escapes', `api${'\\n'.repeat(25_000)}`],
  ['addresses', '://'.repeat(17_000)],
  ['one long address', `://${'a'.repeat(50_000)}`],
  ['hex', 'abcdef0123456789'.repeat(3_000)],
])('hintsAtSecret() takes time in proportion to the text: 50,000 characters of %s', (_, text) => {
  expect(cpuMsOf(() => hintsAtSecret(text))).toBeLessThan(200)
})

test('redactJsonText() keeps the timing and drops the content where redaction fails', () => {
  const broken = () => {
    throw new Error('broken')
  }
  const told = 'Bearer content, token=content1'
  const free = { attributes: { a: told }, context: { a: told }, metadata: { a: told }, labels: { a: told } }
  const texts = { name: told, request_id: told, message: told, role: told, error: told, own: told, owned: { a: told } }
  for (const record of [wireSpan, wireError, wireMessage, wireEvent, wireGauge]) {
    const json = redactJsonText(JSON.stringify({ ...record, ...texts, ...free, end_us: nowUs }), broken) as string
    expect(json).not.toContain('content')
    const times = Object.entries(record).filter(([field]) => /_us$|_id$/.test(field) && field !== 'request_id')
    const span = record === wireSpan ? { end_us: nowUs } : {}
    expect(JSON.parse(json)).toMatchObject({ type: record.type, ...Object.fromEntries(times), ...span })
  }
  const [entry] = redactRunningList([{ ...wireRunning, name: told, tool: told, session: told }], broken)
  expect(entry).toMatchObject({ trace_id: wireRunning.trace_id, start_us: wireRunning.start_us, name: unredactable })
  expect(redactJsonText('{"type":"span","name":"Bearer half')).toBeNull()
})

test('redactJsonText() gives back the very text where there is no secret', () => {
  const json = JSON.stringify(wireSpan)
  expect(redactJsonText(json)).toBe(json)
  expect(withoutSecrets(json)).toBe(json)
})
