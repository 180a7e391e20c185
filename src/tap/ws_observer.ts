import type { ContentRules } from '../reporter/mcp/content_rule.ts'
import type { Reporter } from '../reporter/reporter.ts'

/** One message of a WebSocket. `data` is as it came; whoever only looks changes nothing in it. */
export type SocketMessage = { readonly data: Buffer; readonly binary: boolean }

/** How a connection ended. `by`: who ended it first, `tap` being the tap itself that stops. */
export type SocketEnd = {
  readonly by: 'client' | 'server' | 'tap'
  /** A close code of RFC 6455; 1005 none was sent, 1006 the connection broke. */
  readonly code: number
  readonly reason: string
}

/** Whoever listens to one connection. Every method may throw: the traffic flows on, unread. `at` in ms of performance.now(). */
export type SocketObserver = {
  /** Whether it may put something in place of a client's message, which then waits until it is read. */
  readonly rewrites: boolean
  /** Answers the text to send on in place of the message; null: as it is. */
  clientMessage(message: SocketMessage, at: number): string | null
  serverMessage(message: SocketMessage, at: number): void
  /** The server could not be reached or refused the connection: there will be no message and no end. */
  refused(why: string): void
  close(end: SocketEnd, at: number): void
}

export type SocketObserverOptions = {
  readonly reporter: Reporter
  /** `websocket` by default. */
  readonly layer?: string | undefined
  /** An explicit session handle for every call without a more specific one. */
  readonly session?: string | undefined
  /** Another recorder further out has already recorded each request. */
  readonly inner?: boolean | undefined
  /** Whether calls are sent on with the trace context of their span. */
  readonly context: boolean
  readonly content: ContentRules
  /** Key of the argument hash (`saltOf`). */
  readonly salt: string
  readonly connectionId: string
}
