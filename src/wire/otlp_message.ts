import type { Attributes, Json } from '../core/record.ts'
import { contentIdOf } from './otlp_id.ts'
import { createPicker } from './otlp_picker.ts'

/** Who speaks: what is known of the call of a model from its span. `ms` is how long it took. */
export type Speaker = {
  readonly processId: string
  readonly trace_id: string | null
  readonly span_id: string | null
  readonly conversation: string | null
  readonly model: string | null
  readonly provider: string | null
  readonly tool: string | null
  readonly ms: number | null
  readonly tokens: { readonly input: number | null; readonly output: number | null }
}

/** The events by which the GenAI conventions, old and new, tell of a message, and whose it is. */
const roles: { readonly [event: string]: string } = {
  'gen_ai.system.message': 'system',
  'gen_ai.user.message': 'user',
  'gen_ai.assistant.message': 'assistant',
  'gen_ai.tool.message': 'tool',
  'gen_ai.choice': 'assistant',
  'gen_ai.content.prompt': 'user',
  'gen_ai.content.completion': 'assistant',
  'gen_ai.client.inference.operation.details': 'assistant',
}
/** Those that are the answer of this very call, not its history. */
const answers: ReadonlySet<string> = new Set([
  'gen_ai.choice',
  'gen_ai.content.completion',
  'gen_ai.client.inference.operation.details',
])

/** The metadata of the message that an event tells of, null when it tells of none. `index` is its place among events. */
export function messageOfEvent(name: string, attributes: Attributes, at: number, index: number, speaker: Speaker) {
  const role = Object.hasOwn(roles, name) ? roles[name] : undefined
  if (role === undefined) return null
  const picker = createPicker(attributes)
  const isAnswer = answers.has(name)
  const { trace_id, span_id, processId } = speaker
  const provider = picker.text('gen_ai.provider.name', 'gen_ai.system') ?? speaker.provider
  const model = picker.text('gen_ai.response.model', 'gen_ai.request.model') ?? speaker.model
  const input = picker.count('gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens') ?? speaker.tokens.input
  const output = picker.count('gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens') ?? speaker.tokens.output
  const known: { [name: string]: Json } = {}
  if (input !== null) known.input_tokens = input
  if (output !== null) known.output_tokens = output
  return {
    type: 'message',
    message_id: contentIdOf('message', [processId, trace_id, span_id, at, name, index, attributes]),
    at_us: at,
    trace_id,
    span_id,
    conversation_id: picker.text('gen_ai.conversation.id') ?? speaker.conversation,
    role: picker.text('role', 'gen_ai.message.role') ?? role,
    model_used: model,
    provider_used: provider,
    response_time_ms: isAnswer && speaker.ms !== null && speaker.ms >= 0 ? speaker.ms : null,
    tool_name: picker.text('gen_ai.tool.name') ?? speaker.tool,
    thinking_mode: picker.text('gen_ai.request.reasoning.effort', 'telltale.thinking_mode'),
    token_usage: isAnswer && Object.keys(known).length > 0 ? known : null,
    metadata: picker.rest(),
  }
}
