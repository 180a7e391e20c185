import { isObject } from '../core/json_object.ts'
import type { TraceHeaders } from './trace_context.ts'

// The protocol of the EXAI-WS daemon: JSON objects with an `op`, one a WebSocket message. Read from the daemon's public
// repository (Zazzles2908/EX-AI-MCP-Server at e50ef4f): src/daemon/ws/{connection_manager,request_router,tool_executor}.py.

/** Name and version of a client as `hello` tells them. */
export type ExaiParty = { readonly name: string; readonly version: string | null }

/** What a client sends. Nothing here can hold a token: `token`, `jwt`, `old` and `new` are never read. */
export type ExaiClientFrame =
  | { readonly kind: 'hello'; readonly client: ExaiParty | null; readonly protocolVersion: string | null }
  | {
      readonly kind: 'call'
      /** Without the suffixes that clients add (`_EXAI-WS` and the like); null where the frame names none. */
      readonly tool: string | null
      readonly arguments: { readonly [key: string]: unknown } | null
      /** The only id that the daemon reads. */
      readonly requestId: string | null
      /** What the shim sends in its place: one for all calls of a socket. */
      readonly id: string | null
      readonly context: TraceHeaders | null
    }
  /** Any other `op`; `unknown` for one that the daemon does not know. */
  | { readonly kind: 'ask'; readonly op: string }
  /** JSON-RPC, which the same port takes. */
  | { readonly kind: 'rpc' }

export type ExaiError = {
  /** Such as `TOOL_EXECUTION_ERROR`; null where there is none. */
  readonly code: string | null
  readonly message: string
  readonly details: unknown
}

/** Milliseconds as the daemon measured them, of one call. */
export type ExaiLatency = {
  readonly totalMs: number
  readonly globalWaitMs: number
  readonly providerWaitMs: number
  readonly processingMs: number
  readonly provider: string | null
}

/** What the daemon sends. `requestId` is null where it says `unknown`, as it does to everyone who sends no `request_id`. */
export type ExaiServerFrame =
  | {
      readonly kind: 'hello_ack'
      readonly accepted: boolean
      readonly sessionId: string | null
      readonly error: string | null
    }
  | { readonly kind: 'progress' | 'chunk' | 'complete'; readonly requestId: string | null }
  | {
      readonly kind: 'answer'
      readonly requestId: string | null
      /** The texts of `outputs` (or `result`) in order, null for what is no text. */
      readonly texts: readonly (string | null)[]
      readonly outputs: unknown
      readonly error: ExaiError | null
      readonly fromCache: boolean
      readonly fromInflight: boolean
      readonly latency: ExaiLatency | null
    }
  /** `bare`: without `op`, as a call that failed is told of; else it is about whatever frame is the turn of. */
  | { readonly kind: 'error'; readonly requestId: string | null; readonly bare: boolean; readonly error: ExaiError }
  /** The answer to any other `op`, or, `asked` null, something that the daemon says by itself. */
  | { readonly kind: 'reply'; readonly asked: string | null }
  | { readonly kind: 'rpc' }

const suffix = /[_-]EXAI[_-]WS$/
const knownAsks: ReadonlySet<string> = new Set(['list_tools', 'ping', 'cancel', 'rotate_token', 'health', 'status'])
const replies: ReadonlyMap<string, string> = new Map([
  ['pong', 'ping'],
  ['tools_list', 'list_tools'],
  ['cancelled', 'cancel'],
  ['rotated', 'rotate_token'],
])

/** Parses what JSON.parse gave for a client's message; null when it is no frame of either protocol. */
export function parseExaiClientFrame(value: unknown): ExaiClientFrame | null {
  if (!isObject(value)) return rpcOrNull(value)
  const { op } = value
  if (typeof op !== 'string') return rpcOrNull(value)
  if (op === 'hello') {
    return { kind: 'hello', client: partyOf(value.clientInfo), protocolVersion: textOf(value.protocolVersion) }
  }
  if (op !== 'call_tool' && op !== 'tool_call') return { kind: 'ask', op: knownAsks.has(op) ? op : 'unknown' }
  const { tool } = value
  const name = textOf(value.name) ?? textOf(isObject(tool) ? tool.name : tool)
  const traceparent = textOf(value.traceparent)
  const tracestate = textOf(value.tracestate)
  return {
    kind: 'call',
    tool: name === null ? null : name.replace(suffix, ''),
    arguments: isObject(value.arguments) ? value.arguments : null,
    requestId: idOf(value.request_id),
    id: idOf(value.id),
    context: traceparent === null ? null : tracestate === null ? { traceparent } : { traceparent, tracestate },
  }
}

/** Parses what JSON.parse gave for a message of the daemon; null when it is no frame of either protocol. */
export function parseExaiServerFrame(value: unknown): ExaiServerFrame | null {
  if (!isObject(value)) return rpcOrNull(value)
  const { op, error } = value
  const requestId = idOf(value.request_id)
  if (typeof op !== 'string') {
    const rpc = rpcOrNull(value)
    if (rpc) return rpc
    return 'error' in value ? { kind: 'error', requestId, bare: true, error: errorOf(error) } : null
  }
  if (op === 'hello_ack') {
    const accepted = value.ok === true
    const why = textOf(error) ?? (accepted ? null : errorOf(error).message)
    return { kind: 'hello_ack', accepted, sessionId: nonEmpty(value.session_id), error: why }
  }
  if (op === 'progress') return { kind: 'progress', requestId }
  if (op === 'stream_chunk') return { kind: 'chunk', requestId }
  if (op === 'stream_complete') return { kind: 'complete', requestId }
  if (op === 'call_tool_res' || op === 'tool_call_res') return answerOf(value, requestId)
  if (op === 'error') return { kind: 'error', requestId, bare: false, error: errorOf(error ?? value) }
  const asked = replies.get(op) ?? (/^(.+)_(?:res|result|response|ack|ok)$/.exec(op)?.[1] || null)
  return { kind: 'reply', asked }
}

function answerOf(value: { readonly [key: string]: unknown }, requestId: string | null): ExaiServerFrame {
  const outputs = value.outputs ?? contentOf(value.result) ?? []
  const items: readonly unknown[] = Array.isArray(outputs) ? outputs : [outputs]
  const [first] = items
  const metadata = isObject(first) && isObject(first.metadata) ? first.metadata : null
  return {
    kind: 'answer',
    requestId,
    texts: items.map(textOfOutput),
    outputs,
    error: (value.error ?? null) === null ? null : errorOf(value.error),
    fromCache: value.from_cache === true,
    fromInflight: value.from_inflight === true,
    latency: latencyOf(metadata?.latency_metrics),
  }
}

/** An MCP result has its items in `content`. */
function contentOf(result: unknown): unknown {
  return isObject(result) && Array.isArray(result.content) ? result.content : result
}

function textOfOutput(item: unknown): string | null {
  if (typeof item === 'string') return item
  return isObject(item) && (item.type === 'text' || item.type === undefined) ? textOf(item.text) : null
}

function latencyOf(value: unknown): ExaiLatency | null {
  if (!isObject(value)) return null
  const totalMs = msOf(value.latency_ms)
  const globalWaitMs = msOf(value.global_sem_wait_ms) ?? 0
  const providerWaitMs = msOf(value.provider_sem_wait_ms) ?? 0
  const processingMs = msOf(value.processing_ms) ?? 0
  const sumMs = globalWaitMs + providerWaitMs + processingMs
  if (totalMs === null && sumMs === 0) return null
  const provider = nonEmpty(value.provider_name)
  return { totalMs: totalMs ?? sumMs, globalWaitMs, providerWaitMs, processingMs, provider }
}

function errorOf(value: unknown): ExaiError {
  if (!isObject(value)) return { code: null, message: textOf(value) ?? '', details: null }
  const code = typeof value.code === 'number' ? String(value.code) : nonEmpty(value.code)
  return { code, message: textOf(value.message) ?? textOf(value.error) ?? '', details: value.details ?? null }
}

function rpcOrNull(value: unknown): { readonly kind: 'rpc' } | null {
  const first: unknown = Array.isArray(value) ? value[0] : value
  if (!isObject(first)) return null
  const { jsonrpc, method, id } = first
  const isRpc = jsonrpc === '2.0' || typeof method === 'string' || (id !== undefined && 'result' in first)
  return isRpc ? { kind: 'rpc' } : null
}

function partyOf(value: unknown): ExaiParty | null {
  if (!isObject(value)) return null
  const name = textOf(value.name)
  return name === null ? null : { name, version: textOf(value.version) }
}

/** `unknown` is what the daemon says to everyone who sent no id. */
function idOf(value: unknown): string | null {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' && value !== 'unknown' ? value : null
}

function msOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function nonEmpty(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
