import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Span } from '../src/core/record.ts'
import { shapeOf } from '../src/reporter/mcp/argument_shape.ts'
import { CallObserver } from '../src/reporter/mcp/call_observer.ts'
import { departureOfProcess } from '../src/reporter/mcp/departure.ts'
import type { Line } from '../src/reporter/mcp/message_line.ts'
import type { ObserverOptions } from '../src/reporter/mcp/observer_options.ts'
import { OpenCalls } from '../src/reporter/mcp/open_calls.ts'
import { createReporter, type Reporter } from '../src/reporter/reporter.ts'
import { LineSplitter } from '../src/tap/line_splitter.ts'
import { serviceOf } from '../src/tap/service_name.ts'
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

/** Plays frames (`>` from the client, `<` from the server) a millisecond apart, and answers the spans by request id. */
async function play(observer: CallObserver, frames: readonly (readonly ['>' | '<', unknown])[]): Promise<Span[]> {
  let at = performance.now()
  for (const [side, frame] of frames) {
    at += 1
    if (side === '>') observer.clientLine(lineOf(frame), at)
    else observer.serverLine(lineOf(frame), at)
  }
  await reporter.flush()
  return far.spans().filter((span) => span.end_us !== null)
}

test('CallObserver matches answers to requests, whatever their order, and keeps 1 and "1" apart', async () => {
  const spans = await play(observerOf(), [
    ['>', call(1, 'number')],
    ['>', call('1', 'text')],
    ['>', call(2, 'two')],
    ['<', answer(2)],
    ['<', answer('1', { content: [] })],
    ['<', answer(1, { isError: true, content: [{ type: 'text', text: 'no' }] })],
    ['<', answer(99)],
  ])
  expect(spans.map((span) => [span.tool, span.outcome])).toEqual([
    ['two', 'ok'],
    ['text', 'empty'],
    ['number', 'tool_error'],
  ])
  expect(spans.map((span) => (span.end_us ?? 0) - span.start_us)).toEqual([1_000, 3_000, 5_000])
})

test('CallObserver reads every kind of end from the frames', async () => {
  const failing = (id: number, code: number) => ({ jsonrpc: '2.0', id, error: { code, message: `code ${code}` } })
  const ends: [unknown, string][] = [
    [answer(1, { content: [{ type: 'text', text: ' \n' }] }), 'empty'],
    [answer(1, { content: [], structuredContent: { a: 1 } }), 'ok'],
    [answer(1, { content: [{ type: 'image', data: 'aa', mimeType: 'image/png' }] }), 'ok'],
    [answer(1, { resultType: 'input_required', inputRequests: {} }), 'ok'],
    [failing(1, -32602), 'caller_fault'],
    [failing(1, -32603), 'server_fault'],
    [failing(1, 5), 'server_fault'],
  ]
  for (const [end, outcome] of ends) {
    far.batches.length = 0
    const [span] = await play(observerOf(), [
      ['>', call(1)],
      ['<', end],
    ])
    expect([outcome, span?.outcome]).toEqual([outcome, outcome])
  }
  expect(far.errors().at(-1)).toMatchObject({
    error_type: 'JsonRpcError',
    message: 'code 5',
    context: { code: 5, method: 'tools/call' },
  })
})

test('two requests in flight with one id are answered first in, first out, and flagged', async () => {
  const spans = await play(observerOf(), [
    ['>', call(7, 'first')],
    ['>', call(7, 'second')],
    ['<', answer(7)],
    ['<', answer(7)],
  ])
  expect(spans.map((span) => [span.tool, span.attributes['telltale.fault'] ?? null])).toEqual([
    ['first', null],
    ['second', 'duplicate_id'],
  ])
})

test('the session key is the first of continuation, conversation, explicit, mcp session, connection', async () => {
  const meta = { _meta: { 'gen_ai.conversation.id': 'conv', 'mcp.session.id': 'mcp' } }
  const sessionOf = async (params: object, session?: string) => {
    far.batches.length = 0
    const [span] = await play(observerOf({ session }), [
      ['>', call(1, 't', params)],
      ['<', answer(1)],
    ])
    return [span?.session?.key, span?.session?.rule]
  }
  expect(await sessionOf({ ...meta, arguments: { continuation_id: 'cont' } }, 'mine')).toEqual(['cont', 'continuation'])
  expect(await sessionOf({ ...meta, arguments: { continuation_id: '' } }, 'mine')).toEqual(['conv', 'conversation'])
  expect(await sessionOf({ _meta: { 'mcp.session.id': 'mcp' } }, 'mine')).toEqual(['mine', 'explicit'])
  expect(await sessionOf({ _meta: { 'mcp.session.id': 'mcp' } })).toEqual(['mcp', 'mcp'])
  expect(await sessionOf({})).toEqual(['conn-1', 'connection'])
})

test("the client's trace context is the parent, and the tap's span stays the entry unless told otherwise", async () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const spans = await play(observerOf(), [
    ['>', call(1, 't', { _meta: { traceparent } })],
    ['<', answer(1)],
  ])
  expect(spans[0]).toMatchObject({
    trace_id: traceparent.slice(3, 35),
    parent_span_id: 'b7ad6b7169203331',
    entry: true,
  })
  far.batches.length = 0
  const inner = await play(observerOf({ inner: true, layer: 'Daemon' }), [
    ['>', call(1)],
    ['<', answer(1)],
  ])
  expect(inner[0]).toMatchObject({ entry: false, layer: 'websocket' })
})

test('both protocols tell who speaks: initialize once, or every request of the 2026-07-28 revision', async () => {
  const old = await play(observerOf(), [
    [
      '>',
      {
        jsonrpc: '2.0',
        id: 0,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', clientInfo: { name: 'c', version: '1' } },
      },
    ],
    ['<', answer(0, { protocolVersion: '2025-06-18', serverInfo: { name: 'srv', version: '2' } })],
    ['>', call(1)],
    ['<', answer(1)],
  ])
  expect(old.map((span) => [span.name, span.call_number])).toEqual([
    ['initialize', null],
    ['tools/call t', 1],
  ])
  expect(old[1]?.attributes).toMatchObject({
    'mcp.protocol.version': '2025-06-18',
    'mcp.client.name': 'c',
    'mcp.server.version': '2',
  })
  far.batches.length = 0
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'new', version: '3' },
  }
  const stateless = await play(observerOf(), [
    ['>', call(1, 't', { _meta })],
    ['<', answer(1)],
  ])
  expect(stateless[0]?.attributes).toMatchObject({ 'mcp.protocol.version': '2026-07-28', 'mcp.client.name': 'new' })
})

test("a server's request is a wait inside the one call that runs, and stands alone beside two", async () => {
  const ask = (id: number) => ({ jsonrpc: '2.0', id, method: 'elicitation/create', params: {} })
  const spans = await play(observerOf(), [
    ['>', call(1, 'a')],
    ['<', ask(1)],
    ['>', answer(1)],
    ['>', call(2, 'b')],
    ['<', ask(2)],
    ['>', answer(2)],
    ['<', answer(1)],
    ['<', answer(2)],
  ])
  const [inside, alone, a] = spans
  expect(inside).toMatchObject({
    name: 'elicitation/create',
    parent_span_id: a?.span_id,
    trace_id: a?.trace_id,
    kind: 'wait',
    holder: 'client',
  })
  expect(alone).toMatchObject({ name: 'elicitation/create', parent_span_id: null, entry: false })
})

test('batches, blank lines, notifications and strangers: what is no protocol is told of once and counted', async () => {
  const observer = observerOf()
  const spans = await play(observer, [
    ['>', [call(1, 'a'), call(2, 'b'), { jsonrpc: '2.0', method: 'notifications/initialized' }]],
    ['<', ''],
    ['<', 'Server listening with password hunter2'],
    ['<', 'and again'],
    ['<', '{"not":"a message"}'],
    ['<', [answer(2), answer(1)]],
  ])
  expect(spans.map((span) => span.tool)).toEqual(['b', 'a'])
  observer.close(departureOfProcess(0, null, true, ''), performance.now())
  await reporter.flush()
  expect(far.errors().map((error) => error.error_type)).toEqual(['NonProtocolOutput', 'MalformedFrame'])
  const event = far.batches.flatMap((batch) => batch.records).find((record) => record.type === 'event')
  expect(event).toMatchObject({
    direction: 'disconnect',
    metadata: { faults: { non_protocol_output: 2, malformed_frame: 1 }, frames_in: 3, frames_out: 2 },
  })
  expect(JSON.stringify(far.batches)).not.toContain('hunter2')
})

test('close() interrupts what runs when the server died, and cancels it when the client left', async () => {
  const died = observerOf()
  await play(died, [['>', call(1, 'a')]])
  died.close(departureOfProcess(3, null, false, 'boom'), performance.now() + 5)
  const left = observerOf()
  await play(left, [['>', call(1, 'b')]])
  left.close(departureOfProcess(0, null, true, ''), performance.now() + 5)
  await reporter.flush()
  const ended = far.spans().filter((span) => span.end_us !== null)
  expect(ended.map((span) => [span.tool, span.outcome])).toEqual([
    ['a', 'interrupted'],
    ['b', 'cancelled'],
  ])
  expect(far.errors()).toMatchObject([
    { error_type: 'ServerExited', message: 'The server exited with code 3', traceback: 'boom' },
  ])
})

test('CallObserver survives any JSON at all, in either direction', async () => {
  const word = fc.constantFrom(
    'tools/call',
    'initialize',
    'notifications/cancelled',
    'notifications/progress',
    'id',
    'x',
  )
  const frame = fc.record(
    {
      jsonrpc: fc.constant('2.0'),
      id: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom('1', null), fc.jsonValue()),
      method: fc.oneof(word, fc.jsonValue()),
      params: fc.oneof(
        fc.record({
          name: fc.jsonValue(),
          arguments: fc.jsonValue(),
          _meta: fc.jsonValue(),
          requestId: fc.integer({ max: 3 }),
        }),
        fc.jsonValue(),
      ),
      result: fc.oneof(fc.record({ content: fc.jsonValue(), isError: fc.jsonValue() }), fc.jsonValue()),
      error: fc.oneof(
        fc.record({ code: fc.jsonValue(), message: fc.jsonValue(), data: fc.jsonValue() }),
        fc.jsonValue(),
      ),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.oneof(frame, fc.array(frame), fc.jsonValue())), { maxLength: 20 }),
      (frames) => {
        const observer = observerOf()
        for (const [client, value] of frames) {
          if (client) void observer.clientLine(lineOf(JSON.stringify(value)), 1)
          else observer.serverLine(lineOf(JSON.stringify(value)), 2)
        }
        observer.close(departureOfProcess(0, null, true, ''), 3)
      },
    ),
    { numRuns: 300 },
  )
  expect(reporter.status().running).toBe(0)
  expect(reporter.status().dropped).toEqual({})
})

test('a reply too long to read ends the one call that runs', async () => {
  const observer = observerOf()
  observer.clientLine(lineOf(call(1)), 1)
  observer.serverLine({ text: null, bytes: 99_999_999 }, 2)
  await reporter.flush()
  const ended = far.spans().find((span) => span.end_us !== null)
  expect(ended).toMatchObject({ outcome: 'ok', attributes: { 'telltale.reply_unread': true } })
})

test('LineSplitter gives the same lines however the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme', maxLength: 12 })),
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
      (parts, sizes) => {
        const text = parts.join('\n')
        const bytes = Buffer.from(text)
        const lines: Line[] = []
        const splitter = new LineSplitter((line) => lines.push(line), 20)
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length] as number
          splitter.push(bytes.subarray(at, at + size))
          at += size
        }
        splitter.end()
        const expected = text
          .split('\n')
          .map((line) => ({ text: Buffer.byteLength(line) > 20 ? null : line, bytes: Buffer.byteLength(line) }))
        if (expected.at(-1)?.bytes === 0) expected.pop()
        expect(lines).toEqual(expected)
      },
    ),
    { numRuns: 300 },
  )
})

test('OpenCalls stays within its bound and makes room by its oldest call', () => {
  const calls = new OpenCalls<string>(2)
  expect([calls.add(1, 'a'), calls.add(2, 'b'), calls.add(3, 'c')]).toEqual([null, null, 'a'])
  expect([calls.take(1), calls.take(2), calls.size, calls.only(() => true)]).toEqual([null, 'b', 1, 'c'])
})

test('shapeOf() tells names, types and sizes, never values', () => {
  const args = { path: 'secret', n: 5, ok: true, no: null, list: [1, 2], deep: { a: { b: 'secret' } } }
  expect(shapeOf(args)).toEqual({
    path: 'string(6)',
    n: 'number',
    ok: 'boolean',
    no: 'null',
    list: 'array(2)',
    deep: 'object(1)',
  })
  const many = shapeOf(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, i])))
  expect([Object.keys(many).length, many['…']]).toEqual([33, '8 more'])
})

test('serviceOf() names a server by its command', () => {
  const cases: [string, string[], string][] = [
    ['my-server', [], 'my-server'],
    ['C:\\tools\\my-server.cmd', ['x'], 'my-server'],
    ['npx', ['-y', '@modelcontextprotocol/server-filesystem@2025.1.1', '/tmp'], 'server-filesystem'],
    ['npx.cmd', ['@scope/name'], 'name'],
    ['node', ['/srv/server-everything/dist/index.js', 'stdio'], 'server-everything'],
    ['/usr/bin/python3', ['-m', 'exai_server'], 'exai_server'],
    ['uv', ['run', 'run_ws_shim.py'], 'run_ws_shim'],
    ['cmd', ['/c', 'npx', '-y', 'thing'], 'thing'],
    ['node', [], 'node'],
  ]
  for (const [command, args, name] of cases) expect(serviceOf(command, args)).toBe(name)
})
