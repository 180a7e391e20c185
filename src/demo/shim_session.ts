import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { McpError } from '@modelcontextprotocol/sdk/types.js'
import { type Outcome, outcomeOfCode, outcomes } from '../core/outcome.ts'
import type { Reporter } from '../reporter/reporter.ts'

export type ShimCall = {
  readonly tool: string
  readonly conversationId: string
  readonly arguments: { readonly [name: string]: unknown }
  /** The caller gives up after this many ms. */
  readonly cancelAfterMs?: number
}

const answerMsMax = 20_000

/** Passes one call on to the daemon as the shim does, and records it: the outermost span of its trace. */
export async function passCall(reporter: Reporter, client: Client, call: ShimCall): Promise<void> {
  const { tool, conversationId, cancelAfterMs } = call
  const span = reporter.startTrace({
    name: `tools/call ${tool}`,
    layer: 'shim',
    tool,
    session: { key: conversationId, rule: 'continuation' },
  })
  const cancel = new AbortController()
  const timer = cancelAfterMs === undefined ? undefined : setTimeout(() => cancel.abort(), cancelAfterMs)
  try {
    const result = await client.callTool(
      {
        name: tool,
        arguments: { ...call.arguments, continuation_id: conversationId },
        _meta: { ...span.headers() },
      },
      undefined,
      { timeout: answerMsMax, signal: cancel.signal },
    )
    span.end(outcomeOf(result), { bytesOut: JSON.stringify(result).length })
  } catch (error) {
    if (cancel.signal.aborted) span.end('cancelled')
    else span.end(error instanceof McpError ? outcomeOfCode(error.code) : 'server_fault')
  } finally {
    clearTimeout(timer)
  }
}

type Reply = {
  readonly isError?: unknown
  readonly _meta?: { readonly [key: string]: unknown } | undefined
}

function outcomeOf(result: Reply): Outcome {
  if (result.isError !== true) return 'ok'
  return outcomes.find((known) => known === result._meta?.['telltale.outcome']) ?? 'tool_error'
}
