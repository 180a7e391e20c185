import { isGone, type SpillDisk } from './spill_disk.ts'
import { answeredEntryOf, batchEntryOf, readEntries, type SpilledBatch } from './spill_entry.ts'

/** A batch on the disk that has no answer yet: where it is, and what is to be known of it without reading it. */
export type HeldBatch = {
  readonly segment: Segment
  readonly at: number
  readonly bytes: number
  readonly batchId: string
  readonly records: number
  readonly madeAtUs: number
}

// What is read at once takes a small part of a millisecond.
const partBytes = 256 * 1024

/** The segment was taken by another process, which found its owner silent, or removed by somebody. */
export class SegmentGone extends Error {}

/** One file of the outbox, and how many of its batches and records have no answer yet. */
export class Segment {
  readonly path: string
  /** Whether this process recorded what is in it. */
  readonly own: boolean
  /** Up to here the file is good. */
  bytes = 0
  batches = 0
  records = 0
  /** `elsewhere`: in the hands of another process. `removed`: what was in it has been counted. */
  fate: 'here' | 'elsewhere' | 'removed' = 'here'
  readonly #disk: SpillDisk
  #fresh: boolean
  /** Answers that could not be written, since the disk was full. */
  readonly #unmarked = new Set<string>()

  constructor(disk: SpillDisk, path: string, own: boolean, fresh: boolean) {
    this.#disk = disk
    this.path = path
    this.own = own
    this.#fresh = fresh
  }

  /** Appends batches, all of them or none. Throws what the disk says. */
  append(batches: readonly SpilledBatch[]): readonly HeldBatch[] {
    let at = this.bytes
    const held: HeldBatch[] = []
    const entries: Buffer[] = []
    for (const batch of batches) {
      const entry = batchEntryOf(batch)
      const { batchId, records, madeAtUs } = batch
      held.push({ segment: this, at, bytes: entry.length, batchId, records, madeAtUs })
      entries.push(entry)
      at += entry.length
    }
    this.#write(entries)
    for (const { records } of batches) {
      this.batches++
      this.records += records
    }
    return held
  }

  /** A batch has its final answer. Where that cannot be written, it is remembered, and written with the next. */
  mark({ batchId, records }: HeldBatch): void {
    this.batches--
    this.records -= records
    this.#unmarked.add(batchId)
    if (this.batches === 0) return
    try {
      this.#write([...this.#unmarked].map(answeredEntryOf))
      this.#unmarked.clear()
    } catch (error) {
      if (error instanceof SegmentGone) throw error
    }
  }

  read({ at, bytes }: HeldBatch): Buffer {
    return this.#guarded(() => this.#disk.read(this.path, at, bytes))
  }

  /** What has no answer, in the order in which it was written. Counts afresh; step by step, since files are large. */
  *scan(): Generator<void, { readonly held: readonly HeldBatch[]; readonly damaged: number }> {
    const size = this.#guarded(() => this.#disk.stateOf(this.path))?.bytes
    if (size === undefined) throw new SegmentGone(this.path)
    const file = Buffer.allocUnsafe(size)
    let read = 0
    while (read < size) {
      const part = this.#guarded(() => this.#disk.read(this.path, read, Math.min(size - read, partBytes)))
      if (part.length === 0) break
      file.set(part, read)
      read += part.length
      yield
    }
    const found = new Map<string, HeldBatch>()
    const answered = new Set(this.#unmarked)
    let damaged = 0
    let end = 0
    for (const entry of readEntries(file.subarray(0, read))) {
      if (entry.kind === 'damaged') damaged++
      else end = entry.end
      if (entry.kind === 'answered') answered.add(entry.batchId)
      if (entry.kind === 'batch') {
        const { batchId, records, madeAtUs } = entry.batch
        const { at } = entry
        found.set(batchId, { segment: this, at, bytes: entry.end - at, batchId, records, madeAtUs })
      }
      yield
    }
    const held = [...found.values()].filter(({ batchId }) => !answered.has(batchId))
    this.bytes = Math.max(this.bytes, end)
    return { held, damaged }
  }

  #write(entries: readonly Buffer[]): void {
    const bytes = entries.length === 1 ? (entries[0] as Buffer) : Buffer.concat(entries)
    this.#guarded(() => this.#disk.write(this.path, bytes, this.bytes, this.#fresh))
    this.#fresh = false
    this.bytes += bytes.length
  }

  #guarded<T>(act: () => T): T {
    try {
      return act()
    } catch (error) {
      if (isGone(error) && !this.#fresh) throw new SegmentGone(this.path)
      throw error
    }
  }
}
