import {
  batchBytesMax,
  circuitFailuresMin,
  errorGapMs,
  exitSpillMsMax,
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
import { Backlog, isOwn, type Waiting } from './courier_backlog.ts'
import { atExit } from './courier_exit.ts'
import { runInSlices } from './courier_slice.ts'
import { BatchCut, type Envelope, type FrozenBatch, recut } from './frozen_batch.ts'
import type { Outbox } from './outbox.ts'
import { SpillKeeper } from './spill_keeper.ts'
import type { Adopted, SpillStore } from './spill_store.ts'
import type { Transport } from './transport.ts'
import { type Verdict, verdictOf } from './verdict.ts'

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
  readonly watched: boolean
  /** `open`: several attempts in a row failed; one batch probes now and then, the rest waits in the outbox. */
  readonly circuit: 'closed' | 'open'
  /** What dead processes left on the disk and this one delivers; none of it counts in its own numbers. */
  readonly adopted: Adopted
}

const never = Number.NEGATIVE_INFINITY
// Slower than this, and the tick would take a process with running calls for dead.
const paceMsMax = (interruptedSecondsMin * 1_000) / flushesUnrenewedMax
const recutBytesMin = 16 * 1024

/**
 * Sends what the outbox holds, one batch at a time. Pace: what the last ack said; a failure or an error goes at once;
 * after a silence longer than the pace, 50 ms after the next record. While calls run and nothing else happens, a sign of
 * life each pace, or each renewalMsMin where the pace is faster: every batch is a row that is kept for a month.
 * After a failed attempt, and while they fail, what waits is written to the disk each pace.
 */
export class Courier {
  readonly #options: CourierOptions
  readonly #backlog: Backlog
  readonly #keeper: SpillKeeper | null
  readonly #leaveExit: () => void
  #timer: NodeJS.Timeout | null = null
  #timerAt = never
  #spillTimer: NodeJS.Timeout | null = null
  #sending: Promise<boolean> | null = null
  #cut: BatchCut | null = null
  #cutting: Promise<void> | null = null
  #draining = 0
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
  #lastSeconds: number | null = null

  constructor(options: CourierOptions) {
    this.#options = options
    const { outbox, store, lookMs } = options
    this.#backlog = new Backlog(outbox, store)
    const wake = () => this.#schedule()
    this.#keeper =
      store && new SpillKeeper({ store, lookMs, may: () => this.#failures === 0, wake, warn: options.warn })
    this.#leaveExit = store ? atExit(() => this.#save()) : () => undefined
  }

  get status(): CourierStatus {
    const circuit = this.#failures >= circuitFailuresMin ? 'open' : 'closed'
    const adopted = this.#options.store?.adopted ?? { waiting: 0, delivered: 0, dropped: 0 }
    return { stored: this.#stored, rejected: this.#rejected, watched: this.#watched, circuit, adopted }
  }

  /** Records answered for, and how long the last attempt took, in s. */
  get exported(): { readonly stored: number; readonly rejected: number; readonly lastSeconds: number | null } {
    return { stored: this.#stored, rejected: this.#rejected, lastSeconds: this.#lastSeconds }
  }

  /** Something was recorded or began. `urgent`: an operator wants to see it now. */
  note(urgent: boolean): void {
    if (this.#stopped) return
    const { outbox, store, instant } = this.#options
    if (store && this.#spillTimer === null && outbox.crowded) this.#spillAfter(0)
    const full = outbox.loose >= this.#recordsMax
    if (!urgent && !full && this.#activeSince !== null && this.#timer !== null) return
    const woken = this.#activeSince === null
    this.#activeSince ??= instant()
    const sooner = (urgent && !this.#urgent) || (full && this.#patience)
    if (urgent) this.#urgent = true
    if (this.#timer === null || sooner || (woken && this.#patience)) this.#schedule()
  }

  /**
   * Sends until nothing waits, an attempt fails for good, or `withinMs` have passed; then what is under way is cut
   * off when `final`, and what waits is written to the disk. `patient`: a failed attempt is repeated while time remains.
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
    this.#draining++
    try {
      while (!expired && !this.#stopped && this.#unfinished) {
        const sent = await Promise.race([this.#sending ?? this.#attempt(), expiry])
        if (sent === true || expired) continue
        const waitMs = this.#blockedUntil - instant()
        if (!patient || this.#failures >= circuitFailuresMin || instant() + waitMs >= deadline) break
        await Promise.race([sleep(Math.max(0, waitMs)), expiry])
      }
    } finally {
      clearTimeout(timer)
      this.#draining--
      transport.hold(false)
      if (final) this.#stop()
      else this.#schedule()
    }
  }

  #stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    for (const timer of [this.#timer, this.#spillTimer]) if (timer) clearTimeout(timer)
    this.#timer = null
    this.#spillTimer = null
    this.#keeper?.stop()
    this.#leaveExit()
    this.#options.transport.abort()
    this.#save()
  }

  /** Writes what waits to the disk, at once and within a bound: the host exits. */
  #save(): void {
    const { outbox, store, instant } = this.#options
    if (!store || outbox.unsaved === 0) return
    const until = instant() + exitSpillMsMax
    const under = this.#cut
    this.#cut = null
    if (under) this.#backlog.push(under.freezeAtOnce())
    while (this.#backlog.spill() && outbox.loose > 0 && instant() < until) {
      this.#backlog.push(this.#newCut().freezeAtOnce())
    }
  }

  get #unfinished(): boolean {
    return this.#backlog.own || this.#cut !== null || this.#options.outbox.loose > 0 || this.#undeclared
  }

  /** Something was dropped that no stored batch has told of. */
  get #undeclared(): boolean {
    return totalOf(this.#options.outbox.dropped) > this.#declared
  }

  /** Whether the timer waits for the pace, rather than for a backoff or for this very moment. */
  get #patience(): boolean {
    return this.#timerAt > this.#blockedUntil && this.#timerAt > this.#options.instant()
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
    if (this.#backlog.own || this.#backlog.adopted) return this.#blockedUntil
    return this.#cutDueAt()
  }

  /** The same for what is in no batch yet. */
  #cutDueAt(): number | null {
    const { outbox, instant, runningTotal } = this.#options
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
        this.#backOff({ act: 'keep', why: 'unavailable', waitMs: null, text: String(error) })
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
    const waiting = await this.#choose()
    if (!waiting || this.#stopped) return false
    if (nowUs() - waiting.batch.madeAtUs > outboxAgeDaysMax * 86_400_000_000) {
      this.#backlog.drop(waiting, 'expired')
      return true
    }
    if (isOwn(waiting)) this.#sentAt = instant()
    const began = instant()
    let verdict: Verdict
    try {
      verdict = verdictOf(await transport.post(waiting.batch, nowUs()), waiting.batch.batchId, Date.now())
    } catch (error) {
      verdict = { act: 'keep', why: 'unavailable', waitMs: null, text: textOf(error) }
    }
    this.#lastSeconds = (instant() - began) / 1_000
    return await this.#carryOut(verdict, waiting)
  }

  /** Its own batches first, then what is due to become one, then what others left. */
  async #choose(): Promise<Waiting | null> {
    for (let turn = 0; turn < 2; turn++) {
      if (this.#cutting) await this.#cutting
      const own = await this.#backlog.oldest(true)
      if (own) return own
      const due = this.#cutDueAt()
      const mayWait = due === null || due > this.#options.instant() + 1
      if (!(this.#draining > 0 && this.#unfinished) && mayWait && this.#backlog.adopted) {
        return await this.#backlog.oldest(false)
      }
      if (turn === 0) await this.#freezeNext()
    }
    return null
  }

  /** Cuts what is loose into one more batch, which waits in memory then. */
  #freezeNext(): Promise<void> {
    this.#cutting ??= this.#freezeSliced().finally(() => {
      this.#cutting = null
    })
    return this.#cutting
  }

  async #freezeSliced(): Promise<void> {
    this.#options.announce()
    this.#urgent = false
    this.#activeSince = null
    const cut = this.#newCut()
    this.#cut = cut
    await runInSlices(cut.steps())
    const batch = await cut.freeze()
    // Unless it was taken from here at the end.
    if (this.#cut !== cut) return
    this.#cut = null
    this.#backlog.push(batch)
  }

  #newCut(): BatchCut {
    const { outbox, envelopeOf } = this.#options
    return new BatchCut(outbox, envelopeOf(++this.#seq), this.#recordsMax, this.#bytesMax)
  }

  async #carryOut(verdict: Verdict, waiting: Waiting): Promise<boolean> {
    const { batch } = waiting
    if (verdict.act === 'keep') {
      this.#backOff(verdict)
      return false
    }
    if (verdict.act !== 'settle' && batch.records === 0) {
      // A sign of life was refused: there is nothing to give up, and no reason to hurry with the next.
      this.#backlog.drop(waiting, 'empty')
      this.#backOff({ act: 'keep', why: 'unavailable', waitMs: null, text: 'it refuses a batch without records' })
      return false
    }
    if (verdict.act === 'recut') return await this.#recut(waiting)
    this.#succeed()
    if (verdict.act === 'drop') {
      this.#options.warn('batch_refused', `Cannot deliver ${batch.records} records: the server ${verdict.reason}`)
      this.#backlog.drop(waiting, verdict.reason)
    } else {
      this.#settle(verdict.ack, waiting)
    }
    return true
  }

  async #recut(waiting: Waiting): Promise<boolean> {
    this.#bytesMax = Math.max(recutBytesMin, Math.floor(this.#bytesMax / 2))
    const pieces = await recut(waiting.batch).catch((): readonly FrozenBatch[] => [])
    if (pieces.length > 0 && !this.#backlog.replace(waiting, pieces)) {
      this.#backOff({ act: 'keep', why: 'unavailable', waitMs: null, text: 'a batch is too large' })
      return false
    }
    this.#succeed()
    if (pieces.length === 0) this.#backlog.drop(waiting, 'too_large')
    return true
  }

  #succeed(): void {
    this.#failures = 0
    this.#blockedUntil = never
  }

  #settle(ack: Ack, waiting: Waiting): void {
    const { batch } = waiting
    if (this.#backlog.settle(waiting) && isOwn(waiting)) {
      const rejected = Math.min(ack.rejected.length, batch.records)
      this.#rejected += rejected
      this.#stored += batch.records - rejected
    }
    this.#declared = Math.max(this.#declared, batch.declared)
    this.#watched = ack.watched
    if (ack.flush_after_ms > 0) this.#paceMs = Math.min(ack.flush_after_ms, paceMsMax)
    if (ack.records_max > 0) this.#recordsMax = Math.max(1, Math.min(reporterBatchRecordsMax, ack.records_max))
  }

  /** Waits between half and all of a delay that doubles, and at least as long as the server asked for. */
  #backOff(verdict: Extract<Verdict, { act: 'keep' }>): void {
    const { instant, store, warn, random = Math.random, retryMs = retryBaseMs } = this.#options
    const delay = Math.min(retryMsMax, retryMs * 2 ** Math.min(this.#failures, 20))
    this.#failures++
    this.#blockedUntil = instant() + Math.max(verdict.waitMs ?? 0, delay * (0.5 + random() / 2))
    if (store && !this.#stopped) {
      this.#backlog.spill()
      if (this.#spillTimer === null) this.#spillAfter(this.#paceMs)
    }
    if (verdict.why === 'key_refused')
      warn('key_refused', `Cannot deliver records: the ingest key is refused (${verdict.text})`)
    else if (this.#failures === circuitFailuresMin)
      warn('unreachable', `Cannot reach the ingest address: ${verdict.text}; records wait`)
  }

  /** While attempts fail, or memory is crowded, what waits goes to the disk: a killed process loses one pace at most. */
  #spillAfter(ms: number): void {
    if (this.#stopped) return
    this.#spillTimer = setTimeout(() => {
      void this.#spill()
        .catch((error: unknown) => this.#options.warn('internal', `Cannot keep a batch: ${textOf(error)}`))
        .finally(() => {
          this.#spillTimer = null
          if (this.#failures > 0) this.#spillAfter(this.#paceMs)
        })
    }, ms)
    this.#spillTimer.unref()
  }

  async #spill(): Promise<void> {
    const { outbox } = this.#options
    const wanted = () => !this.#stopped && outbox.loose > 0 && (this.#failures > 0 || outbox.crowded)
    while (wanted() && this.#backlog.spill()) await this.#freezeNext()
    if (this.#failures > 0 && !this.#stopped) this.#backlog.spill()
  }
}

function totalOf(dropped: { readonly [reason: string]: number }): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0)
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error)
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
