import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Span } from '../src/core/record.ts'
import { noContent } from '../src/reporter/mcp/content_rule.ts'
import { createReporter, type Reporter } from '../src/reporter/reporter.ts'
import { ExaiObserver } from '../src/tap/exai_observer.ts'
import type { SocketObserverOptions } from '../src/tap/ws_observer.ts'
import { ask, complete, hello, playInto, type Step, say, welcome } from './exai_play_fixture.ts'
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

const calls = (spans: readonly Span[]) => spans.filter((span) => span.name.startsWith('tools/call'))
const msOf = (span: Span | undefined) => ((span?.end_us ?? 0) - (span?.start_us ?? 0)) / 1_000
const output = (status: string, content: string, more: object = {}) => JSON.stringify({ status, content, ...more })

test('ExaiObserver matches answers first in, first out, though all say "unknown", and shows who waited for whom', async () => {
  const spans = await play(observerOf(), [
    hello,
    welcome,
    ['>', ask('chat_EXAI-WS')],
    ['>', { op: 'tool_call', tool: { name: 'debug' }, arguments: {} }],
    ['>', { op: 'ping' }],
    ['>', ask('analyze')],
    ['<', say('one')],
    ['<', { error: { code: 'TOOL_EXECUTION_ERROR', message: 'Tool execution failed: debug' } }],
    ['<', { op: 'pong' }],
    ['<', say('')],
  ])
  expect(calls(spans).map((span) => [span.tool, span.outcome, msOf(span), span.call_number])).toEqual([
    ['chat', 'ok', 40, 1],
    ['debug', 'tool_error', 40, 2],
    ['analyze', 'empty', 40, 3],
  ])
  const waits = spans.filter((span) => span.kind === 'wait')
  expect(waits.map((span) => [span.name, span.holder, msOf(span)])).toEqual([
    ['frame before it', 'chat', 30],
    ['frame before it', 'ping', 30],
  ])
  const debug = calls(spans)[1]
  expect(waits[0]).toMatchObject({ parent_span_id: debug?.span_id, trace_id: debug?.trace_id })
  expect(far.errors()).toMatchObject([
    { error_type: 'TOOL_EXECUTION_ERROR', message: 'Tool execution failed: debug', span_id: debug?.span_id },
  ])
})

test('ExaiObserver gives a call the session of its continuation, of the handle, of the daemon, of the connection', async () => {
  const offer = output('success', 'x', { continuation_offer: { continuation_id: 'c-9' } })
  const spans = await play(observerOf(), [
    ['>', ask('chat')],
    ['<', say('early')],
    hello,
    welcome,
    ['>', ask('chat', { continuation_id: 'c-1' })],
    ['<', say('x')],
    ['>', ask('chat')],
    ['<', say('x')],
    ['>', ask('chat')],
    ['<', say(offer)],
    ['>', ask('chat', { continuation_id: 'c-9' })],
    ['<', say(offer)],
  ])
  expect(calls(spans).map(({ session, call_number }) => [session?.rule, session?.key, call_number])).toEqual([
    ['connection', 'conn-1', 1],
    ['continuation', 'c-1', 1],
    ['mcp', 'session_S1', 1],
    ['continuation', 'c-9', 1],
    ['continuation', 'c-9', 2],
  ])
  far.batches.length = 0
  const [named] = await play(observerOf({ session: 'mine', inner: true }), [
    hello,
    welcome,
    ['>', ask('chat')],
    ['<', say('x')],
  ])
  expect(named).toMatchObject({ session: { rule: 'explicit', key: 'mine' }, entry: false, call_number: null })
})

test('ExaiObserver reads how a call ended from its answer', async () => {
  const failed = (code: string, text = 'why') => ({
    op: 'call_tool_res',
    request_id: 'unknown',
    error: { code, message: text },
  })
  const ends: [unknown, string, string | null][] = [
    [say('fine'), 'ok', null],
    [say(output('success', 'fine')), 'ok', null],
    [say('  \n'), 'empty', null],
    [say(output('success', ' ')), 'empty', null],
    [{ op: 'call_tool_res', outputs: [] }, 'empty', null],
    [{ op: 'call_tool_res', result: { content: [] } }, 'empty', null],
    [say('Error executing tool chat: no'), 'tool_error', 'Error executing tool chat: no'],
    [say(output('error', 'Cannot find it')), 'tool_error', 'Cannot find it'],
    [say('{"status": "error"'), 'ok', null],
    [failed('VALIDATION_ERROR'), 'caller_fault', 'why'],
    [failed('TOOL_NOT_FOUND'), 'caller_fault', 'why'],
    [failed('INTERNAL_ERROR'), 'server_fault', 'why'],
    [failed('INTERNAL_ERROR', 'Tool execution timed out after 300s'), 'timeout', 'Tool execution timed out after 300s'],
    [failed('PROVIDER_ERROR'), 'tool_error', 'why'],
    [failed('OVER_CAPACITY', 'Request too large: 9 bytes'), 'caller_fault', 'Request too large: 9 bytes'],
    [{ error: { code: 'TOOL_EXECUTION_ERROR', message: 'why' } }, 'tool_error', 'why'],
    [{ op: 'error', error: { code: 'INVALID_REQUEST', message: 'why' } }, 'caller_fault', 'why'],
    [{ error: 'why' }, 'server_fault', 'why'],
  ]
  for (const [end, outcome, why] of ends) {
    far.batches.length = 0
    const [span] = await play(observerOf(), [
      ['>', ask('chat')],
      ['<', end],
    ])
    expect([end, span?.outcome]).toEqual([end, outcome])
    expect(far.errors().map(({ message, span_id }) => [message, span_id])).toEqual(
      why === null ? [] : [[why, span?.span_id]],
    )
  }
})

test('ExaiObserver counts progress and chunks, and times the first chunk apart from the rest', async () => {
  const chunk = { op: 'stream_chunk', request_id: 'unknown', chunk: 'some words' }
  const [span] = await play(observerOf(), [
    ['>', ask('chat')],
    ['<', { op: 'progress', request_id: 'unknown' }, 5_000],
    ['<', chunk, 100],
    ['<', chunk, 100],
    ['<', complete],
    ['<', say('x')],
  ])
  expect(span?.attributes).toMatchObject({
    'telltale.progress_count': 1,
    'telltale.chunk_count': 2,
    'telltale.first_chunk_ms': 5_100,
  })
  const size = (frame: object) => JSON.stringify(frame).length
  expect(span?.bytes_in).toBe(size(ask('chat')))
  expect(span?.bytes_out).toBe(2 * size(chunk) + size(say('x')))
})

const metrics = {
  latency_ms: 90,
  global_sem_wait_ms: 20,
  provider_sem_wait_ms: 30,
  processing_ms: 40,
  provider_name: 'KIMI',
}

test('ExaiObserver turns the latency metrics of a fresh answer into waits and work before it', async () => {
  const spans = await play(observerOf(), [
    ['>', ask('kimi_chat')],
    ['<', complete, 80],
    ['<', say('x', {}, { latency_metrics: metrics })],
  ])
  const call = spans.find((span) => span.parent_span_id === null)
  expect(call).toMatchObject({ provider: 'KIMI', outcome: 'ok' })
  const parts = spans.filter((span) => span.parent_span_id === call?.span_id)
  const place = (span: Span) => Math.round((span.start_us - (call?.start_us ?? 0)) / 1_000)
  expect(parts.map((span) => [span.name, span.kind, place(span), msOf(span)])).toEqual([
    ['permit global_sem', 'wait', 0, 20],
    ['permit provider_sem KIMI', 'wait', 20, 30],
    ['run kimi_chat', 'work', 50, 40],
  ])
})

test('ExaiObserver keeps what the daemon measured within the call that it saw', async () => {
  const spans = await play(observerOf(), [
    ['>', ask('kimi_chat')],
    ['<', say('x', {}, { latency_metrics: metrics }), 60],
  ])
  const call = spans.find((span) => span.parent_span_id === null)
  const parts = spans.filter((span) => span !== call)
  expect(parts.map((span) => [span.name, msOf(span)])).toEqual([
    ['permit global_sem', 20],
    ['permit provider_sem KIMI', 30],
    ['run kimi_chat', 10],
  ])
  expect(parts[0]?.start_us).toBe(call?.start_us)
})

test('ExaiObserver makes no spans of metrics that a cache or another call replays', async () => {
  const timed = (more: object) => say('x', more, { latency_metrics: metrics })
  const replays: [Step[], object][] = [
    [[['<', timed({ from_cache: true }), 500]], { 'telltale.from_cache': true }],
    [
      [
        ['<', complete, 500],
        ['<', timed({ from_inflight: true })],
      ],
      { 'telltale.from_inflight': true },
    ],
    // What took longer than this call did was another one.
    [
      [['<', say('x', {}, { latency_metrics: { ...metrics, latency_ms: 9_000 } }), 500]],
      { 'telltale.from_cache': true },
    ],
    // A daemon that streams says when a tool is done; where it did not, no tool ran.
    [
      [
        ['<', complete],
        ['<', say('a')],
        ['>', ask('debug')],
        ['<', timed({}), 500],
      ],
      { 'telltale.from_cache': true },
    ],
  ]
  for (const [steps, attributes] of replays) {
    far.batches.length = 0
    const spans = await play(observerOf(), [['>', ask('chat')], ...steps])
    expect(spans.every((span) => span.parent_span_id === null)).toBe(true)
    expect(spans.at(-1)?.attributes).toMatchObject(attributes)
  }
})

test('ExaiObserver flags an answer that is another call’s, taken while both ran', async () => {
  const spans = await play(observerOf(), [
    ['>', ask('chat')],
    ['<', say('x', { from_inflight: true })],
    ['>', { ...ask('chat'), request_id: 'own' }],
    ['<', say('x', { from_inflight: true, request_id: 'own' })],
  ])
  expect(spans.map((span) => span.attributes['telltale.fault'] ?? null)).toEqual(['foreign_inflight_answer', null])
  expect(far.errors()).toMatchObject([{ error_type: 'ForeignAnswer', span_id: spans[0]?.span_id }])
})

test('ExaiObserver flags a client that goes on before its call was answered: it reads frames not its own', async () => {
  const progress = { op: 'progress', request_id: 'unknown' }
  const spans = await play(observerOf(), [
    ['>', ask('chat')],
    ['<', progress],
    ['>', ask('debug')],
    ['<', say('x')],
    ['<', say('y')],
  ])
  expect(calls(spans).map((span) => span.attributes['telltale.fault'] ?? null)).toEqual([null, 'foreign_frame'])
  far.batches.length = 0
  // Two at once that have heard nothing yet have mistaken nothing yet.
  const eager = await play(observerOf(), [
    ['>', ask('chat')],
    ['>', ask('debug')],
    ['<', say('x')],
    ['<', say('y')],
  ])
  expect(calls(eager).map((span) => span.attributes['telltale.fault'] ?? null)).toEqual([null, null])
  far.batches.length = 0
  const patient = await play(observerOf(), [
    ['>', { ...ask('chat'), request_id: 'a' }],
    ['<', { ...progress, request_id: 'a' }],
    ['>', { ...ask('debug'), request_id: 'b' }],
    ['<', say('y', { request_id: 'b' })],
    ['<', say('x', { request_id: 'a' })],
  ])
  expect(calls(patient).map((span) => [span.tool, span.attributes['telltale.fault'] ?? null])).toEqual([
    ['debug', null],
    ['chat', null],
  ])
})

test('ExaiObserver flags ids used twice where they mean something, replies to nobody and what is no frame', async () => {
  const spans = await play(observerOf(), [
    ['>', { ...ask('chat'), request_id: 'a' }],
    ['>', { ...ask('debug'), request_id: 'a' }],
    ['<', say('x', { request_id: 'other' })],
    ['<', say('x', { request_id: 'a' })],
    ['<', say('y', { request_id: 'a' })],
    ['<', say('z')],
    ['<', say('z')],
    ['<', '{"half":'],
    ['>', 'hm'],
    ['<', { op: 'error', error: { code: 'PROTOCOL_ERROR', message: 'Invalid JSON' } }],
  ])
  expect(calls(spans).map((span) => [span.tool, span.attributes['telltale.fault'] ?? null])).toEqual([
    ['chat', null],
    ['debug', 'duplicate_id'],
  ])
  expect(far.errors().map((error) => error.error_type)).toEqual([
    'DuplicateId',
    'ReplyToNobody',
    'MalformedFrame',
    'PROTOCOL_ERROR',
  ])
})
