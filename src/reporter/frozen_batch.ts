import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { batchBytesMax, gzipBytesMin, piecesMax } from '../core/limit.ts'
import type { Batch } from '../core/record.ts'
import { newUuidV7 } from './identifier.ts'
import type { Outbox } from './outbox.ts'
import { redactJsonText, redactRunningList } from './redact_frozen.ts'

/** A batch without its records and its id. */
export type Envelope = Omit<Batch, 'batch_id' | 'piece' | 'records'>

/** A batch whose id and bytes can no longer change: made before the first attempt, sent as it is at each. */
export type FrozenBatch = {
  readonly batchId: string
  readonly envelope: Envelope
  readonly piece: readonly [number, number]
  readonly records: readonly string[]
  /** What `settle` gives back to the outbox. */
  readonly bytes: number
  readonly body: Uint8Array
  readonly encoding: 'gzip' | null
}

const gzipAsync = promisify(gzip)
// Batch id, piece, the brackets, with room to spare.
const frameBytes = 256

/**
 * Cuts one batch from the outbox, takes the secrets out of it and freezes it, with as much of the running list as fits
 * into a quarter of a batch.
 */
export async function freezeFrom(
  outbox: Outbox,
  envelope: Envelope,
  recordsMax: number,
  bytesMax: number,
): Promise<FrozenBatch> {
  const fitted = fitRunning(envelope)
  const room = Math.max(1, bytesMax - Buffer.byteLength(JSON.stringify(fitted)) - frameBytes)
  const slice = outbox.take(recordsMax, room)
  const records = slice.records.map((json) => redactJsonText(json)).filter((json) => json !== null)
  const lost = slice.records.length - records.length
  outbox.settle(lost, 0)
  outbox.drop('unredactable', lost)
  return freeze(fitted, records, slice.bytes, [1, 1])
}

/**
 * Cuts a batch that was too large in two, with new ids and the same `seq`: piece i of n becomes 2i-1 and 2i of 2n.
 * Empty when it cannot be cut any further.
 */
export async function recut(batch: FrozenBatch): Promise<readonly FrozenBatch[]> {
  const [i, n] = batch.piece
  if (batch.records.length < 2 || n * 2 > piecesMax) return []
  const middle = Math.ceil(batch.records.length / 2)
  const head = batch.records.slice(0, middle)
  const headBytes = head.reduce((sum, record) => sum + Buffer.byteLength(record) + 1, 0)
  return [
    await freeze(batch.envelope, head, headBytes, [2 * i - 1, 2 * n]),
    await freeze(batch.envelope, batch.records.slice(middle), batch.bytes - headBytes, [2 * i, 2 * n]),
  ]
}

async function freeze(
  envelope: Envelope,
  records: readonly string[],
  bytes: number,
  piece: readonly [number, number],
): Promise<FrozenBatch> {
  const batchId = newUuidV7()
  const open = JSON.stringify({ batch_id: batchId, ...envelope, piece }).slice(0, -1)
  const text = Buffer.from(`${open},"records":[${records.join(',')}]}`)
  const compressed = text.length > gzipBytesMin ? await gzipAsync(text).catch(() => null) : null
  return { batchId, envelope, piece, records, bytes, body: compressed ?? text, encoding: compressed ? 'gzip' : null }
}

function fitRunning(envelope: Envelope): Envelope {
  let running = redactRunningList(envelope.running)
  while (running.length > 0 && Buffer.byteLength(JSON.stringify(running)) > batchBytesMax / 4) {
    running = running.slice(0, Math.floor(running.length / 2))
  }
  return { ...envelope, running }
}
