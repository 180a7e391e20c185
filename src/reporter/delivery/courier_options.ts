import type { Missing } from '../../core/record.ts'
import type { Envelope } from './frozen_batch.ts'
import type { Outbox } from './outbox.ts'
import type { Adopted, SpillStore } from './spill_store.ts'
import type { Transport } from './transport.ts'

export type CourierOptions = {
  readonly outbox: Outbox
  readonly transport: Transport
  /** Monotonic ms. */
  readonly instant: () => number
  /** µs since the epoch. */
  readonly nowUs: () => number
  /** Where batches outlive the process; null: nowhere. */
  readonly store: SpillStore | null
  /** Called right before a batch is cut: what is to be said of spans that still run. */
  readonly announce: () => void
  readonly envelopeOf: (seq: number) => Envelope
  readonly runningTotal: () => number
  readonly warn: (kind: string, text: string) => void
  /** The first backoff, in ms. */
  readonly retryMs?: number | undefined
  /** How often to look for what dead processes left, in ms. */
  readonly lookMs?: number | undefined
  readonly random?: () => number
}

export type CourierStatus = {
  readonly stored: number
  readonly rejected: number
  /** Of how many stored messages each field was not known, as the server said. */
  readonly missing: Missing
  readonly watched: boolean
  /** `open`: several attempts in a row failed; one batch probes now and then, the rest waits in the outbox. */
  readonly circuit: 'closed' | 'open'
  /** What dead processes left on the disk and this one delivers; none of it counts in its own numbers. */
  readonly adopted: Adopted
}
