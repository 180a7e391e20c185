import { batchBytesMax, outboxBytesMax, outboxRecordsMax } from '../core/limit.ts'

/** Records in their JSON, cut from the outbox for one batch. */
export type Slice = { readonly records: readonly string[]; readonly bytes: number }

export type OutboxLimits = { readonly bytesMax: number; readonly recordsMax: number; readonly recordBytesMax: number }

const defaultLimits: OutboxLimits = {
  bytesMax: outboxBytesMax,
  recordsMax: outboxRecordsMax,
  // What is left of a batch beside it is room for the envelope and the running list.
  recordBytesMax: batchBytesMax / 2,
}

/**
 * What waits to be sent, in memory. Records are JSON text from the moment they are recorded, so that nothing the host
 * does later changes them. When it is full the oldest record that is in no batch yet is dropped: in an outage what
 * happens now is worth more than what happened first. A record in a batch is never dropped here, since the far end may
 * have it already. Every drop is counted by its reason.
 */
export class Outbox {
  readonly #limits: OutboxLimits
  readonly #dropped = new Map<string, number>()
  #queue: (string | undefined)[] = []
  #sizes: number[] = []
  #head = 0
  #bytes = 0
  #recorded = 0
  #taken = 0
  #takenBytes = 0

  constructor(limits: Partial<OutboxLimits> = {}) {
    this.#limits = { ...defaultLimits, ...limits }
  }

  /** Records ever put in, dropped ones included. */
  get recorded(): number {
    return this.#recorded
  }

  /** Records in no batch yet. */
  get loose(): number {
    return this.#queue.length - this.#head
  }

  /** Records that are still here: loose, or in a batch that has no answer. */
  get waiting(): number {
    return this.loose + this.#taken
  }

  get dropped(): { readonly [reason: string]: number } {
    return Object.fromEntries(this.#dropped)
  }

  /** Takes one record as JSON. */
  put(json: string): void {
    this.#recorded++
    const bytes = Buffer.byteLength(json)
    if (bytes > this.#limits.recordBytesMax) {
      this.drop('too_large', 1)
      return
    }
    this.#queue.push(json)
    this.#sizes.push(bytes)
    this.#bytes += bytes
    while (this.loose > 0 && this.#full) {
      this.#shift()
      this.drop('overflow', 1)
    }
  }

  /** Counts records that were lost; `refuse` those that never became JSON. */
  drop(reason: string, count: number): void {
    if (count > 0) this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + count)
  }

  refuse(reason: string): void {
    this.#recorded++
    this.drop(reason, 1)
  }

  /** Cuts the oldest records that fit; they count as waiting until `settle` is told of them. */
  take(recordsMax: number, bytesMax: number): Slice {
    const records: string[] = []
    let bytes = 0
    while (records.length < recordsMax && this.loose > 0) {
      const next = (this.#sizes[this.#head] ?? 0) + 1
      if (records.length > 0 && bytes + next > bytesMax) break
      bytes += next
      records.push(this.#shift())
    }
    this.#taken += records.length
    this.#takenBytes += bytes
    return { records, bytes }
  }

  /** The far end has answered for records that were taken: they are no longer here. */
  settle(count: number, bytes: number): void {
    this.#taken -= count
    this.#takenBytes -= bytes
  }

  get #full(): boolean {
    return this.waiting > this.#limits.recordsMax || this.#bytes + this.#takenBytes > this.#limits.bytesMax
  }

  #shift(): string {
    const json = this.#queue[this.#head] as string
    this.#bytes -= this.#sizes[this.#head] as number
    this.#queue[this.#head] = undefined
    this.#head++
    if (this.#head > 1_024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head)
      this.#sizes = this.#sizes.slice(this.#head)
      this.#head = 0
    }
    return json
  }
}
