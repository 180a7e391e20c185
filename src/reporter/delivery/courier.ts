import { setTimeout as sleep } from 'node:timers/promises'
import {
  batchBytesMax,
  errorGapMs,
  exitSpillMsMax,
  flushesUnrenewedMax,
  interruptedSecondsMin,
  outboxAgeDaysMax,
  quietFlushMs,
  renewalMsMin,
  reporterBatchRecordsMax,
  watchedFlushMs,
} from '../../core/limit.ts'
import type { Ack } from '../../core/record.ts'
import { textOf } from '../warning.ts'
import { Backlog, isOwn, type Waiting } from './courier_backlog.ts'
import { Backoff } from './courier_backoff.ts'
import { atExit } from './courier_exit.ts'
import type { CourierOptions, CourierStatus } from './courier_options.ts'
import { runInSlices } from './courier_slice.ts'
import { CourierSpill } from './courier_spill.ts'
import { CourierTally } from './courier_tally.ts'
import { BatchCut, type FrozenBatch, recut } from './frozen_batch.ts'
import { SpillKeeper } from './spill_keeper.ts'
import { type Verdict, verdictOf } from './verdict.ts'

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
  readonly #backoff: Backoff
  readonly #keeper: SpillKeeper | null
  readonly #leaveExit: () => void
  readonly #spill: CourierSpill
  #timer: NodeJS.Timeout | null = null
  #timerAt = never
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
  #declared = 0
  #stopped = false
  readonly #tally = new CourierTally()
  #watched = false
  #lastSeconds: number | null = null

  constructor(options: CourierOptions) {
    this.#options = options
    const { outbox, store, lookMs } = options
    this.#backlog = new Backlog(outbox, store)
    this.#backoff = new Backoff(options)
    const failing = () => this.#backoff.failures > 0
    this.#spill = new CourierSpill({
      write: () => this.#backlog.spill(),
      freezeNext: () => this.#freezeNext(),
      wanted: () => outbox.loose > 0 && (failing() || outbox.crowded),
      failing,
      paceMs: () => this.#paceMs,
      warn: options.warn,
    })
    this.#keeper =
      store &&
      new SpillKeeper({ store, lookMs, may: () => !failing(), wake: () => this.#schedule(), warn: options.warn })
    this.#leaveExit = store ? atExit(() => this.#save()) : () => undefined
  }

  get status(): CourierStatus {
    const adopted = this.#options.store?.adopted ?? { waiting: 0, delivered: 0, dropped: 0 }
    const circuit = this.#backoff.open ? 'open' : 'closed'
    const { stored, rejected, missing } = this.#tally
    return { stored, rejected, missing, watched: this.#watched, circuit, adopted }
  }

  /** Records answered for, and how long the last attempt took, in s. */
  get exported(): { readonly stored: number; readonly rejected: number; readonly lastSeconds: number | null } {
    const { stored, rejected } = this.#tally
    return { stored, rejected, lastSeconds: this.#lastSeconds }
  }

  /** Something was recorded or began. `urgent`: an operator wants to see it now. */
  note(urgent: boolean): void {
    if (this.#stopped) return
    const { outbox, store, instant } = this.#options
    if (store && this.#spill.idle && outbox.crowded) this.#spill.after(0)
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
        const waitMs = this.#backoff.until - instant()
        if (!patient || this.#backoff.open || instant() + waitMs >= deadline) break
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
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#spill.stop()
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
    if (this.#cut) this.#backlog.push(this.#cut.freezeAtOnce())
    this.#cut = null
    while (this.#backlog.spill() && outbox.loose > 0 && instant() < until) {
      this.#backlog.push(this.#newCut().freezeAtOnce())
    }
  }

  get #unfinished(): boolean {
    return this.#backlog.own || this.#cut !== null || this.#options.outbox.loose > 0 || this.#undeclared
  }

  /** Something was dropped that no stored batch has told of. */
  get #undeclared(): boolean {
    return this.#options.outbox.droppedTotal > this.#declared
  }

  /** Whether the timer waits for the pace, rather than for a backoff or for this very moment. */
  get #patience(): boolean {
    return this.#timerAt > this.#backoff.until && this.#timerAt > this.#options.instant()
  }

  #schedule(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#sending || this.#stopped) return
    const due = this.#dueAt()
    if (due === null) return
    this.#timerAt = due
    this.#timer = setTimeout(
      () => {
        this.#timer = null
        if (!this.#sending) void this.#attempt()
      },
      Math.max(0, due - this.#options.instant()),
    )
    this.#timer.unref()
  }

  /** The monotonic ms at which to send next, null when there is nothing to say. */
  #dueAt(): number | null {
    if (this.#backlog.own || this.#backlog.adopted) return this.#backoff.until
    return this.#cutDueAt()
  }

  /** The same for what is in no batch yet. */
  #cutDueAt(): number | null {
    const { outbox, instant, runningTotal } = this.#options
    const active = outbox.loose > 0 || this.#activeSince !== null || this.#undeclared
    if (!active && runningTotal() === 0) return null
    if (this.#backoff.until > instant() || outbox.loose >= this.#recordsMax) return this.#backoff.until
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
    this.#backoff.succeed()
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
    this.#backoff.succeed()
    if (pieces.length === 0) this.#backlog.drop(waiting, 'too_large')
    return true
  }

  #settle(ack: Ack, waiting: Waiting): void {
    const { batch } = waiting
    if (this.#backlog.settle(waiting) && isOwn(waiting)) this.#tally.add(ack, batch.records)
    this.#declared = Math.max(this.#declared, batch.declared)
    this.#watched = ack.watched
    if (ack.flush_after_ms > 0) this.#paceMs = Math.min(ack.flush_after_ms, paceMsMax)
    if (ack.records_max > 0) this.#recordsMax = Math.max(1, Math.min(reporterBatchRecordsMax, ack.records_max))
  }

  #backOff(verdict: Extract<Verdict, { act: 'keep' }>): void {
    this.#backoff.fail(verdict)
    if (!this.#options.store || this.#stopped) return
    this.#backlog.spill()
    this.#spill.after(this.#paceMs)
  }
}
