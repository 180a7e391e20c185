import { css, html, LitElement, nothing } from 'lit'
import { ignoredErrorsMax, nameBytesMax } from '../../src/core/limit.ts'
import type { ErrorGroup } from '../view/answer.ts'
import {
  decisionText,
  type GroupStateRequest,
  ignoredFor,
  ignoredRequest,
  isRegressed,
  stateNames,
} from '../view/group_state_view.ts'
import { GroupStateEvent } from './group_state_event.ts'
import { sharedStyle } from './shared_style.ts'

type Group = Pick<ErrorGroup, 'fingerprint' | 'state' | 'decision' | 'last_version'>

/** The state of an error group: what was said of it, by whom, and buttons to say otherwise. Each is a GroupStateEvent. */
export class GroupStateBar extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 8px 14px;
      }
      .state {
        font-weight: 600;
      }
      p {
        min-width: 0;
        overflow-wrap: anywhere;
      }
      details {
        position: relative;
      }
      summary {
        list-style: none;
      }
      summary::-webkit-details-marker {
        display: none;
      }
      .choice {
        position: absolute;
        z-index: 10;
        inset-block-start: calc(100% + 4px);
        inset-inline-start: 0;
        display: grid;
        gap: 10px;
        width: 240px;
        max-width: calc(100vw - 60px);
        padding: 12px;
        border: 1px solid var(--tt-border);
        border-radius: var(--tt-radius);
        background: var(--tt-surface);
        box-shadow: 0 8px 24px rgb(0 0 0 / 18%);
      }
      .choice form {
        display: grid;
        gap: 6px;
      }
      .choice input {
        width: 100%;
      }
      .choice button {
        width: 100%;
      }
      @media (max-width: 640px) {
        :host {
          position: relative;
        }
        details {
          position: static;
        }
        .choice {
          inset-block-start: auto;
          margin-block-start: 4px;
        }
      }
    `,
  ]
  static override properties = { group: { attribute: false }, nowUs: { attribute: false }, busy: { type: Boolean } }
  declare group: Group | null
  declare nowUs: number
  /** While something is being said. */
  declare busy: boolean

  constructor() {
    super()
    this.group = null
    this.nowUs = 0
    this.busy = false
  }

  override render() {
    const { group } = this
    if (group === null) return nothing
    const text = decisionText(group, this.nowUs)
    const regressed = isRegressed(group)
    return html`
      <span class="chip state ${regressed ? 'error' : ''}">${regressed ? 'Regressed' : stateNames[group.state]}</span>
      ${text === null ? nothing : html`<p class="muted"><bdi>${text}</bdi></p>`}
      ${group.state === 'open' ? this.#open(group) : this.#button('Reopen', { state: 'open', options: {} })}
    `
  }

  #open(group: Group) {
    return html`
      ${this.#button('Resolve', { state: 'resolved', options: {} })}
      <details>
        <summary class="button">Resolve in a version</summary>
        <div class="choice">
          <form @submit=${(event: SubmitEvent) => this.#say(event, 'version')}>
            <label for="version">Errors of older versions do not bring it back</label>
            <input id="version" name="version" required maxlength=${nameBytesMax / 4} placeholder=${group.last_version ?? ''}>
            <button ?disabled=${this.busy}>Resolve</button>
          </form>
        </div>
      </details>
      <details>
        <summary class="button">Ignore</summary>
        <div class="choice">
          ${ignoredFor.map(([text, seconds]) => this.#button(`Ignore ${text}`, () => ignoredRequest(seconds, this.nowUs)))}
          <form @submit=${(event: SubmitEvent) => this.#say(event, 'count')}>
            <label for="count">Until so many more came</label>
            <input id="count" name="count" type="number" required min="1" max=${ignoredErrorsMax} step="1">
            <button ?disabled=${this.busy}>Ignore that many</button>
          </form>
        </div>
      </details>
    `
  }

  #button(text: string, request: GroupStateRequest | (() => GroupStateRequest)) {
    const say = () => this.#dispatch(typeof request === 'function' ? request() : request)
    return html`<button type="button" ?disabled=${this.busy} @click=${say}>${text}</button>`
  }

  #say(event: SubmitEvent, key: 'version' | 'count'): void {
    event.preventDefault()
    const value = String(new FormData(event.target as HTMLFormElement).get(key) ?? '').trim()
    if (value === '') return
    this.#dispatch(
      key === 'version'
        ? { state: 'resolved', options: { version: value } }
        : { state: 'ignored', options: { count: Number(value) } },
    )
  }

  #dispatch(request: GroupStateRequest): void {
    for (const details of this.renderRoot.querySelectorAll('details')) details.open = false
    if (this.group !== null) this.dispatchEvent(new GroupStateEvent(this.group.fingerprint, request))
  }
}

customElements.define('tt-group-state', GroupStateBar)

declare global {
  interface HTMLElementTagNameMap {
    'tt-group-state': GroupStateBar
  }
}
