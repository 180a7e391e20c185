import { assert } from '../core/result.ts'

/** Thrown by `take` when no turn came in time. */
export class TurnTimeout extends Error {
  override readonly name = 'TurnTimeout'
}

/**
 * One lock, first come first served, for PGlite's only session. Whoever holds it gives it back after one round, so a
 * flood of one kind of caller delays the others by what stands before them in the queue and no more.
 */
export type SessionLock = {
  /**
   * Waits for the lock. The answer gives it back; a second call of it does nothing.
   * @throws TurnTimeout after `msMax` of waiting; without `msMax` it waits for as long as it takes.
   */
  take(msMax?: number): Promise<() => void>
  /** How many wait, the holder not counted. */
  readonly waiting: number
}

type Waiter = { readonly begin: () => void }

export function createSessionLock(): SessionLock {
  const queue = new Set<Waiter>()
  let held = false

  const releaseOnce = () => {
    let released = false
    return () => {
      if (released) return
      released = true
      assert(held, 'a lock that is given back was held')
      const [next] = queue
      if (next === undefined) held = false
      else {
        queue.delete(next)
        next.begin()
      }
    }
  }

  return {
    take(msMax) {
      if (!held) {
        held = true
        return Promise.resolve(releaseOnce())
      }
      return new Promise((resolve, reject) => {
        const giveUp = () => {
          queue.delete(waiter)
          reject(new TurnTimeout(`Cannot take a turn: none came within ${msMax} ms`))
        }
        const timer = msMax === undefined ? undefined : setTimeout(giveUp, msMax)
        const waiter = {
          begin() {
            clearTimeout(timer)
            resolve(releaseOnce())
          },
        }
        queue.add(waiter)
      })
    },
    get waiting() {
      return queue.size
    },
  }
}
