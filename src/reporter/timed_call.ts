import { followPromise } from './followed_promise.ts'
import type { SpanHandle } from './recorded_span.ts'
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

/** The answer, with its end watched. `waitAt`: since when its first chunk is waited for, null: since it is asked for. */
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

function watchedPromise(answer: object, span: SpanHandle, scope: CallScope, startedAt: number): object | null {
  const ear = {
    value: (value: unknown) => settled(value, span, scope, startedAt, startedAt),
    reason: (reason: unknown) => scope.fail(span, reason),
  }
  return followPromise(answer, ear, {
    inside: (fn) => scope.run(span, fn),
    outside: () => {
      const outer = scope.active()
      return (fn) => scope.run(outer, fn)
    },
  })
}
