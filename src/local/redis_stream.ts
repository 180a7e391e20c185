import type { StreamId } from './redis_stream_id.ts'

/** Fields and values in turn, as they were given. */
export type StreamEntry = { readonly id: StreamId; readonly fields: readonly string[]; readonly node: number }

/** What is cut off: entries beyond the newest `length`, or those before `id`. */
export type Trim = {
  readonly keep: { readonly length: number } | { readonly from: StreamId }
  /** Only whole nodes, as many as fit into `limit` entries; 0: without limit. */
  readonly whole: { readonly limit: number } | null
}

// The defaults of stream-node-max-entries and stream-node-max-bytes: what `~` spares depends on them.
const nodeEntriesMax = 100
const nodeBytesMax = 4_096
const nodeBytesLeast = 32
const entryBytesLeast = 16
const chargePerEntry = 64
const chargePerField = 16

/** Entries in the order of their ids, grouped into nodes as Redis keeps them. */
export class Stream {
  readonly #entries: StreamEntry[] = []
  #bytes = 0
  readonly #charge: (bytes: number) => void
  #newest: StreamId = 0n
  /** The node that new entries go to, with all that it ever took. */
  #node = { number: 0, entries: 0, bytes: 0 }

  /** `charge` is told how many bytes more, or less, the entries take. */
  constructor(charge: (bytes: number) => void) {
    this.#charge = charge
  }

  get length(): number {
    return this.#entries.length
  }

  /** The greatest id that was ever added, deleted or not. */
  get newest(): StreamId {
    return this.#newest
  }

  /** What the entries are charged with, in bytes. */
  get bytes(): number {
    return this.#bytes
  }

  /** `id` must be greater than `newest`. */
  append(id: StreamId, fields: readonly string[]): void {
    const bytes = fields.reduce((sum, text) => sum + text.length, 0)
    const { entries, bytes: used } = this.#node
    const full = entries >= nodeEntriesMax || used + bytes >= nodeBytesMax
    // A node that was emptied is gone, and the next entry opens another.
    const gone = this.#entries.at(-1)?.node !== this.#node.number
    if (full || gone) this.#node = { number: this.#node.number + 1, entries: 0, bytes: nodeBytesLeast }
    this.#node.entries += 1
    this.#node.bytes += bytes + entryBytesLeast
    const entry = { id, fields, node: this.#node.number }
    this.#entries.push(entry)
    this.#grow(chargeOf(entry))
    this.#newest = id
  }

  /** Entries from one id to another, both included, the first `count` of them. */
  range(from: StreamId, to: StreamId, count = Number.POSITIVE_INFINITY): readonly StreamEntry[] {
    const start = this.#indexOf(from)
    return this.#entries.slice(start, Math.max(start, Math.min(start + count, this.#indexOf(to + 1n))))
  }

  /** As `range`, the newest first. */
  rangeBack(from: StreamId, to: StreamId, count = Number.POSITIVE_INFINITY): readonly StreamEntry[] {
    const end = this.#indexOf(to + 1n)
    const start = Math.max(this.#indexOf(from), end - count)
    return this.#entries.slice(Math.min(start, end), end).reverse()
  }

  /** Whether the entry was there. */
  remove(id: StreamId): boolean {
    const index = this.#indexOf(id)
    const entry = this.#entries[index]
    if (entry?.id !== id) return false
    this.#grow(-chargeOf(entry))
    this.#entries.splice(index, 1)
    return true
  }

  /** How many entries were cut off. */
  trim({ keep, whole }: Trim): number {
    const exact = 'length' in keep ? Math.max(0, this.length - keep.length) : this.#indexOf(keep.from)
    const cut = whole === null ? exact : this.#wholeNodes(exact, whole.limit)
    for (const entry of this.#entries.splice(0, cut)) this.#grow(-chargeOf(entry))
    return cut
  }

  #grow(bytes: number): void {
    this.#bytes += bytes
    this.#charge(bytes)
  }

  /** How many of the oldest entries fill whole nodes, at most `most` and `limit`. */
  #wholeNodes(most: number, limit: number): number {
    const bound = limit === 0 ? most : Math.min(most, limit)
    let cut = bound
    const nodeAt = (offset: number) => this.#entries[offset]?.node
    while (cut > 0 && nodeAt(cut - 1) === nodeAt(cut)) cut -= 1
    return cut
  }

  /** Where the first entry is that is not before `id`. */
  #indexOf(id: StreamId): number {
    let low = 0
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#entries[middle] as StreamEntry).id < id) low = middle + 1
      else high = middle
    }
    return low
  }
}

function chargeOf({ fields }: StreamEntry): number {
  return fields.reduce((sum, text) => sum + text.length + chargePerField, chargePerEntry)
}
