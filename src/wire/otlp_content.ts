import type { Attributes, Json } from '../core/record.ts'
import { utf8Bytes } from './wire_text.ts'

/** Attributes in which conventions put what was said: prompts, answers, arguments, results, values of queries. */
const said: readonly string[] = [
  ...['gen_ai.input.messages', 'gen_ai.output.messages', 'gen_ai.system_instructions', 'gen_ai.tool.definitions'],
  ...['gen_ai.tool.call.arguments', 'gen_ai.tool.call.result', 'gen_ai.prompt', 'gen_ai.completion'],
  ...['gen_ai.retrieval.documents', 'gen_ai.retrieval.query.text', 'gen_ai.event.content', 'gen_ai.tool.message'],
  ...[
    'input.value',
    'output.value',
    'tool.parameters',
    'embedding.text',
    'embedding.embeddings',
    'retrieval.documents',
  ],
  ...['reranker.query', 'reranker.input_documents', 'reranker.output_documents', 'document.content', 'message.content'],
  ...['llm.prompts', 'llm.completions', 'llm.input_messages', 'llm.output_messages', 'llm.prompt_template.variables'],
  ...['llm.prompt_template.template', 'llm.tools', 'traceloop.entity.input', 'traceloop.entity.output'],
  ...['ai.prompt', 'ai.response.text', 'ai.response.object', 'ai.response.toolCalls', 'ai.toolCall.args'],
  ...['ai.toolCall.result', 'ai.value', 'ai.values', 'ai.embedding', 'ai.embeddings', 'ai.result'],
  ...['mcp.request.argument', 'mcp.tool.arguments', 'mcp.tool.result', 'mcp.request.params', 'mcp.response.result'],
  ...['db.query.parameter', 'db.operation.parameter', 'db.sql.parameters', 'db.response.body'],
  ...['http.request.body.content', 'http.response.body.content', 'http.request.body', 'http.response.body'],
  ...[
    'http.request.header',
    'http.response.header',
    'rpc.request.body',
    'rpc.response.body',
    'rpc.grpc.request.metadata',
  ],
  ...['messaging.message.body', 'messaging.message.payload'],
]
const saidNames: ReadonlySet<string> = new Set(said)
/** Sizes stand under some of these names. */
const measures = /\.(size|bytes|count|length)$/

/** Texts of queries, which are kept without the values in them. */
const queries: ReadonlySet<string> = new Set(['db.statement', 'db.query.text'])
const literals = /'(?:[^']|'')*'?|(?<![$\w])\d+(?:\.\d+)?\b/g

/** The attribute that tells how large what was left out was: bytes of its JSON, by the name it stood under. */
const contentBytesKey = 'telltale.content_bytes'

/** The attributes without what was said, of which only the sizes are kept, and with queries whose values are `?`. */
export function withoutContent(attributes: Attributes): Attributes {
  const kept: { [key: string]: Json } = {}
  const sizes: { [key: string]: number } = {}
  for (const [key, value] of Object.entries(attributes)) {
    const family = familyOf(key)
    if (family !== null) sizes[family] = (sizes[family] ?? 0) + bytesOf(value)
    else kept[key] = queries.has(key) && typeof value === 'string' ? value.replace(literals, '?') : value
  }
  if (Object.keys(sizes).length > 0) kept[contentBytesKey] ??= sizes
  return kept
}

/** Which of `said` the key is or lies under, as `gen_ai.prompt.0.content` under `gen_ai.prompt`. */
function familyOf(key: string): string | null {
  if (measures.test(key)) return null
  if (saidNames.has(key)) return key
  for (let dot = key.lastIndexOf('.'); dot > 0; dot = key.lastIndexOf('.', dot - 1)) {
    const family = key.slice(0, dot)
    if (saidNames.has(family)) return family
  }
  return null
}

function bytesOf(value: Json): number {
  return utf8Bytes(typeof value === 'string' ? value : JSON.stringify(value))
}
