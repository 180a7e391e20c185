import type { Attributes, Session } from '../core/record.ts'
import type { Reporter } from '../reporter/reporter.ts'
import type { ExaiClientFrame } from '../wire/exai_frame.ts'

type Hello = Extract<ExaiClientFrame, { readonly kind: 'hello' }>

/** What one connection to the daemon has told of itself, and its events: connect or reject, rate limits, disconnect. */
export class ExaiConnection {
  readonly #reporter: Reporter
  readonly #connectionId: string
  readonly #explicitSession: string | null
  #sessionId: string | null = null
  #hello: Hello | null = null
  #settled = false

  constructor(reporter: Reporter, connectionId: string, explicitSession: string | null) {
    this.#reporter = reporter
    this.#connectionId = connectionId
    this.#explicitSession = explicitSession
  }

  /** Whether it is known that the daemon took or refused the connection. */
  get settled(): boolean {
    return this.#settled
  }

  learnHello(hello: Hello): void {
    this.#hello = hello
  }

  learnSession(sessionId: string | null): void {
    this.#sessionId = sessionId ?? this.#sessionId
  }

  attributes(): Attributes {
    const { client, protocolVersion } = this.#hello ?? { client: null, protocolVersion: null }
    return {
      'telltale.connection_id': this.#connectionId,
      ...(this.#sessionId === null ? {} : { 'mcp.session.id': this.#sessionId }),
      ...(protocolVersion === null ? {} : { 'mcp.protocol.version': protocolVersion }),
      ...(client ? { 'mcp.client.name': client.name } : {}),
      ...(client?.version ? { 'mcp.client.version': client.version } : {}),
    }
  }

  /** The session of a call with these arguments. */
  sessionOf(args: { readonly [key: string]: unknown } | null): Session {
    const continuation = args?.continuation_id
    if (typeof continuation === 'string' && continuation.trim() !== '') {
      return { key: continuation, rule: 'continuation' }
    }
    if (this.#explicitSession) return { key: this.#explicitSession, rule: 'explicit' }
    if (this.#sessionId !== null) return { key: `session_${this.#sessionId}`, rule: 'mcp' }
    return { key: this.#connectionId, rule: 'connection' }
  }

  /** The daemon took the connection. Told once. */
  connected(helloMs: number | null): void {
    if (this.#settled) return
    this.#settled = true
    this.#reporter.recordEvent({
      connection_type: 'websocket',
      direction: 'connect',
      function_name: 'hello',
      response_time_ms: helloMs,
      metadata: this.attributes(),
    })
  }

  /** The daemon refused it, or could not be reached; `why` says how. Told once. */
  rejected(why: string, more: Attributes): void {
    if (this.#settled) return
    this.#settled = true
    this.#reporter.recordEvent({
      connection_type: 'websocket',
      direction: 'reject',
      function_name: 'hello',
      error: `Cannot connect: ${why}`,
      error_type: 'ConnectionRejected',
      metadata: { ...this.attributes(), ...more, 'telltale.fault': 'connection_rejected' },
    })
  }

  rateLimited(bytes: number): void {
    this.#reporter.recordEvent({
      connection_type: 'websocket',
      direction: 'rate_limit',
      data_size_bytes: bytes,
      metadata: this.attributes(),
    })
  }

  disconnected(counts: Attributes): void {
    this.#reporter.recordEvent({
      connection_type: 'websocket',
      direction: 'disconnect',
      metadata: { ...this.attributes(), ...counts },
    })
  }
}
