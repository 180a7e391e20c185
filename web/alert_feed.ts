import type { AlertPush } from '../src/core/alert/alert_document.ts'
import { alertReadMs } from '../src/core/limit.ts'
import type { Api } from './api.ts'

export type AlertFeedOptions = {
  readonly source: Pick<Api, 'openAlerts'>
  /** Called with everything that is newer than what was known. */
  readonly onAlerts: (push: AlertPush) => void
}

/**
 * Keeps what fires now: as it is pushed, and read every `alertReadMs` while the page is visible, so that a push that was
 * lost is made up for. The highest revision wins; of one revision the later look. It starts hidden.
 */
export class AlertFeed {
  readonly #options: AlertFeedOptions
  #known: AlertPush | null = null
  #timer: ReturnType<typeof setInterval> | undefined

  constructor(options: AlertFeedOptions) {
    this.#options = options
  }

  hear(push: AlertPush): void {
    const known = this.#known
    if (known !== null && (push.rev < known.rev || (push.rev === known.rev && push.at_us <= known.at_us))) return
    this.#known = push
    this.#options.onAlerts(push)
  }

  show(visible: boolean): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    if (!visible) return
    this.#timer = setInterval(() => this.#read(), alertReadMs)
    this.#read()
  }

  stop(): void {
    this.show(false)
  }

  #read(): void {
    const timer = this.#timer
    this.#options.source.openAlerts().then(
      (push) => {
        if (timer === this.#timer) this.hear(push)
      },
      // What does not answer now is asked again.
      () => undefined,
    )
  }
}
