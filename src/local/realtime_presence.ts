import type { Member } from './realtime_hub.ts'

/** What one client says of itself, and the mark by which its saying is told from the one before. */
type Meta = { readonly phx_ref: string; readonly [name: string]: unknown }
type Present = { readonly key: string; readonly meta: Meta }
type Metas = { readonly [key: string]: { readonly metas: readonly Meta[] } }

/** As Phoenix tells it: who came, with what they say, and who is gone. One that says something else does both. */
export type PresenceDiff = { readonly joins: Metas; readonly leaves: Metas }

/**
 * Who says of itself that it is on a channel: each client once, several clients under one key.
 * @see https://hexdocs.pm/phoenix/Phoenix.Presence.html
 */
export class Presence {
  readonly #members = new Map<Member, Present>()
  #refs = 0

  get size(): number {
    return this.#members.size
  }

  track(member: Member, key: string, payload: object): PresenceDiff {
    const before = this.#members.get(member)
    this.#refs += 1
    const ref = { phx_ref: `r${this.#refs.toString(36)}` }
    const meta = { ...payload, ...ref, ...(before === undefined ? {} : { phx_ref_prev: before.meta.phx_ref }) }
    this.#members.set(member, { key, meta })
    return { joins: metasOf([{ key, meta }]), leaves: metasOf(before === undefined ? [] : [before]) }
  }

  /** Null where it said nothing. */
  untrack(member: Member): PresenceDiff | null {
    const before = this.#members.get(member)
    if (before === undefined) return null
    this.#members.delete(member)
    return { joins: {}, leaves: metasOf([before]) }
  }

  state(): Metas {
    return metasOf([...this.#members.values()])
  }
}

function metasOf(present: readonly Present[]): Metas {
  const byKey = new Map<string, Meta[]>()
  for (const { key, meta } of present) byKey.set(key, [...(byKey.get(key) ?? []), meta])
  return Object.fromEntries([...byKey].map(([key, metas]) => [key, { metas }]))
}
