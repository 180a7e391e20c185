import { type Ack, type Missing, messageFields } from '../../core/record.ts'

/** What the far end said of the records of this process. */
export class CourierTally {
  stored = 0
  rejected = 0
  /** Of how many messages each field was not known. */
  missing: Missing = {}

  /** Counts the answer to a batch of so many records. */
  add(ack: Ack, records: number): void {
    const rejected = Math.min(ack.rejected.length, records)
    this.rejected += rejected
    this.stored += records - rejected
    if (!ack.missing) return
    const missing: { -readonly [field in keyof Missing]: Missing[field] } = { ...this.missing }
    for (const field of messageFields) {
      const count = ack.missing[field] ?? 0
      if (count > 0) missing[field] = (missing[field] ?? 0) + count
    }
    this.missing = missing
  }
}
