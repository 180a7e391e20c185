import { afterEach, beforeEach, expect, test } from 'vitest'
import { tapFrameBytesMax } from '../src/core/limit.ts'
import type { ConnectionEvent, Span } from '../src/core/record.ts'
import { noContent } from '../src/reporter/mcp/content_rule.ts'
import { createReporter, type Reporter } from '../src/reporter/reporter.ts'
import { ExaiObserver } from '../src/tap/exai_observer.ts'
import type { SocketEnd, SocketObserverOptions } from '../src/tap/ws_observer.ts'
import { ask, hello, playInto, type Step, say, welcome } from './exai_play_fixture.ts'
import { type IngestFixture, startIngest } from './ingest_fixture.ts'

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

function observerOf(more: Partial<SocketObserverOptions> = {}): ExaiObserver {
  return new ExaiObserver({
    reporter,
    connectionId: 'conn-1',
    context: false,
    content: noContent,
    salt: 'salt',
    ...more,
  })
}

async function play(observer: ExaiObserver, steps: readonly Step[]): Promise<Span[]> {
  playInto(observer, steps)
  await reporter.flush()
  return far.spans().filter((span) => span.end_us !== null)
}

const events = () =>
  far.batches.flatMap((batch) => batch.records.filter((record): record is ConnectionEvent => record.type === 'event'))
const ended = (by: SocketEnd['by'], code = 1000, reason = ''): Step => ['x', { by, code, reason }]

test('ExaiObserver tells that a connection began and ended, with who it was and what passed', async () => {
  await play(observerOf(), [hello, welcome, ['>', ask('chat')], ['<', say('x')], ended('client')])
  expect(events()).toMatchObject([
    {
      direction: 'connect',
      response_time_ms: 10,
      error: null,
      metadata: { 'mcp.client.name': 'shim', 'mcp.session.id': 'S1' },
    },
    {
      direction: 'disconnect',
      metadata: { calls: 1, frames_in: 2, frames_out: 2, close_code: 1000, closed_by: 'client' },
    },
  ])
})

test('ExaiObserver tells why a connection was refused, once', async () => {
  const refusals: [Step[], string][] = [
    [
      [hello, ['<', { op: 'hello_ack', ok: false, error: 'unauthorized' }], ended('server', 4003)],
      'the daemon answered unauthorized',
    ],
    [
      [
        ['>', ask('chat')],
        ['<', { op: 'hello_ack', ok: false, error: 'missing_hello' }],
      ],
      'the daemon answered missing_hello',
    ],
    [[ended('server', 1008, 'too many')], 'the daemon answered 1008 too many'],
  ]
  for (const [steps, why] of refusals) {
    far.batches.length = 0
    await play(observerOf(), steps)
    expect(events().filter(({ direction }) => direction !== 'disconnect')).toMatchObject([
      { direction: 'reject', error: `Cannot connect: ${why}`, error_type: 'ConnectionRejected' },
    ])
  }
  far.batches.length = 0
  observerOf().refused('connect ECONNREFUSED 127.0.0.1:3011')
  await reporter.flush()
  expect(events()).toMatchObject([{ error: 'Cannot connect: connect ECONNREFUSED 127.0.0.1:3011' }])
})

test('ExaiObserver tells of each call that was turned away, and of other frames once', async () => {
  const limit = { op: 'error', error: { code: 'OVER_CAPACITY', message: 'Rate limit exceeded: ip' } }
  const steps: Step[] = [
    ['>', ask('chat')],
    ['<', limit],
    ['>', { op: 'ping' }],
    ['<', limit],
    ['>', { op: 'ping' }],
    ['<', limit],
  ]
  const [span] = await play(observerOf(), steps)
  expect(span).toMatchObject({ outcome: 'server_fault', attributes: { 'telltale.fault': 'rate_limited' } })
  expect(far.errors()).toMatchObject([
    { error_type: 'RateLimited', message: 'Rate limit exceeded: ip', span_id: span?.span_id },
    { error_type: 'RateLimited', span_id: null },
  ])
  expect(events().filter(({ direction }) => direction === 'rate_limit')).toHaveLength(3)
})

test('ExaiObserver ends what has no answer when the connection does: cancelled or interrupted, by who left', async () => {
  const open: Step[] = [
    ['>', ask('chat')],
    ['>', ask('debug')],
  ]
  const left = await play(observerOf(), [...open, ended('client', 1001)])
  const outcomes = (spans: readonly Span[]) => spans.map(({ name, outcome }) => [name, outcome])
  const both = (outcome: string) => [
    ['tools/call chat', outcome],
    ['frame before it', outcome],
    ['tools/call debug', outcome],
  ]
  expect(outcomes(left)).toEqual(both('cancelled'))
  expect(left[0]?.attributes['telltale.fault']).toBe('unanswered')
  expect(far.errors()).toEqual([])
  far.batches.length = 0
  expect(outcomes(await play(observerOf(), [...open, ended('server', 1011, 'boom')]))).toEqual(both('interrupted'))
  expect(far.errors()).toMatchObject(
    Array(2).fill({ error_type: 'ConnectionLost', message: 'The daemon closed the connection: 1011 boom' }),
  )
  far.batches.length = 0
  await play(observerOf(), [
    ['>', ask('chat')],
    ['x', { by: 'client', code: 1000, reason: '' }, 61_000],
  ])
  expect(far.errors()).toMatchObject([{ error_type: 'Unanswered', context: { waited_ms: 61_000 } }])
})

test('ExaiObserver records shapes and hashes, content only of a tool that is named, and no token of any frame', async () => {
  const args = { prompt: 'the plan is secret-plan', api_key: 'sk-0123456789abcdefghijklmnopqrstuvwxyz' }
  const details = { value: 'the plan is secret-plan', field: 'prompt' }
  const steps: Step[] = [
    hello,
    welcome,
    ['>', ask('chat', args)],
    ['<', say('so it is, secret-plan')],
    ['>', { op: 'rotate_token', old: 'old-secret', new: 'new-secret' }],
    ['<', { op: 'rotate_token_ack', ok: true }],
    ['>', ask('chat', args)],
    ['<', { op: 'call_tool_res', error: { code: 'VALIDATION_ERROR', message: 'bad', details } }],
    ended('client'),
  ]
  const [span] = await play(observerOf(), steps)
  expect(span?.attributes['telltale.argument_shape']).toEqual({ prompt: 'string(23)', api_key: 'string(39)' })
  expect(span?.attributes['telltale.argument_hash']).toMatch(/^[0-9a-f]{16}$/)
  expect(far.errors()[0]?.context).toMatchObject({ code: 'VALIDATION_ERROR', details: { field: 'prompt' } })
  expect(JSON.stringify(far.batches)).not.toMatch(/secret-plan|tok-secret|jwt-secret|old-secret|new-secret|sk-0123/)
  far.batches.length = 0
  const [opted, other] = await play(observerOf({ content: { wants: (tool) => tool === 'chat' } }), steps)
  expect(opted?.attributes['telltale.arguments']).toContain('secret-plan')
  expect(opted?.attributes['telltale.result']).toContain('so it is')
  expect(other?.name).toBe('rotate_token')
  expect(JSON.stringify(far.batches)).not.toMatch(/tok-secret|jwt-secret|old-secret|new-secret|sk-0123/)
})

test('ExaiObserver sends a call on with its context at the top, and nothing else changed', async () => {
  const call = '{ "op":"call_tool",  "name":"chat", "arguments":{"n":1.0e2,"a":"\\u0041"} }'
  const observer = observerOf({ context: true })
  const others: Step[] = [hello, ['>', { op: 'ping' }], ['>', 'no frame'], ['>', '[]']]
  const [sent] = playInto(observer, [['>', call]])
  expect(playInto(observer, others)).toEqual([null, null, null, null])
  playInto(observer, [['<', say('x')]])
  await reporter.flush()
  const span = far.spans().find(({ end_us }) => end_us !== null)
  const members = `"traceparent":"00-${span?.trace_id}-${span?.span_id}-01","tracestate":"telltale=${span?.span_id}"`
  expect(sent).toBe(call.replace('"\\u0041"}', `"\\u0041"},${members}`))
  expect(playInto(observerOf({ context: false }), [['>', call]])).toEqual([null])
})

test('ExaiObserver is the parent’s child where a call brings a context, and no entry where Telltale recorded it', async () => {
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
  const spans = await play(observerOf(), [
    ['>', { ...ask('chat'), traceparent }],
    ['<', say('x')],
    ['>', { ...ask('chat'), traceparent, tracestate: `telltale=${'b'.repeat(16)}` }],
    ['<', say('x')],
    ['>', { ...ask('chat'), traceparent: 'nonsense' }],
    ['<', say('x')],
  ])
  expect(
    spans.map(({ trace_id, parent_span_id, entry }) => [trace_id === 'a'.repeat(32), parent_span_id, entry]),
  ).toEqual([
    [true, 'b'.repeat(16), true],
    [true, 'b'.repeat(16), false],
    [false, null, true],
  ])
})

test('ExaiObserver reads JSON-RPC on the same port as MCP', async () => {
  const rpc = (id: number, method: string, params: object = {}) => ({ jsonrpc: '2.0', id, method, params })
  const observer = observerOf({ context: true })
  const [, sent] = playInto(observer, [
    ['>', rpc(1, 'initialize', { protocolVersion: '2024-11-05', clientInfo: { name: 'c', version: '1' } })],
    ['<', { jsonrpc: '2.0', id: 1, result: { protocolVersion: '2024-11-05' } }],
    ['>', rpc(2, 'tools/call', { name: 'mock' })],
    ['<', { jsonrpc: '2.0', id: 2, result: { content: [] } }],
    ended('client'),
  ])
  await reporter.flush()
  const spans = far.spans().filter(({ end_us }) => end_us !== null)
  expect(spans).toMatchObject([
    { name: 'initialize', layer: 'websocket' },
    { name: 'tools/call mock', outcome: 'empty', attributes: { 'network.protocol.name': 'websocket' } },
  ])
  expect(JSON.parse(sent ?? '').params._meta.traceparent).toContain(spans[1]?.trace_id)
  expect(events().map(({ direction }) => direction)).toEqual(['connect', 'disconnect'])
})

test('ExaiObserver matches what is too long to read by its place alone', async () => {
  const long = Buffer.alloc(tapFrameBytesMax + 1, 'x')
  const spans = await play(observerOf(), [
    ['>', ask('chat')],
    ['<', long],
    ['>', long],
    ['<', say('answers the long one')],
    ['>', ask('debug')],
    ['<', say('x')],
  ])
  expect(spans.map(({ tool, outcome, attributes }) => [tool, outcome, attributes['telltale.reply_unread']])).toEqual([
    ['chat', 'ok', true],
    ['debug', 'ok', undefined],
  ])
  expect(far.errors()).toEqual([])
})
