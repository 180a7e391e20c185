import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { Client as Client2 } from '@modelcontextprotocol/client'
import { StdioClientTransport as Transport2 } from '@modelcontextprotocol/client/stdio'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Span } from '../src/core/record.ts'
import { startTap } from '../src/tap/stdio_tap.ts'
import { eventually, type IngestFixture, startIngest } from './ingest_fixture.ts'

const wrapScript = fileURLToPath(new URL('./wrap_fixture.ts', import.meta.url))
const serverScript = fileURLToPath(new URL('./mcp_stdio_fixture.ts', import.meta.url))

let far: IngestFixture
const clients: { close(): Promise<void> }[] = []

beforeEach(async () => {
  far = await startIngest()
})

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close().catch(() => undefined)))
  await far.close()
})

/** How to start a server of a major behind one tap for each list of options, the first the outermost. */
function command(major: 'first' | 'second', ...taps: (readonly string[])[]) {
  const args = taps.flatMap((options) => [wrapScript, 'wrap', ...options, '--', process.execPath])
  const { PATH = '', HOME = '' } = process.env
  const env = { PATH, HOME, TELLTALE_INGEST_URL: far.url, TELLTALE_INGEST_KEY: far.key }
  return { command: process.execPath, args: [...args, serverScript, major], env, stderr: 'pipe' as const }
}

async function connected(...taps: (readonly string[])[]): Promise<Client> {
  const client = new Client({ name: 'one', version: '1' })
  clients.push(client)
  await client.connect(new StdioClientTransport(command('first', ...taps)))
  return client
}

async function calls(n: number): Promise<Span[]> {
  const ended = () => far.spans().filter((span) => span.end_us !== null && span.tool !== null)
  await eventually(() => ended().length >= n)
  return ended()
}

const metaOf = (result: unknown): Record<string, string> =>
  JSON.parse((result as { content: { text: string }[] }).content[0]?.text ?? '{}')

test('wrap sends a request on with the context of its span, and leaves the bytes alone where it is told to', async () => {
  const client = await connected([])
  const seen = metaOf(await client.callTool({ name: 'seen', _meta: { mine: 1 } }))
  const [span] = await calls(1)
  expect(seen).toEqual({
    mine: 1,
    traceparent: `00-${span?.trace_id}-${span?.span_id}-01`,
    tracestate: `telltale=${span?.span_id}`,
  })
  const without = await connected(['--no-context'])
  expect(metaOf(await without.callTool({ name: 'seen' }))).toEqual({})
  expect(await calls(2)).toHaveLength(2)
})

test('two wraps in a row make one trace, whose entry is the outer one', async () => {
  const client = await connected(['--layer', 'shim', '--service', 'outer'], ['--service', 'inner'])
  await client.callTool({ name: 'echo', arguments: { message: 'x' } })
  const spans = await calls(2)
  const [entry, behind] = [spans.find((span) => span.entry), spans.find((span) => !span.entry)]
  expect(entry).toMatchObject({ layer: 'shim', parent_span_id: null, call_number: 1 })
  expect(behind).toMatchObject({ layer: 'tool', trace_id: entry?.trace_id, parent_span_id: entry?.span_id })
  expect((behind?.start_us ?? 0) - (entry?.start_us ?? 0)).toBeLessThan(1_000_000)
})

test("wrap serves both eras of the SDK's second major", async () => {
  for (const [mode, version] of [
    ['auto', '2026-07-28'],
    ['legacy', '2025-11-25'],
  ] as const) {
    far.batches.length = 0
    const client = new Client2({ name: 'two', version: '2' }, { versionNegotiation: { mode } })
    clients.push(client)
    await client.connect(new Transport2(command('second', [])))
    const seen = metaOf(await client.callTool({ name: 'seen', arguments: {} }))
    expect((await client.callTool({ name: 'fail', arguments: {} })).isError).toBe(true)
    const [first, second] = await calls(2)
    expect(seen.traceparent).toBe(`00-${first?.trace_id}-${first?.span_id}-01`)
    expect(first?.attributes).toMatchObject({
      'mcp.protocol.version': version,
      'mcp.client.name': 'two',
      'mcp.server.name': 'second',
    })
    expect([first?.outcome, second?.outcome, second?.call_number]).toEqual(['ok', 'tool_error', 2])
  }
})

test('wrap records what a tool was asked and answered only where the operator named it, without secrets', async () => {
  const client = await connected(['--content', 'tool=ec*'])
  const message = `hello, my key is ${['sk', 'ant', 'api03', 'abcdefghijklmnop', 'qrstuvwxyz0123456789'].join('-')}`
  await client.callTool({ name: 'echo', arguments: { message, password: 'hunter2' } })
  await client.callTool({ name: 'seen', arguments: { message: 'quiet' } })
  const [named, other] = await calls(2)
  expect(named?.attributes['telltale.arguments']).toMatch(/^\{"message":"hello, my key is /)
  expect(named?.attributes['telltale.result']).toContain('hello, my key is ')
  expect(other?.attributes['telltale.arguments']).toBe(undefined)
  expect(named?.attributes['telltale.argument_hash']).toMatch(/^[0-9a-f]{16}$/)
  expect(JSON.stringify(far.batches)).not.toMatch(/hunter2|abcdefghijklmnop|quiet/)
})

test('startTap() passes every byte on where its listener fails, and says so once', async () => {
  const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()]
  const fail = () => {
    throw new Error('ours')
  }
  const warnings: string[] = []
  const tap = startTap({
    command: process.execPath,
    args: ['-e', 'process.stdin.pipe(process.stdout)'],
    input,
    output,
    errors: errors.resume(),
    listener: { clientLine: fail, serverLine: fail, close: fail },
    context: true,
    warn: (text) => void warnings.push(text),
  })
  const said = '{"jsonrpc":"2.0","id":1,"method":"ping"}\n{"half'
  input.end(said)
  const passed: Buffer[] = []
  output.on('data', (chunk: Buffer) => passed.push(chunk))
  expect(await tap.ended).toEqual({ kind: 'exited', code: 0 })
  expect(Buffer.concat(passed).toString()).toBe(said)
  expect(warnings).toEqual(['Cannot read the traffic any longer, it passes unread: ours'])
})
