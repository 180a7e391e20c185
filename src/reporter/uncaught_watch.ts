import { shadowed } from './shadow.ts'

export type UncaughtOrigin = 'uncaughtException' | 'unhandledRejection'
export type UncaughtRecord = (thrown: unknown, origin: UncaughtOrigin) => void

/**
 * Tells of every exception that nobody caught and every rejection that nobody took, while the host ends, or goes on, as
 * if nobody looked. Exceptions come by `uncaughtExceptionMonitor`, which is made for that. A listener for
 * `unhandledRejection` would keep a host alive that dies of one, and quiet one that warns: what is emitted is seen on
 * its way to the host's own listeners instead, in every mode of --unhandled-rejections. An error is looked at only when
 * Node has it, or nobody will print it any more: whoever reads its stack before loses the line of code that is printed
 * with it. Answers how to end it.
 */
export function watchUncaught(record: UncaughtRecord): () => void {
  let current: { readonly reason: unknown; told: boolean } | null = null
  // In the mode `strict` Node has a rejection before it is emitted.
  let monitored = false
  const tell = (rejection: typeof current) => {
    if (!rejection || rejection.told) return
    rejection.told = true
    record(rejection.reason, 'unhandledRejection')
  }
  const monitor = (thrown: unknown, origin: UncaughtOrigin) => {
    if (origin === 'unhandledRejection' && current && !current.told) {
      tell(current)
      return
    }
    if (origin === 'unhandledRejection') monitored = true
    record(thrown, origin)
  }
  process.on('uncaughtExceptionMonitor', monitor)
  const shadow = shadowed(process, 'emit', (original) => {
    return function (this: unknown, ...args: unknown[]): unknown {
      // A listener for rejections that ends the process never comes back.
      if (args[0] === 'exit') tell(current)
      if (args[0] !== 'unhandledRejection') return original.apply(this, args)
      const rejection = { reason: args[1], told: monitored }
      monitored = false
      current = rejection
      queueMicrotask(() => {
        tell(rejection)
        if (current === rejection) current = null
      })
      const taken = original.apply(this, args)
      if (taken) tell(rejection)
      return taken
    }
  })
  return () => {
    process.removeListener('uncaughtExceptionMonitor', monitor)
    shadow.lift()
  }
}
