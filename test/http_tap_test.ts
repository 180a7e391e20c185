import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { InMemoryEventStore } from '@modelcontextprotocol/sdk/examples/shared/inMemoryEventStore.js'
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Span } from '../src/core/record.ts'
import { createReporter, type Reporter } from '../src/reporter/reporter.ts'
import type { HttpObserverOptions } from '../src/tap/http_session.ts'
import { startHttpTap } from '../src/tap/http_tap.ts'
import { eventually, type IngestFixture, startIngest } from './ingest_fixture.ts'
import { listening, startOldSse, startSecondMajor, startSessions, startStateless } from './mcp_http_fixture.ts'

let far: IngestFixture
let reporter: Reporter
const open: { close(): Promise<unknown> }[] = []

beforeEach(async () => {
  far = await startIngest()
  reporter = createReporter({ ingestUrl: far.url, ingestKey: far.key, service: 's', env: {}, flushOnExit: false })
})

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close().catch(() => undefined)
  await reporter.close(200)
  await far.close()
})

function kept<T extends { close(): Promise<unknown> }>(each: T): T {
  open.push(each)
  return each
}

/** A tap in front of `target`; its address is that of the target through it. */
async function tapped(target: URL, more: Partial<HttpObserverOptions> | null = {}): Promise<{ url: URL }> {
  const observer = more && { reporter, context: true, salt: 'salt', ...more }
  const tap = kept(
    await startHttpTap({ listen: { host: '127.0.0.1', port: 0 }, target, observer, warn: (text) => expect.fail(text) }),
  )
  const url = new URL(target.pathname, `http://127.0.0.1:${tap.port}`)
  return { url }
}

async function connected(url: URL): Promise<Client> {
  const client = kept(new Client({ name: 'http-test', version: '3.2.1' }, { capabilities: { sampling: {} } }))
  await client.connect(new StreamableHTTPClientTransport(url) as unknown as Parameters<Client['connect']>[0])
  return client
}

async function calls(n: number): Promise<Span[]> {
  const ended = () => far.spans().filter((span) => span.end_us !== null && span.tool !== null)
  await eventually(() => ended().length >= n)
  return ended()
}

const echo = { name: 'echo', arguments: { message: 'a private sentence' } }
const metaOf = (result: unknown): Record<string, string> =>
  JSON.parse((result as { content: { text: string }[] }).content[0]?.text ?? '{}')

test('startHttpTap() records the calls of a session, answered by a stream of events or in one piece', async () => {
  for (const json of [false, true]) {
    far.batches.length = 0
    const server = kept(await startSessions({ json }))
    const { url } = await tapped(server.url)
    const client = await connected(url)
    const sessionId = (client.transport as StreamableHTTPClientTransport).sessionId
    expect(await client.callTool(echo)).toEqual({ content: [{ type: 'text', text: 'a private sentence' }] })
    await client.callTool(echo)
    const [first, second] = await calls(2)
    expect(first).toMatchObject({
      name: 'tools/call echo',
      outcome: 'ok',
      entry: true,
      session: { key: sessionId, rule: 'mcp' },
    })
    expect([first?.call_number, second?.call_number]).toEqual([1, 2])
    expect(first?.attributes).toMatchObject({
      'network.transport': 'tcp',
      'network.protocol.name': 'http',
      'http.response.status_code': 200,
      'mcp.session.id': sessionId,
      'mcp.protocol.version': '2025-11-25',
      'mcp.client.name': 'http-test',
      'mcp.server.name': 'first',
      'telltale.argument_shape': { message: 'string(18)' },
    })
    expect(first?.attributes['telltale.argument_hash']).toMatch(/^[0-9a-f]{16}$/)
    expect(first?.attributes['telltale.first_chunk_ms'] === undefined).toBe(json)
    expect([first?.bytes_in ?? 0, first?.bytes_out ?? 0].every((bytes) => bytes > 50)).toBe(true)
    await (client.transport as StreamableHTTPClientTransport).terminateSession()
    await eventually(() => far.batches.some((batch) => batch.records.some((record) => record.type === 'event')))
    expect(far.errors()).toEqual([])
    expect(JSON.stringify(far.batches)).not.toContain('a private sentence')
  }
})

test('startHttpTap() passes on progress at once, and tells when the first of it came', async () => {
  const server = kept(await startSessions())
  const { url } = await tapped(server.url)
  const client = await connected(url)
  const at: number[] = []
  await client.callTool({ name: 'slow' }, undefined, { onprogress: () => at.push(performance.now()) })
  expect(at).toHaveLength(3)
  expect((at[2] ?? 0) - (at[0] ?? 0)).toBeGreaterThan(50)
  const [span] = await calls(1)
  expect(span?.attributes['telltale.progress_count']).toBe(3)
  expect(span?.attributes['telltale.first_chunk_ms']).toBeGreaterThan(30)
  const durationMs = ((span?.end_us ?? 0) - (span?.start_us ?? 0)) / 1_000
  expect(span?.attributes['telltale.first_chunk_ms']).toBeLessThan(0.85 * durationMs)
})

test("a server's own request comes by the stream of a call, and its answer by an exchange of its own", async () => {
  const server = kept(await startSessions())
  const { url } = await tapped(server.url)
  const client = await connected(url)
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    model: 'm-1',
    role: 'assistant',
    content: { type: 'text', text: 'hi' },
  }))
  expect(await client.callTool({ name: 'ask' })).toMatchObject({ content: [{ text: 'm-1' }] })
  const [call] = await calls(1)
  await eventually(() => far.spans().some((span) => span.name === 'sampling/createMessage' && span.end_us !== null))
  const inner = far.spans().find((span) => span.name === 'sampling/createMessage')
  expect(inner).toMatchObject({
    trace_id: call?.trace_id,
    parent_span_id: call?.span_id,
    kind: 'wait',
    holder: 'client',
  })
  expect(far.errors()).toEqual([])
})

test('startHttpTap() serves a server without sessions, whose calls are those of the connection', async () => {
  for (const json of [false, true]) {
    far.batches.length = 0
    const server = kept(await startStateless(json))
    const { url } = await tapped(server.url)
    const client = await connected(url)
    await client.callTool(echo)
    await client.callTool({ name: 'fail' })
    const [first, failed] = await calls(2)
    expect([first?.outcome, first?.session?.rule, failed?.outcome]).toEqual(['ok', 'connection', 'tool_error'])
    await eventually(() => far.errors().length > 0)
    expect(far.errors()).toMatchObject([
      { error_type: 'ToolError', message: 'the disk is full', span_id: failed?.span_id },
    ])
  }
})

test("startHttpTap() serves both eras of the SDK's second major", async () => {
  const server = kept(await startSecondMajor())
  const { url } = await tapped(server.url)
  for (const versionNegotiation of [{ mode: 'auto' }, { mode: 'legacy' }] as const) {
    far.batches.length = 0
    const client = kept(new Client2({ name: 'two', version: '2' }, { versionNegotiation }))
    await client.connect(new Transport2(url))
    expect(await client.callTool(echo)).toMatchObject({ content: [{ type: 'text', text: 'a private sentence' }] })
    const seen = metaOf(await client.callTool({ name: 'seen', arguments: {} }))
    const spans = await calls(2)
    const version = versionNegotiation.mode === 'auto' ? '2026-07-28' : '2025-11-25'
    expect(spans[1]).toMatchObject({ outcome: 'ok', tool: 'seen', attributes: { 'mcp.protocol.version': version } })
    expect(seen.traceparent).toBe(`00-${spans[1]?.trace_id}-${spans[1]?.span_id}-01`)
    expect(seen.tracestate).toBe(`telltale=${spans[1]?.span_id}`)
    expect((await client.callTool({ name: 'fail', arguments: {} })).isError).toBe(true)
    expect((await calls(3))[2]?.outcome).toBe('tool_error')
  }
})

test('startHttpTap() serves the HTTP+SSE transport of 2024-11-05 as one session', async () => {
  const server = kept(await startOldSse())
  const { url } = await tapped(server.url)
  const client = kept(new Client({ name: 'old', version: '1' }))
  await client.connect(new SSEClientTransport(url))
  await client.callTool(echo)
  await client.callTool({ name: 'fail' })
  const [first, second] = await calls(2)
  expect([first?.outcome, first?.session?.rule, first?.call_number]).toEqual(['ok', 'connection', 1])
  expect([second?.outcome, second?.call_number]).toEqual(['tool_error', 2])
  expect(first?.attributes).toMatchObject({ 'mcp.client.name': 'old', 'mcp.server.name': 'first' })
  await client.close()
  await eventually(() => far.batches.some((batch) => batch.records.some((record) => record.type === 'event')))
})

test('two taps in a row make one trace, whose entry is the outer one', async () => {
  const server = kept(await startSessions())
  const inner = await tapped(server.url)
  const outer = await tapped(inner.url, { layer: 'shim' })
  const client = await connected(outer.url)
  const seen = metaOf(await client.callTool({ name: 'seen' }))
  const spans = await calls(2)
  const [entry, behind] = [spans.find((span) => span.entry), spans.find((span) => !span.entry)]
  expect(entry).toMatchObject({ layer: 'shim', parent_span_id: null })
  expect(behind).toMatchObject({ layer: 'tool', trace_id: entry?.trace_id, parent_span_id: entry?.span_id })
  expect(seen.traceparent).toBe(`00-${behind?.trace_id}-${behind?.span_id}-01`)
})

test("a context in HTTP's headers is taken up and sent on, and that in params._meta goes before it", async () => {
  let received: unknown
  const server = kept(
    await listening(({ headers }, response) => {
      received = [headers.traceparent, headers.tracestate]
      response.setHeader('content-type', 'application/json').end('{"jsonrpc":"2.0","id":1,"result":{"content":[]}}')
    }),
  )
  const { url } = await tapped(server.url)
  const header = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const meta = '00-1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01'
  for (const [_meta, expected] of [
    [{}, header],
    [{ traceparent: meta }, meta],
  ] as const) {
    far.batches.length = 0
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 't', _meta } })
    await fetch(url, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', traceparent: header, tracestate: 'telltale=b7ad6b7169203331' },
    })
    const [span] = await calls(1)
    expect([span?.trace_id, span?.entry]).toEqual([expected.slice(3, 35), expected === meta])
    expect(received).toEqual([`00-${span?.trace_id}-${span?.span_id}-01`, `telltale=${span?.span_id}`])
  }
})

test('where the server is down the client reads a 502 and the call is a fault; where Telltale is down nothing changes', async () => {
  const gone = await listening(() => undefined)
  await gone.close()
  const { url } = await tapped(gone.url)
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 't' } })
  const post = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
  const answer = await fetch(url, post)
  expect([answer.status, await answer.json()]).toEqual([
    502,
    { jsonrpc: '2.0', id: null, error: { code: -32_000, message: expect.stringContaining('ECONNREFUSED') } },
  ])
  expect((await calls(1))[0]?.outcome).toBe('server_fault')
  expect(far.errors()).toMatchObject([{ error_type: 'TargetUnreachable' }])

  const mute = createReporter({
    ingestUrl: 'http://127.0.0.1:9/ingest',
    ingestKey: 'k',
    service: 's',
    env: {},
    flushOnExit: false,
    warn: () => undefined,
  })
  const server = kept(await startSessions())
  const client = await connected((await tapped(server.url, { reporter: mute })).url)
  expect(await client.callTool(echo)).toMatchObject({ content: [{ type: 'text', text: 'a private sentence' }] })
  await mute.close(50)
})

test('a refusal by HTTP is how the call ended: by its status, and with the message where the server gives one', async () => {
  const answers: [number, string, string, string][] = [
    [401, '{"error":"invalid_token"}', 'caller_fault', 'HttpError'],
    [503, '<html>', 'server_fault', 'HttpError'],
    [504, '', 'timeout', 'HttpError'],
    [
      400,
      '{"jsonrpc":"2.0","error":{"code":-32000,"message":"No valid session"},"id":null}',
      'caller_fault',
      'JsonRpcError',
    ],
    [400, '{"jsonrpc":"2.0","error":{"code":-32602,"message":"bad"},"id":1}', 'caller_fault', 'JsonRpcError'],
    [200, '{"jsonrpc":"2.0","id":7,"result":{}}', 'interrupted', 'Unanswered'],
  ]
  let next: (typeof answers)[number] = [200, '', '', '']
  const server = kept(
    await listening((_request, response) =>
      response
        .writeHead(next[0], { 'content-type': next[1].startsWith('{') ? 'application/json' : 'text/html' })
        .end(next[1]),
    ),
  )
  const { url } = await tapped(server.url)
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 't' } })
  for (next of answers) {
    far.batches.length = 0
    const answer = await fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
    expect([answer.status, await answer.text()]).toEqual(next.slice(0, 2))
    const [span] = await calls(1)
    await eventually(() => far.errors().length > 0)
    expect([span?.outcome, far.errors().at(-1)?.error_type, span?.attributes['http.response.status_code']]).toEqual([
      next[2],
      next[3],
      next[0],
    ])
  }
})

test('a client that hangs up is seen by the server at once, and its call is cancelled', async () => {
  let hungUp = false
  const server = kept(
    await listening((request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      request.resume()
      response.on('close', () => {
        hungUp = true
      })
    }),
  )
  const { url } = await tapped(server.url)
  const stop = new AbortController()
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 't' } })
  const answer = await fetch(url, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json' },
    signal: stop.signal,
  })
  expect(answer.status).toBe(200)
  stop.abort()
  await eventually(() => hungUp)
  expect((await calls(1))[0]?.outcome).toBe('cancelled')
})

async function* partsOf(answer: Response): AsyncIterable<Uint8Array> {
  const reader = answer.body?.getReader()
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) yield part.value
}

test('a stream that broke off is resumed through the tap, and the answer ends the call that it belongs to', async () => {
  const server = kept(await startSessions({ store: new InMemoryEventStore() }))
  const { url } = await tapped(server.url)
  const client = await connected(url)
  const { sessionId = '' } = client.transport as StreamableHTTPClientTransport
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-session-id': sessionId,
  }
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 77,
    method: 'tools/call',
    params: { name: 'slow', _meta: { progressToken: 'p' } },
  })
  const stop = new AbortController()
  const answer = await fetch(url, { method: 'POST', body, headers, signal: stop.signal })
  let said = ''
  const decoder = new TextDecoder()
  for await (const chunk of partsOf(answer)) {
    said += decoder.decode(chunk)
    if (said.includes('progress')) break
  }
  stop.abort()
  const lastEventId = [...said.matchAll(/^id: (.*)$/gm)].at(-1)?.[1] ?? ''
  const again = await fetch(url, { headers: { ...headers, 'last-event-id': lastEventId } })
  let rest = ''
  for await (const chunk of partsOf(again)) {
    rest += decoder.decode(chunk)
    if (rest.includes('"done"')) break
  }
  const span = (await calls(1)).find((each) => each.request_id === '77')
  expect(span).toMatchObject({ outcome: 'ok', tool: 'slow' })
})
