import { html, nothing, type ReactiveController, type ReactiveControllerHost } from 'lit'
import type { Api } from '../api.ts'
import type { GroupStateEvent } from './group_state_event.ts'

/** Says what a GroupStateEvent asks for, one at a time, and then that it is said. */
export class GroupStateWrite implements ReactiveController {
  /** The group of which something is being said; null at rest. */
  fingerprint: string | null = null
  #problem: unknown = null
  readonly #host: ReactiveControllerHost
  readonly #api: () => Api | null
  readonly #onDone: () => void

  constructor(host: ReactiveControllerHost, api: () => Api | null, onDone: () => void) {
    this.#host = host
    this.#api = api
    this.#onDone = onDone
    host.addController(this)
  }

  hostDisconnected(): void {
    this.#problem = null
  }

  readonly say = async ({ fingerprint, request }: GroupStateEvent): Promise<void> => {
    const api = this.#api()
    if (api === null || this.fingerprint !== null) return
    this.fingerprint = fingerprint
    this.#problem = null
    this.#host.requestUpdate()
    try {
      await api.setGroupState(fingerprint, request)
      this.#onDone()
    } catch (error) {
      this.#problem = error
    }
    this.fingerprint = null
    this.#host.requestUpdate()
  }

  /** Why the last one was not said, if it was not. */
  failure() {
    const problem = this.#problem
    if (problem === null) return nothing
    const reason = problem instanceof Error ? problem.message : String(problem)
    return html`<p role="alert"><span class="error">Could not change the state.</span> <bdi class="muted">${reason}</bdi></p>`
  }
}
