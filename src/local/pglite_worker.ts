/**
 * PGlite in a thread of its own, where a long statement cannot starve the event loop of the process.
 * The thread knows only bytes of the PostgreSQL protocol; whole messages in, whole messages out.
 */

import { parentPort, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import { messageOf, messageType, statusOf, type TransactionStatus } from './postgres_message.ts'

/** Runs `bytes`; if that leaves a transaction open, `rollback` too, whose answer goes nowhere. */
export type WorkerTask = { readonly bytes: Uint8Array; readonly rollback: Uint8Array | null }

export type WorkerReport =
  | { readonly kind: 'open' }
  | { readonly kind: 'piece'; readonly bytes: Uint8Array<ArrayBuffer> }
  /** `status`: the transaction status after the task, as in ReadyForQuery; null inside a pipeline. */
  | { readonly kind: 'done'; readonly status: TransactionStatus | null }
  | { readonly kind: 'closed' }

/**
 * `outstanding` is a shared Int32Array: [0] bytes reported and not yet taken by the other side, [1] nonzero when it
 * wants no more of this answer. Above `outstandingBytesMax` the thread waits, so a slow reader bounds our memory.
 */
export type WorkerData = {
  readonly dir: string
  readonly outstanding: Int32Array
  readonly outstandingBytesMax: number
}

const pieceBytesMin = 256 * 1024
const tailBytes = 6
const { dir, outstanding, outstandingBytesMax } = workerData as WorkerData
const port = parentPort
if (port === null) throw new Error('Cannot start PGlite worker: this is the main thread')

function report(message: WorkerReport): void {
  if (message.kind === 'piece') port?.postMessage(message, [message.bytes.buffer])
  else port?.postMessage(message)
}

let chunks: Uint8Array[] = []
let chunksBytes = 0
/** The last bytes of the answer, where a ReadyForQuery stands; PostgreSQL may flush in the middle of one. */
let tail: Uint8Array = new Uint8Array(0)

function keepTail(bytes: Uint8Array): void {
  tail = bytes.length < tailBytes ? Buffer.concat([tail, bytes]).subarray(-tailBytes) : bytes.slice(-tailBytes)
}

function reportChunks(): void {
  if (chunksBytes === 0) return
  const bytes = new Uint8Array(chunksBytes)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  chunks = []
  chunksBytes = 0
  Atomics.add(outstanding, 0, bytes.length)
  report({ kind: 'piece', bytes })
}

function takeOutput(bytes: Uint8Array): void {
  keepTail(bytes)
  if (Atomics.load(outstanding, 1) !== 0) return
  chunks.push(bytes.slice())
  chunksBytes += bytes.length
  if (chunksBytes < pieceBytesMin) return
  reportChunks()
  for (;;) {
    const now = Atomics.load(outstanding, 0)
    if (now <= outstandingBytesMax || Atomics.load(outstanding, 1) !== 0) return
    Atomics.wait(outstanding, 0, now, 100)
  }
}

/** What PGlite keeps to itself of the program that PostgreSQL is. */
type Program = { _PostgresMainLoopOnce(): unknown }

/**
 * PGlite drops every exception that PostgreSQL's loop ends with, and goes on with the next message in a session that was
 * unwound from outside: it may even commit. All but PostgreSQL's own way back to its loop is told to `onTrap`.
 */
function watchTraps(pglite: PGlite, onTrap: (trap: unknown) => void): void {
  const { mod, POSTGRES_MAIN_LONGJMP } = pglite as unknown as { mod: Program; POSTGRES_MAIN_LONGJMP: number }
  const loopOnce = mod._PostgresMainLoopOnce
  mod._PostgresMainLoopOnce = () => {
    try {
      return loopOnce()
    } catch (error) {
      if ((error as { status?: unknown } | null)?.status !== POSTGRES_MAIN_LONGJMP) onTrap(error)
      throw error
    }
  }
}

const flush = messageOf(messageType.flush)
let trap: { readonly cause: unknown } | null = null

/**
 * Runs messages. A session that breaks ends the thread, so that nobody is served by it again.
 * @throws when PostgreSQL was unwound from outside, or leaves out the ReadyForQuery that ends all but a pipeline.
 */
async function runMessages(pglite: PGlite, bytes: Uint8Array, onRawData: (bytes: Uint8Array) => void) {
  const piped = flush.equals(bytes.subarray(-flush.length))
  tail = new Uint8Array(0)
  await pglite.execProtocolRawStream(bytes, { syncToFs: false, onRawData })
  const status = statusOf(tail)
  if (trap !== null) throw new Error('Cannot keep session: PostgreSQL was unwound from outside', trap)
  if (status === null && !piped) throw new Error('Cannot keep session: PostgreSQL is not ready after an answer')
  return status
}

async function runTask(pglite: PGlite, task: WorkerTask): Promise<void> {
  let status = await runMessages(pglite, task.bytes, takeOutput)
  if (task.rollback !== null && status !== 'I') status = await runMessages(pglite, task.rollback, keepTail)
  reportChunks()
  report({ kind: 'done', status })
}

const pglite = await PGlite.create({ dataDir: dir })
watchTraps(pglite, (cause) => {
  trap = { cause }
})
port.on('message', async (task: WorkerTask | 'close') => {
  if (task !== 'close') return runTask(pglite, task)
  await pglite.close()
  report({ kind: 'closed' })
  port.close()
})
report({ kind: 'open' })
