import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, realpathSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { CreateMessageRequestSchema, EmptyResultSchema } from '@modelcontextprotocol/sdk/types.js'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sendMsMax } from '../src/core/limit.ts'
import type { Span } from '../src/core/record.ts'
import { eventually, type IngestFixture, startIngest } from './ingest_fixture.ts'

const wrapScript = fileURLToPath(new URL('./wrap_fixture.ts', import.meta.url))
const everything = serverPath('server-everything')
const filesystem = serverPath('server-filesystem')

let far: IngestFixture
const clients: Client[] = []
const children: ChildProcess[] = []

beforeEach(async () => {
  far = await startIngest()
})

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close().catch(() => undefined)))
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await far.close()
})

function serverPath(name: string): string {
  const manifest = createRequire(import.meta.url).resolve(`@modelcontextprotocol/${name}/package.json`)
  return join(dirname(manifest), 'dist/index.js')
}

function reporting(more: { readonly [name: string]: string } = {}): { [name: string]: string } {
  const { PATH = '', HOME = '' } = process.env
  return { PATH, HOME, TELLTALE_INGEST_URL: far.url, TELLTALE_INGEST_KEY: far.key, ...more }
}

function wrapped(command: readonly string[], options: readonly string[] = []): string[] {
  return [wrapScript, 'wrap', ...options, '--', ...command]
}

async function connect(
  command: readonly string[],
  options: readonly string[] = [],
  env = reporting(),
): Promise<Client> {
  const client = new Client({ name: 'tap-test', version: '1.2.3' }, { capabilities: { sampling: {} } })
  clients.push(client)
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: wrapped(command, options),
    env,
    stderr: 'pipe',
  })
  await client.connect(transport)
  return client
}

/** What came through a tap that sends contexts on, without them: what was written. */
function withoutContext(bytes: Buffer): string {
  const context = '"_meta":{"traceparent":"[-0-9a-f]{55}","tracestate":"telltale=[0-9a-f]{16}"}'
  return bytes.toString('latin1').replace(new RegExp(`,"params":{${context}}|,${context}`, 'g'), '')
}

/** Runs a wrapped script and answers all it wrote, its exit and how long that took. */
async function runWrapped(script: string, input: Uint8Array | null, env = reporting(), args: readonly string[] = []) {
  const child = spawn(process.execPath, wrapped([process.execPath, '-e', script, ...args]), { env, stdio: 'pipe' })
  children.push(child)
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  if (input) child.stdin.end(input)
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { out: Buffer.concat(out), err: Buffer.concat(err).toString(), code, signal }
}

function spanNamed(name: string): Span | undefined {
  return far.spans().find((span) => span.name === name && span.end_us !== null)
}

async function ended(name: string): Promise<Span> {
  await eventually(() => spanNamed(name) !== undefined)
  return spanNamed(name) as Span
}

test('wrap records a call of a real server with its tool, sizes, session and shape, and no content', async () => {
  const client = await connect([process.execPath, everything], ['--service', 'everything', '--environment', 'test'])
  const result = await client.callTool({ name: 'echo', arguments: { message: 'a secret sentence' } })
  expect(result.content).toEqual([{ type: 'text', text: 'Echo: a secret sentence' }])
  const span = await ended('tools/call echo')
  expect(span).toMatchObject({ layer: 'tool', kind: 'work', tool: 'echo', outcome: 'ok', entry: true, call_number: 1 })
  expect(span.session?.rule).toBe('connection')
  expect(span.bytes_in).toBeGreaterThan(50)
  expect(span.bytes_out).toBeGreaterThan(50)
  expect(span.attributes).toMatchObject({
    'mcp.method.name': 'tools/call',
    'mcp.client.name': 'tap-test',
    'mcp.client.version': '1.2.3',
    'mcp.protocol.version': '2025-11-25',
    'telltale.argument_shape': { message: 'string(17)' },
  })
  expect(span.attributes['mcp.server.name']).toMatch(/everything/)
  expect(far.batches[0]?.source).toMatchObject({ service: 'everything', environment: 'test' })
  expect(JSON.stringify(far.batches)).not.toContain('a secret sentence')
  await ended('initialize')
})

test('wrap numbers the calls of a connection, and of each continuation apart', async () => {
  const client = await connect([process.execPath, everything])
  for (const continuation_id of [undefined, 'c-1', 'c-1', undefined]) {
    await client.callTool({
      name: 'echo',
      arguments: { message: 'x', ...(continuation_id ? { continuation_id } : {}) },
    })
  }
  await client.close()
  const calls = far.spans().filter((span) => span.tool === 'echo' && span.end_us !== null)
  expect(calls.map((span) => [span.session?.rule, span.call_number])).toEqual([
    ['connection', 1],
    ['continuation', 1],
    ['continuation', 2],
    ['connection', 2],
  ])
})

test('wrap counts progress and notes the first of it; a call that runs is told of while it runs', async () => {
  const client = await connect([process.execPath, everything])
  const name = 'trigger-long-running-operation'
  const call = client.callTool({ name, arguments: { duration: 0.6, steps: 3 } }, undefined, {
    onprogress: () => undefined,
  })
  await eventually(() => far.batches.some((batch) => batch.running.some((running) => running.tool === name)))
  await eventually(() => far.spans().some((span) => span.tool === name && span.end_us === null))
  await call
  const span = await ended(`tools/call ${name}`)
  expect(span.attributes['telltale.progress_count']).toBe(3)
  expect(span.attributes['telltale.first_chunk_ms']).toBeGreaterThan(150)
  // The first of three steps, whenever it comes: well before the last, which is the answer's.
  const durationMs = ((span.end_us ?? 0) - span.start_us) / 1_000
  expect(durationMs).toBeGreaterThan(500)
  expect(span.attributes['telltale.first_chunk_ms']).toBeLessThan(0.85 * durationMs)
})

test('wrap sees isError as tool_error with its text, and a JSON-RPC error as a fault', async () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'tap-')))
  const client = await connect([process.execPath, filesystem, folder])
  const answer = await client.callTool({ name: 'read_file', arguments: { path: join(folder, 'absent.txt') } })
  expect(answer.isError).toBe(true)
  const span = await ended('tools/call read_file')
  expect(span.outcome).toBe('tool_error')
  await expect(client.request({ method: 'prompts/list' }, EmptyResultSchema)).rejects.toThrow()
  const refused = await ended('prompts/list')
  expect(refused.outcome).toBe('caller_fault')
  const errors = far.errors()
  const failed = errors.find((error) => error.span_id === span.span_id)
  expect(failed).toMatchObject({ error_type: 'ToolError', trace_id: span.trace_id })
  expect(failed?.message).toMatch(/ENOENT/)
  expect(errors.find((error) => error.span_id === refused.span_id)).toMatchObject({
    error_type: 'JsonRpcError',
    context: { code: -32601, method: 'prompts/list' },
  })
})

test("wrap puts a server's own request inside the one call that runs, as a wait held by the client", async () => {
  const client = await connect([process.execPath, everything])
  client.setRequestHandler(CreateMessageRequestSchema, async () => {
    await new Promise((resolve) => setTimeout(resolve, 60))
    return { model: 'm', role: 'assistant', content: { type: 'text', text: 'hi' } }
  })
  await client.callTool({ name: 'trigger-sampling-request', arguments: { prompt: 'p', maxTokens: 5 } })
  const call = await ended('tools/call trigger-sampling-request')
  const inner = await ended('sampling/createMessage')
  expect(inner).toMatchObject({
    trace_id: call.trace_id,
    parent_span_id: call.span_id,
    kind: 'wait',
    holder: 'client',
    entry: false,
  })
  expect((inner.end_us ?? 0) - inner.start_us).toBeGreaterThan(50_000)
})

test('wrap ends a cancelled call as cancelled', async () => {
  const client = await connect([process.execPath, everything])
  const stop = new AbortController()
  const name = 'trigger-long-running-operation'
  const call = client.callTool({ name, arguments: { duration: 1.5, steps: 1 } }, undefined, { signal: stop.signal })
  await eventually(() => far.batches.some((batch) => batch.running_total === 1))
  stop.abort('enough')
  await expect(call).rejects.toThrow()
  expect((await ended(`tools/call ${name}`)).outcome).toBe('cancelled')
})

test('wrap interrupts the calls of a server that dies, with its exit and its last words', async () => {
  const dying = `process.stdin.once('data', () => { console.error('Traceback: out of luck'); setTimeout(() => process.kill(process.pid, 'SIGKILL'), 150) })`
  const child = spawn(process.execPath, wrapped([process.execPath, '-e', dying]), { env: reporting(), stdio: 'pipe' })
  children.push(child)
  child.stdin.write('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow"}}\n')
  const [code, signal] = await once(child, 'close')
  expect([code, signal]).toEqual([null, 'SIGKILL'])
  const span = await ended('tools/call slow')
  expect(span.outcome).toBe('interrupted')
  const [error] = far.errors()
  expect(error).toMatchObject({
    error_type: 'ServerExited',
    message: 'The server was killed by SIGKILL',
    span_id: span.span_id,
  })
  expect(error?.traceback).toContain('Traceback: out of luck')
})

test('wrap mirrors exit codes, forwards signals, and says when a command cannot be started', async () => {
  expect(await runWrapped('process.exit(7)', null)).toMatchObject({ code: 7, signal: null })
  const child = spawn(
    process.execPath,
    wrapped([
      process.execPath,
      '-e',
      `process.on('SIGTERM', () => process.exit(43)); console.log('up'); setInterval(() => 0, 1000)`,
    ]),
    { env: reporting(), stdio: 'pipe' },
  )
  children.push(child)
  await once(child.stdout, 'data')
  child.kill('SIGTERM')
  expect((await once(child, 'close'))[0]).toBe(43)
  const absent = spawn(process.execPath, wrapped(['no-such-command-here']), { env: reporting(), stdio: 'pipe' })
  children.push(absent)
  let said = ''
  absent.stderr.on('data', (chunk) => {
    said += chunk
  })
  expect((await once(absent, 'close'))[0]).toBe(127)
  expect(said).toContain('telltale: Cannot start no-such-command-here')
  expect(far.errors().some((error) => error.traceback?.includes('no-such-command-here'))).toBe(true)
})

test('wrap passes any bytes in any chunks unchanged, both ways, with all of stderr, and ends when the client closes', async () => {
  const echo = `process.stdin.on('data', (c) => { process.stdout.write(c); process.stderr.write(String(c.length).padStart(8)) }).on('end', () => { process.stdout.end('the end') })`
  const chunk = fc.oneof(
    fc.uint8Array({ maxLength: 3_000 }),
    fc
      .constantFrom('\n', '{"jsonrpc":"2.0","id":1,"method":"ping"}\n', '\u{1f600}', '{"jso', '[]\n', 'null\n')
      .map((text) => Buffer.from(text)),
    fc.integer({ min: 60_000, max: 400_000 }).map((size) => Buffer.alloc(size, 'x')),
  )
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(chunk, { maxLength: 12 }), async (context, chunks) => {
      const options = context ? [] : ['--no-context']
      const child = spawn(process.execPath, wrapped([process.execPath, '-e', echo], options), {
        env: reporting(),
        stdio: 'pipe',
      })
      children.push(child)
      const out: Buffer[] = []
      let seen = 0
      child.stdout.on('data', (part: Buffer) => out.push(part))
      child.stderr.on('data', (part: Buffer) => {
        seen += part.length
      })
      for (const part of chunks) {
        child.stdin.write(part)
        if (part.length % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
      }
      child.stdin.end()
      const [code] = await once(child, 'close')
      expect(code).toBe(0)
      const written = Buffer.concat([...chunks, Buffer.from('the end')])
      const passed = Buffer.concat(out)
      expect(context ? withoutContext(passed) === written.toString('latin1') : passed.equals(written)).toBe(true)
      expect(seen % 8).toBe(0)
    }),
    { numRuns: 12 },
  )
})

test('wrap loses no byte of a server that writes much and exits at once, to a client that reads late', async () => {
  const child = spawn(
    process.execPath,
    wrapped([process.execPath, '-e', `process.stdout.write(Buffer.alloc(3_000_000, 'y')); process.exitCode = 5`]),
    { env: reporting(), stdio: 'pipe' },
  )
  children.push(child)
  await new Promise((resolve) => setTimeout(resolve, 600))
  let bytes = 0
  child.stdout.on('data', (part: Buffer) => {
    bytes += part.length
  })
  expect((await once(child, 'close'))[0]).toBe(5)
  expect(bytes).toBe(3_000_000)
})

test('wrap changes nothing where Telltale is down, hangs, or refuses', async () => {
  const script = `process.stdin.pipe(process.stdout)`
  const input = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}\n')
  for (const kind of ['down', 'hang', 'refuse'] as const) {
    far.fault = () => (kind === 'hang' ? { kind: 'hang', stored: false } : { kind: 'status', status: 400 })
    const url = kind === 'down' ? 'http://127.0.0.1:9/ingest' : far.url
    const began = performance.now()
    const run = await runWrapped(script, input, reporting({ TELLTALE_INGEST_URL: url }))
    expect([withoutContext(run.out), run.code]).toEqual([input.toString(), 0])
    expect(performance.now() - began).toBeLessThan(0.9 * sendMsMax)
  }
})

test('wrap without settings passes traffic through and says so in one line', async () => {
  const { PATH = '' } = process.env
  const nowhere = mkdtempSync(join(tmpdir(), 'tap-'))
  const run = await runWrapped(`process.stdin.pipe(process.stdout)`, Buffer.from('abc'), {
    PATH,
    TELLTALE_DATA_DIR: nowhere,
  })
  expect(run.out.toString()).toBe('abc')
  expect(run.err.trim().split('\n')).toEqual([expect.stringContaining('telltale: Cannot record')])
  for (const TELLTALE_DISABLED of ['0', 'false', '', '1']) {
    const env = { PATH, TELLTALE_DATA_DIR: nowhere, TELLTALE_DISABLED }
    const { err } = await runWrapped(`process.stdin.pipe(process.stdout)`, Buffer.from('abc'), env)
    expect(err, TELLTALE_DISABLED).toBe(TELLTALE_DISABLED === '1' ? '' : run.err)
  }
  const off = await runWrapped(
    `process.stdin.pipe(process.stdout)`,
    Buffer.from('abc'),
    reporting({ TELLTALE_DISABLED: '1' }),
  )
  expect([off.out.toString(), off.err, far.attempts.length]).toEqual(['abc', '', 0])
})

test('wrap says once that an address is none, and not that it is missing', async () => {
  const run = await runWrapped(
    `process.stdin.pipe(process.stdout)`,
    Buffer.from('abc'),
    reporting({ TELLTALE_INGEST_URL: 'nowhere' }),
  )
  expect(run.out.toString()).toBe('abc')
  expect(run.err.trim().split('\n')).toEqual([expect.stringContaining('telltale: Cannot report')])
})

test('wrap reads local.env though the kill switch is there but off', async () => {
  const { PATH = '' } = process.env
  const dir = mkdtempSync(join(tmpdir(), 'tap-'))
  const { TELLTALE_INGEST_URL: url, TELLTALE_INGEST_KEY: key } = reporting()
  writeFileSync(join(dir, 'local.env'), `TELLTALE_INGEST_URL='${url}'\nTELLTALE_INGEST_KEY='${key}'\n`)
  const input = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}\n')
  const env = { PATH, TELLTALE_DATA_DIR: dir, TELLTALE_DISABLED: '0' }
  const run = await runWrapped(`process.stdin.pipe(process.stdout)`, input, env)
  expect([withoutContext(run.out), run.err]).toEqual([input.toString(), ''])
  expect(far.attempts.length).toBeGreaterThan(0)
})
