import { type Layer, layerOf, layers } from '../core/layer.ts'
import type { Attributes, SpanKind } from '../core/record.ts'
import { isLike, type RuleSubject } from './otlp_rule.ts'

/** OTLP's SpanKind: unspecified, internal, server, client, producer, consumer. */
export const otlpKind = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 } as const

/** A span as the table sees it. */
export type LayerSubject = RuleSubject & { readonly kind: number }

type Row = {
  /** What the row is for, in words. */
  readonly of: string
  readonly fits: (span: LayerSubject) => boolean
  readonly layer: Layer | ((span: LayerSubject) => Layer)
}

const isOutward = ({ kind }: LayerSubject): boolean => kind === otlpKind.client || kind === otlpKind.producer

const has =
  (...keys: readonly string[]) =>
  ({ attributes }: LayerSubject): boolean =>
    keys.some((key) => Object.hasOwn(attributes, key))

/** Whether the attribute is one of the texts, in any case. */
const says =
  (key: string, ...texts: readonly string[]) =>
  ({ attributes }: LayerSubject): boolean =>
    texts.includes(String(attributes[key] ?? '').toLowerCase())

const scopedAs =
  (...patterns: readonly string[]) =>
  ({ scope }: LayerSubject): boolean =>
    patterns.some((pattern) => isLike(scope, pattern))

/** Addresses by which a call over HTTP is known: whose model answers, or what is stored there. */
const modelHosts: readonly (readonly [pattern: string, provider: string])[] = [
  ['api.openai.com', 'openai'],
  ['*.openai.azure.com', 'azure.ai.openai'],
  ['api.anthropic.com', 'anthropic'],
  ['generativelanguage.googleapis.com', 'gcp.gemini'],
  ['*aiplatform.googleapis.com', 'gcp.vertex_ai'],
  ['bedrock-runtime.*.amazonaws.com', 'aws.bedrock'],
  ['api.moonshot.*', 'kimi'],
  ['open.bigmodel.cn', 'glm'],
  ['api.z.ai', 'glm'],
  ['api.deepseek.com', 'deepseek'],
  ['api.mistral.ai', 'mistral_ai'],
  ['api.groq.com', 'groq'],
  ['api.x.ai', 'x_ai'],
  ['api.cohere.*', 'cohere'],
  ['api.perplexity.ai', 'perplexity'],
  ['openrouter.ai', 'openrouter'],
]
const storeHosts: readonly string[] = [
  ...['*.supabase.co', '*.supabase.in', '*.upstash.io', '*.s3.amazonaws.com', 's3.*.amazonaws.com'],
  ...['storage.googleapis.com', '*.blob.core.windows.net', '*.r2.cloudflarestorage.com'],
]

/** The host that a call goes to, without its port; empty when the span does not say. */
function hostOf(attributes: Attributes): string {
  for (const key of ['server.address', 'net.peer.name', 'http.host', 'url.full', 'http.url']) {
    const value = attributes[key]
    if (typeof value !== 'string' || value === '') continue
    const host = value.replace(/^[a-z]+:\/\//i, '').split(/[/?#]/, 1)[0] ?? ''
    return host.replace(/:\d+$/, '').toLowerCase()
  }
  return ''
}

/** The AI provider behind the address that a span calls, null when it is none that is known. */
export function providerByHost(attributes: Attributes): string | null {
  const host = hostOf(attributes)
  return modelHosts.find(([pattern]) => isLike(host, pattern))?.[1] ?? null
}

const callsStore = ({ attributes }: LayerSubject): boolean => {
  const host = hostOf(attributes)
  return storeHosts.some((pattern) => isLike(host, pattern))
}

/** The six layers by the name of whose spans these are: a service called redis is a store. */
function knownLayerOf(name: string): Layer | null {
  const layer = layerOf(name.replaceAll(/[-_]/g, ' '))
  return (layers as readonly string[]).includes(layer) ? layer : null
}

/**
 * In which layer a span is, by the conventions that it keeps: the first row that fits. Outermost is what knows most: MCP,
 * then models, then what is stored, then the wires that all of these use.
 */
const table: readonly Row[] = [
  {
    of: 'MCP (semantic conventions)',
    fits: has('mcp.method.name', 'mcp.session.id', 'mcp.protocol.version', 'mcp.resource.uri', 'mcp.tool.name'),
    layer: (span) => (isOutward(span) ? 'shim' : 'tool'),
  },
  {
    of: 'GenAI: tools, agents and workflows',
    fits: says('gen_ai.operation.name', 'execute_tool', 'invoke_agent', 'create_agent', 'invoke_workflow', 'plan'),
    layer: 'tool',
  },
  {
    of: 'GenAI: memory',
    fits: says('gen_ai.operation.name', 'retrieval', 'search_memory', 'memory'),
    layer: 'storage',
  },
  {
    of: 'GenAI: calls of a model',
    fits: has('gen_ai.operation.name', 'gen_ai.request.model', 'gen_ai.response.model', 'gen_ai.system'),
    // Who calls the model from outside of the client's library is the provider's side of the house.
    layer: (span) => (span.kind === otlpKind.server ? 'provider' : 'api'),
  },
  { of: 'GenAI by provider alone', fits: has('gen_ai.provider.name'), layer: 'api' },
  {
    of: 'OpenInference: models',
    fits: says('openinference.span.kind', 'llm', 'embedding', 'reranker'),
    layer: 'api',
  },
  { of: 'OpenInference: search', fits: says('openinference.span.kind', 'retriever'), layer: 'storage' },
  { of: 'OpenInference: prompts', fits: says('openinference.span.kind', 'prompt', 'guardrail'), layer: 'provider' },
  { of: 'OpenInference: the rest', fits: has('openinference.span.kind'), layer: 'tool' },
  { of: 'OpenLLMetry: models', fits: has('llm.request.type', 'llm.model_name', 'llm.request.model'), layer: 'api' },
  { of: 'OpenLLMetry: the rest', fits: has('traceloop.span.kind'), layer: 'tool' },
  { of: 'AI SDK: tools', fits: has('ai.toolCall.name'), layer: 'tool' },
  {
    of: 'AI SDK: models',
    fits: has('ai.model.id'),
    layer: (span) => (/\.do\w+$/.test(span.name) ? 'api' : 'provider'),
  },
  { of: 'databases', fits: has('db.system.name', 'db.system', 'db.operation.name', 'db.statement'), layer: 'storage' },
  {
    of: 'object stores and tables of a cloud',
    fits: has('aws.s3.bucket', 'aws.dynamodb.table_names', 'faas.document.collection'),
    layer: 'storage',
  },
  {
    of: 'messaging',
    fits: has('messaging.system', 'messaging.operation.type', 'messaging.destination.name'),
    // What takes a message off a queue works for it; what is between is kept somewhere.
    layer: ({ kind }) => (kind === otlpKind.consumer || kind === otlpKind.server ? 'tool' : 'storage'),
  },
  {
    of: 'WebSocket',
    fits: ({ attributes, scope }) =>
      says('url.scheme', 'ws', 'wss')({ attributes } as LayerSubject) ||
      says('network.protocol.name', 'websocket')({ attributes } as LayerSubject) ||
      isLike(scope, '*websocket*') ||
      isLike(scope, '*instrumentation-ws'),
    layer: 'websocket',
  },
  {
    of: 'the address of a model',
    fits: (span) => isOutward(span) && providerByHost(span.attributes) !== null,
    layer: 'api',
  },
  { of: 'the address of a store', fits: (span) => isOutward(span) && callsStore(span), layer: 'storage' },
  {
    of: 'a service that has the name of a layer',
    fits: ({ service }) => knownLayerOf(service) !== null,
    layer: ({ service }) => knownLayerOf(service) as Layer,
  },
  {
    of: 'remote procedure calls',
    fits: has('rpc.system', 'rpc.system.name', 'rpc.method'),
    layer: (span) => (isOutward(span) ? 'api' : 'tool'),
  },
  {
    of: 'HTTP',
    fits: has('http.request.method', 'http.method', 'http.route', 'url.full', 'http.url'),
    layer: (span) => (isOutward(span) ? 'api' : 'tool'),
  },
  {
    of: 'libraries of stores',
    fits: scopedAs(
      '*redis*',
      '*-pg',
      '*-pg-pool',
      '*psycopg*',
      '*asyncpg*',
      '*sqlalchemy*',
      '*sqlite*',
      '*mysql*',
      '*mongo*',
      '*supabase*',
      '*cassandra*',
      '*elasticsearch*',
      '*memcache*',
      '*prisma*',
      '*knex*',
    ),
    layer: 'storage',
  },
  {
    of: 'libraries of models',
    fits: scopedAs(
      '*openai*',
      '*anthropic*',
      '*mistral*',
      '*cohere*',
      '*bedrock*',
      '*vertexai*',
      '*generativeai*',
      '*litellm*',
    ),
    layer: 'api',
  },
  {
    of: 'a library that has the name of a layer',
    fits: ({ scope }) => knownLayerOf(scope) !== null,
    layer: ({ scope }) => knownLayerOf(scope) as Layer,
  },
  { of: 'calls to elsewhere', fits: isOutward, layer: 'api' },
]

/** The layer of a span by the table; `tool` where nothing says more, for that is where a server does its own work. */
export function tableLayerOf(span: LayerSubject): Layer {
  const row = table.find(({ fits }) => fits(span))
  if (row === undefined) return 'tool'
  return typeof row.layer === 'function' ? row.layer(span) : row.layer
}

/** Spans that are nothing but waiting, by the names that instrumentations give them. */
const waits: readonly string[] = [
  ...['pg-pool.connect', 'pg.connect', 'redis-connect', 'redis-*-connect', 'mysql.connect', 'connect', 'connect *'],
  ...['tcp.connect', 'tls.connect', 'dns.lookup', 'net.connect', '*pool.acquire', '*pool.checkout', 'acquire *'],
  ...['wait', 'wait *', 'sleep', 'backoff', 'backoff *', 'queue', 'queue *', 'permit *'],
]

/** Whether the request only waited in a span: for a connection, a permit, its turn, or a pause before it tries again. */
export function tableKindOf({ name, kind }: LayerSubject): SpanKind {
  // What serves others works, whatever it is called.
  const isOwn = kind !== otlpKind.server && kind !== otlpKind.consumer
  return isOwn && waits.some((pattern) => isLike(name, pattern)) ? 'wait' : 'work'
}
