import { layerOf } from '../core/layer.ts'
import { type Outcome, outcomeOfCode } from '../core/outcome.ts'
import type { Attributes } from '../core/record.ts'
import type { Reporter, SpanHandle } from '../reporter/reporter.ts'
import { type McpFrame, type McpId, type McpParams, type McpResult, parseMcpFrames } from '../wire/mcp_frame.ts'
import { shapeOf } from './argument_shape.ts'
import { ConnectionFacts } from './connection_facts.ts'
import type { Line } from './line_splitter.ts'
import { idKeyOf, OpenCalls } from './open_calls.ts'

export type ObserverOptions = {
  readonly reporter: Reporter
  /** The layer that the wrapped server is; `tool` by default. */
  readonly layer?: string | undefined
  /** An explicit session handle for every call without a more specific one. */
  readonly session?: string | undefined
  /** Another tap or recorder further out has already recorded each request. */
  readonly inner?: boolean | undefined
  readonly connectionId: string
}

/** How the connection ended. `clientLeft`: the client closed it or asked the server to stop. */
export type Departure = {
  readonly code: number | null
  readonly signal: string | null
  readonly clientLeft: boolean
  /** The last that the server wrote to stderr. */
  readonly lastWords: string
}

type Side = 'client' | 'server'

/** One request without an answer. */
type Call = {
  readonly span: SpanHandle
  readonly asker: Side
  readonly method: string
  readonly id: McpId
  readonly startedAt: number
  readonly progressKey: string | null
  progressCount: number
  firstChunkAt: number | null
}

type Frame<K extends McpFrame['kind']> = Extract<McpFrame, { readonly kind: K }>

const interruptedErrorsMax = 100
// A subscription lasts as long as its connection: as a call it would only blur every latency.
const standing: ReadonlySet<string> = new Set(['subscriptions/listen'])

/**
 * Turns the frames of one MCP connection into spans and errors. It only listens: nothing here can change a byte.
 * `at` is the monotonic ms (performance.now()) at which the frame's last bytes came by.
 */
export class CallObserver {
  readonly #reporter: Reporter
  readonly #layer: string
  readonly #inner: boolean
  readonly #facts: ConnectionFacts
  /** Requests by who asked: the client, or the server (sampling, elicitation, roots). */
  readonly #open: { readonly [side in Side]: OpenCalls<Call> } = { client: new OpenCalls(), server: new OpenCalls() }
  readonly #byProgress = new Map<string, Call>()
  readonly #seen = { frames_in: 0, frames_out: 0, bytes_in: 0, bytes_out: 0, oversized: 0, unmatched: 0 }
  readonly #strange: { [side in Side]: number } = { client: 0, server: 0 }

  constructor(options: ObserverOptions) {
    this.#reporter = options.reporter
    this.#layer = layerOf(options.layer ?? 'tool')
    this.#inner = options.inner ?? false
    this.#facts = new ConnectionFacts(options.connectionId, options.session || null)
  }

  /** A line from the client to the server. */
  clientLine(line: Line, at: number): void {
    this.#seen.bytes_in += line.bytes
    for (const [frame, bytes] of this.#framesOf(line, 'client', at)) {
      this.#seen.frames_in++
      if (frame.kind === 'request') this.#asked(frame, bytes, at)
      else if (frame.kind === 'notification') this.#cancelled(frame, 'client', at)
      else this.#answered(frame, bytes, at, 'server')
    }
  }

  /** A line from the server to the client. */
  serverLine(line: Line, at: number): void {
    this.#seen.bytes_out += line.bytes
    for (const [frame, bytes] of this.#framesOf(line, 'server', at)) {
      this.#seen.frames_out++
      if (frame.kind === 'request') this.#askedBack(frame, bytes, at)
      else if (frame.kind !== 'notification') this.#answered(frame, bytes, at, 'client')
      else if (frame.method === 'notifications/progress') this.#progressed(frame.params, at)
      else this.#cancelled(frame, 'server', at)
    }
  }

  /** The connection is over: what still runs will have no answer. */
  close(departure: Departure, at: number): void {
    const { code, signal, clientLeft, lastWords } = departure
    const running = [...this.#open.server.takeAll(), ...this.#open.client.takeAll()]
    const died = !clientLeft && (running.length > 0 || code !== 0 || signal !== null)
    const how = signal ? `was killed by ${signal}` : `exited with code ${code}`
    const exited = (span: SpanHandle | null) =>
      this.#reporter.captureError(`The server ${how}`, {
        span,
        errorType: 'ServerExited',
        ...(lastWords === '' ? {} : { traceback: lastWords }),
        context: { exit_code: code, signal, running: running.length },
      })
    if (died && running.length === 0) exited(null)
    for (const [index, call] of running.entries()) {
      if (died && index < interruptedErrorsMax) exited(call.span)
      this.#end(call, clientLeft ? 'cancelled' : 'interrupted', null, at)
    }
    const metadata = {
      ...this.#facts.attributes(),
      ...this.#seen,
      non_protocol: this.#strange.server,
      exit_code: code,
      signal,
    }
    this.#reporter.recordEvent({ connection_type: 'stdio', direction: 'disconnect', metadata })
  }

  *#framesOf(line: Line, side: Side, at: number): Iterable<readonly [McpFrame, number | null]> {
    if (line.text === null) {
      this.#tooLong(side, at)
      return
    }
    if (line.text.trim() === '') return
    const parsed = parseMcpFrames(jsonOf(line.text))
    if (!parsed.ok) {
      this.#foreign(line, side)
      return
    }
    // The bytes of one message among several in a line are not known.
    const bytes = parsed.value.length === 1 ? line.bytes + 1 : null
    for (const frame of parsed.value) yield [frame, bytes]
  }

  /** The client asks. */
  #asked(frame: Frame<'request'>, bytes: number | null, at: number): void {
    const { method, params } = frame
    this.#facts.learn(params)
    if (standing.has(method)) return
    const tool = method === 'tools/call' ? params.name : null
    const target = method === 'prompts/get' ? params.name : tool
    const span = this.#reporter.startTrace({
      name: target === null ? method : `${method} ${target}`,
      layer: this.#layer,
      tool,
      requestId: String(frame.id),
      session: method === 'tools/call' ? this.#facts.sessionOf(params) : null,
      bytesIn: bytes,
      context: params.context,
      ...(this.#inner ? { entry: false } : {}),
      attributes: this.#attributesOf(frame, 'client'),
      at,
    })
    this.#add(frame, 'client', span, at)
  }

  /** The server asks: inside the one call that runs; where none or several do, the request stands alone. */
  #askedBack(frame: Frame<'request'>, bytes: number | null, at: number): void {
    const parent = this.#open.client.only((call) => call.method === 'tools/call')
    const start = {
      name: frame.method,
      layer: this.#layer,
      kind: 'wait',
      holder: 'client',
      requestId: String(frame.id),
      bytesOut: bytes,
      attributes: this.#attributesOf(frame, 'server'),
      at,
    } as const
    const span = parent
      ? this.#reporter.span(parent.span, start)
      : this.#reporter.startTrace({ ...start, entry: false })
    this.#add(frame, 'server', span, at)
  }

  #add(frame: Frame<'request'>, asker: Side, span: SpanHandle, at: number): void {
    const { id, method, params } = frame
    const progressKey = asker === 'server' || params.progressToken === null ? null : idKeyOf(params.progressToken)
    const call: Call = { span, asker, method, id, startedAt: at, progressKey, progressCount: 0, firstChunkAt: null }
    if (progressKey !== null) this.#byProgress.set(progressKey, call)
    const evicted = this.#open[asker].add(id, call)
    if (evicted) this.#end(evicted, 'interrupted', null, at, { 'telltale.evicted': true })
  }

  #answered(frame: Frame<'result'> | Frame<'error'>, bytes: number | null, at: number, asker: Side): void {
    const call = frame.id === null ? null : this.#open[asker].take(frame.id)
    if (!call) this.#seen.unmatched++
    if (frame.kind === 'error') {
      if (call || frame.id === null) this.#failed(frame, call)
      const status = { 'rpc.response.status_code': String(frame.code), 'error.type': String(frame.code) }
      if (call) this.#end(call, outcomeOfCode(frame.code), bytes, at, status)
      return
    }
    if (!call) return
    const { result } = frame
    if (asker === 'client') this.#facts.learnFrom(call.method, result)
    const outcome = call.method === 'tools/call' ? outcomeOf(result) : 'ok'
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
    })
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
    if (call) this.#end(call, 'cancelled', null, at)
  }

  #progressed(params: McpParams, at: number): void {
    const call = params.progressToken === null ? undefined : this.#byProgress.get(idKeyOf(params.progressToken))
    if (!call) return
    call.progressCount++
    call.firstChunkAt ??= at
  }

  #end(call: Call, outcome: Outcome, bytes: number | null, at: number, more: Attributes = {}): void {
    const { progressKey, progressCount, firstChunkAt, startedAt, asker } = call
    if (progressKey !== null && this.#byProgress.get(progressKey) === call) this.#byProgress.delete(progressKey)
    const chunks: Attributes =
      firstChunkAt === null
        ? {}
        : { 'telltale.progress_count': progressCount, 'telltale.first_chunk_ms': Math.round(firstChunkAt - startedAt) }
    // What the server receives is `bytes_in`, whoever asked.
    const size = bytes === null ? {} : asker === 'client' ? { bytesOut: bytes } : { bytesIn: bytes }
    call.span.end(outcome, { ...size, attributes: { ...this.#facts.attributes(), ...chunks, ...more } }, at)
  }

  #attributesOf(frame: Frame<'request'>, asker: Side): Attributes {
    const { params, method, id } = frame
    return {
      'mcp.method.name': method,
      'network.transport': 'pipe',
      ...(params.uri === null ? {} : { 'mcp.resource.uri': params.uri }),
      ...(params.arguments ? { 'telltale.argument_shape': shapeOf(params.arguments) } : {}),
      ...(this.#open[asker].has(id) ? { 'telltale.duplicate_id': true } : {}),
    }
  }

  /** A line that was too long to read can only be the answer to the one request that runs, where just one does. */
  #tooLong(side: Side, at: number): void {
    this.#seen.oversized++
    const calls = this.#open[side === 'server' ? 'client' : 'server']
    const only = calls.only(() => true)
    if (only && calls.take(only.id)) this.#end(only, 'ok', null, at, { 'telltale.reply_unread': true })
  }

  /** Told of once a connection, counted after that; what the line says is content and stays out. */
  #foreign(line: Line, side: Side): void {
    this.#strange[side]++
    if (side === 'client' || this.#strange.server > 1) return
    this.#reporter.captureError("Cannot read a line on the server's stdout: it is no JSON-RPC message", {
      errorType: 'NonProtocolOutput',
      context: { bytes: line.bytes },
    })
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function outcomeOf(result: McpResult): Outcome {
  if (result.isError) return 'tool_error'
  return result.empty === true ? 'empty' : 'ok'
}
