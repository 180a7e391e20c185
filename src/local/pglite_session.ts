import { statementMsMax } from '../core/limit.ts'
import { DatabaseError } from './database.ts'
import type { PgliteEngine, RunOptions } from './pglite_engine.ts'
import { cleanMessages, type TransactionStatus } from './postgres_message.ts'
import type { SessionLock } from './session_lock.ts'

/** One holding of the session. */
export type Turn = {
  /** False when the owner had the session last too, so whatever it set or prepared is still there. */
  readonly fresh: boolean
  run(bytes: Buffer, options: RunOptions): Promise<TransactionStatus | null>
  /** Gives the session back. */
  end(): void
}

/**
 * PGlite's only session, shared by turns. What an owner leaves in it (an open transaction, a role, settings, temporary
 * tables, prepared statements, advisory locks, LISTEN) is cleaned before the first turn of somebody else.
 */
export type PgliteSession = {
  /**
   * @param owner whoever may leave something behind; null for one that runs whole transactions and leaves nothing.
   * @throws TurnTimeout when no turn came within `msMax`.
   */
  take(owner: object | null, msMax?: number): Promise<Turn>
  /** How many wait for a turn. */
  readonly waiting: number
}

export function createPgliteSession(engine: PgliteEngine, lock: SessionLock): PgliteSession {
  let last: { readonly owner: object; readonly generation: number } | null = null

  const clean = async () => {
    last = null
    try {
      await engine.run(Buffer.from(Uint8Array.from(cleanMessages).buffer), {
        msMax: statementMsMax,
        onPiece: () => undefined,
      })
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error // Otherwise the engine begins anew, which is as clean.
    }
  }

  return {
    async take(owner, msMax) {
      const release = await lock.take(msMax)
      try {
        if (last !== null && last.generation !== engine.generation) last = null
        const fresh = last === null || last.owner !== owner
        if (last !== null && fresh) await clean()
        if (owner !== null) last = { owner, generation: engine.generation }
        return { fresh, run: engine.run, end: release }
      } catch (error) {
        release()
        throw error
      }
    },
    get waiting() {
      return lock.waiting
    },
  }
}
