import type { SpanHandle } from './recorded_span.ts'
import { type AnyFunction, type Shadow, shadowed } from './shadow.ts'
import type { CallScope } from './timed_call.ts'

// Whoever takes a stream by one of these reads it where it cannot be seen: the span ends at the handing over.
const handovers = ['getReader', 'pipeTo', 'pipeThrough', 'tee'] as const
const watched = new WeakSet<object>()

/**
 * Watches what is read chunk by chunk: an async iterator, a generator, or what makes an async iterator (a stream). The
 * object stays itself. Answers null where it is none of these, or is watched already.
 */
export function watchStream(
  answer: object,
  span: SpanHandle,
  scope: CallScope,
  waitAt: number | null,
  startedAt: number,
): object | null {
  const iterates = typeof Reflect.get(answer, Symbol.asyncIterator) === 'function'
  const isIterator = (iterates || isGenerator(answer)) && typeof Reflect.get(answer, 'next') === 'function'
  if ((!iterates && !isIterator) || watched.has(answer)) return null
  const tally = new StreamTally(span, scope, waitAt, startedAt)
  if (isIterator) {
    watchIterator(answer, tally)
    return answer
  }
  // A stream is under way before anybody reads it.
  tally.begin(waitAt ?? startedAt)
  tally.own(answer, Symbol.asyncIterator, (original) => {
    return function (this: unknown, ...args: unknown[]): unknown {
      tally.lift()
      const iterator = original.apply(this, args) as object
      attempt(() => watchIterator(iterator, tally))
      return iterator
    }
  })
  for (const key of handovers) {
    if (typeof Reflect.get(answer, key) !== 'function') continue
    tally.own(answer, key, (original) => {
      return function (this: unknown, ...args: unknown[]): unknown {
        tally.end()
        return original.apply(this, args)
      }
    })
  }
  const once: unknown = Reflect.get(answer, 'once')
  if (typeof once === 'function') once.call(answer, 'close', () => tally.end())
  return answer
}

/** Counts the chunks of one stream and ends its span once. */
class StreamTally {
  readonly #span: SpanHandle
  readonly #scope: CallScope
  readonly #startedAt: number
  readonly #shadows: Shadow[] = []
  readonly #owned: object[] = []
  #waitAt: number | null
  #wait: SpanHandle | null = null
  #chunks = 0
  #firstChunkMs: number | null = null
  #ended = false

  constructor(span: SpanHandle, scope: CallScope, waitAt: number | null, startedAt: number) {
    this.#span = span
    this.#scope = scope
    this.#waitAt = waitAt
    this.#startedAt = startedAt
  }

  /** Somebody waits for the first chunk: since `at` (ms), or since now. */
  begin(at?: number): void {
    if (this.#wait || this.#ended) return
    this.#waitAt ??= at ?? this.#scope.instant()
    this.#wait = this.#scope.firstChunk(this.#span, this.#waitAt)
  }

  chunk(): void {
    this.#chunks++
    if (this.#chunks > 1 || this.#ended) return
    this.#firstChunkMs = Math.round((this.#scope.instant() - this.#startedAt) * 1_000) / 1_000
    this.#wait?.end()
  }

  end(): void {
    if (!this.#finish()) return
    this.#span.end()
  }

  fail(thrown: unknown): void {
    if (!this.#finish()) return
    this.#scope.fail(this.#span, thrown)
  }

  /** What runs the host's own code for a chunk does so in the span. */
  run<T>(fn: () => T): T {
    return this.#scope.run(this.#span, fn)
  }

  own(target: object, key: PropertyKey, wrapping: (original: AnyFunction) => AnyFunction): void {
    this.#shadows.push(shadowed(target, key, wrapping))
    this.#owned.push(target)
    watched.add(target)
  }

  lift(): void {
    for (const shadow of this.#shadows.splice(0)) attempt(() => shadow.lift())
    for (const target of this.#owned.splice(0)) watched.delete(target)
  }

  #finish(): boolean {
    if (this.#ended) return false
    this.#ended = true
    this.lift()
    this.#wait?.end()
    const first = this.#firstChunkMs === null ? {} : { 'telltale.first_chunk_ms': this.#firstChunkMs }
    this.#span.set({ attributes: { 'telltale.chunk_count': this.#chunks, ...first } })
    return true
  }
}

function watchIterator(iterator: object, tally: StreamTally): void {
  for (const key of ['next', 'return', 'throw'] as const) {
    if (typeof Reflect.get(iterator, key) !== 'function') continue
    tally.own(iterator, key, (original) => {
      return function (this: unknown, ...args: unknown[]): unknown {
        if (key === 'next') tally.begin()
        let step: unknown
        try {
          step = tally.run(() => original.apply(this, args))
        } catch (thrown) {
          tally.fail(thrown)
          throw thrown
        }
        return followed(step, key === 'return', tally)
      }
    })
  }
}

/** The step as it is, counted when it is there. `last`: the reader leaves with it. */
function followed(step: unknown, last: boolean, tally: StreamTally): unknown {
  const count = (result: unknown) => {
    attempt(() => {
      const { done } = result as { readonly done?: unknown }
      if (done || last) tally.end()
      else tally.chunk()
    })
    return result
  }
  if (!(step instanceof Promise)) return isThenable(step) ? followed(Promise.resolve(step), last, tally) : count(step)
  return step.then(count, (thrown: unknown) => {
    tally.fail(thrown)
    throw thrown
  })
}

function isGenerator(value: object): boolean {
  return Object.prototype.toString.call(value) === '[object Generator]'
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'then') === 'function'
}

function attempt(act: () => void): void {
  try {
    act()
  } catch {
    // What cannot be watched is still read.
  }
}
