import { AsyncLocalStorage } from 'node:async_hooks'
import type { SpanHandle } from './recorded_span.ts'

/** The span that the code that runs now belongs to, carried through promises, timers and callbacks. One a reporter. */
export class ActiveSpan {
  readonly #storage = new AsyncLocalStorage<SpanHandle | null>()

  /** The innermost span that something runs in, whether or not it has ended; null outside of any. */
  get current(): SpanHandle | null {
    return this.#storage.getStore() ?? null
  }

  /** Calls `fn` once, in `span`, and answers or throws what it does. */
  run<T>(span: SpanHandle | null, fn: () => T): T {
    return this.#storage.run(span, fn)
  }
}
