import { randomUUID } from 'node:crypto'
import { getRequestListener } from '@hono/node-server'
import { StreamableHTTPClientTransport as SecondTransport } from '@modelcontextprotocol/client'
import { StreamableHTTPClientTransport as FirstTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { createMcpHandler } from '@modelcontextprotocol/server'
import { afterEach, expect, test } from 'vitest'
import type { Span } from '../src/core/record.ts'
import { instrument } from '../src/reporter/reporter.ts'
import { eventually } from './ingest_fixture.ts'
import { listening } from './mcp_http_fixture.ts'
import {
  type AnyClient,
  asAny,
  clientOf,
  firstServer,
  type Gone,
  type Major,
  secondServer,
} from './sdk_server_fixture.ts'
import { reportEachTest } from './wait_reporter_fixture.ts'

const reported = reportEachTest()
const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close().catch(() => undefined)
})

const first = (gone: Gone | null = null) =>
  instrument(firstServer(reported.reporter, gone), { reporter: reported.reporter })

/** A server of the first major for each session, or, stateless, for each request. */
async function startFirst(stateless: boolean): Promise<URL> {
  const transports = new Map<string, StreamableHTTPServerTransport>()
  const { url, close } = await listening(async (request, response) => {
    const id = request.headers['mcp-session-id']
    const known = typeof id === 'string' ? transports.get(id) : undefined
    if (known) return known.handleRequest(request, response)
    const options = {
      sessionIdGenerator: stateless ? undefined : randomUUID,
      onsessioninitialized: (session: string) => void transports.set(session, transport),
    }
    const transport = new StreamableHTTPServerTransport(
      options as ConstructorParameters<typeof StreamableHTTPServerTransport>[0],
    )
    response.on('close', () => void (stateless && transport.close()))
    await first().connect(transport as never)
    await transport.handleRequest(request, response)
  })
  closing.push(close)
  return url
}

async function startSecond(gone: Gone | null = null): Promise<URL> {
  const handler = createMcpHandler(() =>
    instrument(secondServer(reported.reporter, gone), { reporter: reported.reporter }),
  )
  const { url, close } = await listening(getRequestListener((request) => handler.fetch(request)))
  closing.push(close, () => handler.close())
  return url
}

type Settings = { readonly mode?: 'auto' | 'legacy'; readonly headers?: { readonly [name: string]: string } }

async function connected(major: Major, url: URL, { mode, headers = {} }: Settings = {}): Promise<AnyClient> {
  const client = clientOf(major, mode)
  const options = { requestInit: { headers } }
  const transport = major === 'first' ? new FirstTransport(url, options) : new SecondTransport(url, options)
  await client.connect(transport as never)
  closing.push(() => client.close())
  return asAny(client)
}

/** The calls that ended, in their order, once there are as many. */
async function calls(n: number): Promise<readonly Span[]> {
  const ended = () => reported.far.spans().filter((span) => span.end_us !== null && span.tool !== null)
  await eventually(() => {
    void reported.reporter.flush()
    return ended().length >= n
  })
  return ended().sort((a, b) => a.start_us - b.start_us)
}

function events(): readonly unknown[] {
  return reported.far.batches.flatMap(({ records }) => records.filter((record) => record.type === 'event'))
}

test('instrument() knows the session of Streamable HTTP, and numbers its calls', async () => {
  const url = await startFirst(false)
  const [one, two] = [await connected('first', url), await connected('second', url)]
  await one.callTool({ name: 'echo' })
  expect((await one.callTool({ name: 'fail' })).isError).toBe(true)
  await two.callTool({ name: 'echo' })
  await one.callTool({ name: 'slow' }, { onprogress: () => undefined })
  const [echo, fail, other, slow] = await calls(4)
  expect(echo).toMatchObject({ call_number: 1, outcome: 'ok', session: { rule: 'mcp' }, entry: true })
  expect(echo?.attributes).toMatchObject({
    'network.protocol.name': 'http',
    'network.transport': 'tcp',
    'mcp.session.id': echo?.session?.key,
  })
  expect(fail).toMatchObject({ call_number: 2, outcome: 'tool_error', session: echo?.session })
  expect(slow).toMatchObject({ call_number: 3, session: echo?.session })
  expect(slow?.attributes['telltale.progress_count']).toBe(3)
  expect(other).toMatchObject({ call_number: 1, session: { rule: 'mcp' } })
  expect(other?.session?.key).not.toBe(echo?.session?.key)
  expect(reported.far.errors().map((error) => error.error_type)).toEqual(['RangeError'])
})

test('instrument() tells a question to the client over HTTP as a wait of the call that asks', async () => {
  const client = await connected('first', await startFirst(false))
  const both = [client.callTool({ name: 'ask' }), client.callTool({ name: 'slow' })]
  expect((await Promise.all(both))[0]?.content[0]?.text).toBe('small')
  const ask = (await calls(2)).find((span) => span.tool === 'ask')
  expect(await reported.spansNamed('sampling/createMessage')).toMatchObject([
    { kind: 'wait', holder: 'client', parent_span_id: ask?.span_id, attributes: { 'network.protocol.name': 'http' } },
  ])
})

const headers = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` }

for (const [what, major, mode, start] of [
  ['the first major', 'first', 'legacy', () => startFirst(true)],
  ["the second major's factory, asked by the first", 'first', 'legacy', () => startSecond()],
  ["the second major's factory, asked as of old", 'second', 'legacy', () => startSecond()],
  ["the second major's factory", 'second', 'auto', () => startSecond()],
] as const) {
  test(`instrument() gives a request without a session none of its own: ${what}`, async () => {
    const client = await connected(major, await start(), { mode, headers })
    await client.callTool({ name: 'echo' })
    await client.callTool({ name: 'fail' })
    await client.callTool({ name: 'work', _meta: { 'gen_ai.conversation.id': 'c-1' } })
    const [echo, fail, work] = await calls(3)
    expect(echo).toMatchObject({ session: null, call_number: null, outcome: 'ok', entry: true })
    expect(echo).toMatchObject({ trace_id: 'a'.repeat(32), parent_span_id: 'b'.repeat(16) })
    expect(echo?.attributes).not.toHaveProperty('telltale.connection_id')
    expect(echo?.attributes['mcp.protocol.version']).toBe(mode === 'auto' ? '2026-07-28' : '2025-11-25')
    expect(fail).toMatchObject({ session: null, outcome: 'tool_error' })
    expect(work).toMatchObject({ session: { key: 'c-1', rule: 'conversation' }, call_number: 1 })
    expect(await reported.spansNamed('query')).toMatchObject([{ parent_span_id: work?.span_id }])
    expect(reported.far.errors().map((error) => error.error_type)).toEqual(['RangeError'])
    expect(events()).toEqual([])
  })
}

test('instrument() tells that the client of an exchange left, which cancels the call since 2026', async () => {
  let told: Gone = () => undefined
  const gone = new Promise<void>((resolve) => {
    told = resolve
  })
  const client = await connected('second', await startSecond(() => told()), { mode: 'auto' })
  const abort = new AbortController()
  const hangs = client.callTool({ name: 'hang' }, { signal: abort.signal })
  await eventually(() => reported.reporter.status().running > 0)
  abort.abort()
  await expect(hangs).rejects.toThrow()
  await gone
  const [span] = await calls(1)
  expect(span).toMatchObject({ tool: 'hang', outcome: 'cancelled' })
  expect(span?.attributes).not.toHaveProperty('telltale.fault')
  expect(reported.far.errors()).toEqual([])
})
