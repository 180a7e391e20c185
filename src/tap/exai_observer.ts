import { layerOf } from '../core/layer.ts'
import { faultGapMs, interruptedErrorsMax, tapFrameBytesMax, unansweredMsMin } from '../core/limit.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Attributes, Session } from '../core/record.ts'
import { argumentAttributesOf, resultAttributesOf } from '../reporter/mcp/call_content.ts'
import { CallObserver } from '../reporter/mcp/call_observer.ts'
import { ProtocolFaults } from '../reporter/mcp/protocol_fault.ts'
import type { SpanFields, SpanHandle } from '../reporter/reporter.ts'
import {
  type ExaiClientFrame,
  type ExaiError,
  type ExaiServerFrame,
  parseExaiClientFrame,
  parseExaiServerFrame,
} from '../wire/exai_frame.ts'
import { spliceMembers } from '../wire/splice_json.ts'
import { isRateLimit, type Reading, readingOf, readingOfError } from './exai_answer.ts'
import { type Asked, askedOf, endAttributesOf } from './exai_asked.ts'
import { ExaiConnection } from './exai_connection.ts'
import { exaiFaults } from './exai_fault.ts'
import { fitsInto, recordLatency } from './exai_latency.ts'
import { ExaiQueue } from './exai_queue.ts'
import type { SocketEnd, SocketMessage, SocketObserver, SocketObserverOptions } from './ws_observer.ts'

type Call = Extract<ExaiClientFrame, { readonly kind: 'call' }>
type Answer = Extract<ExaiServerFrame, { readonly kind: 'answer' }>

// What these mean for who never got further: the daemon, or a proxy before it, refused the connection.
const refusalCodes: ReadonlySet<number> = new Set([1008, 1013, 4000, 4001, 4003])
const unrecorded: ReadonlySet<string> = new Set(['hello', 'ping'])

/**
 * Turns the messages of one connection to an EXAI-WS daemon into spans, errors and events. The daemon's protocol has no
 * ids that can be trusted, but handles the frames of a connection strictly in order: answers are matched first in,
 * first out. JSON-RPC on the same port goes to the observer of MCP.
 */
export class ExaiObserver implements SocketObserver {
  readonly rewrites: boolean
  readonly #options: SocketObserverOptions
  readonly #layer: string
  readonly #queue: ExaiQueue
  readonly #faults: ProtocolFaults<typeof exaiFaults>
  readonly #connection: ExaiConnection
  readonly #seen = { frames_in: 0, frames_out: 0, bytes_in: 0, bytes_out: 0, calls: 0, oversized: 0, rate_limited: 0 }
  #rpc: CallObserver | null = null
  #streams = false
  #turnedAwayAt = Number.NEGATIVE_INFINITY

  constructor(options: SocketObserverOptions) {
    const { reporter, connectionId, session, layer } = options
    this.rewrites = options.context
    this.#options = options
    this.#layer = layerOf(layer ?? 'websocket')
    this.#queue = new ExaiQueue(reporter)
    this.#faults = new ProtocolFaults(reporter, exaiFaults)
    this.#connection = new ExaiConnection(reporter, connectionId, session || null)
  }

  clientMessage(message: SocketMessage, at: number): string | null {
    const bytes = message.data.length
    this.#seen.frames_in++
    this.#seen.bytes_in += bytes
    if (bytes > tapFrameBytesMax) {
      this.#seen.oversized++
      this.#queue.push(askedOf({ op: 'unread', startedAt: at }))
      return null
    }
    const text = message.data.toString()
    const frame = parseExaiClientFrame(jsonOf(text))
    if (frame?.kind === 'rpc') {
      this.#connection.connected(null)
      return this.#mcp().clientLine({ text, bytes }, at)
    }
    if (frame?.kind === 'call') {
      const span = this.#called(frame, bytes, at)
      return this.#options.context && span.traceId !== '' ? spliceMembers(text, [], span.headers()) : null
    }
    if (frame) this.#asked(frame, bytes, at)
    else this.#unreadable(message, 'client', at)
    return null
  }

  serverMessage(message: SocketMessage, at: number): void {
    const bytes = message.data.length
    this.#seen.frames_out++
    this.#seen.bytes_out += bytes
    if (bytes > tapFrameBytesMax) {
      this.#seen.oversized++
      const call = this.#queue.callOf(null)
      if (call) this.#end(call, 'ok', bytes, at, { attributes: { 'telltale.reply_unread': true } })
      return
    }
    const text = message.data.toString()
    const frame = parseExaiServerFrame(jsonOf(text))
    if (frame === null) this.#unreadable(message, 'server', at)
    else if (frame.kind === 'rpc') this.#mcp().serverLine({ text, bytes }, at)
    else if (frame.kind === 'hello_ack') this.#acknowledged(frame, at)
    else if (frame.kind === 'answer') this.#answered(frame, bytes, at)
    else if (frame.kind === 'error') this.#failed(frame.error, this.#blamedFor(frame), bytes, at)
    else if (frame.kind === 'reply') this.#replied(frame.asked, bytes, at)
    else this.#progressed(frame, bytes, at)
  }

  refused(why: string): void {
    this.#connection.rejected(why, {})
  }

  close(end: SocketEnd, at: number): void {
    const clientLeft = end.by !== 'server'
    const how = `${end.code}${end.reason === '' ? '' : ` ${end.reason}`}`
    const message = `The daemon closed the connection: ${how}`
    if (this.#seen.frames_out === 0 && end.by === 'server' && refusalCodes.has(end.code)) {
      this.#connection.rejected(`the daemon answered ${how}`, { close_code: end.code })
    }
    this.#connection.connected(null)
    let told = 0
    for (const asked of this.#queue.takeAll()) {
      const isCall = asked.op === 'call'
      if (isCall && !clientLeft && told++ < interruptedErrorsMax) {
        const context = { close_code: end.code, 'telltale.fault': 'unanswered' }
        this.#options.reporter.captureError(message, { span: asked.span, errorType: 'ConnectionLost', context })
      } else if (isCall && at - asked.startedAt >= unansweredMsMin) {
        this.#note('unanswered', asked, at, { waited_ms: Math.round(at - asked.startedAt) })
      }
      if (isCall && !asked.faults.includes('unanswered')) asked.faults.push('unanswered')
      this.#finish(asked, clientLeft ? 'cancelled' : 'interrupted', 0, at, {})
    }
    const failure = { errorType: 'ConnectionLost', message, traceback: '', abnormal: false }
    this.#rpc?.close({ clientLeft, failure, facts: null }, at)
    const faults = this.#faults.counts()
    this.#connection.disconnected({ ...this.#seen, faults, close_code: end.code, closed_by: end.by })
  }

  #called(frame: Call, bytes: number, at: number): SpanHandle {
    const { tool, requestId, id } = frame
    const session = this.#connection.sessionOf(frame.arguments)
    this.#seen.calls++
    const span = this.#options.reporter.startTrace({
      name: tool === null ? 'tools/call' : `tools/call ${tool}`,
      layer: this.#layer,
      tool,
      requestId: requestId ?? id,
      session,
      bytesIn: bytes,
      context: frame.context,
      ...(this.#options.inner ? { entry: false } : {}),
      attributes: {
        ...this.#attributesOf('tools/call'),
        ...(frame.arguments ? argumentAttributesOf(frame.arguments, tool, bytes, this.#options) : {}),
      },
      at,
    })
    const call = askedOf({ op: 'call', tool, requestId, id, startedAt: at, span, session })
    if (requestId !== null && this.#queue.has(requestId)) this.#note('duplicate_id', call, at, { tool })
    this.#suspectClient(call, at)
    this.#queue.push(call)
    return span
  }

  /**
   * A client whose calls all have one id can tell no two answers apart: if it goes on while a call has had some of its
   * frames but not the last, it took one of those for the answer, and will take the answer for that of this call.
   */
  #suspectClient(call: Asked, at: number): void {
    const before = this.#queue.lastCall
    if (!before || before.frames === 0 || before.op !== 'call') return
    if (call.requestId !== null || before.requestId !== null || call.id !== before.id) return
    this.#note('foreign_frame', call, at, { tool: call.tool, before: before.tool })
  }

  #asked(frame: Exclude<ExaiClientFrame, Call | { kind: 'rpc' }>, bytes: number, at: number): void {
    if (frame.kind === 'hello') this.#connection.learnHello(frame)
    const op = frame.kind === 'hello' ? 'hello' : frame.op
    const method = op === 'list_tools' ? 'tools/list' : op
    const span = unrecorded.has(op)
      ? null
      : this.#options.reporter.startTrace({
          name: method,
          layer: this.#layer,
          bytesIn: bytes,
          ...(this.#options.inner ? { entry: false } : {}),
          attributes: this.#attributesOf(method),
          at,
        })
    this.#queue.push(askedOf({ op, startedAt: at, span }))
  }

  #acknowledged(frame: Extract<ExaiServerFrame, { kind: 'hello_ack' }>, at: number): void {
    const hello = this.#queue.askedBy('hello') ?? this.#queue.head ?? null
    const helloMs = hello ? at - hello.startedAt : null
    if (hello) this.#end(hello, frame.accepted ? 'ok' : 'caller_fault', 0, at, {})
    if (frame.accepted) {
      this.#connection.learnSession(frame.sessionId)
      this.#connection.connected(helloMs)
    } else this.#connection.rejected(`the daemon answered ${frame.error ?? 'nothing'}`, {})
  }

  #progressed(frame: Extract<ExaiServerFrame, { requestId: string | null }>, bytes: number, at: number): void {
    const call = this.#queue.callOf(frame.requestId)
    if (!call) {
      this.#toNobody(frame.kind, bytes, at)
      return
    }
    for (const passed of this.#queue.reach(call, at)) this.#finish(passed, 'ok', 0, at, {})
    call.frames++
    if (frame.kind === 'progress') call.progressCount++
    else if (frame.kind === 'complete') this.#streams = call.completed = true
    else {
      call.chunkCount++
      call.bytesOut += bytes
      call.firstChunkAt ??= at
    }
  }

  #answered(answer: Answer, bytes: number, at: number): void {
    const call = this.#queue.callOf(answer.requestId)
    if (!call) this.#toNobody('call_tool_res', bytes, at)
    else if (answer.error) this.#failed(answer.error, call, bytes, at)
    else this.#succeeded(answer, call, bytes, at)
  }

  /** An answer that is no error; what the tool itself says may still be one. */
  #succeeded(answer: Answer, call: Asked, bytes: number, at: number): void {
    const { reporter } = this.#options
    const reading = readingOf(answer)
    if (reading.failure) this.#capture(reading.failure, call)
    if (answer.fromInflight && (answer.requestId === null || call.requestId === null)) {
      this.#note('foreign_inflight_answer', call, at, { tool: call.tool })
    }
    const turnAt = call.turnAt ?? at
    const { latency } = answer
    // A cache of meaning (SemanticCache) replays its answers, metrics included, without saying so.
    const unsaid = latency !== null && ((this.#streams && !call.completed) || !fitsInto(latency, turnAt, at))
    const replayed = answer.fromCache || answer.fromInflight || unsaid
    if (latency && !replayed && call.span) recordLatency(reporter, call.span, latency, call.tool, turnAt, at)
    this.#end(call, reading.outcome, bytes, at, {
      ...learned(reading, call.session),
      provider: reading.provider ?? latency?.provider ?? null,
      attributes: {
        ...resultAttributesOf(answer.outputs, call.tool, this.#options),
        ...(answer.fromCache || (unsaid && !answer.fromInflight) ? { 'telltale.from_cache': true } : {}),
        ...(answer.fromInflight ? { 'telltale.from_inflight': true } : {}),
        ...(reading.failure ? { 'error.type': 'tool_error' } : {}),
      },
    })
  }

  /** Whom an error frame is about: without `op` it ends a call, with `op` it answers whatever frame is next in line. */
  #blamedFor(frame: Extract<ExaiServerFrame, { kind: 'error' }>): Asked | null {
    const { head } = this.#queue
    return (frame.bare || frame.requestId !== null ? this.#queue.callOf(frame.requestId) : null) ?? head ?? null
  }

  #failed(error: ExaiError, asked: Asked | null, bytes: number, at: number): void {
    const { outcome, failure } = readingOfError(error)
    const limited = isRateLimit(error)
    if (limited) {
      this.#seen.rate_limited++
      this.#connection.rateLimited(bytes)
      asked?.faults.push('rate_limited')
    }
    // Of messages that are no calls only the first in a while is told of: whoever is turned away comes again at once.
    const told = asked?.op === 'call' || !limited || at - this.#turnedAwayAt >= faultGapMs
    if (failure && told) {
      const fault: Attributes = limited ? { 'telltale.fault': 'rate_limited' } : {}
      const errorType = limited ? 'RateLimited' : failure.errorType
      this.#capture({ ...failure, errorType, context: { ...failure.context, ...fault } }, asked)
    }
    if (limited && asked?.op !== 'call' && told) this.#turnedAwayAt = at
    const type = limited ? 'rate_limited' : (error.code ?? 'DaemonError')
    if (asked) this.#end(asked, outcome, bytes, at, { attributes: { 'error.type': type } })
    else this.#toNobody('error', bytes, at)
  }

  /** An `op` that nothing asked for is something that the daemon says by itself. */
  #replied(op: string | null, bytes: number, at: number): void {
    const asked = op === null ? null : this.#queue.askedBy(op)
    if (asked) this.#end(asked, 'ok', bytes, at, {})
  }

  #toNobody(what: string, bytes: number, at: number): void {
    this.#faults.note('reply_to_nobody', at, null, { ...this.#connection.attributes(), frame: what, bytes })
  }

  #unreadable({ data, binary }: SocketMessage, from: 'client' | 'server', at: number): void {
    const context = { ...this.#connection.attributes(), from, bytes: data.length, binary }
    this.#faults.note('malformed_frame', at, null, context)
    if (from === 'client') this.#queue.push(askedOf({ op: 'malformed', startedAt: at }))
  }

  #end(asked: Asked, outcome: Outcome, bytes: number, at: number, fields: SpanFields): void {
    for (const passed of this.#queue.take(asked, at)) this.#finish(passed, 'ok', 0, at, {})
    this.#finish(asked, outcome, bytes, at, fields)
  }

  #finish(asked: Asked, outcome: Outcome, bytes: number, at: number, fields: SpanFields): void {
    asked.wait?.end(outcome, {}, at)
    const attributes = { ...this.#connection.attributes(), ...endAttributesOf(asked), ...fields.attributes }
    asked.span?.end(outcome, { ...fields, bytesOut: asked.bytesOut + bytes, attributes }, at)
  }

  #capture(failure: NonNullable<Reading['failure']>, asked: Asked | null): void {
    const context = { ...failure.context, method: asked?.op === 'call' ? 'tools/call' : (asked?.op ?? null) }
    const { message, errorType } = failure
    this.#options.reporter.captureError(message, { span: asked?.span ?? null, errorType, context })
  }

  #note(fault: keyof typeof exaiFaults, call: Asked, at: number, context: Attributes): void {
    call.faults.push(fault)
    this.#faults.note(fault, at, call.span, { ...this.#connection.attributes(), ...context })
  }

  #attributesOf(method: string): Attributes {
    const network = { 'network.transport': 'tcp', 'network.protocol.name': 'websocket' }
    return { 'mcp.method.name': method, ...network, ...this.#connection.attributes() }
  }

  #mcp(): CallObserver {
    const { reporter, session, inner, connectionId, context, content, salt } = this.#options
    const layer = this.#layer
    const transport = 'websocket'
    this.#rpc ??= new CallObserver({ reporter, layer, session, inner, connectionId, transport, context, content, salt })
    return this.#rpc
  }
}

/** What an answer tells of its call: the conversation it offers to continue is that of the call it answers, too. */
function learned({ model, continuationId }: Reading, before: Session | null): SpanFields {
  const learns = continuationId !== null && before?.rule !== 'continuation'
  return { model, ...(learns ? { session: { key: continuationId, rule: 'continuation' } } : {}) }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
