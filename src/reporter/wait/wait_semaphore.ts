import { WaitLedger, type WaitScope } from './wait_ledger.ts'

export type AcquireOptions = {
  /** Ends the waiting; `acquire` then rejects with its reason. */
  readonly signal?: AbortSignal
  /** Who is said to hold the permit: the active span's tool or name when absent. */
  readonly holder?: string
}

/** A counting semaphore, first come first served, that tells who waits, how long and for whom. */
export type Semaphore = {
  readonly name: string
  readonly limit: number
  readonly inUse: number
  readonly waiting: number
  /** Resolves when there is a permit, with how to give it back; giving it back twice changes nothing. */
  acquire(options?: AcquireOptions): Promise<() => void>
  /** Calls `fn` with a permit. Answers and throws what it does. */
  use<T>(fn: () => T | Promise<T>, options?: AcquireOptions): Promise<T>
}

/** A semaphore of `limit` permits, at least one. Waiting is a wait span `permit <name>` of the active span. */
export function createSemaphore(scope: WaitScope, name: string, limit: number): Semaphore {
  const permits = Number.isFinite(limit) ? Math.max(1, Math.floor(limit)) : 1
  const ledger = new WaitLedger(scope, name, `permit ${name}`, permits)
  const waiting = new Set<() => void>()
  let inUse = 0

  const take = (holder: string | undefined): (() => void) => {
    inUse++
    const lease = ledger.take(holder)
    let held = true
    return () => {
      if (!held) return
      held = false
      inUse--
      ledger.drop(lease)
      waiting.values().next().value?.()
    }
  }

  const acquire = ({ signal, holder }: AcquireOptions = {}): Promise<() => void> => {
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (inUse < permits) return Promise.resolve(take(holder))
    const wait = ledger.wait()
    const caller = scope.active()
    return new Promise((resolve, reject) => {
      const leave = () => {
        waiting.delete(turn)
        wait.end('cancelled')
        reject(signal?.reason)
      }
      const turn = () => {
        waiting.delete(turn)
        signal?.removeEventListener('abort', leave)
        wait.end()
        // Whoever gave the permit back calls this: the permit is the waiter's all the same.
        resolve(scope.run(caller, () => take(holder)))
      }
      waiting.add(turn)
      signal?.addEventListener('abort', leave, { once: true })
    })
  }

  return {
    name,
    limit: permits,
    get inUse() {
      return inUse
    },
    get waiting() {
      return waiting.size
    },
    acquire,
    async use(fn, options) {
      const release = await acquire(options)
      try {
        return await fn()
      } finally {
        release()
      }
    },
  }
}
