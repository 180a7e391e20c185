// An MCP server on stdio as an operator might have one: its tools work, wait or throw as they are told, and it records
// what it throws with the reporter. TOOL_NAMES (a JSON array) are further tools, called as nobody should call one.
import { setTimeout as pause } from 'node:timers/promises'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { createReporter, type SpanHandle } from '../../src/reporter/reporter.ts'

class ToolExecutionError extends Error {
  override readonly name = 'ToolExecutionError'
}

const toolNames = ['work', 'fail', ...(JSON.parse(process.env.TOOL_NAMES ?? '[]') as string[])]
const service = process.env.SERVER_SERVICE ?? 'throwing-server'
const reporter = createReporter({ service, environment: process.env.SERVER_ENVIRONMENT ?? 'test' })
const server = new Server({ name: service, version: '1' }, { capabilities: { tools: {} } })

server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: toolNames.map((name) => ({ name, inputSchema: { type: 'object' as const } })),
}))

server.setRequestHandler(CallToolRequestSchema, async ({ params }) => {
  const { ms = 0, message = 'Cannot run tool: it was told to fail' } = (params.arguments ?? {}) as {
    readonly ms?: number
    readonly message?: string
  }
  const context = params._meta as { readonly traceparent?: string; readonly tracestate?: string } | undefined
  const span = reporter.startTrace({ name: params.name, layer: 'tool', tool: params.name, context: context ?? null })
  try {
    await askModel(span, ms)
    if (params.name === 'fail') failHere(message)
    span.end('ok')
    return { content: [{ type: 'text', text: 'done' }] }
  } catch (error) {
    reporter.captureError(error, { span })
    span.end('tool_error')
    return { isError: true, content: [{ type: 'text', text: error instanceof Error ? error.message : String(error) }] }
  }
})

/** Its frame is what a stack trace must show. Says when it threw, for whoever times what comes after. */
function failHere(message: string): never {
  process.stderr.write(`threw ${Date.now()} ${JSON.stringify(message)}\n`)
  throw new ToolExecutionError(message)
}

async function askModel(parent: SpanHandle, ms: number): Promise<void> {
  const permit = reporter.wait(parent, { name: 'provider permit', holder: 'another call' })
  await pause(Math.min(ms / 4, 50))
  permit.end()
  const span = reporter.span(parent, {
    name: 'POST /chat/completions',
    layer: 'api',
    provider: 'glm',
    model: 'glm-4.6',
  })
  await pause(ms)
  span.end('ok')
}

process.stdin.once('end', async () => {
  await reporter.close(1_000)
  process.exit(0)
})
await server.connect(new StdioServerTransport())
