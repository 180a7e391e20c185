import { layerOf } from '../../core/layer.ts'
import { interruptedErrorsMax, unansweredMsMin } from '../../core/limit.ts'
import { type Outcome, outcomeOfCode } from '../../core/outcome.ts'
import type { Attributes } from '../../core/record.ts'
import { type McpFrame, type McpParams, parseMcpFrames } from '../../wire/mcp_frame.ts'
import type { SpanHandle } from '../recorded_span.ts'
import type { Reporter } from '../wait/wait_surface.ts'
import { argumentAttributesOf, type ContentOptions, resultAttributesOf } from './call_content.ts'
import { ConnectionFacts } from './connection_facts.ts'
import { noContent } from './content_rule.ts'
import type { Departure } from './departure.ts'
import { GoneIds } from './gone_ids.ts'
import { injectContexts } from './inject_context.ts'
import { framesOfText, type Line } from './message_line.ts'
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
  waitStartOf,
} from './observed_call.ts'
import type { ObserverOptions } from './observer_options.ts'
import { idKeyOf, OpenCalls } from './open_calls.ts'
import { mcpFaults, ProtocolFaults } from './protocol_fault.ts'

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
    this.#faults = options.faults ?? new ProtocolFaults(options.reporter, mcpFaults)
  }

  /** A line or message from the client to the server. Answers what to send on in its place; null: what came. */
  clientLine(line: Line, at: number, carrier: Carrier | null = null): string | null {
    this.#seen.bytes_in += line.bytes
    const frames = this.#framesOf(line, 'client', at)
    const spans = this.#fromClient(frames, line.bytes, at, carrier)
    if (!this.#options.context || line.text === null) return null
    const contexts = spans.map((span) => span?.headers() ?? null)
    const [only] = contexts
    if (carrier && only && contexts.length === 1 && only.traceparent !== '') carrier.sent = only
    return injectContexts(line.text, contexts)
  }

  /** A line or message from the server to the client. */
  serverLine(line: Line, at: number): void {
    this.#seen.bytes_out += line.bytes
    this.#fromServer(this.#framesOf(line, 'server', at), line.bytes, at)
  }

  /**
   * A message from the client that is an object already; `bytes` as JSON, null when nobody counted. Answers the span of
   * the request that it is; null where it is none.
   */
  clientMessage(message: unknown, bytes: number | null, at: number, carrier: Carrier | null = null): SpanHandle | null {
    this.#seen.bytes_in += bytes ?? 0
    const [span] = this.#fromClient(this.#framesOfMessage(message, 'client', at), bytes, at, carrier)
    return span ?? null
  }

  /** A message from the server that is an object already. */
  serverMessage(message: unknown, bytes: number | null, at: number): void {
    this.#seen.bytes_out += bytes ?? 0
    this.#fromServer(this.#framesOfMessage(message, 'server', at), bytes, at)
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
    if (ending) {
      const { message, errorType, context } = ending
      this.#reporter.captureError(message, { span: calls[0]?.span ?? null, errorType, context })
    }
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
    const connection_type = this.#transport === 'pipe' ? 'stdio' : this.#transport
    this.#reporter.recordEvent({ connection_type, direction: 'disconnect', metadata })
  }

  #framesOf(line: Line, side: Side, at: number): readonly (McpFrame | null)[] {
    if (line.text === null) {
      this.#tooLong(side, at)
      return []
    }
    const frames = framesOfText(line.text)
    if (frames === null) this.#foreign(line.text, line.bytes, side, at)
    return frames ?? []
  }

  #framesOfMessage(message: unknown, side: Side, at: number): readonly (McpFrame | null)[] {
    const parsed = parseMcpFrames(message)
    if (parsed.ok) return parsed.value
    this.#faults.note('malformed_frame', at, null, { from: side })
    return []
  }

  /** The span of each frame that is a request. */
  #fromClient(
    frames: readonly (McpFrame | null)[],
    wholeBytes: number | null,
    at: number,
    carrier: Carrier | null,
  ): readonly (SpanHandle | null)[] {
    const bytes = this.#sizeOf(frames, wholeBytes)
    return frames.map((frame) => {
      if (frame === null) this.#faults.note('malformed_frame', at, null, { from: 'client', in_batch: true })
      else this.#seen.frames_in++
      if (frame?.kind === 'request') return this.#asked(frame, bytes, wholeBytes, at, carrier)
      if (frame?.kind === 'notification') this.#cancelled(frame, 'client', at)
      else if (frame) this.#answered(frame, bytes, at, 'server')
      return null
    })
  }

  #fromServer(frames: readonly (McpFrame | null)[], wholeBytes: number | null, at: number): void {
    const bytes = this.#sizeOf(frames, wholeBytes)
    for (const frame of frames) {
      if (frame === null) this.#faults.note('malformed_frame', at, null, { from: 'server', in_batch: true })
      else this.#seen.frames_out++
      if (frame?.kind === 'request') this.#askedBack(frame, bytes, at)
      else if (frame?.kind !== 'notification') frame && this.#answered(frame, bytes, at, 'client')
      else if (frame.method === 'notifications/progress') this.#progressed(frame.params, at)
      else this.#cancelled(frame, 'server', at)
    }
  }

  /** The bytes of one message among several in a line are not known. On a pipe the newline counts. */
  #sizeOf(frames: readonly unknown[], wholeBytes: number | null): number | null {
    if (wholeBytes === null || frames.length > 1) return null
    return wholeBytes + (this.#transport === 'pipe' ? 1 : 0)
  }

  /** The client asks. */
  #asked(
    frame: Frame<'request'>,
    bytes: number | null,
    wholeBytes: number | null,
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
        ...(params.arguments ? argumentAttributesOf(params.arguments, tool, wholeBytes, this.#content) : {}),
      },
      at,
    })
    if (repeated) this.#faults.note('duplicate_id', at, span, { method })
    this.#add({ frame, asker: 'client', span, at, tool, session, carrier })
    return span
  }

  /** The server asks: inside the call whose code asks, or the one that runs; where none is known, it stands alone. */
  #askedBack(frame: Frame<'request'>, bytes: number | null, at: number): void {
    const parent = this.#asking()
    const repeated = this.#open.server.has(frame.id)
    const start = waitStartOf(frame, { layer: this.#layer, transport: this.#transport, bytes, repeated, at })
    const span = parent ? this.#reporter.span(parent, start) : this.#reporter.startTrace({ ...start, entry: false })
    if (repeated) this.#faults.note('duplicate_id', at, span, { method: frame.method, from: 'server' })
    this.#add({ frame, asker: 'server', span, at, tool: null, session: null, carrier: null })
  }

  #asking(): SpanHandle | null {
    const active = this.#reporter.active()
    if (active && this.#open.client.some(({ span }) => span.traceId === active.traceId)) return active
    return this.#open.client.only((call) => call.method === 'tools/call')?.span ?? null
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
    if (outcome === 'tool_error' && !this.#options.explained?.(call.span)) {
      const message = result.firstText ?? 'Cannot say why the tool failed: its result has no text'
      const context = { method: call.method }
      this.#reporter.captureError(message, { span: call.span, errorType: 'ToolError', context })
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
    if (call && this.#options.explained?.(call.span)) return
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
