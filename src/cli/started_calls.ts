import { openCallsMax } from '../core/limit.ts'
import type { Span } from '../core/record.ts'

type Started = { readonly key: string; readonly span: Span }

/** Calls of a log that have begun and not ended, at most `openCallsMax`: found by their key without a look at the others. */
export class StartedCalls<T extends Started> {
  readonly #all: Set<T>
  readonly #byKey = new Map<string, T[]>()

  constructor(calls: readonly T[]) {
    this.#all = new Set(calls)
    for (const call of calls) this.#place(call)
  }

  get size(): number {
    return this.#all.size
  }

  /** In the order in which they were added. */
  get all(): readonly T[] {
    return [...this.#all]
  }

  /** Answers the eldest where there are too many now. */
  add(call: T): T | null {
    this.#all.add(call)
    this.#place(call)
    if (this.#all.size <= openCallsMax) return null
    const [eldest] = this.#all
    if (eldest) this.#remove(eldest)
    return eldest ?? null
  }

  /**
   * Takes the call of a key that began nearest to an instant (µs), and no further from it than `withinUs`. Without an
   * instant the last: an elder one with the same id was given up, or its end would have been logged before.
   */
  take(key: string, startUs: number | null, withinUs = Number.POSITIVE_INFINITY): T | null {
    const same = this.#byKey.get(key) ?? []
    let at = same.length - 1
    if (startUs !== null) {
      const farOf = (i: number) => Math.abs((same[i]?.span.start_us ?? Number.POSITIVE_INFINITY) - startUs)
      while (at > 0 && farOf(at - 1) <= farOf(at)) at--
      if (at >= 0 && farOf(at) > withinUs) return null
    }
    const call = same[at]
    if (!call) return null
    this.#remove(call)
    return call
  }

  /** Takes all that fit. */
  takeAll(fits: (call: T) => boolean): readonly T[] {
    const taken = this.all.filter(fits)
    for (const call of taken) this.#remove(call)
    return taken
  }

  #place(call: T): void {
    const same = this.#byKey.get(call.key)
    if (same) same.push(call)
    else this.#byKey.set(call.key, [call])
  }

  #remove(call: T): void {
    this.#all.delete(call)
    const same = this.#byKey.get(call.key) ?? []
    if (same.length > 1) same.splice(same.lastIndexOf(call), 1)
    else this.#byKey.delete(call.key)
  }
}
