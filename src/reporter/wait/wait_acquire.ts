import { followPromise } from '../followed_promise.ts'
import { type AnyFunction, shadowed } from '../shadow.ts'
import { type Lease, type Pending, WaitLedger, type WaitScope } from './wait_ledger.ts'

export type WatchAcquireOptions = {
  /** What is waited for, as the wait span names it: `pool <name>` or `permit <name>`. */
  readonly name: string
  /** The method that waits: `connect`, `getConnection`, `acquire`, `take` or `lock`, the first there is, when absent. */
  readonly acquire?: string
  /** The method that gives back, on what was acquired or on the watched object: `release` when absent. */
  readonly release?: string
  /** How many there are; `options.max`, `max`, or unknown when absent. Below it nobody is named as the holder. */
  readonly limit?: number
}

const acquiring = ['connect', 'getConnection', 'acquire', 'take', 'lock']
const poolLike = new Set(['connect', 'getConnection'])

/**
 * Puts watching in front of the two methods of a pool, a mutex or a semaphore of any make, which stays what it is.
 * Known ways to give back: what was acquired is a function, has one as second member, or has the method `release`; or
 * the watched object's `release` is given what was acquired, or nothing. A callback as last argument is waited for.
 * @throws TypeError where there is no such method, or the object takes none of ours
 */
export function watchAcquire(scope: WaitScope, target: object, options: WatchAcquireOptions): void {
  const method =
    options.acquire ?? acquiring.find((name) => typeof Reflect.get(target, name) === 'function') ?? 'acquire'
  const release = options.release ?? 'release'
  const kind = poolLike.has(method) || typeof Reflect.get(target, 'destroy') === 'function' ? 'pool' : 'permit'
  const ledger = new WaitLedger(scope, options.name, `${kind} ${options.name}`, options.limit ?? limitOf(target))
  const leases = new Leases(ledger, release)
  shadowed(target, method, (original) => acquiringBy(original, scope, ledger, leases))
  if (typeof Reflect.get(target, release) === 'function')
    shadowed(target, release, (original) => leases.givingBack(original, true))
  // As generic-pool gives back what is broken.
  if (release !== 'destroy' && typeof Reflect.get(target, 'destroy') === 'function')
    shadowed(target, 'destroy', (original) => leases.givingBack(original, false))
}

function acquiringBy(original: AnyFunction, scope: WaitScope, ledger: WaitLedger, leases: Leases): AnyFunction {
  return function (this: unknown, ...args: unknown[]): unknown {
    const pending = ledger.pend()
    const callback = args.at(-1)
    if (typeof callback === 'function') args[args.length - 1] = called(callback as AnyFunction, scope, pending, leases)
    let answer: unknown
    try {
      answer = original.apply(this, args)
    } catch (thrown) {
      pending.end('cancelled')
      throw thrown
    }
    if (typeof callback === 'function') return answer
    return awaited(answer, pending, leases)
  }
}

function awaited(answer: unknown, pending: Pending, leases: Leases): unknown {
  const value = (got: unknown) => {
    pending.end()
    return leases.hold(got)
  }
  try {
    return followPromise(answer, { value, reason: () => pending.end('cancelled') }) ?? value(answer)
  } catch {
    pending.end()
    return answer
  }
}

/** Node's way: (error, what was acquired, how to give it back). Called in what was active when it was given. */
function called(callback: AnyFunction, scope: WaitScope, pending: Pending, leases: Leases): AnyFunction {
  const caller = scope.active()
  return function (this: unknown, ...args: unknown[]): unknown {
    const [error, got, done, ...more] = args
    const failed = error !== null && error !== undefined
    pending.end(failed ? 'cancelled' : 'ok')
    if (failed) return scope.run(caller, () => callback.apply(this, args))
    const held = scope.run(caller, () => leases.hold(got))
    const giveBack = typeof done === 'function' ? [leases.through(done as AnyFunction, got)] : args.slice(2, 3)
    return scope.run(caller, () => callback.call(this, error, held, ...giveBack, ...more))
  }
}

/** Which lease is whose: found again by what was acquired, whichever way it is given back. */
class Leases {
  readonly #ledger: WaitLedger
  readonly #release: string
  readonly #byValue = new WeakMap<object, Lease>()
  /** While something is given back, what that calls gives nothing back. */
  #giving = false

  constructor(ledger: WaitLedger, release: string) {
    this.#ledger = ledger
    this.#release = release
  }

  /** Takes a lease for what was acquired, and answers it with its way back watched. */
  hold(got: unknown): unknown {
    const lease = this.#ledger.take()
    try {
      if (typeof got === 'function') return this.#releaser(got as AnyFunction, lease)
      if (Array.isArray(got) && typeof got[1] === 'function') {
        return got.with(1, this.#releaser(got[1] as AnyFunction, lease)) as unknown
      }
      if (typeof got !== 'object' || got === null) return got
      this.#byValue.set(got, lease)
      if (typeof Reflect.get(got, this.#release) !== 'function') return got
      const shadow = shadowed(got, this.#release, (original) => {
        const ledger = this
        return function (this: unknown, ...args: unknown[]): unknown {
          shadow.lift()
          ledger.#byValue.delete(got)
          return ledger.#give(lease, () => original.apply(this, args))
        }
      })
    } catch {
      // What cannot be watched is given back unseen.
    }
    return got
  }

  /** A function that gives back what was acquired, as a third argument of a callback. */
  through(release: AnyFunction, got: unknown): AnyFunction {
    const lease = typeof got === 'object' && got !== null ? this.#byValue.get(got) : undefined
    return lease ? this.#releaser(release, lease) : release
  }

  /** The watched object's own method; `any`: what it is given may be nothing that was acquired. */
  givingBack(original: AnyFunction, any: boolean): AnyFunction {
    const leases = this
    return function (this: unknown, ...args: unknown[]): unknown {
      if (leases.#giving) return original.apply(this, args)
      const [got] = args
      const known = typeof got === 'object' && got !== null
      const lease = known ? leases.#byValue.get(got) : undefined
      if (known) leases.#byValue.delete(got)
      if (!lease && (known || !any)) return original.apply(this, args)
      return leases.#give(lease ?? null, () => original.apply(this, args))
    }
  }

  #releaser(release: AnyFunction, lease: Lease): AnyFunction {
    return new Proxy(release, {
      apply: (target, self, args) => this.#give(lease, () => Reflect.apply(target, self, args)),
    })
  }

  #give<T>(lease: Lease | null, giveBack: () => T): T {
    this.#ledger.drop(lease ?? undefined)
    const outer = this.#giving
    this.#giving = true
    try {
      return giveBack()
    } finally {
      this.#giving = outer
    }
  }
}

function limitOf(target: object): number | null {
  const options: unknown = Reflect.get(target, 'options')
  const nested = typeof options === 'object' && options !== null ? (Reflect.get(options, 'max') as unknown) : undefined
  for (const limit of [nested, Reflect.get(target, 'max') as unknown]) if (typeof limit === 'number') return limit
  return null
}
