import { isUtf8 } from 'node:buffer'
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import { isObject } from '../core/json_object.ts'
import type { Outcome } from '../core/outcome.ts'
import type { CallObserver } from '../reporter/mcp/call_observer.ts'
import type { Line } from '../reporter/mcp/message_line.ts'
import type { Carrier, Ending } from '../reporter/mcp/observed_call.ts'
import { parseMcpFrames } from '../wire/mcp_frame.ts'
import type { SseEvent } from '../wire/sse_reader.ts'
import type { TraceHeaders } from '../wire/trace_context.ts'
import { contextOf, isSigned, textOf } from './http_headers.ts'
import { type BodyReading, readingOf, requestTextOf } from './http_reading.ts'
import type { HttpSessions } from './http_session.ts'

type Watched = Pick<IncomingMessage, 'method' | 'url' | 'headers'>
type Answered = Pick<IncomingMessage, 'statusCode' | 'statusMessage' | 'headers'>

/**
 * What is learned of one exchange of HTTP on its way past. Nothing here throws: once something did, the exchange passes
 * unread. No address and no header is recorded: they hold keys.
 */
export class HttpWatch {
  readonly #sessions: HttpSessions
  readonly #request: Watched
  readonly #connectionId: string
  readonly #warn: (text: string) => void
  readonly #carrier: Carrier
  readonly #sessionId: string | null
  #observer: CallObserver | null = null
  /** The observer is of this exchange alone. */
  #alone = false
  #status = 0
  #reason = ''
  #reading: BodyReading | null = null
  #resumable = false
  /** The key of a session of 2024-11-05, which lasts as long as this stream. */
  #streamKey: string | null = null
  #refusal: string | null = null
  #rpcRefusal = false
  #done = false

  constructor(sessions: HttpSessions, request: Watched, connectionId: string, warn: (text: string) => void) {
    this.#sessions = sessions
    this.#request = request
    this.#connectionId = connectionId
    this.#warn = warn
    const { headers, method = '' } = request
    this.#sessionId = textOf(headers, 'mcp-session-id')
    this.#carrier = {
      context: contextOf(headers),
      attributes: { 'http.request.method': method },
      sent: null,
      firstChunkAt: null,
    }
  }

  /** What the headers of the request are to say of its context; null: what they say. */
  get context(): TraceHeaders | null {
    return this.#carrier.sent
  }

  /** The whole body of a request. Answers what to send on in its place; null: the body. */
  asked(body: Buffer): Buffer | null {
    return this.#guard(() => {
      const { headers, url = '' } = this.#request
      const text = requestTextOf(body, headers)
      const speaksMcp = (headers.accept ?? '').includes('text/event-stream')
      // Whatever else is posted here, to sign in say, is none of ours.
      if (text === null || !(text.includes('"jsonrpc"') || speaksMcp)) return null
      const known = this.#sessionId === null ? this.#sessions.known(keyOf(url)) : this.#sessions.of(this.#sessionId)
      this.#alone = known === null
      const begins = text.includes('"initialize"')
      this.#observer = known ?? (begins ? this.#sessions.session() : this.#sessions.alone(this.#connectionId))
      this.#observer.learnHeaders(this.#sessionId, textOf(headers, 'mcp-protocol-version'))
      const at = performance.now()
      const changed = this.#observer.clientLine({ text, bytes: body.length }, at, this.#carrier)
      const plain = (headers['content-encoding'] ?? 'identity') === 'identity'
      return changed !== null && plain && !isSigned(headers) && isUtf8(body) ? Buffer.from(changed) : null
    }, null)
  }

  /** The head of the answer. */
  answered(answer: Answered): void {
    this.#guard(() => {
      const { statusCode = 0, statusMessage, headers } = answer
      this.#status = statusCode
      this.#reason = statusMessage || STATUS_CODES[statusCode] || ''
      this.#carrier.attributes = { ...this.#carrier.attributes, 'http.response.status_code': statusCode }
      const given = textOf(headers, 'mcp-session-id')
      if (this.#observer && this.#alone && given !== null) {
        this.#observer.learnHeaders(given, null)
        this.#sessions.keep(given, this.#observer)
        this.#alone = false
      }
      if (this.#request.method === 'GET' && this.#sessionId !== null && statusCode < 400)
        this.#observer = this.#sessions.of(this.#sessionId)
      if (this.#observer === null && this.#request.method !== 'GET') return
      this.#reading = readingOf(
        headers,
        (event) => this.#event(event),
        (body) => this.#body(body),
      )
    }, undefined)
  }

  /** A part of the answer's body, after it was sent on. */
  chunk(chunk: Buffer): void {
    if (this.#reading) this.#guard(() => this.#reading?.push(chunk), undefined)
  }

  /** The answer is complete. */
  ended(): void {
    this.#guard(
      () =>
        this.#reading ? this.#reading.end(() => this.#guard(() => this.#concluded(), undefined)) : this.#concluded(),
      undefined,
    )
  }

  /** The server could not be reached. */
  unreachable(error: Error): void {
    const message = `Cannot reach the server: ${error.message}`
    this.#close({ outcome: 'server_fault', errorType: 'TargetUnreachable', message, context: codeOf(error) })
  }

  /** The answer broke off. */
  broken(error: Error): void {
    const message = `The answer broke off: ${error.message}`
    this.#close({ outcome: 'interrupted', errorType: 'ConnectionLost', message, context: codeOf(error) })
  }

  /** The client hung up. Where the stream can be resumed that is no cancellation. */
  left(): void {
    this.#close(null)
  }

  #event(event: SseEvent): void {
    const at = performance.now()
    this.#resumable ||= event.resumable
    if (event.type === 'endpoint' && this.#observer === null && event.data !== null) {
      this.#observer = this.#sessions.session()
      this.#streamKey = keyOf(event.data, this.#request.url)
      this.#sessions.keep(this.#streamKey, this.#observer)
      return
    }
    if (event.type !== 'message' || event.data === '') return
    this.#carrier.firstChunkAt ??= at
    this.#observer?.serverLine({ text: event.data, bytes: event.bytes }, at)
  }

  #body(body: Line): void {
    if (this.#status < 400) {
      if (this.#request.method === 'POST') this.#observer?.serverLine(body, performance.now())
      return
    }
    const parsed = body.text === null ? null : parseMcpFrames(jsonOf(body.text))
    if (!parsed?.ok) return
    const [frame] = parsed.value
    // An error without an id answers the whole request that it came for.
    if (frame?.kind === 'error' && frame.id === null) this.#refusal = frame.message
    else {
      this.#rpcRefusal = true
      this.#observer?.serverLine(body, performance.now())
    }
  }

  #concluded(): void {
    const { method } = this.#request
    if (this.#sessionId !== null && (this.#status === 404 || (method === 'DELETE' && this.#status < 300))) {
      this.#close(this.#refused())
      this.#sessions.drop(this.#sessionId)
      return
    }
    this.#close(this.#status >= 400 ? this.#refused() : this.#unfinished())
  }

  /** An answer that ended before the reply did. The reply may come by the session's own stream, or by this one resumed. */
  #unfinished(): Ending | null {
    const elsewhere = !this.#alone && (this.#status === 202 || this.#resumable)
    if (elsewhere || !this.#observer?.waits(this.#carrier)) return null
    const message = 'The answer ended without the reply to a request'
    return { outcome: 'interrupted', errorType: 'Unanswered', message, context: { status: this.#status } }
  }

  /** Null where it is no failure: a server without a stream of its own refuses GET, and one without sessions DELETE. */
  #refused(): Ending | null {
    const status = this.#status
    const { method = '' } = this.#request
    if (status < 400 || this.#rpcRefusal || (method !== 'POST' && status < 500)) return null
    return {
      outcome: outcomeOfStatus(status),
      errorType: this.#refusal === null ? 'HttpError' : 'JsonRpcError',
      message: this.#refusal ?? `The server answered ${status} ${this.#reason}`.trim(),
      context: { status, method },
    }
  }

  #close(ending: Ending | null): void {
    this.#guard(() => {
      if (this.#done) return
      this.#done = true
      const at = performance.now()
      const observer = this.#observer
      // A failure of a request that carried no call is told of all the same.
      if (observer) {
        const resumes = ending === null && !this.#alone && (this.#resumable || this.#status === 202)
        if (!resumes && (ending || observer.waits(this.#carrier))) observer.fail(this.#carrier, ending, at)
        if (this.#alone) observer.close({ clientLeft: true, failure: null, facts: null }, at)
      } else if (ending && this.#request.method !== 'POST')
        this.#sessions.alone(this.#connectionId).fail(this.#carrier, ending, at)
      if (this.#streamKey !== null) this.#sessions.drop(this.#streamKey)
    }, undefined)
  }

  #guard<T>(act: () => T, otherwise: T): T {
    try {
      return act()
    } catch (error) {
      this.#reading = null
      this.#observer = null
      this.#done = true
      this.#warn(`Cannot read an exchange, it passes unread: ${error instanceof Error ? error.message : String(error)}`)
      return otherwise
    }
  }
}

function outcomeOfStatus(status: number): Outcome {
  if (status === 408 || status === 504) return 'timeout'
  return status >= 500 ? 'server_fault' : 'caller_fault'
}

/** Where messages are posted to, as a key: whatever of it is secret stays in this process. */
function keyOf(address: string, base = '/'): string {
  try {
    const { pathname, search } = new URL(address, new URL(base, 'http://tap'))
    return pathname + search
  } catch {
    return address
  }
}

function codeOf(error: Error): { readonly [name: string]: string } {
  return 'code' in error && typeof error.code === 'string' ? { code: error.code } : {}
}

function jsonOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) || Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}
