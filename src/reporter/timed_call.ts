import type { SpanHandle } from './recorded_span.ts'
import { type AnyFunction, type Shadow, shadowed } from './shadow.ts'
import { watchStream } from './timed_stream.ts'

/** What timing a call needs of its reporter. None of these throws anything but what `fn` does. */
export type CallScope = {
  readonly run: <T>(span: SpanHandle | null, fn: () => T) => T
  readonly active: () => SpanHandle | null
  /** Monotonic ms. */
  readonly instant: () => number
  /** Ends the span with what was thrown, and records that once. */
  readonly fail: (span: SpanHandle, thrown: unknown) => void
  /** Begins the span in which the call waits for its first chunk. */
  readonly firstChunk: (span: SpanHandle, at: number) => SpanHandle
}

/** Calls `fn` in `span`, which ends when what it answers does. Answers and throws what `fn` does. */
export function timeCall<T>(span: SpanHandle, fn: (span: SpanHandle) => T, scope: CallScope): T {
  const startedAt = scope.instant()
  let answer: T
  try {
    answer = scope.run(span, () => fn(span))
  } catch (thrown) {
    scope.fail(span, thrown)
    throw thrown
  }
  return settled(answer, span, scope, null, startedAt) as T
}

/** The answer, with its end watched. `callAt`: since when its first chunk is waited for, null: since it is asked for. */
function settled(
  answer: unknown,
  span: SpanHandle,
  scope: CallScope,
  waitAt: number | null,
  startedAt: number,
): unknown {
  if ((typeof answer === 'object' && answer !== null) || typeof answer === 'function') {
    try {
      const watched =
        watchedPromise(answer, span, scope, startedAt) ?? watchStream(answer, span, scope, waitAt, startedAt)
      if (watched) return watched
    } catch {
      // What refuses to be looked at is the host's to use as it is.
    }
  }
  span.end()
  return answer
}

/**
 * A promise of the plain kind is followed by one that settles the same way, so that a rejection that nobody takes is
 * still one. What else has a `then` (a query that begins when awaited, a promise with methods of its own) stays itself
 * and is watched at its first `then`.
 */
function watchedPromise(answer: object, span: SpanHandle, scope: CallScope, startedAt: number): unknown {
  const then = (answer as { readonly then?: unknown }).then
  if (typeof then !== 'function') return null
  const onValue = (value: unknown) => settled(value, span, scope, startedAt, startedAt)
  const onReason = (reason: unknown) => scope.fail(span, reason)
  if (answer instanceof Promise && Object.getPrototypeOf(answer) === Promise.prototype) {
    const followed = answer.then(onValue, (reason) => {
      onReason(reason)
      throw reason
    })
    const { then: _, ...own } = Object.getOwnPropertyDescriptors(answer) as PropertyDescriptorMap
    return Object.defineProperties(followed, own)
  }
  const shadow: Shadow = shadowed(answer, 'then', (original) =>
    watchedThen(original, () => shadow.lift(), scope, span, onValue, onReason),
  )
  return answer
}

function watchedThen(
  original: AnyFunction,
  lift: () => void,
  scope: CallScope,
  span: SpanHandle,
  onValue: (value: unknown) => unknown,
  onReason: (reason: unknown) => void,
): AnyFunction {
  return function (this: unknown, took?: unknown, refused?: unknown, ...more: unknown[]): unknown {
    lift()
    const outer = scope.active()
    const ok = (value: unknown) => {
      const answer = onValue(value)
      return typeof took === 'function' ? scope.run(outer, () => took(answer)) : answer
    }
    const failed = (reason: unknown) => {
      onReason(reason)
      if (typeof refused === 'function') return scope.run(outer, () => refused(reason))
      throw reason
    }
    return scope.run(span, () => original.call(this, ok, failed, ...more))
  }
}
