import { openCallsMax } from '../../core/limit.ts'
import type { McpId } from '../../wire/mcp_frame.ts'

/** The calls of one direction that have no answer yet, by id. Two with one id are answered first in, first out. */
export class OpenCalls<T> {
  readonly #byId = new Map<string, T[]>()
  readonly #max: number
  #size = 0

  constructor(max: number = openCallsMax) {
    this.#max = max
  }

  get size(): number {
    return this.#size
  }

  /** Whether a call with this id is open already. */
  has(id: McpId): boolean {
    return this.#byId.has(idKeyOf(id))
  }

  /** Adds a call; answers the one that had to make room for it, if any. */
  add(id: McpId, call: T): T | null {
    const key = idKeyOf(id)
    const same = this.#byId.get(key)
    if (same) same.push(call)
    else this.#byId.set(key, [call])
    this.#size++
    return this.#size > this.#max ? this.#takeBy(this.#byId.keys().next().value as string) : null
  }

  /** Takes out the oldest call with this id. */
  take(id: McpId): T | null {
    return this.#takeBy(idKeyOf(id))
  }

  takeAll(): readonly T[] {
    const all = [...this.#byId.values()].flat()
    this.#byId.clear()
    this.#size = 0
    return all
  }

  some(matches: (call: T) => boolean): boolean {
    for (const calls of this.#byId.values()) if (calls.some(matches)) return true
    return false
  }

  /** Takes out those that `matches`, oldest ids first. */
  takeWhere(matches: (call: T) => boolean): readonly T[] {
    const taken: T[] = []
    for (const [key, calls] of this.#byId) {
      const kept = calls.filter((call) => !matches(call))
      if (kept.length === calls.length) continue
      taken.push(...calls.filter(matches))
      this.#size -= calls.length - kept.length
      if (kept.length === 0) this.#byId.delete(key)
      else this.#byId.set(key, kept)
    }
    return taken
  }

  /** The call that is open, where exactly one of those that `matches` is. */
  only(matches: (call: T) => boolean): T | null {
    let found: T | null = null
    for (const calls of this.#byId.values()) {
      for (const call of calls) {
        if (!matches(call)) continue
        if (found) return null
        found = call
      }
    }
    return found
  }

  #takeBy(key: string): T | null {
    const calls = this.#byId.get(key)
    const call = calls?.shift()
    if (!calls || call === undefined) return null
    this.#size--
    if (calls.length === 0) this.#byId.delete(key)
    return call
  }
}

/** A key that keeps 1 and "1" apart. */
export function idKeyOf(id: McpId): string {
  return typeof id === 'number' ? `#${id}` : `"${id}`
}
