import { isObject } from '../core/json_object.ts'
import { err, ok, type Result } from '../core/result.ts'
import { failureTextOf, toolOutputOf } from './tool_output.ts'
import type { TraceHeaders } from './trace_context.ts'

/** A JSON-RPC id. `1` and `"1"` are two ids. */
export type McpId = string | number

/** Name and version of a client or server, as `initialize` or `_meta` tells them. */
export type McpParty = { readonly name: string; readonly version: string | null }

/** What Telltale reads of a request's `params`: names, ids and trace context, and the arguments to take their shape. */
export type McpParams = {
  /** Of tools/call and prompts/get. */
  readonly name: string | null
  /** Of resources/read and the like. */
  readonly uri: string | null
  readonly arguments: { readonly [key: string]: unknown } | null
  readonly context: TraceHeaders | null
  readonly progressToken: McpId | null
  /** `_meta` `gen_ai.conversation.id`. */
  readonly conversationId: string | null
  /** `_meta` `mcp.session.id`. */
  readonly mcpSessionId: string | null
  /** Of initialize, or of every request since the 2026-07-28 revision. */
  readonly protocolVersion: string | null
  readonly client: McpParty | null
  /** Of notifications/cancelled. */
  readonly requestId: McpId | null
}

/** What Telltale reads of a `result`. */
export type McpResult = {
  /** By its flag, or by what its text says. */
  readonly isError: boolean
  /** The first text of `content`; of a failure that only the text tells of, what it says of it. */
  readonly firstText: string | null
  /** A tool's answer that says nothing: no structured content, and no content beside blank text. Null: no `content`. */
  readonly empty: boolean | null
  /** `complete` or `input_required` since the 2026-07-28 revision. */
  readonly resultType: string | null
  readonly protocolVersion: string | null
  readonly server: McpParty | null
  /** `structuredContent.continuation_id`: the key of the conversation that the call began or went on with. */
  readonly continuationId: string | null
  /** `_meta` `gen_ai.conversation.id`. */
  readonly conversationId: string | null
  /** The whole result: content, for those who opted in. */
  readonly value: unknown
}

export type McpFrame =
  | { readonly kind: 'request'; readonly id: McpId; readonly method: string; readonly params: McpParams }
  | { readonly kind: 'notification'; readonly method: string; readonly params: McpParams }
  | { readonly kind: 'result'; readonly id: McpId; readonly result: McpResult }
  | {
      readonly kind: 'error'
      /** Null where the peer could not read the request's id. */
      readonly id: McpId | null
      readonly code: number
      readonly message: string
      /** `data.stack` or `data.traceback`, where a server sends one. */
      readonly traceback: string | null
    }

/**
 * Parses one line of the stdio transport or one body of HTTP: a JSON-RPC message of MCP, or an array of them (revision
 * 2025-03-26). Null stands for a member of the array that is no message; an error when nothing is one.
 */
export function parseMcpFrames(value: unknown): Result<readonly (McpFrame | null)[]> {
  const frames = (Array.isArray(value) ? value : [value]).map(frameOf)
  return frames.some((frame) => frame !== null) ? ok(frames) : err('Cannot read the line: it is no JSON-RPC message')
}

function frameOf(value: unknown): McpFrame | null {
  if (!isObject(value)) return null
  const { id, method, error } = value
  if (typeof method === 'string') {
    const params = paramsOf(value.params)
    if (isId(id)) return { kind: 'request', id, method, params }
    return id === undefined || id === null ? { kind: 'notification', method, params } : null
  }
  if (isObject(error)) {
    if (!isId(id) && id !== null && id !== undefined) return null
    const { code, message, data } = error
    const stack = isObject(data) ? (textOf(data.stack) ?? textOf(data.traceback)) : null
    const number = typeof code === 'number' && Number.isFinite(code) ? code : 0
    return { kind: 'error', id: isId(id) ? id : null, code: number, message: textOf(message) ?? '', traceback: stack }
  }
  return 'result' in value && isId(id) ? { kind: 'result', id, result: resultOf(value.result) } : null
}

function paramsOf(value: unknown): McpParams {
  const params = isObject(value) ? value : {}
  const meta = isObject(params._meta) ? params._meta : {}
  const traceparent = textOf(meta.traceparent)
  const tracestate = textOf(meta.tracestate)
  return {
    name: textOf(params.name),
    uri: textOf(params.uri),
    arguments: isObject(params.arguments) ? params.arguments : null,
    context: traceparent === null ? null : tracestate === null ? { traceparent } : { traceparent, tracestate },
    // Of a request the token is in _meta, of notifications/progress it is a parameter.
    progressToken: idOf(meta.progressToken) ?? idOf(params.progressToken),
    conversationId: nonEmpty(meta['gen_ai.conversation.id']),
    mcpSessionId: nonEmpty(meta['mcp.session.id']),
    protocolVersion: textOf(params.protocolVersion) ?? textOf(meta['io.modelcontextprotocol/protocolVersion']),
    client: partyOf(params.clientInfo) ?? partyOf(meta['io.modelcontextprotocol/clientInfo']),
    requestId: idOf(params.requestId),
  }
}

function resultOf(value: unknown): McpResult {
  const result = isObject(value) ? value : {}
  const meta = isObject(result._meta) ? result._meta : {}
  const content = Array.isArray(result.content) ? result.content : null
  const texts = (content ?? []).map((item) => (isObject(item) && item.type === 'text' ? textOf(item.text) : null))
  const first = texts.find((text) => text !== null) ?? null
  const failure = failureTextOf(first)
  return {
    isError: result.isError === true || failure !== null,
    firstText: failure ?? first,
    empty:
      content &&
      (result.structuredContent ?? null) === null &&
      texts.every((text) => text !== null && text.trim() === ''),
    resultType: textOf(result.resultType),
    protocolVersion: textOf(result.protocolVersion),
    server: partyOf(meta['io.modelcontextprotocol/serverInfo']) ?? partyOf(result.serverInfo),
    continuationId:
      (isObject(result.structuredContent) ? nonEmpty(result.structuredContent.continuation_id) : null) ??
      toolOutputOf(first)?.continuationId ??
      null,
    conversationId: nonEmpty(meta['gen_ai.conversation.id']),
    value,
  }
}

function partyOf(value: unknown): McpParty | null {
  if (!isObject(value)) return null
  const name = textOf(value.name)
  return name === null ? null : { name, version: textOf(value.version) }
}

function isId(value: unknown): value is McpId {
  return typeof value === 'string' || typeof value === 'number'
}

function idOf(value: unknown): McpId | null {
  return isId(value) ? value : null
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function nonEmpty(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
