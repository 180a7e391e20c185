import type { BaseReporter } from '../reporter_surface.ts'
import { type WatchAcquireOptions, watchAcquire } from './wait_acquire.ts'
import type { WaitScope } from './wait_ledger.ts'
import { type WatchQueueOptions, watchQueue } from './wait_queue.ts'
import { type RetryOptions, retry } from './wait_retry.ts'
import { createSemaphore, type Semaphore } from './wait_semaphore.ts'

/**
 * Waiting, told as wait spans of the active span with who held what was waited for (the one that had it longest when
 * the waiting began), and the gauge `permits_in_use`. Waits of less than a millisecond are not told.
 */
type WaitReporter = {
  /** A semaphore of `limit` permits, first come first served; it works in a disabled reporter too. */
  semaphore(name: string, limit: number): Semaphore
  /** Watches somebody else's pool, mutex or semaphore, which stays the object that it is and is answered. */
  watchAcquire<T extends object>(target: T, options: WatchAcquireOptions): T
  /** Watches somebody else's queue: the time from giving a function to its call is a wait. Answers what to use. */
  watchQueue<T extends object>(queue: T, options: WatchQueueOptions): T
  /**
   * Calls `fn` until it answers, at most `attempts` times, and throws what the last attempt threw. Attempts are spans,
   * backoffs wait spans; it works in a disabled reporter too.
   */
  retry<T>(fn: (attempt: number) => T | Promise<T>, options?: RetryOptions): Promise<T>
}

/** Everything that a host calls. */
export type Reporter = BaseReporter & WaitReporter

/** The calls that tell of waiting. `guard` takes what fails on our side. */
export function waitingOf(scope: WaitScope, guard: <T>(act: () => T, otherwise: T) => T): WaitReporter {
  return {
    semaphore: (name, limit) => createSemaphore(scope, name, limit),
    watchAcquire(target, options) {
      guard(() => watchAcquire(scope, target, options), undefined)
      return target
    },
    watchQueue: (queue, options) => guard(() => watchQueue(scope, queue, options), queue),
    retry: (fn, options) => retry(scope, fn, options),
  }
}
