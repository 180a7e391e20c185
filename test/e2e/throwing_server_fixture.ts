// An MCP server on stdio as an operator might have one: its tools work, wait or throw as they are told, and it records
// what it throws with the reporter. TOOL_NAMES (a JSON array) are further tools, called as nobody should call one.
import { setTimeout as pause } from 'node:timers/promises'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { createReporter, type SpanHandle } from '../../src/reporter/reporter.ts'

class ToolExecutionError extends Error {
  override readonly name: string = 'ToolExecutionError'
}

type Given = {
  /** How long the model takes, and a quarter of it, up to 50, the permit. */
  readonly ms?: number
  /** In place of `ms`: the permit, then the model, take until `release` is called. */
  readonly held?: boolean
  /** What is thrown says; by whatever tool, when it is given. */
  readonly message?: string
  /** The class of what is thrown. */
  readonly type?: string
  /** Names the span, its provider, its model and its attribute. */
  readonly label?: string
}

const toolNames = ['work', 'fail', 'release', ...(JSON.parse(process.env.TOOL_NAMES ?? '[]') as string[])]
const service = process.env.SERVER_SERVICE ?? 'throwing-server'
const reporter = createReporter({ service, environment: process.env.SERVER_ENVIRONMENT ?? 'test' })
const server = new Server({ name: service, version: '1' }, { capabilities: { tools: {} } })
const gates: (() => void)[] = []

server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: toolNames.map((name) => ({ name, inputSchema: { type: 'object' as const } })),
}))

server.setRequestHandler(CallToolRequestSchema, async ({ params }) => {
  if (params.name === 'release') {
    gates.shift()?.()
    return { content: [] }
  }
  const given = (params.arguments ?? {}) as Given
  const context = params._meta as { readonly traceparent?: string; readonly tracestate?: string } | undefined
  const span = reporter.startTrace({ name: params.name, layer: 'tool', tool: params.name, context: context ?? null })
  try {
    await askModel(span, given)
    if (params.name === 'fail' || given.message !== undefined) failHere(given)
    span.end('ok')
    return { content: [{ type: 'text', text: 'done' }] }
  } catch (error) {
    reporter.captureError(error, { span })
    span.end('tool_error')
    return { isError: true, content: [{ type: 'text', text: error instanceof Error ? error.message : String(error) }] }
  }
})

/** Its frame is what a stack trace must show. Says when it threw, for whoever times what comes after. */
function failHere({ message = 'Cannot run tool: it was told to fail', type }: Given): never {
  const error = new ToolExecutionError(message)
  if (type !== undefined) Object.defineProperty(error, 'name', { value: type })
  process.stderr.write(`threw ${Date.now()} ${JSON.stringify(message)}\n`)
  throw error
}

async function askModel(parent: SpanHandle, { ms = 0, held = false, label }: Given): Promise<void> {
  const permit = reporter.wait(parent, { name: 'provider permit', holder: label ?? 'another call' })
  await (held ? opened() : pause(Math.min(ms / 4, 50)))
  permit.end()
  const span = reporter.span(parent, {
    name: label ?? 'POST /chat/completions',
    layer: 'api',
    provider: label ?? 'glm',
    model: label ?? 'glm-4.6',
    ...(label === undefined ? {} : { attributes: { note: label } }),
  })
  await (held ? opened() : pause(ms))
  span.end('ok', { tokensIn: 1_200, tokensOut: 180 })
}

function opened(): Promise<void> {
  return new Promise((resolve) => gates.push(resolve))
}

process.stdin.once('end', async () => {
  await reporter.close(1_000)
  process.exit(0)
})
await server.connect(new StdioServerTransport())
