import type { Socket } from 'node:net'
import { idleInTransactionMsMax, socketBatchBytesMax, socketTransactionMsMax, statementMsMax } from '../core/limit.ts'
import { type ClientMemory, createClientMemory } from './client_memory.ts'
import { DatabaseError } from './database.ts'
import { type MessageReader, ReadTimeout } from './message_reader.ts'
import type { PgliteSession, SessionOwner, Turn } from './pglite_session.ts'
import { int16Of, messageOf, messageType, ownedBytesOf, type TransactionStatus } from './postgres_message.ts'
import { errorMessage } from './wire_startup.ts'

export type WireLimits = {
  readonly idleInTransactionMsMax: number
  /** A transaction may last so long while others wait. */
  readonly transactionMsMax: number
  readonly statementMsMax: number
  /** A batch of messages, or the data of one COPY. */
  readonly batchBytesMax: number
}

export const wireLimits: WireLimits = {
  idleInTransactionMsMax,
  transactionMsMax: socketTransactionMsMax,
  statementMsMax,
  batchBytesMax: socketBatchBytesMax,
}

/** Ends a connection, having told the client why. */
class Fatal extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** PostgreSQL refuses longer ones of these by closing, which PGlite does not survive. */
const smallMessageBytesMax = 10_000
const largeMessages: ReadonlySet<number> = new Set([
  messageType.bind,
  messageType.copyData,
  messageType.functionCall,
  messageType.parse,
  messageType.query,
])
const knownMessages: ReadonlySet<number> = new Set([
  ...largeMessages,
  messageType.close,
  messageType.copyDone,
  messageType.copyFail,
  messageType.describe,
  messageType.execute,
  messageType.flush,
  messageType.sync,
  messageType.terminate,
])
/** After these the client waits for an answer. */
const batchEnds: ReadonlySet<number> = new Set([
  messageType.flush,
  messageType.functionCall,
  messageType.query,
  messageType.sync,
])

/** PGlite ends when COPY FROM STDIN finds no data; elsewhere PostgreSQL ignores this message. */
const noCopyData = messageOf(messageType.copyFail, 'COPY FROM STDIN works only as a single simple query')
const copyFromStdin = /^(?:\s+|--[^\n]*\n|\/\*.*?\*\/)*copy\s[^;]*\sfrom\s+stdin\b[^;]*;?\s*$/is
const copyBinary = /\bstdin\b.*\bbinary\b/is

/** A ParseComplete, and the answer to a batch that the server gave up. */
const parseComplete = messageOf(messageType.parseComplete)
const readyIdle = messageOf(messageType.readyForQuery, Buffer.from('I'))

async function readMessage(reader: MessageReader, bytesMax: number, deadlineAt: number): Promise<Buffer | null> {
  const head = await reader.read(5, deadlineAt)
  if (head === null) return null
  const type = head[0] as number
  const size = head.readUInt32BE(1) - 4
  if (!knownMessages.has(type)) throw new Fatal('08P01', `invalid frontend message type ${type}`)
  if (size < 0 || (!largeMessages.has(type) && size > smallMessageBytesMax)) {
    throw new Fatal('08P01', 'invalid message length')
  }
  if (size > bytesMax) throw new Fatal('54000', `message of ${size} bytes: the embedded database takes ${bytesMax}`)
  const body = await reader.read(size, deadlineAt)
  return body === null ? null : Buffer.concat([head, body])
}

/** Messages for one run, up to where the client waits for an answer; null when the client has gone. */
async function readBatch(
  socket: Socket,
  reader: MessageReader,
  { batchBytesMax }: WireLimits,
  idleMsMax: number,
): Promise<readonly Buffer[] | null> {
  const batch: Buffer[] = []
  let bytesLeft = batchBytesMax
  let copying = false
  for (;;) {
    const message = await readMessage(reader, bytesLeft, Date.now() + idleMsMax)
    if (message === null || message[0] === messageType.terminate) return null
    bytesLeft -= message.length
    const type = message[0] as number
    if (copying) {
      if (type === messageType.sync || type === messageType.flush) continue
      batch.push(message)
      if (type !== messageType.copyData) return batch
    } else {
      batch.push(message)
      if (type === messageType.query && copyFromStdin.test(message.toString('utf8', 5, message.length - 1))) {
        copying = true
        socket.write(copyInResponse(message))
        continue
      }
      if (type === messageType.query || type === messageType.execute) batch.push(noCopyData)
      if (batchEnds.has(type)) return batch
    }
  }
}

/** PGlite reads the data of a COPY in one go, so the client is asked for it before the statement runs. */
function copyInResponse(query: Buffer): Buffer {
  const binary = copyBinary.test(query.toString('utf8', 5, query.length - 1))
  return messageOf(messageType.copyInResponse, Buffer.from([binary ? 1 : 0]), int16Of(0))
}

/** The answer without `count` ParseCompletes at its beginning and, after COPY, without the CopyInResponse in it. */
function visibleAnswerOf(piece: Buffer, count: number, copying: boolean): Buffer {
  let at = 0
  for (let i = 0; i < count && piece.subarray(at, at + 5).equals(parseComplete); i++) at += 5
  if (copying && piece[at] === messageType.copyInResponse) at += 1 + piece.readUInt32BE(at + 1)
  return piece.subarray(at)
}

export type WireClient = {
  /** Serves the client until it leaves or is sent away. */
  serve(): Promise<void>
  /** Whether a statement of this client runs now. */
  readonly running: boolean
}

/**
 * One authenticated client. It has the session from its first message until it is idle outside a transaction; between
 * two such turns others may have it. Settings, the role and named prepared statements are then put back; temporary
 * tables, advisory locks, LISTEN, SQL's PREPARE and cursors WITH HOLD are lost.
 */
export function createWireClient(
  socket: Socket,
  reader: MessageReader,
  session: PgliteSession,
  parameters: Readonly<Record<string, string>>,
  limits: WireLimits = wireLimits,
): WireClient {
  const memory: ClientMemory = createClientMemory(parameters)
  const owner: SessionOwner = { beforeClean: (run) => memory.keepSettings(run) }
  let running = false
  let turn: Turn | null = null
  let turnAt = 0

  const send = async (piece: Buffer): Promise<boolean> => {
    if (socket.destroyed) return false
    if (socket.write(piece)) return true
    const drained = await waitForDrain(socket, limits.idleInTransactionMsMax)
    if (!drained) socket.destroy()
    return drained
  }

  const takeTurn = async (): Promise<Turn> => {
    const next = await session.take(owner)
    turn = next
    turnAt = Date.now()
    if (!next.fresh) return next
    memory.forgetPrepared()
    await memory.restoreSettings(next.run)
    return next
  }

  /** Runs a batch. Answers the transaction status, as told to the client. */
  const runBatch = async (messages: readonly Buffer[]): Promise<TransactionStatus | null> => {
    let sent = false
    const last = messages.at(-1) === noCopyData ? messages.at(-2) : messages.at(-1)
    try {
      const { run } = turn ?? (await takeTurn())
      running = true
      const batch = Buffer.concat(messages)
      memory.note(batch)
      const missing = memory.missingFor(batch)
      const copying = last?.[0] === messageType.copyDone || last?.[0] === messageType.copyFail
      return await run(ownedBytesOf([...missing, batch]), {
        msMax: limits.statementMsMax,
        onPiece(piece) {
          const visible = sent ? piece : visibleAnswerOf(piece, missing.length, copying)
          sent = true
          return send(visible)
        },
      })
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      // The session began anew. Inside an answer or a pipeline there is no way to say so but to close.
      if (sent || last?.[0] === messageType.flush) throw new Fatal(error.code, error.message)
      socket.write(Buffer.concat([errorMessage('ERROR', error.code, error.message), readyIdle]))
      return 'I'
    } finally {
      running = false
    }
  }

  const serveBatches = async (): Promise<void> => {
    for (;;) {
      const idleMsMax = turn === null ? Number.POSITIVE_INFINITY : limits.idleInTransactionMsMax
      const batch = await readBatch(socket, reader, limits, idleMsMax)
      if (batch === null) return
      const status = await runBatch(batch)
      if (status === 'I') {
        turn?.end()
        turn = null
      } else if (session.waiting > 0 && Date.now() - turnAt > limits.transactionMsMax) {
        throw new Fatal('25P04', 'terminating connection due to transaction timeout: others wait for the session')
      }
    }
  }

  return {
    get running() {
      return running
    },
    async serve() {
      let farewell: Buffer | null = null
      try {
        await serveBatches()
      } catch (error) {
        if (error instanceof ReadTimeout) {
          farewell = errorMessage('FATAL', '25P03', 'terminating connection due to idle-in-transaction timeout')
        } else if (error instanceof Fatal) farewell = errorMessage('FATAL', error.code, error.message)
        else throw error
      } finally {
        await turn?.abandon()
        turn = null
        if (farewell !== null && !socket.destroyed) socket.write(farewell)
        socket.end()
      }
    },
  }
}

/** False when the client took nothing for `msMax`, or has gone. */
function waitForDrain(socket: Socket, msMax: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (drained: boolean) => () => {
      clearTimeout(timer)
      socket.off('drain', drain)
      socket.off('close', close)
      resolve(drained)
    }
    const drain = settle(true)
    const close = settle(false)
    const timer = setTimeout(close, msMax)
    socket.on('drain', drain)
    socket.on('close', close)
  })
}
