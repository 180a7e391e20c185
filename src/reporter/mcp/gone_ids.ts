import { goneIdsMax } from '../../core/limit.ts'
import type { McpId } from '../../wire/mcp_frame.ts'
import { idKeyOf } from './open_calls.ts'

/** The ids of calls that ended before their answer, so that an answer which comes all the same is none to nobody. */
export class GoneIds {
  readonly #keys = new Set<string>()

  add(id: McpId): void {
    this.#keys.add(idKeyOf(id))
    if (this.#keys.size > goneIdsMax) this.#keys.delete(this.#keys.keys().next().value as string)
  }

  /** Whether this id was there; it is gone then. */
  take(id: McpId): boolean {
    return this.#keys.delete(idKeyOf(id))
  }
}
