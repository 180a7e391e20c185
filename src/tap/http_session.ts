import { randomUUID } from 'node:crypto'
import { tapSessionsMax } from '../core/limit.ts'
import { CallObserver } from '../reporter/mcp/call_observer.ts'
import type { ObserverOptions } from '../reporter/mcp/observer_options.ts'
import { mcpFaults, ProtocolFaults } from '../reporter/mcp/protocol_fault.ts'

/** What every observer of a tap is made from. */
export type HttpObserverOptions = Omit<ObserverOptions, 'connectionId' | 'transport' | 'faults'>

/**
 * The observers of a tap: one for each session, whose requests come in exchanges of their own, and one for each
 * exchange that belongs to none. A session is known by `Mcp-Session-Id`, or, in the transport of 2024-11-05, by the
 * address that its stream told the client to post to.
 */
export class HttpSessions {
  readonly #options: HttpObserverOptions
  readonly #faults: ProtocolFaults
  readonly #byKey = new Map<string, CallObserver>()

  constructor(options: HttpObserverOptions) {
    this.#options = options
    this.#faults = new ProtocolFaults(options.reporter, mcpFaults)
  }

  /** An observer for one exchange; `connectionId` is that of the client's socket. */
  alone(connectionId: string): CallObserver {
    return new CallObserver({ ...this.#options, connectionId, transport: 'http', faults: this.#faults })
  }

  /** The observer of a session that is known, the latest in use last. */
  known(key: string): CallObserver | null {
    const observer = this.#byKey.get(key)
    if (!observer) return null
    this.#byKey.delete(key)
    this.#byKey.set(key, observer)
    return observer
  }

  /** The observer of a session, made where a tap comes into the middle of it. */
  of(sessionId: string): CallObserver {
    const known = this.known(sessionId)
    if (known) return known
    const observer = this.session()
    observer.learnHeaders(sessionId, null)
    this.keep(sessionId, observer)
    return observer
  }

  /** An observer for a session whose key is still to come. */
  session(): CallObserver {
    return new CallObserver({ ...this.#options, connectionId: randomUUID(), transport: 'http' })
  }

  keep(key: string, observer: CallObserver): void {
    this.#byKey.set(key, observer)
    if (this.#byKey.size > tapSessionsMax) this.drop(this.#byKey.keys().next().value as string)
  }

  /** The session is over. */
  drop(key: string): void {
    const observer = this.#byKey.get(key)
    this.#byKey.delete(key)
    observer?.close({ clientLeft: true, failure: null, facts: {} }, performance.now())
  }

  dropAll(): void {
    for (const key of [...this.#byKey.keys()]) this.drop(key)
  }
}
