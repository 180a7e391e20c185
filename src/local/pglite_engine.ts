import { Worker } from 'node:worker_threads'
import { unreadResultBytesMax } from '../core/limit.ts'
import { assert } from '../core/result.ts'
import { DatabaseError } from './database.ts'
import type { WorkerData, WorkerReport, WorkerTask } from './pglite_worker.ts'
import type { TransactionStatus } from './postgres_message.ts'

export type RunOptions = {
  /** Longer than this and the engine is reopened: whatever was not committed is gone, and 57014 is thrown. */
  readonly msMax: number
  /** Takes the answer as it comes; the engine waits for a promise, and false declines the rest. */
  readonly onPiece: (piece: Buffer) => undefined | boolean | Promise<undefined | boolean>
  /** Run when the task leaves a transaction open. Its answer is not seen. */
  readonly rollback?: Uint8Array
}

/**
 * PGlite in a worker thread. It has one session and does one thing at a time: callers hold the session lock.
 * When the thread is stopped or dies it is opened again over the same directory, where PostgreSQL's crash recovery
 * finds all that was committed.
 */
export type PgliteEngine = {
  /**
   * Runs whole protocol messages. Answers the transaction status afterwards, null when inside a pipeline.
   * `bytes` own their memory, which moves to the thread.
   * @throws DatabaseError 57014 after `msMax` or `interrupt()`, 57P02 when the thread died, as it does when its session
   *   broke, 57P03 when it cannot open.
   */
  run(bytes: Buffer, options: RunOptions): Promise<TransactionStatus | null>
  /** Ends an idle thread whose session turns out to be broken. The next task opens it again. */
  abandon(): Promise<void>
  /** Ends what runs, if anything does, by reopening. */
  interrupt(): void
  /** How often the session has begun anew. */
  readonly generation: number
  close(): Promise<void>
}

/**
 * PostgreSQL stops a recursion at its own `max_stack_depth` of 2 MB, with 54001. A thread's usual 4 MB end before that:
 * JavaScript then unwinds PostgreSQL from outside, and its session never works again.
 */
const defaultStackSizeMb = 64
const openMsMax = 60_000
const closeMsMax = 5_000

type Thread = { readonly worker: Worker; readonly outstanding: Int32Array }

function openThread(dir: string, stackSizeMb: number): Promise<Thread> {
  const outstanding = new Int32Array(new SharedArrayBuffer(8))
  const workerData: WorkerData = { dir, outstanding, outstandingBytesMax: unreadResultBytesMax }
  const worker = new Worker(new URL('./pglite_worker.ts', import.meta.url), {
    workerData,
    execArgv: [],
    resourceLimits: { stackSizeMb },
  })
  return new Promise((resolve, reject) => {
    const refuse = (why: unknown) => {
      clearTimeout(timer)
      reject(new DatabaseError(`Cannot open database ${dir}: ${why instanceof Error ? why.message : why}`, '57P03'))
      void worker.terminate()
    }
    const timer = setTimeout(() => refuse(`it did not open within ${openMsMax} ms`), openMsMax)
    const takeExit = (code: number) => refuse(`its thread ended with ${code}`)
    worker.on('error', refuse) // Later a no-op: an exit follows.
    worker.once('exit', takeExit)
    worker.once('message', () => {
      clearTimeout(timer)
      worker.off('exit', takeExit)
      resolve({ worker, outstanding })
    })
  })
}

/** Runs one task on a thread that is idle. Rejects with DatabaseError, after which the thread is of no more use. */
function runTask(
  { worker, outstanding }: Thread,
  bytes: Buffer,
  { msMax, onPiece, rollback }: RunOptions,
  onInterruptible: (interrupt: () => void) => void,
): Promise<TransactionStatus | null> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      clearTimeout(timer)
      worker.off('message', takeReport)
      worker.off('exit', takeExit)
    }
    const stop = (why: string) => {
      settle()
      reject(new DatabaseError(why, '57014'))
    }
    const takeExit = () => {
      settle()
      reject(new DatabaseError('Cannot run statement: the database stopped and is being reopened', '57P02'))
    }
    let pieces: Promise<unknown> = Promise.resolve()
    const takePiece = async (piece: Buffer) => {
      let more: undefined | boolean = false
      try {
        if (Atomics.load(outstanding, 1) === 0) more = await onPiece(piece)
      } finally {
        if (more === false) Atomics.store(outstanding, 1, 1)
        Atomics.sub(outstanding, 0, piece.length)
        Atomics.notify(outstanding, 0)
      }
    }
    const takeReport = (report: WorkerReport) => {
      if (report.kind === 'piece') {
        const piece = Buffer.from(report.bytes.buffer, report.bytes.byteOffset, report.bytes.length)
        pieces = pieces.then(() => takePiece(piece))
        pieces.catch(() => {})
      } else if (report.kind === 'done') {
        settle()
        pieces.then(() => resolve(report.status), reject)
      }
    }
    const timer = setTimeout(() => stop(`canceling statement due to statement timeout (${msMax} ms)`), msMax)
    onInterruptible(() => stop('canceling statement due to user request'))
    Atomics.store(outstanding, 0, 0)
    Atomics.store(outstanding, 1, 0)
    worker.on('message', takeReport)
    worker.once('exit', takeExit)
    const task: WorkerTask = { bytes, rollback: rollback ?? null }
    worker.postMessage(task, [bytes.buffer as ArrayBuffer])
  })
}

/** @param stackSizeMb of the thread; smaller than the default it breaks sessions, which tests want. */
export async function openPgliteEngine(dir: string, stackSizeMb = defaultStackSizeMb): Promise<PgliteEngine> {
  let thread: Thread | null = await openThread(dir, stackSizeMb)
  let generation = 1
  let running = false
  let untilIdle: Promise<void> = Promise.resolve()
  let closed = false
  let interrupt = () => {}
  const abandon = async () => {
    const dead = thread
    thread = null
    await dead?.worker.terminate()
  }
  return {
    async run(bytes, options) {
      assert(!running, 'the engine runs one task at a time')
      if (closed) throw new DatabaseError('Cannot run statement: the database is closed', '57P01')
      running = true
      let idle = () => {}
      untilIdle = new Promise((resolve) => {
        idle = resolve
      })
      try {
        if (thread === null) {
          const opened = await openThread(dir, stackSizeMb)
          if (closed) {
            await opened.worker.terminate()
            throw new DatabaseError('Cannot run statement: the database is closed', '57P01')
          }
          thread = opened
          generation += 1
        }
        return await runTask(thread, bytes, options, (stop) => {
          interrupt = stop
        })
      } catch (error) {
        if (error instanceof DatabaseError) await abandon()
        throw error
      } finally {
        running = false
        interrupt = () => {}
        idle()
      }
    },
    async abandon() {
      assert(!running, 'a thread that runs a task is ended by interrupt()')
      await abandon()
    },
    interrupt() {
      interrupt()
    },
    get generation() {
      return generation
    },
    async close() {
      closed = true
      const last = thread
      thread = null
      if (last === null) return untilIdle // It was being opened again.
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, closeMsMax)
        last.worker.once('exit', () => {
          clearTimeout(timer)
          resolve()
        })
        last.worker.postMessage('close')
      })
      await last.worker.terminate()
      await untilIdle
    },
  }
}
