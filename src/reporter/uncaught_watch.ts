import { shadowed } from './shadow.ts'

export type UncaughtOrigin = 'uncaughtException' | 'unhandledRejection'
export type UncaughtRecord = (thrown: unknown, origin: UncaughtOrigin) => void

/**
 * Tells of every exception that nobody caught and every rejection that nobody took, while the host ends, or goes on, as
 * if nobody looked. Exceptions come by `uncaughtExceptionMonitor`, which is made for that. A listener for
 * `unhandledRejection` would keep a host alive that dies of one, and quiet one that warns: what is emitted is seen on
 * its way to the host's own listeners instead, in every mode of --unhandled-rejections. Answers how to end it.
 */
export function watchUncaught(record: UncaughtRecord): () => void {
  let rejected = false
  const monitor = (thrown: unknown, origin: UncaughtOrigin) => {
    // In the default mode the rejection was seen when it was emitted; a reason that is no error comes as another error.
    if (origin === 'unhandledRejection' && rejected) {
      rejected = false
      return
    }
    record(thrown, origin)
  }
  process.on('uncaughtExceptionMonitor', monitor)
  const shadow = shadowed(process, 'emit', (original) => {
    return function (this: unknown, ...args: unknown[]): unknown {
      if (args[0] === 'unhandledRejection') {
        rejected = true
        queueMicrotask(() => {
          rejected = false
        })
        record(args[1], 'unhandledRejection')
      }
      return original.apply(this, args)
    }
  })
  return () => {
    process.removeListener('uncaughtExceptionMonitor', monitor)
    shadow.lift()
  }
}
