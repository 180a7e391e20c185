import type { Reporter, SpanHandle } from '../reporter/reporter.ts'
import type { ConversationStore } from './conversation_store.ts'
import type { Incident, ModelAnswer } from './model_api.ts'
import { askProvider, outcomeOfThrown } from './model_provider.ts'
import type { PermitPool } from './permit_pool.ts'
import type { SessionPermits } from './session_permit.ts'

/** Every tool of the daemon, and the model that it asks. */
export const daemonTools: { readonly [tool: string]: { readonly provider: 'glm' | 'kimi'; readonly model: string } } = {
  chat: { provider: 'glm', model: 'glm-4.5-flash' },
  analyze: { provider: 'kimi', model: 'kimi-k2' },
  debug: { provider: 'kimi', model: 'kimi-k2' },
  codereview: { provider: 'glm', model: 'glm-4.6' },
  thinkdeep: { provider: 'kimi', model: 'kimi-thinking' },
}

export type ToolCall = {
  readonly tool: string
  readonly conversationId: string
  readonly prompt: string
  /** The conversation must have begun before. */
  readonly continues: boolean
  readonly incident: Incident
  readonly signal: AbortSignal
}

export type Daemon = {
  readonly reporter: Reporter
  readonly store: ConversationStore
  readonly permits: SessionPermits
  readonly apiUrl: string
}

/** Runs one tool: reads the conversation, waits for a permit of it, asks the model, stores what was said. */
export async function runTool(daemon: Daemon, parent: SpanHandle, call: ToolCall): Promise<string> {
  const { reporter } = daemon
  const span = reporter.span(parent, { name: `tool ${call.tool}`, layer: 'tool', tool: call.tool })
  try {
    const text = await converse(daemon, span, call)
    span.end('ok')
    return text
  } catch (error) {
    const outcome = outcomeOfThrown(error)
    if (outcome !== 'cancelled') reporter.captureError(error, { span, context: { tool: call.tool } })
    span.end(outcome)
    throw error
  }
}

async function converse(daemon: Daemon, span: SpanHandle, call: ToolCall): Promise<string> {
  const { reporter, store, permits, apiUrl } = daemon
  const { tool, conversationId, prompt, incident, signal } = call
  const target = daemonTools[tool]
  if (!target) throw new Error(`Cannot run ${tool}: there is no such tool`)
  const history = call.continues ? await store.read(span, conversationId) : []
  // The fault that the demonstration shows: the permit is never given back.
  await permitOf(reporter, span, permits.of(conversationId), tool, signal)
  const asked = { ...target, incident, signal, prompt: [...history, prompt].join('\n') }
  const began = performance.now()
  const answer = await askProvider(reporter, span, apiUrl, asked)
  remember(reporter, span, call, target, answer, performance.now() - began)
  await store.append(span, conversationId, { role: 'user', tool, prompt })
  await store.append(span, conversationId, { role: 'assistant', tool, text: answer.text })
  return answer.text
}

/** Waits for a permit and says who had it. */
async function permitOf(
  reporter: Reporter,
  span: SpanHandle,
  pool: PermitPool,
  tool: string,
  signal: AbortSignal,
): Promise<() => void> {
  const holder = pool.blocker
  if (holder === null) return pool.take(tool, signal)
  const wait = reporter.wait(span, { name: `permit ${pool.name}`, holder })
  try {
    const release = await pool.take(tool, signal)
    wait.end('ok')
    return release
  } catch (error) {
    wait.end(outcomeOfThrown(error))
    throw error
  }
}

function remember(
  reporter: Reporter,
  span: SpanHandle,
  { tool, conversationId, prompt }: ToolCall,
  { provider, model }: { readonly provider: string; readonly model: string },
  { usage }: ModelAnswer,
  tookMs: number,
): void {
  const both = { conversation_id: conversationId, model_used: model, provider_used: provider, tool_name: tool }
  reporter.recordMessage({ ...both, role: 'user', metadata: { length: prompt.length } }, span)
  reporter.recordMessage(
    {
      ...both,
      role: 'assistant',
      response_time_ms: Math.round(tookMs),
      thinking_mode: tool === 'thinkdeep' ? 'high' : null,
      token_usage: { ...usage, total_tokens: usage.prompt_tokens + usage.completion_tokens },
    },
    span,
  )
}
