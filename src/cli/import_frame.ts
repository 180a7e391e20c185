import { type Outcome, outcomeOfCode } from '../core/outcome.ts'
import type { ErrorRecord, Session, Span, TelltaleRecord } from '../core/record.ts'
import { argumentHashOf } from '../reporter/mcp/argument_hash.ts'
import { shapeOf } from '../reporter/mcp/argument_shape.ts'
import type { LogEntry } from '../wire/log_entry.ts'
import { type McpFrame, parseMcpFrames } from '../wire/mcp_frame.ts'
import { redactRecord } from '../wire/redact_record.ts'
import { StartedCalls } from './started_calls.ts'

/**
 * A request in a client's log that has no answer yet. Plain, so that it can be kept between two runs: on the disk, so
 * without any secret. `server` and `key` are salted hashes, of the server's name, and of that and the request's id.
 */
export type FrameCall = { readonly server: string; readonly key: string; readonly span: Span }

/** By the hash of a server's name: the hash of the line with which its connection began, and how many calls of tools it has had. */
type Connection = { readonly key: string; calls: number }
export type FrameState = {
  readonly open: readonly FrameCall[]
  readonly sessions: readonly (readonly [string, Connection])[]
}

type FrameEntry = Extract<LogEntry, { readonly kind: 'frame' | 'gone' }>

/** Pairs the requests and answers that a client has logged. Connections are told apart by the server's name alone. */
export class FrameReader {
  readonly #open: StartedCalls<FrameCall>
  readonly #salt: string
  readonly #sessions: Map<string, Connection>

  constructor(salt: string, state: FrameState | undefined) {
    this.#salt = salt
    this.#open = new StartedCalls(state?.open ?? [])
    this.#sessions = new Map(state?.sessions)
  }

  get state(): FrameState {
    return { open: this.#open.all, sessions: [...this.#sessions] }
  }

  get openCount(): number {
    return this.#open.size
  }

  /** `id` is the hash of the line. */
  read(entry: FrameEntry, id: string): readonly TelltaleRecord[] {
    if (entry.kind === 'gone') return this.#gone(entry.server, entry.atUs)
    const parsed = parseMcpFrames(jsonOf(entry.text))
    if (!parsed.ok) return this.#cut(entry)
    return parsed.value.flatMap((frame) => {
      if (frame === null) return []
      if (frame.kind === 'request' && entry.from === 'client') return this.#asked(entry, frame, id)
      if (entry.from !== 'server') return []
      if (frame.kind === 'result') {
        const outcome = frame.result.isError ? 'tool_error' : frame.result.empty === true ? 'empty' : 'ok'
        const failure = outcome === 'tool_error' ? (frame.result.firstText ?? 'Cannot say why the tool failed') : null
        return this.#answered(entry, String(frame.id), outcome, failure, 'ToolError')
      }
      if (frame.kind !== 'error' || frame.id === null) return []
      return this.#answered(entry, String(frame.id), outcomeOfCode(frame.code), frame.message, 'JsonRpcError')
    })
  }

  /** What was never answered, as it stands. */
  rest(): readonly TelltaleRecord[] {
    return this.#open.all.map(({ span }) => span)
  }

  #asked(
    entry: Extract<FrameEntry, { readonly kind: 'frame' }>,
    frame: Extract<McpFrame, { readonly kind: 'request' }>,
    id: string,
  ): readonly TelltaleRecord[] {
    const { method, params } = frame
    const place = this.#hashOf(entry.server)
    if (method === 'initialize' || !this.#sessions.has(place))
      this.#sessions.set(place, { key: id.slice(0, 32), calls: 0 })
    const connection = this.#sessions.get(place)
    const tool = method === 'tools/call' ? params.name : null
    if (tool !== null && connection) connection.calls++
    const session: Session | null = tool === null || !connection ? null : { key: connection.key, rule: 'connection' }
    const target = method === 'prompts/get' ? params.name : tool
    const span: Span = {
      type: 'span',
      trace_id: id.slice(0, 32),
      span_id: id.slice(32, 48),
      parent_span_id: null,
      layer: 'tool',
      kind: 'work',
      name: target === null ? method : `${method} ${target}`,
      start_us: entry.atUs,
      end_us: null,
      outcome: null,
      entry: true,
      request_id: String(frame.id),
      session,
      call_number: session ? (connection?.calls ?? null) : null,
      tool,
      provider: null,
      model: null,
      bytes_in: Buffer.byteLength(entry.text),
      bytes_out: null,
      tokens_in: null,
      tokens_out: null,
      holder: null,
      attributes: {
        'mcp.method.name': method,
        ...(entry.server === null ? {} : { 'mcp.server.name': entry.server }),
        ...(params.arguments
          ? {
              'telltale.argument_shape': shapeOf(params.arguments),
              'telltale.argument_hash': argumentHashOf(params.arguments, this.#salt),
            }
          : {}),
      },
    }
    const key = this.#keyOf(place, String(frame.id))
    const eldest = this.#open.add({ server: place, key, span: redactRecord(span) as Span })
    return eldest === null ? [] : [eldest.span]
  }

  #answered(
    entry: Extract<FrameEntry, { readonly kind: 'frame' }>,
    id: string,
    outcome: Outcome,
    failure: string | null,
    type: string,
  ): readonly TelltaleRecord[] {
    const call = this.#open.take(this.#keyOf(this.#hashOf(entry.server), id), null)
    if (!call) return []
    const bytes_out = Buffer.byteLength(entry.text)
    const span: Span = { ...call.span, end_us: Math.max(call.span.start_us, entry.atUs), outcome, bytes_out }
    return failure === null ? [span] : [span, failureOf(span, failure, type)]
  }

  /** The client cut a long frame when it logged it: its end is told all the same, by its id. */
  #cut(entry: Extract<FrameEntry, { readonly kind: 'frame' }>): readonly TelltaleRecord[] {
    const key = /"id":\s*"?([^",}\s]{1,64})/.exec(entry.text)?.[1]
    if (entry.from !== 'server' || key === undefined || /"method":/.test(entry.text.slice(0, 200))) return []
    return this.#answered(entry, key, 'ok', null, '')
  }

  #gone(server: string | null, atUs: number): readonly TelltaleRecord[] {
    const place = this.#hashOf(server)
    const lost = this.#open.takeAll((call) => call.server === place)
    this.#sessions.delete(place)
    return lost.map(({ span }): Span => ({ ...span, end_us: Math.max(span.start_us, atUs), outcome: 'interrupted' }))
  }

  #keyOf(place: string, id: string): string {
    return this.#hashOf(`${place} ${id}`)
  }

  #hashOf(text: string | null): string {
    return argumentHashOf(text, this.#salt)
  }
}

function failureOf(span: Span, message: string, error_type: string): ErrorRecord {
  const id = `${span.span_id}${span.trace_id}`
  return {
    type: 'error',
    error_id: `${id.slice(0, 8)}-${id.slice(8, 12)}-8${id.slice(13, 16)}-8${id.slice(17, 20)}-${id.slice(20, 32)}`,
    at_us: span.end_us ?? span.start_us,
    trace_id: span.trace_id,
    span_id: span.span_id,
    error_type,
    message,
    traceback: null,
    context: { method: span.attributes['mcp.method.name'] ?? null },
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
