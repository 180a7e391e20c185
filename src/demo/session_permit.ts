import { paced } from './pace.ts'
import { PermitPool } from './permit_pool.ts'

const permitsMax = 2
const patienceMs = 1_200
const sessionsMax = 16

/** The permits of each conversation, of which so many calls may run at once. The oldest conversations are let go. */
export class SessionPermits {
  readonly #pools = new Map<string, PermitPool>()

  of(conversationId: string): PermitPool {
    const known = this.#pools.get(conversationId)
    if (known) return known
    const pool = new PermitPool('session_sem', permitsMax, paced(patienceMs))
    this.#pools.set(conversationId, pool)
    const [oldest] = this.#pools.keys()
    if (this.#pools.size > sessionsMax && oldest !== undefined) this.#pools.delete(oldest)
    return pool
  }

  get inUse(): number {
    return [...this.#pools.values()].reduce((sum, pool) => sum + pool.inUse, 0)
  }
}
