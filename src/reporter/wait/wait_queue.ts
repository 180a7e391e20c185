import { followPromise } from '../followed_promise.ts'
import { type AnyFunction, shadowed } from '../shadow.ts'
import { WaitLedger, type WaitScope } from './wait_ledger.ts'

export type WatchQueueOptions = {
  /** What is waited for, as the wait span names it: `queue <name>`. */
  readonly name: string
  /** The method that takes a function to call later: `add`, `push`, `runExclusive`, `schedule` or `run` when absent. */
  readonly add?: string
  /** How many run at once; `concurrency`, or unknown when absent. Below it nobody is named as the holder. */
  readonly limit?: number
}

const adding = ['add', 'push', 'runExclusive', 'schedule', 'run']

/**
 * Watches a queue of any make: the time from when a function is given until it is called is a wait span of whoever gave
 * it, and it runs in that one's span. A queue that is a function itself (as p-limit's) is answered as another that is
 * the same in all else; any other stays itself.
 * @throws TypeError where there is no such method, or the object takes none of ours
 */
export function watchQueue<T extends object>(scope: WaitScope, queue: T, options: WatchQueueOptions): T {
  const concurrency: unknown = Reflect.get(queue, 'concurrency')
  const limit = options.limit ?? (typeof concurrency === 'number' ? concurrency : null)
  const ledger = new WaitLedger(scope, options.name, `queue ${options.name}`, limit)
  if (typeof queue === 'function' && options.add === undefined) {
    return new Proxy(queue, { apply: (target, self, args) => queued(target as AnyFunction, self, args, scope, ledger) })
  }
  const method = options.add ?? adding.find((name) => typeof Reflect.get(queue, name) === 'function') ?? 'add'
  shadowed(queue, method, (original) => {
    return function (this: unknown, ...args: unknown[]): unknown {
      return queued(original, this, args, scope, ledger)
    }
  })
  return queue
}

function queued(add: AnyFunction, self: unknown, args: unknown[], scope: WaitScope, ledger: WaitLedger): unknown {
  const at = args.findIndex((given) => typeof given === 'function')
  if (at < 0) return Reflect.apply(add, self, args)
  const caller = scope.active()
  const pending = ledger.pend()
  let begun = false
  const task = new Proxy(args[at] as AnyFunction, {
    apply(target, taskSelf, given) {
      pending.end()
      begun = true
      return scope.run(caller, () => running(() => Reflect.apply(target, taskSelf, given), ledger))
    },
  })
  try {
    const answer = Reflect.apply(add, self, args.with(at, task)) as unknown
    const refused = () => {
      if (!begun) pending.end('cancelled')
    }
    return followed(answer, (value) => value, refused)
  } catch (thrown) {
    pending.end('cancelled')
    throw thrown
  }
}

/** Calls a function that holds its place in the queue until what it answers has settled. */
function running(call: () => unknown, ledger: WaitLedger): unknown {
  const lease = ledger.take()
  const leave = () => ledger.drop(lease)
  let answer: unknown
  try {
    answer = call()
  } catch (thrown) {
    leave()
    throw thrown
  }
  const left = (value: unknown) => {
    leave()
    return value
  }
  const settling = followed(answer, left, leave)
  if (settling === answer && !isThenable(answer)) leave()
  return settling
}

function followed(answer: unknown, value: (value: unknown) => unknown, reason: () => void): unknown {
  try {
    return followPromise(answer, { value, reason }) ?? answer
  } catch {
    return answer
  }
}

function isThenable(value: unknown): boolean {
  try {
    return typeof (value as { readonly then?: unknown } | null)?.then === 'function'
  } catch {
    return false
  }
}
