import { batchBytesMax, outboxBytesMax, outboxRecordsMax } from '../../core/limit.ts'
import { redactJsonText } from './redact_frozen.ts'

/** A record that becomes JSON only when a batch is cut; nothing that the host does meanwhile may change it. */
export type Recorded = {
  /** At least as many bytes as its JSON has. */
  readonly bytesMax: number
  /** Its JSON without known secrets; null where it cannot be written. */
  readonly cleanJson: () => string | null
}

export type OutboxLimits = { readonly bytesMax: number; readonly recordsMax: number; readonly recordBytesMax: number }

const defaultLimits: OutboxLimits = {
  bytesMax: outboxBytesMax,
  recordsMax: outboxRecordsMax,
  // What is left of a batch beside it is room for the envelope and the running list.
  recordBytesMax: batchBytesMax / 2,
}
/** Past this the ring takes no more memory than what an operator who asks for it can mean. */
const slotsMax = 2 ** 20

/**
 * What waits to be sent, in memory: a ring whose places are there from the start. When it is full the oldest record that is in no batch yet is dropped: in an
 * outage what happens now is worth more than what happened first. A record in a batch is never dropped here, since the
 * far end may have it already. Every drop is counted by its reason. It also counts what of it lies on the disk.
 */
export class Outbox {
  readonly #limits: OutboxLimits
  readonly #dropped = new Map<string, number>()
  readonly #slots: (string | Recorded | undefined)[]
  readonly #sizes: Uint32Array
  #head = 0
  #loose = 0
  #bytes = 0
  #recorded = 0
  #taken = 0
  #takenBytes = 0
  #spilled = 0

  constructor(limits: Partial<OutboxLimits> = {}) {
    const asked = { ...defaultLimits, ...limits }
    this.#limits = { ...asked, recordsMax: Math.min(asked.recordsMax, slotsMax - 1) }
    // The length is a power of two, and one more than may wait: what is new comes in before the oldest goes.
    const slots = 2 ** Math.ceil(Math.log2(this.#limits.recordsMax + 1))
    this.#slots = new Array(slots).fill(undefined)
    this.#sizes = new Uint32Array(slots)
  }

  /** Records ever put in, dropped ones included. */
  get recorded(): number {
    return this.#recorded
  }

  /** Records in no batch yet. */
  get loose(): number {
    return this.#loose
  }

  /** Records that would be gone if the process ended now. */
  get unsaved(): number {
    return this.#loose + this.#taken
  }

  /** Records that are still here: loose, or in a batch that has no answer, in memory or on the disk. */
  get waiting(): number {
    return this.#loose + this.#taken + this.#spilled
  }

  /** Whether what is loose takes half of the room or more. */
  get crowded(): boolean {
    return this.unsaved * 2 >= this.#limits.recordsMax || (this.#bytes + this.#takenBytes) * 2 >= this.#limits.bytesMax
  }

  get capacity(): number {
    return this.#limits.recordsMax
  }

  get dropped(): { readonly [reason: string]: number } {
    return Object.fromEntries(this.#dropped)
  }

  get droppedTotal(): number {
    let total = 0
    for (const count of this.#dropped.values()) total += count
    return total
  }

  /** Takes one record as JSON. */
  put(json: string): void {
    this.#recorded++
    const bytes = Buffer.byteLength(json)
    if (bytes > this.#limits.recordBytesMax) this.drop('too_large', 1)
    else this.#push(json, bytes)
  }

  /** Takes one record that is to become JSON later. */
  keep(record: Recorded): void {
    const bytes = record.bytesMax
    if (bytes > this.#limits.recordBytesMax) {
      const json = record.cleanJson()
      if (json === null) this.refuse('unredactable')
      else this.put(json)
      return
    }
    this.#recorded++
    this.#push(record, bytes)
  }

  /** Counts records that were lost; `refuse` those that never became JSON. */
  drop(reason: string, count: number): void {
    if (count > 0) this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + count)
  }

  refuse(reason: string): void {
    this.#recorded++
    this.drop(reason, 1)
  }

  /** The oldest loose record as JSON without secrets; it stays until `take`. What cannot be written is dropped: null. */
  clean(): string | null {
    const slot = this.#slots[this.#head] as string | Recorded
    const json = typeof slot === 'string' ? redactJsonText(slot) : slot.cleanJson()
    if (json !== null) return json
    this.#shift()
    this.drop('unredactable', 1)
    return null
  }

  /** Moves the oldest loose record into a batch, where it takes so many bytes, until `settle` or `spill`. */
  take(bytes: number): void {
    this.#shift()
    this.#taken++
    this.#takenBytes += bytes
  }

  /** What was taken takes other room now: compressed, or cut anew. */
  resize(before: number, after: number): void {
    this.#takenBytes += after - before
  }

  /** Taken records have their final answer: they are no longer here. */
  settle(count: number, bytes: number): void {
    this.#taken -= count
    this.#takenBytes -= bytes
  }

  /** Taken records lie on the disk now. */
  spill(count: number, bytes: number): void {
    this.settle(count, bytes)
    this.#spilled += count
  }

  /** The same for records on the disk. */
  settleSpilled(count: number): void {
    this.#spilled -= count
  }

  get #full(): boolean {
    return this.unsaved > this.#limits.recordsMax || this.#bytes + this.#takenBytes > this.#limits.bytesMax
  }

  #push(slot: string | Recorded, bytes: number): void {
    const at = (this.#head + this.#loose) & (this.#slots.length - 1)
    this.#slots[at] = slot
    this.#sizes[at] = bytes
    this.#loose++
    this.#bytes += bytes
    while (this.#loose > 0 && this.#full) {
      this.#shift()
      this.drop('overflow', 1)
    }
  }

  #shift(): void {
    const at = this.#head
    this.#bytes -= this.#sizes[at] as number
    this.#slots[at] = undefined
    this.#head = (at + 1) & (this.#slots.length - 1)
    this.#loose--
  }
}
