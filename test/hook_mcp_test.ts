import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { ErrorRecord, Span } from '../src/core/record.ts'
import { type IngestFixture, startIngest } from './ingest_fixture.ts'
import { pythonWith, spawnPython, telltalePy } from './python_fixture.ts'

// Real servers of the official Python SDK on stdio, run by `python telltale.py`, and the official client.

const second = await pythonWith('sdk')
const first = await pythonWith('fastmcp')
const majors = [
  { major: 'second major', ...second },
  { major: 'first major', ...first },
]

vi.setConfig({ testTimeout: 60_000 })

let far: IngestFixture
let client: Client | null = null

beforeEach(async () => {
  far = await startIngest()
})

afterEach(async () => {
  await client?.close()
  client = null
  await far.close()
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

async function connect(python: string | null, server: 'high_level' | 'low_level'): Promise<Client> {
  const script = fileURLToPath(new URL(`./hook_python/${server}_server.py`, import.meta.url))
  const { PATH = '', HOME = '' } = process.env
  const reporting = { TELLTALE_INGEST_URL: far.url, TELLTALE_INGEST_KEY: far.key, TELLTALE_OUTBOX_DIR: 'none' }
  const connected = new Client({ name: 'test', version: '1' }, { capabilities: { sampling: {} } })
  connected.setRequestHandler(CreateMessageRequestSchema, () => ({
    model: 'test',
    role: 'assistant',
    content: { type: 'text', text: 'forty-two' },
  }))
  await connected.connect(
    new StdioClientTransport({
      command: python ?? '',
      args: [telltalePy, '--service', 'memo', script],
      env: { PATH, HOME, PYTHONDONTWRITEBYTECODE: '1', ...reporting },
      stderr: 'ignore',
    }),
  )
  client = connected
  return connected
}

/** Ends the server once `count` requests and waits have ended, initialize apart, and answers them as they began. */
async function reported(count: number): Promise<{ readonly spans: Span[]; readonly errors: ErrorRecord[] }> {
  const ended = () => far.spans().filter(({ end_us, name }) => end_us !== null && name !== 'initialize')
  await expect.poll(() => ended().length, { timeout: 15_000 }).toBeGreaterThanOrEqual(count)
  await client?.close()
  return { spans: ended().toSorted((a, b) => a.start_us - b.start_us), errors: far.errors() }
}

for (const { major, python, reason } of majors) {
  const hooked = test.skipIf(reason !== null)

  hooked(`install() records what is asked of a FastMCP server, ${major}`, async () => {
    const server = await connect(python, 'high_level')
    const _meta = {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 'telltale=b7ad6b7169203331',
    }
    await server.callTool({ name: 'add', arguments: { a: 1, b: 2 }, _meta })
    await server.callTool({ name: 'share', arguments: { amount: 1, parts: 2 } })
    await server.readResource({ uri: 'memo://today' })
    await server.getPrompt({ name: 'greet', arguments: { name: 'Ann' } })
    const { spans: calls, errors } = await reported(4)
    expect(calls.map(({ name, outcome, tool }) => [name, outcome, tool])).toEqual([
      ['tools/call add', 'ok', 'add'],
      ['tools/call share', 'ok', 'share'],
      ['resources/read', 'ok', null],
      ['prompts/get greet', 'ok', null],
    ])
    expect(calls[0]).toMatchObject({
      trace_id: '0af7651916cd43dd8448eb211c80319c',
      parent_span_id: 'b7ad6b7169203331',
      entry: false,
      layer: 'tool',
      attributes: { 'mcp.method.name': 'tools/call', 'telltale.argument_shape': { a: 'number', b: 'number' } },
    })
    expect(calls[1]).toMatchObject({ entry: true, call_number: 1, session: { rule: 'connection' } })
    expect(errors).toEqual([])
  })

  hooked(`install() tells why a FastMCP tool failed, once, with the tool's own traceback, ${major}`, async () => {
    const server = await connect(python, 'high_level')
    await server.callTool({ name: 'share', arguments: { amount: 1, parts: 0 } })
    await server.callTool({ name: 'nowhere', arguments: {} })
    await server.callTool({ name: 'grumble', arguments: {} })
    const { spans, errors } = await reported(3)
    const calls = spans.filter(({ tool }) => tool !== null)
    expect(calls.map(({ tool, outcome }) => [tool, outcome])).toEqual([
      ['share', 'tool_error'],
      ['nowhere', 'tool_error'],
      ['grumble', 'ok'],
    ])
    expect(errors.map(({ error_type, message, span_id }) => [error_type, message, span_id])).toEqual([
      ['ZeroDivisionError', 'division by zero', calls[0]?.span_id],
      ['ToolError', 'Unknown tool: nowhere', calls[1]?.span_id],
      ['ValueError', 'no comb', calls[2]?.span_id],
    ])
    expect(errors[0]?.traceback).toMatch(/in divide\n/)
    expect(errors[2]?.context).toMatchObject({ logged: 'Cannot find the comb', logger: 'grumbler', level: 'WARNING' })
  })

  hooked(`install() shows a server waiting for its client, ${major}`, async () => {
    const server = await connect(python, 'high_level')
    const answer = await server.callTool({ name: 'ask', arguments: {} })
    expect(answer.content).toMatchObject([{ text: 'forty-two' }])
    const { spans } = await reported(2)
    const call = spans.find(({ tool }) => tool === 'ask')
    expect(spans.filter(({ kind }) => kind === 'wait')).toMatchObject([
      { name: 'sampling/createMessage', holder: 'client', parent_span_id: call?.span_id, outcome: 'ok' },
    ])
  })

  hooked(`install() reads the session and the trace context of HTTP, ${major}`, async () => {
    const port = await freePort()
    const script = fileURLToPath(new URL('./hook_python/high_level_server.py', import.meta.url))
    const child = spawnPython([telltalePy, script, String(port)], {
      python: python ?? '',
      env: { TELLTALE_INGEST_URL: far.url, TELLTALE_INGEST_KEY: far.key },
    })
    try {
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
      const url = new URL(`http://127.0.0.1:${port}/mcp`)
      const open = async () => {
        const next = new Client({ name: 'test', version: '1' })
        await next.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers: { traceparent } } }))
        return next
      }
      await expect.poll(async () => (client = await open().catch(() => null)), { timeout: 15_000 }).not.toBeNull()
      await client?.callTool({ name: 'add', arguments: { a: 1, b: 2 } })
      await expect
        .poll(() => far.spans().find(({ tool }) => tool === 'add'), { timeout: 10_000 })
        .toMatchObject({
          trace_id: '0af7651916cd43dd8448eb211c80319c',
          parent_span_id: 'b7ad6b7169203331',
          entry: true,
          session: { key: expect.stringMatching(/^[0-9a-f]{32}$/), rule: 'mcp' },
          call_number: 1,
        })
    } finally {
      child.kill('SIGKILL')
    }
  })

  hooked(`install() records the calls of a low-level server, ${major}`, async () => {
    const server = await connect(python, 'low_level')
    await server.callTool({ name: 'echo', arguments: { text: 'hi', continuation_id: 'talk-1' } })
    await server.callTool({ name: 'echo', arguments: {} })
    await server.callTool({ name: 'fall', arguments: {} }).catch(() => null)
    const { spans, errors } = await reported(3)
    const calls = spans.filter(({ tool }) => tool !== null)
    expect(calls.map(({ tool, session, call_number }) => [tool, session?.rule, call_number])).toEqual([
      ['echo', 'continuation', 1],
      ['echo', 'connection', 1],
      ['fall', 'connection', 2],
    ])
    // What the tool raises is a result of the first major, and an error of JSON-RPC in the second.
    const failed = major === 'first major' ? 'tool_error' : 'server_fault'
    expect(calls.map(({ outcome }) => outcome)).toEqual(['ok', 'empty', failed])
    expect(errors).toMatchObject([{ error_type: 'LookupError', message: 'no floor', span_id: calls[2]?.span_id }])
    expect(errors[0]?.traceback).toMatch(/in answer_of\n/)
  })
}
