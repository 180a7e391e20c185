// One entry of an outbox file: `TTE1`, u32le payload length, u32le CRC-32 of the payload, payload. The payload's first
// byte is its kind: 1 a batch, 2 the id of a batch that has its final answer. telltale.py reads and writes the same
// (test/vector/outbox.json).
import { crc32 } from './spill_checksum.ts'

/** A batch as it lies on the disk: `body` is what is POSTed, byte for byte. */
export type SpilledBatch = {
  readonly batchId: string
  readonly encoding: 'gzip' | null
  /** How many records it carries. */
  readonly records: number
  readonly madeAtUs: number
  readonly body: Uint8Array
}

/** Where an entry of a file begins, how long it is, and what it says. `body` views the bytes that were read. */
export type FoundEntry =
  | { readonly kind: 'batch'; readonly at: number; readonly end: number; readonly batch: SpilledBatch }
  | { readonly kind: 'answered'; readonly end: number; readonly batchId: string }
  | { readonly kind: 'unknown'; readonly end: number }
  /** A stretch that is no good entry, once, however long. */
  | { readonly kind: 'damaged' }

const magic = Buffer.from('TTE1')
const headerBytes = 12
const batchKind = 1
const answeredKind = 2
const batchHeaderBytes = 28
const answeredBytes = 17
const recordsMax = 0xffff
const shift32 = 2 ** 32

export function batchEntryOf(batch: SpilledBatch): Buffer {
  const entry = Buffer.allocUnsafe(headerBytes + batchHeaderBytes + batch.body.length)
  entry[headerBytes] = batchKind
  entry[headerBytes + 1] = batch.encoding === 'gzip' ? 1 : 0
  entry.writeUInt16LE(Math.min(batch.records, recordsMax), headerBytes + 2)
  writeId(entry, batch.batchId, headerBytes + 4)
  entry.writeUInt32LE(batch.madeAtUs % shift32, headerBytes + 20)
  entry.writeUInt32LE(Math.floor(batch.madeAtUs / shift32), headerBytes + 24)
  entry.set(batch.body, headerBytes + batchHeaderBytes)
  return sealed(entry)
}

/** Says that a batch has its final answer: stored, rejected or dropped. */
export function answeredEntryOf(batchId: string): Buffer {
  const entry = Buffer.allocUnsafe(headerBytes + answeredBytes)
  entry[headerBytes] = answeredKind
  writeId(entry, batchId, headerBytes + 1)
  return sealed(entry)
}

/**
 * The entries of a file, in order. What is cut off at its end is a torn write and nothing; what is damaged inside is
 * skipped up to the next good entry; kinds that are not known are skipped.
 */
export function* readEntries(file: Buffer): Generator<FoundEntry, void> {
  let at = 0
  let searching = false
  while (at + headerBytes <= file.length) {
    const end = endOf(file, at)
    if (end !== null && end > file.length && !searching) return
    if (end === null || end > file.length || !isWhole(file, at, end)) {
      if (!searching) yield { kind: 'damaged' }
      searching = true
      at = file.indexOf(magic, at + 1)
      if (at < 0) return
      continue
    }
    searching = false
    yield entryOf(file, at, end)
    at = end
  }
}

/** The one batch whose entry these bytes are; null where they are none. */
export function readBatchEntry(entry: Buffer): SpilledBatch | null {
  const found = readEntries(entry).next().value
  return found?.kind === 'batch' ? found.batch : null
}

function endOf(file: Buffer, at: number): number | null {
  return file.subarray(at, at + 4).equals(magic) ? at + headerBytes + file.readUInt32LE(at + 4) : null
}

function isWhole(file: Buffer, at: number, end: number): boolean {
  return crc32(file.subarray(at + headerBytes, end)) === file.readUInt32LE(at + 8)
}

function entryOf(file: Buffer, at: number, end: number): FoundEntry {
  const payload = file.subarray(at + headerBytes, end)
  if (payload[0] === answeredKind && payload.length >= answeredBytes) {
    return { kind: 'answered', end, batchId: readId(payload, 1) }
  }
  const encoding = payload[1]
  if (payload[0] !== batchKind || payload.length < batchHeaderBytes || encoding === undefined || encoding > 1) {
    return { kind: 'unknown', end }
  }
  const batch = {
    batchId: readId(payload, 4),
    encoding: encoding === 1 ? ('gzip' as const) : null,
    records: payload.readUInt16LE(2),
    madeAtUs: payload.readUInt32LE(24) * shift32 + payload.readUInt32LE(20),
    body: payload.subarray(batchHeaderBytes),
  }
  return { kind: 'batch', at, end, batch }
}

function sealed(entry: Buffer): Buffer {
  entry.set(magic, 0)
  entry.writeUInt32LE(entry.length - headerBytes, 4)
  entry.writeUInt32LE(crc32(entry.subarray(headerBytes)), 8)
  return entry
}

function writeId(entry: Buffer, batchId: string, at: number): void {
  if (entry.write(batchId.replaceAll('-', ''), at, 16, 'hex') !== 16) {
    throw new Error(`Cannot write a batch to the disk: its id is ${batchId}`)
  }
}

function readId(payload: Buffer, at: number): string {
  const hex = payload.toString('hex', at, at + 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
