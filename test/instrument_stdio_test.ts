import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, type IngestFixture, startIngest } from './ingest_fixture.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const wrapScript = join(root, 'test/wrap_fixture.ts')
const out = mkdtempSync(join(tmpdir(), 'instrument-'))
const require = createRequire(import.meta.url)

/** A Node 20 on the path that is not the project's own; that one where there is none. */
function hostNode(): string {
  const name = process.platform === 'win32' ? 'node.exe' : 'node'
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'))
  const found = folders.map((folder) => join(folder, name)).filter((path) => existsSync(path))
  const isOlder = (path: string) => execFileSync(path, ['--version'], { encoding: 'utf8' }).startsWith('v20.')
  return found.find(isOlder) ?? process.execPath
}

const node = hostNode()
const tools = `
  server.registerTool('echo', {}, async () => ({ content: [{ type: 'text', text: 'hello' }] }))
  server.registerTool('fail', {}, async () => { throw new RangeError('the disk is full') })
`
const esm = (name: string) => JSON.stringify(import.meta.resolve(name))
const cjs = (name: string) => JSON.stringify(require.resolve(name))
const sdk = '@modelcontextprotocol/sdk/server'
/** Servers as their authors write them, with the one line. */
const hosts = {
  'first.mjs': `import { McpServer } from ${esm(`${sdk}/mcp.js`)}
import { StdioServerTransport } from ${esm(`${sdk}/stdio.js`)}
import { instrument } from './reporter.js'
const server = instrument(new McpServer({ name: 'files', version: '1' }))
${tools}
await server.connect(new StdioServerTransport())`,
  'first.cjs': `const { McpServer } = require(${cjs(`${sdk}/mcp.js`)})
const { StdioServerTransport } = require(${cjs(`${sdk}/stdio.js`)})
const { instrument } = require('./reporter.cjs')
const server = instrument(new McpServer({ name: 'files', version: '1' }))
${tools}
server.connect(new StdioServerTransport())`,
  'second.mjs': `import { McpServer } from ${esm('@modelcontextprotocol/server')}
import { serveStdio } from ${esm('@modelcontextprotocol/server/stdio')}
import { instrument } from './reporter.js'
serveStdio(() => {
  const server = instrument(new McpServer({ name: 'files', version: '1' }))
${tools}
  return server
})`,
  'second.cjs': `const { McpServer } = require(${cjs('@modelcontextprotocol/server')})
const { serveStdio } = require(${cjs('@modelcontextprotocol/server/stdio')})
const { instrument } = require('./reporter.cjs')
serveStdio(() => {
  const server = instrument(new McpServer({ name: 'files', version: '1' }))
${tools}
  return server
})`,
}

beforeAll(async () => {
  await promisify(execFile)(process.execPath, [join(root, 'src/reporter/build.mjs'), out], { cwd: root })
  for (const [file, text] of Object.entries(hosts)) writeFileSync(join(out, file), text)
})

afterAll(() => rmSync(out, { recursive: true, force: true }))

/** Calls echo and fail on a server that runs as a child process, and leaves. Answers all that it wrote to stderr. */
async function callBoth(args: readonly string[], url: string, far: IngestFixture): Promise<string> {
  const { PATH = '', HOME = '' } = process.env
  const settings = { TELLTALE_INGEST_URL: url, TELLTALE_INGEST_KEY: far.key, TELLTALE_OUTBOX_DIR: 'none' }
  const [command = '', ...rest] = args
  const transport = new StdioClientTransport({ command, args: rest, env: { PATH, HOME, ...settings }, stderr: 'pipe' })
  let stderr = ''
  transport.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const client = new Client({ name: 'one', version: '1' })
  await client.connect(transport)
  expect(await client.callTool({ name: 'echo' })).toEqual({ content: [{ type: 'text', text: 'hello' }] })
  expect(await client.callTool({ name: 'fail' })).toEqual({
    content: [{ type: 'text', text: 'the disk is full' }],
    isError: true,
  })
  await client.close()
  return stderr
}

for (const file of Object.keys(hosts)) {
  test(`the built instrument() records a server on stdio, ${file}, behind a tap that does too`, async () => {
    const far = await startIngest()
    const tapped = [process.execPath, wrapScript, 'wrap', '--layer', 'shim', '--service', 'shim', '--']
    expect(await callBoth([...tapped, node, join(out, file)], far.url, far)).toBe('')
    const calls = () => far.spans().filter((span) => span.end_us !== null && span.tool !== null)
    await eventually(() => calls().length === 4 && far.errors().length === 2)
    for (const tool of ['echo', 'fail']) {
      const [entry, behind] = [true, false].map((outer) =>
        calls().find((span) => span.tool === tool && span.entry === outer),
      )
      expect(entry).toMatchObject({ layer: 'shim', parent_span_id: null, call_number: tool === 'echo' ? 1 : 2 })
      expect(behind).toMatchObject({ layer: 'tool', trace_id: entry?.trace_id, parent_span_id: entry?.span_id })
      expect([behind?.outcome, entry?.outcome]).toEqual(tool === 'echo' ? ['ok', 'ok'] : ['tool_error', 'tool_error'])
    }
    const error = far.errors().find((candidate) => candidate.error_type === 'RangeError')
    expect(error?.traceback).toContain(file)
    expect(new Set(far.batches.map(({ source }) => source.service))).toEqual(new Set(['shim', 'files']))
    await far.close()
  })
}

test('the built instrument() changes nothing where Telltale is down, and says nothing on stdout', async () => {
  const far = await startIngest()
  await far.close()
  expect(await callBoth([node, join(out, 'first.mjs')], far.url, far)).not.toMatch(/\bat \S+ \(/)
})
