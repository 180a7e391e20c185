import { notificationMsMax, notificationRedirectsMax } from '../../src/core/limit.ts'
import { type DestinationPolicy, refusalOfUrl } from './destination_check.ts'
import { type Dial, type DialAnswer, ForbiddenAddress } from './destination_dial.ts'
import { type Message, messageOf } from './message_format.ts'
import type { Attempt, Notification, Notifier } from './port.ts'

export type NotifierOptions = {
  readonly dial: Dial
  readonly policy: DestinationPolicy
  /** Where the dashboard is; null where nobody knows. */
  readonly pageUrl: string | null
  /** µs since the epoch. */
  readonly clock: () => number
  /** How long an attempt may take. */
  readonly msMax?: number
}

/** Answers that will not change however often it is asked: the destination is gone for good. */
const goneStatus = 410
const movedStatuses: ReadonlySet<number> = new Set([301, 302, 307, 308])

/** Tells destinations over HTTP. What it says of a failure names neither an address nor a secret. */
export class HttpNotifier implements Notifier {
  readonly #options: NotifierOptions
  readonly #msMax: number

  constructor(options: NotifierOptions) {
    this.#options = options
    this.#msMax = options.msMax ?? notificationMsMax
  }

  async send(notification: Notification): Promise<Attempt> {
    const { clock, pageUrl } = this.#options
    let message: Message
    try {
      message = messageOf(notification, { pageUrl, now_us: clock() })
    } catch {
      return refused('its secret cannot sign')
    }
    try {
      return await this.#post(new URL(notification.url), message)
    } catch (error) {
      if (error instanceof ForbiddenAddress) return refused(error.message)
      const isLate = error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError')
      return failed(null, isLate ? `It did not answer within ${this.#msMax / 1_000} s` : 'It was not reached')
    }
  }

  /** Redirects are followed by hand, so that each place is checked before anything is said to it. */
  async #post(first: URL, { headers, body, mayMove }: Message): Promise<Attempt> {
    const { dial, policy } = this.#options
    const signal = AbortSignal.timeout(this.#msMax)
    let url = first
    for (let hops = 0; ; hops += 1) {
      const refusal = refusalOfUrl(url, policy)
      if (refusal !== null) return refused(hops === 0 ? refusal : `it redirects to a place that is refused: ${refusal}`)
      const answer = await dial.ask({ url, headers, body, signal }, policy)
      const { status, location } = answer
      if (status < 300 || status > 399) return attemptOf(answer)
      if (!movedStatuses.has(status) || location === null || !URL.canParse(location, url.href))
        return failed(status, `It answers ${status}`)
      if (!mayMove || !dial.resolves) return refused('it redirects', status)
      if (hops >= notificationRedirectsMax) return failed(status, 'It redirects too often')
      url = new URL(location, url.href)
    }
  }
}

function attemptOf({ status, retryAfter }: DialAnswer): Attempt {
  if (status >= 200 && status <= 299) return { ok: true, final: true, status, error: null, retry_after_s: null }
  const seconds = /^\d{1,9}$/.test(retryAfter ?? '') ? Number(retryAfter) : null
  return { ...failed(status, `It answers ${status}`), final: status === goneStatus, retry_after_s: seconds }
}

function failed(status: number | null, error: string): Attempt {
  return { ok: false, final: false, status, error, retry_after_s: null }
}

function refused(why: string, status: number | null = null): Attempt {
  return { ok: false, final: true, status, error: `Refused: ${why}`, retry_after_s: null }
}
