import { circuitFailuresMin, retryBaseMs, retryMsMax } from '../../core/limit.ts'
import type { CourierOptions } from './courier_options.ts'
import type { Verdict } from './verdict.ts'

/** Until when nothing is sent, after attempts that failed in a row. */
export class Backoff {
  /** Monotonic ms. */
  until = Number.NEGATIVE_INFINITY
  failures = 0
  readonly #options: Pick<CourierOptions, 'instant' | 'random' | 'retryMs' | 'warn'>

  constructor(options: Pick<CourierOptions, 'instant' | 'random' | 'retryMs' | 'warn'>) {
    this.#options = options
  }

  /** Several attempts in a row failed; one batch probes now and then. */
  get open(): boolean {
    return this.failures >= circuitFailuresMin
  }

  succeed(): void {
    this.failures = 0
    this.until = Number.NEGATIVE_INFINITY
  }

  /** Waits between half and all of a delay that doubles, and at least as long as the server asked for. */
  fail(verdict: Extract<Verdict, { act: 'keep' }>): void {
    const { instant, warn, random = Math.random, retryMs = retryBaseMs } = this.#options
    const delay = Math.min(retryMsMax, retryMs * 2 ** Math.min(this.failures, 20))
    this.failures++
    this.until = instant() + Math.max(verdict.waitMs ?? 0, delay * (0.5 + random() / 2))
    if (verdict.why === 'key_refused')
      warn('key_refused', `Cannot deliver records: the ingest key is refused (${verdict.text})`)
    else if (this.failures === circuitFailuresMin)
      warn('unreachable', `Cannot reach the ingest address: ${verdict.text}; records wait`)
  }
}
