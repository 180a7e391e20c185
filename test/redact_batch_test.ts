import fc from 'fast-check'
import { expect, test } from 'vitest'
import { redactBatch } from '../functions/action/redact_batch.ts'

import type { Batch, Span, TelltaleRecord } from '../src/core/record.ts'
import { redacted, withoutSecrets } from '../src/core/secret_form.ts'
import { isSecretName } from '../src/core/secret_name.ts'
import { unredactable } from '../src/wire/bare_record.ts'
import { parseBatch } from '../src/wire/parse_batch.ts'
import { utf8Bytes } from '../src/wire/wire_text.ts'
import {
  nowUs,
  wireBatch,
  wireError,
  wireEvent,
  wireGauge,
  wireMessage,
  wireRunning,
  wireSpan,
} from './batch_fixture.ts'
import { cpuMsOf } from './cost_fixture.ts'
import { secrets } from './secret_fixture.ts'
import { arbitraryBatch } from './span_fixture.ts'

function batchOf(records: readonly unknown[], changes: Record<string, unknown> = {}): Batch {
  const parsed = parseBatch(JSON.stringify(wireBatch(records, changes)), nowUs)
  if (!parsed.ok) throw new Error(parsed.error.detail)
  return parsed.value.batch
}

test.each(secrets)('withoutSecrets() takes %s out of the middle of a text', (_, secret) => {
  expect(withoutSecrets(secret)).toBe(redacted)
  const text = withoutSecrets(`Cannot sign in with "${secret}"`)
  expect(text).not.toContain(secret.slice(6, 20))
  expect(text).toMatch(/^Cannot sign in with "/)
})

test.each([
  ['Authorization: Bearer abcdefgh12345678', `Authorization: Bearer ${redacted}`],
  ['authorization: Basic dXNlcjpwYXNz', `authorization: Basic ${redacted}`],
  ['postgres://app:hunter2@db:5432/x', `postgres://app:${redacted}@db:5432/x`],
  ['redis://:hunter2@cache', `redis://:${redacted}@cache`],
  ['{"password": "hunter2", "user": "ann"}', `{"password": "${redacted}", "user": "ann"}`],
  ['{"body": "{\\"password\\": \\"hunter2, x"', `{"body": "{\\"password\\": \\"${redacted}, x"`],
  ['DB_PASSWORD=hunter2 exit 1', `DB_PASSWORD=${redacted} exit 1`],
  ['GET /?api_key=a1b2c3d4e5&x=1', `GET /?api_key=${redacted}&x=1`],
  ['access_token=abcdef12345', `access_token=${redacted}`],
])('withoutSecrets() keeps what surrounds a secret: %s', (text, clean) => {
  expect(withoutSecrets(text)).toBe(clean)
})

test.each([
  'SyntaxError: Unexpected token: identifier in JSON at position 3',
  'max_tokens: 4096 exceeded',
  'the task-manager asked a risk-averse desk-clerk',
  'https://example.com/path?x=1',
  'mail ann@example.com: no such user',
  'a'.repeat(32),
  'Basic understanding of bearer bonds',
  'tt_short_key',
])('withoutSecrets() leaves alone: %s', (text) => {
  expect(withoutSecrets(text)).toBe(text)
})

test.each([
  ...['password', 'db_password', 'dbPassword', 'PGPASSWORD_SECRET', 'token', 'access_token', 'X-Auth-Token', 'apiKey'],
  ...['api_key', 'APIKEY', 'Authorization', 'set-cookie', 'jwt', 'client_secret', 'private-key', 'service_role_key'],
])('isSecretName() says that %s names a secret', (name) => {
  expect(isSecretName(name)).toBe(true)
})

test.each([
  ...[
    'tokens_in',
    'max_tokens',
    'token_count',
    'token_usage',
    'total_tokens',
    'key',
    'old',
    'new',
    'keyboard',
    'primary_key',
  ],
  ...['passenger', 'author', 'secretary', 'cookiecutter', '', '__proto__'],
])('isSecretName() says that %s names none', (name) => {
  expect(isSecretName(name)).toBe(false)
})

test('redactBatch() finds a secret in every text that a record carries', () => {
  const secret = secrets[1]?.[1] as string
  const fields = { attributes: { a: [{ b: secret }], [secret]: 1 }, session: { key: secret, rule: 'explicit' } }
  const texts = { name: secret, request_id: secret, tool: secret, provider: secret, model: secret, holder: secret }
  const error = { error_type: secret, message: `at ${secret}`, traceback: `x\n${secret}`, context: { url: secret } }
  const message = {
    conversation_id: secret,
    role: secret,
    model_used: secret,
    tool_name: secret,
    token_usage: [secret],
  }
  const event = { error: secret, error_traceback: secret, script_name: secret, function_name: secret, frame: secret }
  const records = [
    { ...wireSpan, ...fields, ...texts },
    { ...wireError, ...error },
    { ...wireMessage, ...message, provider_used: secret, thinking_mode: secret, metadata: { a: secret } },
    { ...wireEvent, ...event, error_type: secret, connection_type: secret, direction: secret },
    { ...wireGauge, name: secret, labels: { a: secret } },
  ]
  const running = [{ ...wireRunning, name: secret, tool: secret, session: secret }]
  const before = batchOf(records, { running })
  expect(JSON.stringify(before).split(secret).length).toBeGreaterThan(30)
  expect(JSON.stringify(redactBatch(before))).not.toContain(secret)
})

test('redactBatch() hides what stands under the name of a secret, whatever its form', () => {
  const attributes = {
    password: 'hunter2',
    nested: { apiKey: ['a'] },
    has_password: null,
    token: 7,
    max_token: 4096,
    pwd: 1234,
  }
  const [span] = redactBatch(batchOf([{ ...wireSpan, attributes }])).records
  const nested = { apiKey: redacted }
  expect(span).toMatchObject({
    attributes: { password: redacted, nested, has_password: null, token: 7, max_token: 4096, pwd: redacted },
  })
})

test('redactBatch() finds a secret in where a batch comes from, and keeps two sources apart', () => {
  const [one, two] = [secrets[1]?.[1] as string, `${secrets[1]?.[1]}x`]
  const originOf = (secret: string) => {
    const source = { service: secret, instance: `i-${secret}`, environment: secret, version: secret }
    const process_ = { ...wireBatch().process, host: secret, sdk: secret }
    const counters = { recorded: 1, dropped: { [secret]: 1 } }
    return redactBatch(batchOf([wireSpan], { source, process: process_, counters }))
  }
  expect(JSON.stringify([originOf(one), originOf(two)])).not.toContain(one)
  expect(originOf(one)).toEqual(originOf(one))
  expect(originOf(one).source.service).toMatch(/^\[redacted\]~[0-9a-f]{8}$/)
  expect(originOf(one).source.service).not.toBe(originOf(two).source.service)
})

test('redactBatch() keeps sessions and requests apart whose ids are secrets, and changes nothing the second time', () => {
  const spanOf = (key: string) => ({
    ...wireSpan,
    request_id: key,
    session: { key, rule: 'mcp' },
    attributes: { 'mcp.session.id': key },
  })
  const [a, b] = [secrets[0]?.[1] as string, secrets[1]?.[1] as string]
  const once = redactBatch(batchOf([spanOf(a), spanOf(b), spanOf(a)], { running: [{ ...wireRunning, session: a }] }))
  const [first, second, third] = once.records as unknown as [Span, Span, Span]
  expect(first.session?.key).toMatch(/^\[redacted\]~[0-9a-f]{8}$/)
  expect(first.session).toEqual(third.session)
  expect(first.session?.key).not.toBe(second.session?.key)
  expect([first.request_id, first.attributes['mcp.session.id'], once.running[0]?.session]).toEqual(
    Array(3).fill(first.session?.key),
  )
  expect(redactBatch(once)).toEqual(once)
  const plain = redactBatch(batchOf([spanOf('0af7651916cd43dd8448eb211c80319c')]))
  expect(plain.records[0]).toMatchObject({ session: { key: '0af7651916cd43dd8448eb211c80319c' } })
})

test('redactBatch() hides the value that a name in the same list or object says is a secret', () => {
  const attributes = {
    headers: [
      ['authorization', 'open sesame'],
      ['accept', 'text/html'],
    ],
    env: [
      { name: 'DB_PASSWORD', value: 'open sesame' },
      { name: 'HOME_PAGE', value: 'x' },
    ],
    required: ['password', 'token'],
    'telltale.argument_shape': { api_key: 'string(40)' },
  }
  const [span] = redactBatch(batchOf([{ ...wireSpan, attributes }])).records as unknown as [Span]
  expect(span.attributes).toEqual({
    ...attributes,
    headers: [
      ['authorization', redacted],
      ['accept', 'text/html'],
    ],
    env: [
      { name: 'DB_PASSWORD', value: redacted },
      { name: 'HOME_PAGE', value: 'x' },
    ],
  })
})

test('a secret that a limit of the edge cuts in two is stored in no part', () => {
  const secret = `sk-${'h2'.repeat(40)}`
  for (let at = 170; at < 256; at += 3) {
    const name = `${'n'.repeat(at)} ${secret}`
    const [span] = redactBatch(
      batchOf([{ ...wireSpan, name, attributes: { [name]: `${'v '.repeat(2_000 + at)}${secret}` } }]),
    ).records
    expect(JSON.stringify(span)).not.toContain('h2h2')
  }
})

test('redactBatch() hides old and new of rotate_token, and nowhere else', () => {
  const frame = { old: 'abc', new: 'def' }
  const { records } = redactBatch(
    batchOf([
      { ...wireSpan, attributes: frame },
      { ...wireSpan, tool: 'rotate_token', attributes: { arguments: frame } },
      { ...wireSpan, attributes: { frame: { op: 'rotate_token', ...frame } } },
    ]),
  )
  const hidden = { old: redacted, new: redacted }
  expect(records).toMatchObject([
    { attributes: frame },
    { attributes: { arguments: hidden } },
    { attributes: { frame: { op: 'rotate_token', ...hidden } } },
  ])
})

test('redactBatch() leaves a batch without secrets as it is', () => {
  fc.assert(
    fc.property(arbitraryBatch(), (batch) => {
      const clean = redactBatch(batch)
      expect(clean).toEqual(batch)
      expect(clean.records.every((record, index) => record === batch.records[index])).toBe(true)
    }),
    { numRuns: 100 },
  )
})

test('redactBatch() makes no text longer than it was', () => {
  const message = 'pwd=abcd '.repeat(900).slice(0, 8_000)
  const [error] = redactBatch(batchOf([{ ...wireError, message }])).records as unknown as [{ message: string }]
  expect(error.message).not.toContain('abcd')
  expect(utf8Bytes(error.message)).toBeLessThanOrEqual(utf8Bytes(message))
})

test('redactBatch() drops the content and keeps ids, times and sizes when redaction fails', () => {
  const records = [
    { ...wireSpan, end_us: nowUs, outcome: 'ok', bytes_in: 7, attributes: { a: 'secret text' } },
    { ...wireError, message: 'secret text', context: { a: 'secret text' } },
    { ...wireMessage, role: 'secret text', response_time_ms: 5 },
    { ...wireEvent, error: 'secret text', data_size_bytes: 9, script_name: 'secret text' },
    { ...wireGauge, name: 'secret text' },
  ]
  const running = [{ ...wireRunning, name: 'secret text' }]
  const batch = redactBatch(batchOf(records, { running }), () => {
    throw new Error('broken')
  })
  expect(JSON.stringify(batch)).not.toContain('secret text')
  expect(batch.records).toMatchObject([
    {
      span_id: wireSpan.span_id,
      layer: 'tool',
      name: unredactable,
      end_us: nowUs,
      outcome: 'ok',
      bytes_in: 7,
      attributes: {},
    },
    { error_id: wireError.error_id, at_us: wireError.at_us, message: unredactable, context: {} },
    { message_id: wireMessage.message_id, response_time_ms: 5, role: null },
    { event_id: wireEvent.event_id, data_size_bytes: 9, error: unredactable },
    { value: 12.5 },
  ])
  // What is left still passes the door.
  const again = parseBatch(JSON.stringify(batch), nowUs)
  expect(again.ok && again.value.rejected).toEqual([])
})

const hostile: readonly (readonly [string, string])[] = [
  ['starts of JWTs', 'eyJ'.repeat(17_500)],
  ['starts of JWTs with dashes', 'eyJaaaaaaaaaa-'.repeat(3_750)],
  ['JWTs that stop at the dot', `${'eyJaaaaaaaa.'.repeat(4_250)}`],
  ['heads of private keys', `-----BEGIN PRIVATE ${'KEY'}-----`.repeat(1_900)],
  ['dashes', '-'.repeat(50_000)],
  ['addresses', '://a:'.repeat(10_000)],
  ['one long address', `://${'a'.repeat(50_000)}`],
  ['one long password', `://a:${'b'.repeat(50_000)}`],
  ['names of passwords', 'password'.repeat(6_250)],
  ['underscores', `${'_'.repeat(25_000)}password${'_'.repeat(20_000)}`],
  ['words and underscores', 'a_'.repeat(25_000)],
  ['backslashes after a name', `password${'\\'.repeat(45_000)}=`],
  ['blanks after a name', `password${' '.repeat(45_000)}=`],
  ['api and dashes', 'api-'.repeat(12_500)],
  ['tokens without digits', `${'token=aaaaaaaaaaaa'.repeat(2_750)}`],
  ['hex', 'abcdef0123456789'.repeat(3_000)],
  ['bearers', 'bearer '.repeat(7_000)],
  ['sk-', 'sk-'.repeat(16_500)],
]
test.each(hostile)('withoutSecrets() takes time in proportion to the text: 50,000 characters of %s', (_, text) => {
  const both = () => [withoutSecrets(`${text} sk-`), withoutSecrets(text)]
  expect(cpuMsOf(both)).toBeLessThan(400)
})

test('redactBatch() prints what 500 records cost', () => {
  const attributes = { 'gen_ai.system': 'moonshot', 'http.status': 200, 'url.path': '/v1/chat/completions', retries: 0 }
  const texts = { request_id: 'req-1', tool: 'read_file', provider: 'kimi', model: 'kimi-k2-turbo' }
  const records: TelltaleRecord[] = Array(500).fill({ ...wireSpan, ...texts, end_us: nowUs, outcome: 'ok', attributes })
  const text = JSON.stringify(wireBatch(records))
  const batch = batchOf(records)
  const costs = { json: () => JSON.parse(text), parse: () => parseBatch(text, nowUs), redact: () => redactBatch(batch) }
  for (const [name, run] of Object.entries(costs)) {
    for (let i = 0; i < 20; i += 1) run()
    const start = performance.now()
    for (let i = 0; i < 20; i += 1) run()
    console.log(`${name}: ${Math.round((performance.now() - start) * 50)} µs for 500 spans`)
  }
})
