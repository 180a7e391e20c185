import { randomUUID } from 'node:crypto'
import type { SpanHandle } from '../recorded_span.ts'
import type { Warn } from '../warning.ts'
import { CallObserver } from './call_observer.ts'
import { messageBytesOf } from './message_size.ts'
import type { Carrier } from './observed_call.ts'
import type { ObserverOptions } from './observer_options.ts'
import { headersOf, kindOf, type SdkMessage, type SdkTransport } from './sdk_transport.ts'

/** What the observers of all connections of a server are made from; `faults` are those of exchanges without a session. */
export type WatchOptions = Required<Pick<ObserverOptions, 'reporter' | 'faults'>> &
  Pick<ObserverOptions, 'layer' | 'session' | 'content' | 'salt' | 'explained'> & { readonly warn: Warn }

const watched = new WeakSet<SdkTransport>()

/**
 * Looks at a connection from the SDK's side of its transport, and has each request dispatched with its span active.
 * `started`: the server listens to it already; else it will when it calls `start`.
 */
export function watchTransport(transport: SdkTransport, options: WatchOptions, started: boolean): void {
  if (watched.has(transport)) return
  watched.add(transport)
  const watch = new TransportWatch(transport, options)
  const { start, send } = transport
  transport.send = (message, ...args) => {
    watch.sent(message)
    return send.call(transport, message, ...args)
  }
  const listen = () => {
    watch.opened()
    const { onmessage, onclose } = transport
    transport.onmessage = (message, extra) => {
      const span = watch.received(message, extra)
      const pass = () => onmessage?.call(transport, message, extra)
      return span === null ? pass() : options.reporter.run(span, pass)
    }
    transport.onclose = () => {
      watch.closed()
      return onclose?.call(transport)
    }
  }
  if (started) listen()
  transport.start = (...args) => {
    listen()
    return start.apply(transport, args)
  }
}

class TransportWatch {
  readonly #transport: SdkTransport
  readonly #options: WatchOptions
  #observer: CallObserver | null = null
  /** Of a transport of HTTP that serves one exchange, which belongs to no session. */
  #exchange: Carrier | null = null
  #deaf = false
  #over = false

  constructor(transport: SdkTransport, options: WatchOptions) {
    this.#transport = transport
    this.#options = options
  }

  opened(): void {
    this.#observer = null
    this.#over = false
  }

  /** Answers the span of the request that came; null for everything else. */
  received(message: SdkMessage, extra: unknown): SpanHandle | null {
    return this.#observe((at) => {
      const header = headersOf(extra)
      const observer = this.#observerOf(header)
      observer.learnHeaders(this.#transport.sessionId ?? header('mcp-session-id'), header('mcp-protocol-version'))
      const carrier = this.#exchange ?? carrierOf(header)
      return observer.clientMessage(message, messageBytesOf(message), at, carrier)
    })
  }

  sent(message: unknown): void {
    this.#observe((at) => {
      this.#observerOf(() => null).serverMessage(message, messageBytesOf(message), at)
      return null
    })
  }

  closed(): void {
    this.#observe((at) => {
      if (this.#over) return null
      this.#over = true
      const facts = this.#exchange === null ? {} : null
      // An exchange that ends before its answer was given up by the client.
      if (this.#exchange) this.#observer?.fail(this.#exchange, null, at)
      this.#observer?.close({ clientLeft: true, failure: null, facts }, at)
      return null
    })
  }

  /** Made at the first message: only then a transport of HTTP knows whether it has a session. */
  #observerOf(header: (name: string) => string | null): CallObserver {
    if (this.#observer) return this.#observer
    const { warn: _, faults, ...options } = this.#options
    const transport = kindOf(this.#transport)
    const alone = transport === 'http' && this.#transport.sessionId === undefined
    this.#exchange = alone ? carrierOf(header) : null
    const connectionId = transport === 'http' ? null : randomUUID()
    const observer = new CallObserver({ ...options, connectionId, transport, ...(alone ? { faults } : {}) })
    this.#observer = observer
    return observer
  }

  /** What fails in here is ours: the connection goes on, unwatched. */
  #observe(act: (at: number) => SpanHandle | null): SpanHandle | null {
    if (this.#deaf) return null
    try {
      return act(performance.now())
    } catch (error) {
      this.#deaf = true
      this.#options.warn('connection', `Cannot read a connection any longer: ${String(error)}`)
      return null
    }
  }
}

function carrierOf(header: (name: string) => string | null): Carrier {
  const traceparent = header('traceparent')
  const tracestate = header('tracestate')
  const context = traceparent === null ? null : tracestate === null ? { traceparent } : { traceparent, tracestate }
  return { context, attributes: {}, sent: null, firstChunkAt: null }
}
