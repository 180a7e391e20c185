import { afterEach, beforeEach, expect, test } from 'vitest'
import { openCallsMax, unansweredMsMin } from '../src/core/limit.ts'
import type { Span } from '../src/core/record.ts'
import { CallObserver } from '../src/reporter/mcp/call_observer.ts'
import { parseContentRules } from '../src/reporter/mcp/content_rule.ts'
import { departureOfProcess } from '../src/reporter/mcp/departure.ts'
import type { Line } from '../src/reporter/mcp/message_line.ts'
import type { ObserverOptions } from '../src/reporter/mcp/observer_options.ts'
import { createReporter, type Reporter } from '../src/reporter/reporter.ts'
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

function observerOf(more: Partial<ObserverOptions> = {}): CallObserver {
  return new CallObserver({ reporter, connectionId: 'conn-1', ...more })
}

function lineOf(frame: unknown): Line {
  const text = typeof frame === 'string' ? frame : JSON.stringify(frame)
  return { text, bytes: Buffer.byteLength(text) }
}

const call = (id: unknown, name = 't', params: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, ...params },
})
const answer = (id: unknown, result: object = { content: [{ type: 'text', text: 'x' }] }) => ({
  jsonrpc: '2.0',
  id,
  result,
})

async function ended(): Promise<Span[]> {
  await reporter.flush()
  return far.spans().filter((span) => span.end_us !== null)
}

async function faults(): Promise<(string | undefined)[]> {
  await reporter.flush()
  return far.errors().map((error) => error.error_type)
}

test('a request is answered with its own context in it, one message or a batch, and all else as it came', async () => {
  const observer = observerOf({ context: true })
  const text = '{ "id":1,"method":"tools/call", "params":{"name":"a"} , "jsonrpc":"2.0"}\r'
  const sent = observer.clientLine(lineOf(text), 1) ?? ''
  observer.serverLine(lineOf(answer(1)), 2)
  const [one] = await ended()
  const context = `"_meta":{"traceparent":"00-${one?.trace_id}-${one?.span_id}-01","tracestate":"telltale=${one?.span_id}"}`
  expect(sent).toBe(text.replace('"name":"a"', `"name":"a",${context}`))
  const batch = [call(1, 'b'), { jsonrpc: '2.0', method: 'notifications/x' }, 7, call(2, 'c')]
  const parsed = JSON.parse(observer.clientLine(lineOf(batch), 3) ?? '[]') as { params?: { _meta?: object } }[]
  expect(parsed.map((item) => item.params?._meta !== undefined)).toEqual([true, false, false, true])
  for (const passing of [
    answer(5),
    { jsonrpc: '2.0', method: 'notifications/initialized' },
    'no json',
    '[',
    { ...call(9), params: [1] },
  ])
    expect(observer.clientLine(lineOf(passing), 4)).toBe(null)
  expect(observer.clientLine({ text: null, bytes: 99 }, 5)).toBe(null)
  expect(observerOf().clientLine(lineOf(call(1)), 6)).toBe(null)
})

test('what is wrong with the protocol is an error, of each kind one a minute, and counted', async () => {
  const observer = observerOf()
  const at = performance.now()
  for (let n = 0; n < 3; n++) {
    observer.clientLine(lineOf(call(1)), at + n)
    observer.serverLine(lineOf(answer(99)), at + n)
    observer.clientLine(lineOf('{"half'), at + n)
    observer.serverLine(lineOf('[1,2]'), at + n)
    observer.serverLine(lineOf('Debugger attached'), at + n)
  }
  expect(await faults()).toEqual(['ReplyToNobody', 'MalformedFrame', 'NonProtocolOutput', 'DuplicateId'])
  observer.serverLine(lineOf(answer(99)), at + 60_001)
  await faults()
  expect(far.errors().at(-1)).toMatchObject({
    error_type: 'ReplyToNobody',
    context: { 'telltale.fault': 'reply_to_nobody', count: 4 },
  })
  observer.close(departureOfProcess(0, null, true, ''), at + 60_002)
  await reporter.flush()
  const event = far.batches.flatMap((batch) => batch.records).find((record) => record.type === 'event')
  expect(event?.metadata).toMatchObject({
    faults: { duplicate_id: 2, reply_to_nobody: 4, malformed_frame: 6, non_protocol_output: 3 },
  })
})

test('an answer to a call that was cancelled is none to nobody, the second answer to one is', async () => {
  const observer = observerOf()
  observer.clientLine(lineOf(call(1)), 1)
  observer.clientLine(lineOf({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }), 2)
  observer.serverLine(lineOf(answer(1)), 3)
  expect(await faults()).toEqual([])
  observer.clientLine(lineOf(call(2)), 4)
  observer.serverLine(lineOf(answer(2)), 5)
  observer.serverLine(lineOf(answer(2)), 6)
  expect(await faults()).toEqual(['ReplyToNobody'])
})

test('a call that never ended is marked, and an error where nobody can say that it was only just asked', async () => {
  const observer = observerOf()
  observer.clientLine(lineOf(call(1, 'old')), 0)
  observer.clientLine(lineOf(call(2, 'new')), unansweredMsMin - 10)
  observer.close(departureOfProcess(0, null, true, ''), unansweredMsMin)
  expect((await ended()).map((span) => [span.tool, span.outcome, span.attributes['telltale.fault']])).toEqual([
    ['old', 'cancelled', 'unanswered'],
    ['new', 'cancelled', 'unanswered'],
  ])
  expect(await faults()).toEqual(['Unanswered'])
  const full = observerOf()
  for (let id = 0; id <= openCallsMax; id++) full.clientLine(lineOf({ jsonrpc: '2.0', id, method: 'ping' }), 1)
  expect((await ended()).at(-1)).toMatchObject({
    outcome: 'interrupted',
    request_id: '0',
    attributes: { 'telltale.fault': 'unanswered' },
  })
})

test('a continuation that an answer tells of is the session of the call that it answers', async () => {
  const observer = observerOf()
  const told = (id: number, key: string) => answer(id, { content: [], structuredContent: { continuation_id: key } })
  observer.clientLine(lineOf(call(1)), 1)
  observer.serverLine(lineOf(told(1, 'thread-1')), 2)
  observer.clientLine(lineOf(call(2, 't', { arguments: { continuation_id: 'thread-1' } })), 3)
  observer.serverLine(lineOf(told(2, 'other')), 4)
  expect((await ended()).map((span) => [span.session?.key, span.session?.rule, span.call_number])).toEqual([
    ['thread-1', 'continuation', 1],
    ['thread-1', 'continuation', 2],
  ])
})

test('the same arguments have the same hash under one salt; none without a salt; content only of the tools that are named', async () => {
  const rules = parseContentRules(['tool=open*'])
  if (!rules.ok) throw new Error(rules.error)
  const observer = observerOf({ salt: 'a', content: rules.value })
  const args = [{ a: 1, b: [2] }, { b: [2], a: 1 }, { a: 2 }]
  for (const [id, value] of args.entries()) {
    observer.clientLine(lineOf(call(id, id === 2 ? 'opened' : 'shut', { arguments: value })), 1)
    observer.serverLine(lineOf(answer(id)), 2)
  }
  const [one, two, three] = (await ended()).map((span) => span.attributes)
  expect(one?.['telltale.argument_hash']).toBe(two?.['telltale.argument_hash'])
  expect(one?.['telltale.argument_hash']).not.toBe(three?.['telltale.argument_hash'])
  expect([one?.['telltale.arguments'], three?.['telltale.arguments']]).toEqual([undefined, '{"a":2}'])
  expect(three?.['telltale.result']).toBe('{"content":[{"type":"text","text":"x"}]}')
  const unsalted = observerOf()
  unsalted.clientLine(lineOf(call(1, 't', { arguments: { a: 1 } })), 1)
  unsalted.serverLine(lineOf(answer(1)), 2)
  expect((await ended()).at(-1)?.attributes['telltale.argument_hash']).toBe(undefined)
})
