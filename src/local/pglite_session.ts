import { statementMsMax } from '../core/limit.ts'
import { DatabaseError } from './database.ts'
import type { PgliteEngine, RunOptions } from './pglite_engine.ts'
import { cleanMessages, ownedBytesOf, type TransactionStatus } from './postgres_message.ts'
import type { SessionLock } from './session_lock.ts'

/** Somebody who may leave something in the session. */
export type SessionOwner = {
  /** Called before it is cleaned away for somebody else, outside a transaction, to read what is worth keeping. */
  readonly beforeClean?: (run: Turn['run']) => Promise<void>
}

/** One holding of the session. */
export type Turn = {
  /** False when the owner had the session last too, so whatever it set or prepared is still there. */
  readonly fresh: boolean
  run(bytes: Buffer, options: RunOptions): Promise<TransactionStatus | null>
  /** Ends a session that is broken: whoever takes the next turn gets a new one. */
  discard(): Promise<void>
  /** Gives the session back. */
  end(): void
  /** Rolls back and cleans, then gives the session back. */
  abandon(): Promise<void>
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
  take(owner: SessionOwner | null, msMax?: number): Promise<Turn>
  /** How many wait for a turn. */
  readonly waiting: number
}

export function createPgliteSession(engine: PgliteEngine, lock: SessionLock): PgliteSession {
  let last: { readonly owner: SessionOwner; readonly generation: number } | null = null

  /** An engine that fails in here begins anew, which is as clean. */
  const ignoreRefusal = (error: unknown) => {
    if (!(error instanceof DatabaseError)) throw error
  }
  const clean = async () => {
    last = null
    await engine.run(ownedBytesOf(cleanMessages), { msMax: statementMsMax, onPiece: () => true }).catch(ignoreRefusal)
  }

  return {
    async take(owner, msMax) {
      const release = await lock.take(msMax)
      try {
        if (last !== null && last.generation !== engine.generation) last = null
        const fresh = last === null || last.owner !== owner
        if (last !== null && fresh) {
          await last.owner.beforeClean?.(engine.run).catch(ignoreRefusal)
          await clean()
        }
        if (owner !== null) last = { owner, generation: engine.generation }
        const abandon = () => clean().finally(release)
        return { fresh, run: engine.run, discard: engine.abandon, end: release, abandon }
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
