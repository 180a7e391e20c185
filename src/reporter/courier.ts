import {
  batchBytesMax,
  circuitFailuresMin,
  errorGapMs,
  flushesUnrenewedMax,
  interruptedSecondsMin,
  outboxAgeDaysMax,
  quietFlushMs,
  renewalMsMin,
  reporterBatchRecordsMax,
  retryBaseMs,
  retryMsMax,
  watchedFlushMs,
} from '../core/limit.ts'
import type { Ack } from '../core/record.ts'
import { type Envelope, type FrozenBatch, freezeFrom, recut } from './frozen_batch.ts'
import type { Outbox } from './outbox.ts'
import type { Transport } from './transport.ts'
import { type Verdict, verdictOf } from './verdict.ts'

export type CourierOptions = {
  readonly outbox: Outbox
  readonly transport: Transport
  /** Monotonic ms. */
  readonly instant: () => number
  /** µs since the epoch. */
  readonly nowUs: () => number
  /** Called right before a batch is cut: what is to be said of spans that still run. */
  readonly announce: () => void
  readonly envelopeOf: (seq: number) => Envelope
  readonly runningTotal: () => number
  readonly warn: (kind: string, text: string) => void
  /** The first backoff, in ms. */
  readonly retryMs?: number | undefined
  readonly random?: () => number
}

export type CourierStatus = {
  readonly stored: number
  readonly rejected: number
  readonly watched: boolean
  /** `open`: several attempts in a row failed; one batch probes now and then, the rest waits in the outbox. */
  readonly circuit: 'closed' | 'open'
}

const never = Number.NEGATIVE_INFINITY
// Slower than this, and the tick would take a process with running calls for dead.
const paceMsMax = (interruptedSecondsMin * 1_000) / flushesUnrenewedMax
const recutBytesMin = 16 * 1024

/**
 * Sends what the outbox holds, one batch at a time. Pace: what the last ack said; a failure or an error goes at once;
 * after a silence longer than the pace, 50 ms after the next record. While calls run and nothing else happens, a sign of
 * life each pace, or each renewalMsMin where the pace is faster: every batch is a row that is kept for a month.
 */
export class Courier {
  readonly #options: CourierOptions
  /** Frozen batches that have no final answer yet: one, or the pieces of one. */
  #frozen: FrozenBatch[] = []
  #timer: NodeJS.Timeout | null = null
  #timerAt = never
  #sending: Promise<boolean> | null = null
  #seq = 0
  #paceMs = watchedFlushMs
  #recordsMax = reporterBatchRecordsMax
  #bytesMax = batchBytesMax
  #sentAt = never
  #activeSince: number | null = null
  #urgent = false
  #blockedUntil = never
  #failures = 0
  #declared = 0
  #stopped = false
  #stored = 0
  #rejected = 0
  #watched = false

  constructor(options: CourierOptions) {
    this.#options = options
  }

  get status(): CourierStatus {
    const circuit = this.#failures >= circuitFailuresMin ? 'open' : 'closed'
    return { stored: this.#stored, rejected: this.#rejected, watched: this.#watched, circuit }
  }

  /** Something was recorded or began. `urgent`: an operator wants to see it now. */
  note(urgent: boolean): void {
    if (this.#stopped) return
    const woken = this.#activeSince === null
    this.#activeSince ??= this.#options.instant()
    const sooner = (urgent && !this.#urgent) || (this.#options.outbox.loose >= this.#recordsMax && this.#patience)
    if (urgent) this.#urgent = true
    if (this.#timer === null || sooner || (woken && this.#patience)) this.#schedule()
  }

  /**
   * Sends until nothing waits, an attempt fails for good, or `withinMs` have passed; then what is under way is cut
   * off when `final`. `patient`: a failed attempt is repeated while time remains.
   */
  async drain(withinMs: number, patient: boolean, final: boolean): Promise<void> {
    const { instant, transport } = this.#options
    const deadline = instant() + withinMs
    let expired = false
    let expire: (() => void) | undefined
    const expiry = new Promise<void>((resolve) => {
      expire = resolve
    })
    const timer = setTimeout(() => {
      expired = true
      expire?.()
    }, withinMs)
    transport.hold(true)
    try {
      while (!expired && this.#unfinished) {
        const sent = await Promise.race([this.#sending ?? this.#attempt(), expiry])
        if (sent === true || expired) continue
        const waitMs = this.#blockedUntil - instant()
        if (!patient || this.#failures >= circuitFailuresMin || instant() + waitMs >= deadline) break
        await Promise.race([sleep(Math.max(0, waitMs)), expiry])
      }
    } finally {
      clearTimeout(timer)
      transport.hold(false)
      if (final) this.#stop()
      else this.#schedule()
    }
  }

  #stop(): void {
    this.#stopped = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#options.transport.abort()
  }

  get #unfinished(): boolean {
    return this.#frozen.length > 0 || this.#options.outbox.loose > 0 || this.#undeclared
  }

  /** Something was dropped that no stored batch has told of. */
  get #undeclared(): boolean {
    return totalOf(this.#options.outbox.dropped) > this.#declared
  }

  /** Whether the timer waits for the pace, rather than for a backoff or for this very moment. */
  get #patience(): boolean {
    return this.#timerAt > Math.max(this.#options.instant(), this.#blockedUntil)
  }

  #schedule(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#sending || this.#stopped) return
    const due = this.#dueAt()
    if (due === null) return
    const send = () => {
      this.#timer = null
      if (!this.#sending) void this.#attempt()
    }
    this.#timerAt = due
    this.#timer = setTimeout(send, Math.max(0, due - this.#options.instant()))
    this.#timer.unref()
  }

  /** The monotonic ms at which to send next, null when there is nothing to say. */
  #dueAt(): number | null {
    const { outbox, instant, runningTotal } = this.#options
    if (this.#frozen.length > 0) return this.#blockedUntil
    const active = outbox.loose > 0 || this.#activeSince !== null || this.#undeclared
    if (!active && runningTotal() === 0) return null
    if (this.#blockedUntil > instant() || outbox.loose >= this.#recordsMax) return this.#blockedUntil
    if (this.#urgent) return this.#sentAt + errorGapMs
    if (!active) return this.#sentAt + Math.max(this.#paceMs, renewalMsMin)
    const since = this.#activeSince ?? instant()
    return since - this.#sentAt > this.#paceMs ? since + quietFlushMs : this.#sentAt + this.#paceMs
  }

  /** One attempt with the oldest batch; true when it has its final answer. Never rejects. */
  #attempt(): Promise<boolean> {
    this.#sending = this.#attemptOnce()
      .catch((error: unknown) => {
        this.#options.warn('internal', `Cannot send a batch: ${String(error)}`)
        this.#blockedUntil = this.#options.instant() + retryMsMax
        return false
      })
      .finally(() => {
        this.#sending = null
        this.#schedule()
      })
    return this.#sending
  }

  async #attemptOnce(): Promise<boolean> {
    const { transport, nowUs, instant } = this.#options
    const batch = this.#frozen[0] ?? (await this.#cut())
    if (nowUs() - batch.envelope.made_at_us > outboxAgeDaysMax * 86_400_000_000) {
      this.#drop('expired')
      return true
    }
    this.#sentAt = instant()
    let verdict: Verdict
    try {
      verdict = verdictOf(await transport.post(batch, nowUs()), batch.batchId, Date.now())
    } catch (error) {
      const text = error instanceof Error ? error.message || error.name : String(error)
      verdict = { act: 'keep', why: 'unavailable', waitMs: null, text }
    }
    return await this.#carryOut(verdict, batch)
  }

  async #cut(): Promise<FrozenBatch> {
    const { outbox, envelopeOf, announce } = this.#options
    announce()
    this.#urgent = false
    this.#activeSince = null
    const batch = await freezeFrom(outbox, envelopeOf(++this.#seq), this.#recordsMax, this.#bytesMax)
    this.#frozen.push(batch)
    return batch
  }

  async #carryOut(verdict: Verdict, batch: FrozenBatch): Promise<boolean> {
    const { warn } = this.#options
    if (verdict.act === 'keep') {
      this.#backOff(verdict)
      return false
    }
    if (verdict.act !== 'settle' && batch.records.length === 0) {
      // A sign of life was refused: there is nothing to give up, and no reason to hurry with the next.
      this.#frozen.shift()
      this.#backOff({ act: 'keep', why: 'unavailable', waitMs: null, text: 'it refuses a batch without records' })
      return false
    }
    this.#failures = 0
    this.#blockedUntil = never
    if (verdict.act === 'drop') {
      warn('batch_refused', `Cannot deliver ${batch.records.length} records: the server ${verdict.reason}`)
      this.#drop(verdict.reason)
    } else if (verdict.act === 'recut') {
      this.#bytesMax = Math.max(recutBytesMin, Math.floor(this.#bytesMax / 2))
      const pieces = await recut(batch)
      if (pieces.length === 0) this.#drop('too_large')
      else this.#frozen.splice(0, 1, ...pieces)
    } else {
      this.#settle(verdict.ack, batch)
    }
    return true
  }

  #settle(ack: Ack, batch: FrozenBatch): void {
    this.#frozen.shift()
    this.#options.outbox.settle(batch.records.length, batch.bytes)
    const rejected = Math.min(ack.rejected.length, batch.records.length)
    this.#rejected += rejected
    this.#stored += batch.records.length - rejected
    this.#declared = Math.max(this.#declared, totalOf(batch.envelope.counters.dropped))
    this.#watched = ack.watched
    if (ack.flush_after_ms > 0) this.#paceMs = Math.min(ack.flush_after_ms, paceMsMax)
    if (ack.records_max > 0) this.#recordsMax = Math.max(1, Math.min(reporterBatchRecordsMax, ack.records_max))
  }

  #drop(reason: string): void {
    const batch = this.#frozen.shift()
    if (!batch) return
    this.#options.outbox.settle(batch.records.length, batch.bytes)
    this.#options.outbox.drop(reason, batch.records.length)
  }

  /** Waits between half and all of a delay that doubles, and at least as long as the server asked for. */
  #backOff(verdict: Extract<Verdict, { act: 'keep' }>): void {
    const { instant, warn, random = Math.random, retryMs = retryBaseMs } = this.#options
    const delay = Math.min(retryMsMax, retryMs * 2 ** Math.min(this.#failures, 20))
    this.#failures++
    this.#blockedUntil = instant() + Math.max(verdict.waitMs ?? 0, delay * (0.5 + random() / 2))
    if (verdict.why === 'key_refused')
      warn('key_refused', `Cannot deliver records: the ingest key is refused (${verdict.text})`)
    else if (this.#failures === circuitFailuresMin)
      warn('unreachable', `Cannot reach the ingest address: ${verdict.text}; records wait in memory`)
  }
}

function totalOf(dropped: { readonly [reason: string]: number }): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0)
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
