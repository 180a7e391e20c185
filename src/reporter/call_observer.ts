import { layerOf } from '../core/layer.ts'
import { interruptedErrorsMax, unansweredMsMin } from '../core/limit.ts'
import { type Outcome, outcomeOfCode } from '../core/outcome.ts'
import type { Attributes } from '../core/record.ts'
import { type McpFrame, type McpParams, parseMcpFrames } from '../wire/mcp_frame.ts'
import type { TraceHeaders } from '../wire/trace_context.ts'
import { argumentAttributesOf, type ContentOptions, resultAttributesOf } from './call_content.ts'
import { ConnectionFacts } from './connection_facts.ts'
import { type ContentRules, noContent } from './content_rule.ts'
import type { Departure } from './departure.ts'
import { GoneIds } from './gone_ids.ts'
import { injectContexts } from './inject_context.ts'
import type { Line } from './message_line.ts'
import {
  type ObservedCall as Call,
  type CallTransport,
  type Carrier,
  type Ending,
  endAttributesOf,
  type Frame,
  outcomeOf,
  type Side,
  startAttributesOf,
} from './observed_call.ts'
import { idKeyOf, OpenCalls } from './open_calls.ts'
import { ProtocolFaults } from './protocol_fault.ts'
import type { Reporter, SpanHandle } from './reporter.ts'

export type ObserverOptions = {
  readonly reporter: Reporter
  /** The layer that the server is; `tool` by default. */
  readonly layer?: string | undefined
  /** An explicit session handle for every call without a more specific one. */
  readonly session?: string | undefined
  /** Another tap or recorder further out has already recorded each request. */
  readonly inner?: boolean | undefined
  readonly connectionId: string
  /** `pipe` by default. */
  readonly transport?: CallTransport | undefined
  /** Whether requests are sent on with the trace context of their span. False by default. */
  readonly context?: boolean | undefined
  /** Of which tools arguments and results are recorded; of none by default. */
  readonly content?: ContentRules | undefined
  /** Key of the argument hash (`saltOf`); without it there is no hash. */
  readonly salt?: string | undefined
  /** Shared by observers whose faults are told of together; by default each has its own. */
  readonly faults?: ProtocolFaults | undefined
}

// A subscription lasts as long as its connection: as a call it would only blur every latency.
const standing: ReadonlySet<string> = new Set(['subscriptions/listen'])

/**
 * Turns the frames of one MCP connection into spans and errors, whatever the transport. It changes nothing by itself:
 * it answers what a client's line should be sent on as. `at` is the monotonic ms (performance.now()) at which the
 * frame's last bytes came by.
 */
export class CallObserver {
  readonly #options: ObserverOptions
  readonly #reporter: Reporter
  readonly #layer: string
  readonly #content: ContentOptions
  readonly #transport: CallTransport
  readonly #facts: ConnectionFacts
  readonly #faults: ProtocolFaults
  /** Requests by who asked: the client, or the server (sampling, elicitation, roots). */
  readonly #open: { readonly [side in Side]: OpenCalls<Call> } = { client: new OpenCalls(), server: new OpenCalls() }
  readonly #gone: { readonly [side in Side]: GoneIds } = { client: new GoneIds(), server: new GoneIds() }
  readonly #byProgress = new Map<string, Call>()
  readonly #seen = { frames_in: 0, frames_out: 0, bytes_in: 0, bytes_out: 0, oversized: 0, unmatched: 0 }

  constructor(options: ObserverOptions) {
    this.#options = options
    this.#reporter = options.reporter
    this.#layer = layerOf(options.layer ?? 'tool')
    this.#content = { content: options.content ?? noContent, salt: options.salt ?? '' }
    this.#transport = options.transport ?? 'pipe'
    this.#facts = new ConnectionFacts(options.connectionId, options.session || null)
    this.#faults = options.faults ?? new ProtocolFaults(options.reporter)
  }

  /** A line or message from the client to the server. Answers what to send on in its place; null: what came. */
  clientLine(line: Line, at: number, carrier: Carrier | null = null): string | null {
    this.#seen.bytes_in += line.bytes
    const contexts: (TraceHeaders | null)[] = []
    for (const [frame, bytes] of this.#framesOf(line, 'client', at)) {
      let span: SpanHandle | null = null
      if (frame === null) this.#faults.note('malformed_frame', at, null, { from: 'client', in_batch: true })
      else if (frame.kind === 'request') span = this.#asked(frame, bytes, line.bytes, at, carrier)
      else if (frame.kind === 'notification') this.#cancelled(frame, 'client', at)
      else this.#answered(frame, bytes, at, 'server')
      if (frame !== null) this.#seen.frames_in++
      contexts.push(span?.headers() ?? null)
    }
    if (!this.#options.context || line.text === null) return null
    const [only] = contexts
    if (carrier && only && contexts.length === 1 && only.traceparent !== '') carrier.sent = only
    return injectContexts(line.text, contexts)
  }

  /** A line or message from the server to the client. */
  serverLine(line: Line, at: number): void {
    this.#seen.bytes_out += line.bytes
    for (const [frame, bytes] of this.#framesOf(line, 'server', at)) {
      if (frame === null) this.#faults.note('malformed_frame', at, null, { from: 'server', in_batch: true })
      else if (frame.kind === 'request') this.#askedBack(frame, bytes, at)
      else if (frame.kind !== 'notification') this.#answered(frame, bytes, at, 'client')
      else if (frame.method === 'notifications/progress') this.#progressed(frame.params, at)
      else this.#cancelled(frame, 'server', at)
      if (frame !== null) this.#seen.frames_out++
    }
  }

  /** What headers of HTTP say of the connection; null: nothing. */
  learnHeaders(sessionId: string | null, protocolVersion: string | null): void {
    this.#facts.learnHeaders(sessionId, protocolVersion)
  }

  /** Whether a call that came with this carrier, or any call, has no answer yet. */
  waits(carrier?: Carrier): boolean {
    if (carrier === undefined) return this.#open.client.size > 0
    return this.#open.client.some((call) => call.carrier === carrier)
  }

  /** Ends the calls that came with this carrier and will have no answer; one error tells of them all. */
  fail(carrier: Carrier, ending: Ending | null, at: number): void {
    const calls = this.#open.client.takeWhere((call) => call.carrier === carrier)
    const { errorType, message, context } = ending ?? {}
    if (ending)
      this.#reporter.captureError(message, {
        span: calls[0]?.span ?? null,
        errorType: errorType ?? '',
        context: context ?? {},
      })
    for (const call of calls) {
      this.#gone.client.add(call.id)
      this.#end(call, ending?.outcome ?? 'cancelled', null, at, ending ? { 'error.type': ending.errorType } : {})
    }
  }

  /** The connection is over: what still runs will have no answer. */
  close({ clientLeft, failure, facts }: Departure, at: number): void {
    const running = [...this.#open.server.takeAll(), ...this.#open.client.takeAll()]
    const died = !clientLeft && failure !== null && (running.length > 0 || failure.abnormal)
    const tell = (span: SpanHandle | null) =>
      this.#reporter.captureError(failure?.message, {
        span,
        errorType: failure?.errorType ?? '',
        ...(failure?.traceback ? { traceback: failure.traceback } : {}),
        context: { ...facts, running: running.length },
      })
    if (died && running.length === 0) tell(null)
    for (const [index, call] of running.entries()) {
      if (died && index < interruptedErrorsMax) tell(call.span)
      const waitedMs = at - call.startedAt
      if (clientLeft && waitedMs >= unansweredMsMin) this.#unanswered(call, at)
      this.#end(call, clientLeft ? 'cancelled' : 'interrupted', null, at, { 'telltale.fault': 'unanswered' })
    }
    if (facts === null) return
    const metadata = { ...this.#facts.attributes(), ...this.#seen, faults: this.#faults.counts(), ...facts }
    this.#reporter.recordEvent({
      connection_type: this.#transport === 'pipe' ? 'stdio' : this.#transport,
      direction: 'disconnect',
      metadata,
    })
  }

  *#framesOf(line: Line, side: Side, at: number): Iterable<readonly [McpFrame | null, number | null]> {
    if (line.text === null) {
      this.#tooLong(side, at)
      return
    }
    if (line.text.trim() === '') return
    const parsed = parseMcpFrames(jsonOf(line.text))
    if (!parsed.ok) {
      this.#foreign(line.text, line.bytes, side, at)
      return
    }
    // The bytes of one message among several in a line are not known. On a pipe the newline counts.
    const bytes = parsed.value.length > 1 ? null : line.bytes + (this.#transport === 'pipe' ? 1 : 0)
    for (const frame of parsed.value) yield [frame, bytes]
  }

  /** The client asks. */
  #asked(
    frame: Frame<'request'>,
    bytes: number | null,
    lineBytes: number,
    at: number,
    carrier: Carrier | null,
  ): SpanHandle | null {
    const { method, params } = frame
    this.#facts.learn(params)
    if (standing.has(method)) return null
    const tool = method === 'tools/call' ? params.name : null
    const target = method === 'prompts/get' ? params.name : tool
    const session = method === 'tools/call' ? this.#facts.sessionOf(params) : null
    const repeated = this.#open.client.has(frame.id)
    const span = this.#reporter.startTrace({
      name: target === null ? method : `${method} ${target}`,
      layer: this.#layer,
      tool,
      requestId: String(frame.id),
      session,
      bytesIn: bytes,
      context: params.context ?? carrier?.context ?? null,
      ...(this.#options.inner ? { entry: false } : {}),
      attributes: {
        ...startAttributesOf(frame, this.#transport, repeated),
        ...(params.arguments ? argumentAttributesOf(params.arguments, tool, lineBytes, this.#content) : {}),
      },
      at,
    })
    if (repeated) this.#faults.note('duplicate_id', at, span, { method })
    this.#add({ frame, asker: 'client', span, at, tool, session, carrier })
    return span
  }

  /** The server asks: inside the one call that runs; where none or several do, the request stands alone. */
  #askedBack(frame: Frame<'request'>, bytes: number | null, at: number): void {
    const parent = this.#open.client.only((call) => call.method === 'tools/call')
    const repeated = this.#open.server.has(frame.id)
    const start = {
      name: frame.method,
      layer: this.#layer,
      kind: 'wait',
      holder: 'client',
      requestId: String(frame.id),
      bytesOut: bytes,
      attributes: startAttributesOf(frame, this.#transport, repeated),
      at,
    } as const
    const span = parent
      ? this.#reporter.span(parent.span, start)
      : this.#reporter.startTrace({ ...start, entry: false })
    if (repeated) this.#faults.note('duplicate_id', at, span, { method: frame.method, from: 'server' })
    this.#add({ frame, asker: 'server', span, at, tool: null, session: null, carrier: null })
  }

  #add(asked: Pick<Call, 'asker' | 'span' | 'tool' | 'session' | 'carrier'> & { frame: Frame<'request'>; at: number }) {
    const { frame, at, ...rest } = asked
    const { id, method, params } = frame
    const progressKey = rest.asker === 'server' || params.progressToken === null ? null : idKeyOf(params.progressToken)
    const call: Call = { ...rest, method, id, startedAt: at, progressKey, progressCount: 0, firstChunkAt: null }
    if (progressKey !== null) this.#byProgress.set(progressKey, call)
    const evicted = this.#open[rest.asker].add(id, call)
    if (!evicted) return
    this.#unanswered(evicted, at)
    this.#end(evicted, 'interrupted', null, at, { 'telltale.evicted': true, 'telltale.fault': 'unanswered' })
  }

  #unanswered(call: Call, at: number): void {
    this.#gone[call.asker].add(call.id)
    const context = { method: call.method, waited_ms: Math.round(at - call.startedAt) }
    this.#faults.note('unanswered', at, call.span, context)
  }

  #answered(frame: Frame<'result'> | Frame<'error'>, bytes: number | null, at: number, asker: Side): void {
    const call = frame.id === null ? null : this.#open[asker].take(frame.id)
    if (!call) this.#unmatched(frame, at, asker)
    if (frame.kind === 'error') {
      if (call || frame.id === null) this.#failed(frame, call)
      const status = { 'rpc.response.status_code': String(frame.code), 'error.type': String(frame.code) }
      if (call) this.#end(call, outcomeOfCode(frame.code), bytes, at, status)
      return
    }
    if (!call) return
    const { result } = frame
    const isTool = call.method === 'tools/call'
    if (asker === 'client') this.#facts.learnFrom(call.method, result)
    const session = isTool ? this.#facts.sessionFrom(result, call.session) : null
    if (session) call.span.set({ session })
    const outcome = isTool ? outcomeOf(result) : 'ok'
    if (outcome === 'tool_error') {
      const message = result.firstText ?? 'Cannot say why the tool failed: its result has no text'
      this.#reporter.captureError(message, {
        span: call.span,
        errorType: 'ToolError',
        context: { method: call.method },
      })
    }
    this.#end(call, outcome, bytes, at, {
      ...(outcome === 'tool_error' ? { 'error.type': 'tool_error' } : {}),
      ...(result.resultType ? { 'mcp.result.type': result.resultType } : {}),
      ...(isTool ? resultAttributesOf(result.value, call.tool, this.#content) : {}),
    })
  }

  #unmatched(frame: Frame<'result'> | Frame<'error'>, at: number, asker: Side): void {
    this.#seen.unmatched++
    // An error without an id answers what its sender could not read; a late answer to a cancelled call is allowed.
    if (frame.id === null || this.#gone[asker].take(frame.id)) return
    this.#faults.note('reply_to_nobody', at, null, { from: asker === 'client' ? 'server' : 'client', kind: frame.kind })
  }

  #failed(frame: Frame<'error'>, call: Call | null): void {
    this.#reporter.captureError(frame.message, {
      span: call?.span ?? null,
      errorType: 'JsonRpcError',
      ...(frame.traceback === null ? {} : { traceback: frame.traceback }),
      context: { code: frame.code, method: call?.method ?? null },
    })
  }

  #cancelled(frame: Frame<'notification'>, asker: Side, at: number): void {
    if (frame.method !== 'notifications/cancelled' || frame.params.requestId === null) return
    const call = this.#open[asker].take(frame.params.requestId)
    if (!call) return
    this.#gone[asker].add(call.id)
    this.#end(call, 'cancelled', null, at)
  }

  #progressed(params: McpParams, at: number): void {
    const call = params.progressToken === null ? undefined : this.#byProgress.get(idKeyOf(params.progressToken))
    if (!call) return
    call.progressCount++
    call.firstChunkAt ??= at
  }

  #end(call: Call, outcome: Outcome, bytes: number | null, at: number, more: Attributes = {}): void {
    const { progressKey, asker } = call
    if (progressKey !== null && this.#byProgress.get(progressKey) === call) this.#byProgress.delete(progressKey)
    // What the server receives is `bytes_in`, whoever asked.
    const size = bytes === null ? {} : asker === 'client' ? { bytesOut: bytes } : { bytesIn: bytes }
    const attributes = { ...this.#facts.attributes(), ...endAttributesOf(call), ...more }
    call.span.end(outcome, { ...size, attributes }, at)
  }

  /** A line that was too long to read can only be the answer to the one request that runs, where just one does. */
  #tooLong(side: Side, at: number): void {
    this.#seen.oversized++
    const calls = this.#open[side === 'server' ? 'client' : 'server']
    const only = calls.only(() => true)
    if (only && calls.take(only.id)) this.#end(only, 'ok', null, at, { 'telltale.reply_unread': true })
  }

  /** What the line says is content and stays out. A server that prints to its stdout is told from a broken message. */
  #foreign(text: string, bytes: number, side: Side, at: number): void {
    const printed = side === 'server' && this.#transport === 'pipe' && !/^\s*[[{]/.test(text)
    this.#faults.note(printed ? 'non_protocol_output' : 'malformed_frame', at, null, { bytes, from: side })
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
