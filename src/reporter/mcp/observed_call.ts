import type { Outcome } from '../../core/outcome.ts'
import type { Attributes, Session } from '../../core/record.ts'
import type { McpFrame, McpId, McpResult } from '../../wire/mcp_frame.ts'
import type { TraceHeaders } from '../../wire/trace_context.ts'
import type { SpanHandle, TraceStart } from '../recorded_span.ts'

export type Side = 'client' | 'server'
export type CallTransport = 'pipe' | 'http' | 'websocket'
export type Frame<K extends McpFrame['kind']> = Extract<McpFrame, { readonly kind: K }>

/** What carries calls beside their frames, one exchange of HTTP say. Its owner may fill it in while they run. */
export type Carrier = {
  /** The trace context in its headers; one in `params._meta` goes before it. */
  readonly context: Partial<TraceHeaders> | null
  /** For each call, when it ends. */
  attributes: Attributes
  /** The context of the call that it carries, where it carries just one: for its headers. */
  sent: TraceHeaders | null
  /** When the first of the answer came, in ms of performance.now(). */
  firstChunkAt: number | null
}

/** How calls end that are never answered. */
export type Ending = {
  readonly outcome: Outcome
  readonly errorType: string
  readonly message: string
  readonly context: Attributes
}

/** One request without an answer. */
export type ObservedCall = {
  readonly span: SpanHandle
  readonly asker: Side
  readonly method: string
  readonly tool: string | null
  readonly session: Session | null
  readonly id: McpId
  readonly startedAt: number
  readonly progressKey: string | null
  readonly carrier: Carrier | null
  progressCount: number
  firstChunkAt: number | null
}

/** What is known of a request when it comes; `repeated`: another with its id is in flight. */
export function startAttributesOf(frame: Frame<'request'>, transport: CallTransport, repeated: boolean): Attributes {
  const { params, method } = frame
  return {
    'mcp.method.name': method,
    ...(transport === 'pipe'
      ? { 'network.transport': 'pipe' }
      : { 'network.transport': 'tcp', 'network.protocol.name': transport }),
    ...(params.uri === null ? {} : { 'mcp.resource.uri': params.uri }),
    ...(repeated ? { 'telltale.fault': 'duplicate_id' } : {}),
  }
}

/** A request of the server's: its call waits for the client meanwhile. */
export function waitStartOf(
  frame: Frame<'request'>,
  asked: { layer: string; transport: CallTransport; bytes: number | null; repeated: boolean; at: number },
): TraceStart & { readonly kind: 'wait' } {
  return {
    name: frame.method,
    layer: asked.layer,
    kind: 'wait',
    holder: 'client',
    requestId: String(frame.id),
    bytesOut: asked.bytes,
    attributes: startAttributesOf(frame, asked.transport, asked.repeated),
    at: asked.at,
  }
}

/** What came to be known of a call while it ran. */
export function endAttributesOf({ progressCount, carrier, startedAt, ...call }: ObservedCall): Attributes {
  const firstChunkAt = call.firstChunkAt ?? carrier?.firstChunkAt ?? null
  return {
    ...carrier?.attributes,
    ...(progressCount > 0 ? { 'telltale.progress_count': progressCount } : {}),
    ...(firstChunkAt === null ? {} : { 'telltale.first_chunk_ms': Math.round(firstChunkAt - startedAt) }),
  }
}

/** How a tool's call ended, by its result. */
export function outcomeOf(result: McpResult): Outcome {
  if (result.isError) return 'tool_error'
  return result.empty === true ? 'empty' : 'ok'
}
