import { gaugeMsMin, leasesMax, waitMsMin } from '../../core/limit.ts'
import { RecordedSpan, type SpanHandle, type WaitStart } from '../recorded_span.ts'
import type { BaseReporter } from '../reporter_surface.ts'
import { parentOf } from '../span_kin.ts'

/** What the wrappers of what is waited for use of their reporter. */
export type WaitScope = Pick<BaseReporter, 'enabled' | 'active' | 'run' | 'wait' | 'time' | 'gauge'>

/** One permit, connection or place, while somebody has it. */
export type Lease = { readonly holder: string; readonly traceId: string | null; readonly since: number }

/** A wait that may still turn out too short to be worth telling of. */
export type Pending = { readonly end: (outcome?: 'ok' | 'cancelled') => void }

const noWait: Pending = { end: () => undefined }

/**
 * Who has what is limited, the longest first, so that whoever waits can say for whom; with the gauge `permits_in_use`.
 * A holder that never gives back is forgotten after `leasesMax` others.
 */
export class WaitLedger {
  readonly #scope: WaitScope
  readonly #name: string
  readonly #waitName: string
  readonly #limit: number | null
  readonly #leases = new Set<Lease>()
  /** Waits of which nobody knows yet whom they are for. */
  readonly #blameless = new Set<(lease: Lease) => void>()
  #gaugedAt = Number.NEGATIVE_INFINITY
  #gauge: NodeJS.Timeout | null = null

  /** `waitName` is what the wait spans are called, `limit` how many there are, null where nobody knows. */
  constructor(scope: WaitScope, name: string, waitName: string, limit: number | null) {
    this.#scope = scope
    this.#name = name
    this.#waitName = waitName
    this.#limit = limit
  }

  get inUse(): number {
    return this.#leases.size
  }

  take(holder?: string): Lease {
    const span = this.#scope.active()
    const lease = { holder: holder ?? holderOf(span), traceId: span?.traceId ?? null, since: performance.now() }
    this.#leases.add(lease)
    if (this.#leases.size > leasesMax) this.#leases.delete(this.#oldest as Lease)
    this.#changed()
    const blocker = this.#blameless.size > 0 ? this.#blocker : null
    if (blocker) {
      for (const blame of this.#blameless) blame(blocker)
      this.#blameless.clear()
    }
    return lease
  }

  /** Gives a lease back, once; without one, the oldest. */
  drop(lease: Lease | null = this.#oldest): void {
    if (lease && this.#leases.delete(lease)) this.#changed()
  }

  /** Begins the wait of the active span now. Shown at once. */
  wait(): SpanHandle {
    return this.#scope.wait(this.#start(performance.now(), this.#blocker))
  }

  /** Begins a wait that is told of when it has lasted `waitMsMin`: most of them are over at once. */
  pend(): Pending {
    const span = this.#scope.active()
    if (!span) return noWait
    const at = performance.now()
    let blocker = this.#blocker
    let wait: SpanHandle | null = null
    let ended = false
    const show = () => {
      if (!ended) wait ??= this.#scope.wait(span, this.#start(at, blocker))
    }
    const blame = (lease: Lease) => {
      blocker = lease
      wait?.set(blameOf(lease, at))
    }
    // Whoever asked just before has nothing yet: the first that is seen to have it was ahead.
    if (!blocker) this.#blameless.add(blame)
    const timer = setTimeout(show, waitMsMin)
    timer.unref()
    return {
      end: (outcome = 'ok') => {
        clearTimeout(timer)
        this.#blameless.delete(blame)
        // Where the event loop was blocked, the time is up and the timer has not fired.
        if (performance.now() - at >= waitMsMin) show()
        ended = true
        wait?.end(outcome)
      },
    }
  }

  get #oldest(): Lease | null {
    return this.#leases.values().next().value ?? null
  }

  /** Who has had it longest, where all there are are taken. */
  get #blocker(): Lease | null {
    return this.#limit === null || this.#leases.size >= this.#limit ? this.#oldest : null
  }

  #start(at: number, blocker: Lease | null): WaitStart {
    return { name: this.#waitName, at, ...(blocker ? blameOf(blocker, at) : {}) }
  }

  /** At most one gauge in `gaugeMsMin`; the last value of a quick series is always told. */
  #changed(): void {
    if (!this.#scope.enabled || this.#gauge) return
    const tell = () => {
      this.#gauge = null
      this.#gaugedAt = performance.now()
      this.#scope.gauge('permits_in_use', this.#leases.size, { name: this.#name })
    }
    const restMs = gaugeMsMin - (performance.now() - this.#gaugedAt)
    if (restMs > 0) {
      this.#gauge = setTimeout(tell, restMs)
      this.#gauge.unref()
    } else tell()
  }
}

function blameOf(lease: Lease, at: number): Pick<WaitStart, 'holder' | 'attributes'> {
  const heldMs = Math.max(0, Math.round(at - lease.since))
  return {
    holder: lease.holder,
    attributes: { 'telltale.holder_held_ms': heldMs, 'telltale.holder_trace_id': lease.traceId },
  }
}

/** Whose permit it is: the tool of the nearest span that has one, else the span's name. */
function holderOf(span: SpanHandle | null): string {
  if (!(span instanceof RecordedSpan)) return 'background'
  for (let at: RecordedSpan | null = span; at; at = parentOf(at)) if (at.tool !== null) return at.tool
  return span.name
}
