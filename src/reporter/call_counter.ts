import { sessionsCountedMax } from '../core/limit.ts'

/** Counts the calls of each session. Remembers the sessions used last; one that was forgotten begins at 1 again. */
export class CallCounter {
  readonly #counts = new Map<string, number>()
  readonly #sessionsMax: number

  constructor(sessionsMax: number = sessionsCountedMax) {
    this.#sessionsMax = sessionsMax
  }

  /** The number of the call that starts now, from 1. */
  next(sessionKey: string): number {
    const number = (this.#counts.get(sessionKey) ?? 0) + 1
    this.#counts.delete(sessionKey)
    this.#counts.set(sessionKey, number)
    if (this.#counts.size > this.#sessionsMax) this.#counts.delete(this.#counts.keys().next().value as string)
    return number
  }
}
