// An MCP server of the demonstration, made like the daemon that Telltale serves first: behind the tap, it records each
// request with the reporter, through its layers. It ends when its stdin closes. Argument: a folder for its conversations.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import {
  CallToolRequestSchema,
  type CallToolResult,
  ErrorCode,
  ListToolsRequestSchema,
  McpError,
} from '@modelcontextprotocol/sdk/types.js'
import { createReporter, type SpanHandle } from '../reporter/reporter.ts'
import { chanceOf } from './chance.ts'
import { ConversationStore } from './conversation_store.ts'
import { type Daemon, daemonTools, runTool, type ToolCall } from './daemon_tool.ts'
import { incidents, startModelApi } from './model_api.ts'
import { outcomeOfThrown } from './model_provider.ts'
import { SessionPermits } from './session_permit.ts'

const gaugeMs = 2_000
const closeMsMax = 500

const [folder = '.'] = process.argv.slice(2)
const reporter = createReporter({ service: 'exai-daemon', environment: 'demo', version: '0.1.0' })
const api = await startModelApi(chanceOf(process.pid))
const daemon: Daemon = {
  reporter,
  store: new ConversationStore(reporter, folder),
  permits: new SessionPermits(),
  apiUrl: api.url,
}
const server = new Server({ name: 'telltale-demo-daemon', version: '0.1.0' }, { capabilities: { tools: {} } })

server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: Object.keys(daemonTools).map((name) => ({
    name,
    description: `Asks ${daemonTools[name]?.model}`,
    inputSchema: {
      type: 'object' as const,
      properties: { prompt: { type: 'string' }, continuation_id: { type: 'string' } },
      required: ['prompt'],
    },
  })),
}))

server.setRequestHandler(CallToolRequestSchema, async ({ params }, { signal, requestId }): Promise<CallToolResult> => {
  const tool = params.name
  const context = params._meta as { readonly traceparent?: string; readonly tracestate?: string } | undefined
  const span = reporter.startTrace({ name: 'call_tool', layer: 'websocket', tool, context: context ?? null })
  span.set({ requestId: String(requestId), bytesIn: JSON.stringify(params).length })
  const began = performance.now()
  try {
    const text = await runTool(daemon, span, callOf(tool, params.arguments ?? {}, signal))
    span.end('ok', { bytesOut: text.length })
    return { content: [{ type: 'text', text }] }
  } catch (error) {
    return failed(span, tool, error)
  } finally {
    reporter.recordEvent(
      {
        connection_type: 'websocket',
        direction: 'send',
        script_name: 'demo_server.ts',
        function_name: 'call_tool',
        response_time_ms: performance.now() - began,
      },
      span,
    )
  }
})

/** The SDK aborts with the caller's words as the reason; what we call expects an AbortError. */
function cancelledBy(signal: AbortSignal): AbortSignal {
  const cancel = new AbortController()
  signal.addEventListener('abort', () => cancel.abort(), { once: true })
  return cancel.signal
}

/** @throws McpError for a tool or arguments that do not exist */
function callOf(tool: string, given: { readonly [name: string]: unknown }, signal: AbortSignal): ToolCall {
  const { prompt, continuation_id: conversationId, incident = 'none', continues = false } = given
  if (!Object.hasOwn(daemonTools, tool)) throw new McpError(ErrorCode.InvalidParams, `Tool ${tool} not found`)
  if (typeof prompt !== 'string') {
    throw new McpError(ErrorCode.InvalidParams, `Invalid arguments for ${tool}: prompt is ${typeof prompt}`)
  }
  return {
    tool,
    prompt,
    conversationId: typeof conversationId === 'string' ? conversationId : 'none',
    continues: continues === true,
    incident: incidents.find((known) => known === incident) ?? 'none',
    signal: cancelledBy(signal),
  }
}

function failed(span: SpanHandle, tool: string, error: unknown): CallToolResult {
  if (error instanceof McpError) {
    reporter.captureError(error, { span, context: { tool } })
    span.end('caller_fault')
    throw error
  }
  const outcome = outcomeOfThrown(error)
  span.end(outcome)
  const text = error instanceof Error ? error.message : String(error)
  return { isError: true, content: [{ type: 'text', text }] }
}

const lag = monitorEventLoopDelay({ resolution: 20 })
lag.enable()
setInterval(() => {
  reporter.gauge('websocket_connections', 1)
  reporter.gauge('process_memory_mb', process.memoryUsage().rss / 1024 ** 2)
  reporter.gauge('event_loop_lag_ms', lag.mean / 1e6)
  reporter.gauge('permits_in_use', daemon.permits.inUse, { pool: 'session_sem' })
  lag.reset()
}, gaugeMs).unref()

async function leave(): Promise<void> {
  api.close()
  await reporter.close(closeMsMax)
  process.exit(0)
}
process.stdin.once('end', leave)
process.once('SIGTERM', leave)
await server.connect(new StdioServerTransport())
