import { followPromise } from '../followed_promise.ts'
import type { SpanHandle } from '../recorded_span.ts'
import type { Reporter } from '../wait/wait_surface.ts'

type Handler = (...args: unknown[]) => unknown

// Of all servers, as a span is of one.
const explained = new WeakSet<SpanHandle>()

/** Whether what failed in this request's span is recorded already, as its handler threw it. */
export function isExplained(span: SpanHandle): boolean {
  return explained.has(span)
}

/**
 * Records what the handlers of a server throw, where its stack still stands: the SDK sends on the message alone. Every
 * handler is called through one of two places; where a later SDK has them no more, only the stacks are missing.
 * `server` is the one that the host has, `protocol` the low-level one below it, which may be the same.
 */
export function watchHandlers(
  server: { executeToolHandler?: unknown },
  protocol: { readonly _requestHandlers?: unknown; readonly fallbackRequestHandler?: unknown },
  reporter: Reporter,
): void {
  const handlers = protocol._requestHandlers
  if (handlers instanceof Map) {
    const found = handlers.get.bind(handlers) as (method: string) => unknown
    handlers.get = (method: string) => {
      const handler = found(method) ?? protocol.fallbackRequestHandler
      return typeof handler === 'function' ? told(handler as Handler, method, reporter) : handler
    }
  }
  // The high-level server makes an answer of what a tool throws before it comes up to the handler.
  const execute = server.executeToolHandler
  if (typeof execute === 'function') server.executeToolHandler = told(execute as Handler, 'tools/call', reporter)
}

/** The handler, which answers and throws as it did. */
function told(handler: Handler, method: string, reporter: Reporter): Handler {
  return function (this: unknown, ...args) {
    const span = reporter.active()
    const failed = (thrown: unknown) => {
      // Whoever aborts knows why: that is no error.
      if (span === null || isAbort(thrown)) return
      reporter.captureError(thrown, { span, context: { method } })
      explained.add(span)
    }
    let answer: unknown
    try {
      answer = handler.apply(this, args)
    } catch (thrown) {
      failed(thrown)
      throw thrown
    }
    try {
      return followPromise(answer, { value: (value) => value, reason: failed }) ?? answer
    } catch {
      // What refuses to be looked at is the SDK's to use as it is.
      return answer
    }
  }
}

function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'AbortError'
}
