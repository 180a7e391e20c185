import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gunzip, gzip, gzipSync } from 'node:zlib'
import { batchBytesMax, gzipBytesMin, piecesMax } from '../../core/limit.ts'
import type { Batch } from '../../core/record.ts'
import { redactOrigin } from '../../wire/redact_record.ts'
import { newUuidV7 } from '../identifier.ts'
import { runInSlices } from './courier_slice.ts'
import type { Outbox } from './outbox.ts'
import { placeRecords } from './record_place.ts'
import { redactRunningList } from './redact_frozen.ts'
import type { SpilledBatch } from './spill_entry.ts'

/** A batch without its records and its id. */
export type Envelope = Omit<Batch, 'batch_id' | 'piece' | 'records'>

/** A batch whose id and bytes can no longer change: made before the first attempt, sent as it is at each. */
export type FrozenBatch = SpilledBatch & {
  /** How many dropped records it tells of. */
  readonly declared: number
}

const gzipAsync = promisify(gzip)
const gunzipAsync = promisify(gunzip)
// Half the time of the default, for a tenth more bytes: the host's cores are worth more than its wires.
const compression = { level: 1 }
// Batch id, piece, the brackets, with room to spare.
const frameBytes = 256
const textBytesMin = 128 * 1024
const stepRecords = 8
const stepBytes = 8 * 1024

/**
 * Cuts one batch from the outbox, takes the secrets out of it and freezes it, with as much of the running list as fits
 * into a quarter of a batch. Step by step, so that the host's event loop is never held.
 */
export class BatchCut {
  readonly #outbox: Outbox
  readonly #batchId = newUuidV7()
  readonly #madeAtUs: number
  readonly #declared: number
  readonly #encoding: Generator<void, Buffer>
  #plain: Buffer | null = null
  #frozen: FrozenBatch | null = null
  #records = 0
  #bytes = 0

  constructor(outbox: Outbox, envelope: Envelope, recordsMax: number, bytesMax: number) {
    this.#outbox = outbox
    this.#madeAtUs = envelope.made_at_us
    this.#declared = Object.values(envelope.counters.dropped).reduce((sum, count) => sum + count, 0)
    this.#encoding = this.#encode(envelope, recordsMax, bytesMax)
  }

  /** May be run twice at once: at the exit of the host another run ends what the first began. */
  *steps(): Generator<void, void> {
    while (!this.#plain) {
      const step = this.#encoding.next()
      if (step.done) this.#plain = step.value
      else yield
    }
  }

  /** After the last step: the batch, compressed where that is worth it. */
  async freeze(): Promise<FrozenBatch> {
    const plain = this.#whole()
    const compressed = plain.length > gzipBytesMin ? await gzipAsync(plain, compression).catch(() => null) : null
    return this.#freeze(plain, compressed)
  }

  /** The same at once, for the exit of the host. */
  freezeAtOnce(): FrozenBatch {
    const plain = this.#whole()
    return this.#freeze(plain, plain.length > gzipBytesMin ? gzipSync(plain, compression) : null)
  }

  #whole(): Buffer {
    for (const _ of this.steps());
    return this.#plain as Buffer
  }

  #freeze(plain: Buffer, compressed: Buffer | null): FrozenBatch {
    if (this.#frozen) return this.#frozen
    const body = compressed ?? plain
    this.#outbox.resize(this.#bytes, body.length)
    this.#frozen = {
      batchId: this.#batchId,
      madeAtUs: this.#madeAtUs,
      records: this.#records,
      declared: this.#declared,
      body,
      encoding: compressed ? 'gzip' : null,
    }
    return this.#frozen
  }

  *#encode(envelope: Envelope, recordsMax: number, bytesMax: number): Generator<void, Buffer> {
    const frame = { batch_id: this.#batchId, ...fitRunning(envelope), piece: [1, 1] }
    const text = new TextBuffer()
    text.add(`${JSON.stringify(frame).slice(0, -1)},"records":[`)
    const room = Math.max(1, bytesMax - text.bytes - frameBytes)
    yield
    let breathAt = 0
    while (this.#records < recordsMax && this.#outbox.loose > 0) {
      const json = this.#outbox.clean()
      if (json !== null) {
        const bytes = text.add(this.#records === 0 ? json : `,${json}`)
        if (this.#records > 0 && this.#bytes + bytes > room) {
          text.unadd(bytes)
          break
        }
        this.#outbox.take(bytes)
        this.#records++
        this.#bytes += bytes
      }
      // A step takes a small part of a millisecond, whatever the records are; asking the time costs something too.
      if (json !== null && this.#records % stepRecords !== 0 && this.#bytes < breathAt) continue
      breathAt = this.#bytes + stepBytes
      yield
    }
    text.add(']}')
    return text.whole
  }
}

/** Text as bytes, one after the other, in one piece. */
class TextBuffer {
  #buffer = Buffer.allocUnsafe(textBytesMin)
  bytes = 0

  /** How many bytes it took. */
  add(text: string): number {
    if (this.bytes + text.length * 3 > this.#buffer.length) this.#grow(this.bytes + Buffer.byteLength(text))
    const written = this.#buffer.write(text, this.bytes)
    this.bytes += written
    return written
  }

  unadd(bytes: number): void {
    this.bytes -= bytes
  }

  get whole(): Buffer {
    return this.#buffer.subarray(0, this.bytes)
  }

  #grow(bytes: number): void {
    if (bytes <= this.#buffer.length) return
    const before = this.#buffer
    this.#buffer = Buffer.allocUnsafe(Math.max(bytes, before.length * 2))
    before.copy(this.#buffer, 0, 0, this.bytes)
  }
}

/**
 * Cuts a batch that was too large in two, with the same `seq`: piece i of n becomes 2i-1 and 2i of 2n. The ids of the
 * pieces follow from its own, so that whoever cuts it again, after a crash, cuts the same. Empty when it cannot be cut
 * any further. Throws where the batch cannot be read.
 */
export async function recut(frozen: FrozenBatch): Promise<readonly FrozenBatch[]> {
  const body = Buffer.from(frozen.encoding === 'gzip' ? await gunzipAsync(frozen.body) : frozen.body)
  const places = await runInSlices(placeRecords(body))
  if (!places) throw new Error('Cannot cut a batch: it has no records')
  const { begin, ends } = places
  const end = ends.at(-1) ?? begin
  // Without its records, which are never read: what is left is small.
  const frame = JSON.parse(`${body.toString('utf8', 0, begin)}${body.toString('utf8', end)}`) as Batch
  const [i, n] = frame.piece
  if (ends.length < 2 || n * 2 > piecesMax) return []
  const count = Math.ceil(ends.length / 2)
  const middle = ends[count - 1] as number
  const pieceOf = async (part: number, records: number, from: number, to: number): Promise<FrozenBatch> => {
    const piece: readonly [number, number] = [2 * i - 2 + part, 2 * n]
    const batchId = pieceIdOf(frozen.batchId, part)
    const { records: _, ...rest } = { ...frame, batch_id: batchId, piece }
    const head = Buffer.from(`${JSON.stringify(rest).slice(0, -1)},"records":[`)
    const plain = Buffer.concat([head, body.subarray(from, to), Buffer.from(']}')])
    const compressed = plain.length > gzipBytesMin ? await gzipAsync(plain, compression).catch(() => null) : null
    const { madeAtUs, declared } = frozen
    const encoding = compressed ? ('gzip' as const) : null
    return { batchId, madeAtUs, declared, records, body: compressed ?? plain, encoding }
  }
  return [await pieceOf(1, count, begin, middle), await pieceOf(2, ends.length - count, middle + 1, end)]
}

/** A UUID of version 8 (RFC 9562, 5.8): the beginning of a sha256. */
function pieceIdOf(batchId: string, part: number): string {
  const hash = createHash('sha256').update(`${batchId} ${part}`).digest()
  hash[6] = ((hash[6] as number) & 0x0f) | 0x80
  hash[8] = ((hash[8] as number) & 0x3f) | 0x80
  const hex = hash.toString('hex', 0, 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

function fitRunning(envelope: Envelope): Envelope {
  let running = redactRunningList(envelope.running)
  while (running.length > 0 && Buffer.byteLength(JSON.stringify(running)) > batchBytesMax / 4) {
    running = running.slice(0, Math.floor(running.length / 2))
  }
  return { ...envelope, ...redactOrigin(envelope), running }
}
