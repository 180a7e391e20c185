import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { createReporter, type Reporter } from '../../src/reporter/reporter.ts'

const launcher = fileURLToPath(new URL('../../bin/telltale.mjs', import.meta.url))
const script = fileURLToPath(new URL('throwing_server_fixture.ts', import.meta.url))

/** What a call of the throwing server may say; it has the words. */
export type Given = {
  readonly ms?: number
  readonly held?: boolean
  readonly message?: string
  readonly type?: string
  readonly label?: string
  /** The conversation that it belongs to. */
  readonly session?: string
}

export type TappedServer = {
  /** `isError` answers are answers; only a broken connection throws. */
  call(tool: string, given?: Given): Promise<unknown>
  /** ms since the epoch at which the server's process threw with this message; waits until it has. */
  thrownAt(message: string): Promise<number>
  /** What has a batch to send sends it. */
  close(): Promise<void>
}

/**
 * A real MCP client, which records what it asks as a shim does, in front of `telltale wrap`, which runs a real server:
 * everything that an operator would have.
 */
export async function startTappedServer(
  env: Readonly<Record<string, string>>,
  { tools = [], service = 'throwing-server' }: { tools?: readonly string[]; service?: string } = {},
): Promise<TappedServer> {
  const inherited = Object.entries(process.env).filter(
    ([name, value]) => value !== undefined && !/^TELLTALE_/.test(name),
  )
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [launcher, 'wrap', '--service', `${service}-tap`, '--environment', 'test', '--', process.execPath, script],
    env: {
      ...(Object.fromEntries(inherited) as Record<string, string>),
      ...env,
      TOOL_NAMES: JSON.stringify(tools),
      SERVER_SERVICE: service,
    },
    stderr: 'pipe',
  })
  const thrown = new Map<string, number>()
  const waiting = new Set<() => void>()
  let text = ''
  transport.stderr?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    for (const line of lines) {
      const [, at, message] = /^threw (\d+) (".*")$/.exec(line) ?? []
      if (at !== undefined && message !== undefined) thrown.set(JSON.parse(message) as string, Number(at))
    }
    for (const wake of waiting) wake()
  })
  const reporter = createReporter({ env, service: `${service}-shim`, environment: 'test' })
  const client = new Client({ name: 'e2e-client', version: '1' })
  await client.connect(transport)
  const gone = new Promise<void>((resolve) => {
    client.onclose = resolve
  })
  return {
    call: (tool, given = {}) => recordedCall(reporter, client, tool, given),
    async thrownAt(message) {
      while (!thrown.has(message)) {
        await new Promise<void>((resolve) => {
          waiting.add(resolve)
          setTimeout(resolve, 100)
        })
      }
      return thrown.get(message) as number
    },
    async close() {
      await client.close()
      await gone
      await reporter.close(1_000)
    },
  }
}

async function recordedCall(reporter: Reporter, client: Client, tool: string, given: Given): Promise<unknown> {
  const { session = 'conversation-1', ...rest } = given
  const name = `tools/call ${tool}`
  const span = reporter.startTrace({ name, layer: 'shim', tool, session: { key: session, rule: 'continuation' } })
  try {
    const params = { name: tool, arguments: rest, _meta: { ...span.headers() } }
    const result = await client.callTool(params, undefined, { timeout: 60_000 })
    span.end(result.isError === true ? 'tool_error' : 'ok')
    return result
  } catch (error) {
    span.end('server_fault')
    throw error
  }
}
