import { css, html, LitElement, nothing } from 'lit'
import type { LiveError } from '../../src/core/live_snapshot.ts'
import { agoText, utcText } from '../view/number_text.ts'
import { type Place, pathOf, withPlace } from '../view/place.ts'
import { sharedStyle } from './shared_style.ts'
import './error_text.ts'
import './stack_trace.ts'

/** One error at a glance: type, message, where and when, ways to its group and trace, and its stack trace on demand. */
export class ErrorCard extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host {
        min-width: 0;
      }
      header {
        display: flex;
        flex-wrap: wrap;
        align-items: baseline;
        gap: 2px 10px;
      }
      .type {
        min-width: 0;
        overflow-wrap: anywhere;
        font-weight: 600;
      }
      .when {
        margin-inline-start: auto;
      }
      .place {
        display: flex;
        flex-wrap: wrap;
        gap: 2px 12px;
        margin-block: 2px;
        overflow-wrap: anywhere;
      }
      summary {
        width: fit-content;
        padding-block: 4px;
        color: var(--tt-accent);
        cursor: pointer;
      }
    `,
  ]
  static override properties = {
    error: { attribute: false },
    place: { attribute: false },
    now_us: { attribute: false },
    open: { type: Boolean, reflect: true },
  }
  declare error: LiveError | null
  /** Where the page is, for the links; what it filters by stays in them. */
  declare place: Place | null
  /** The servers' clock, for how long ago it was. */
  declare now_us: number
  /** Whether the stack trace is shown. */
  declare open: boolean

  constructor() {
    super()
    this.error = null
    this.place = null
    this.now_us = 0
    this.open = false
  }

  override render() {
    const { error, place } = this
    if (error === null || place === null) return nothing
    return html`
      <header>
        <a class="type error" href=${pathOf(withPlace(place, { page: 'error', id: error.fingerprint }))}
          ><bdi>${error.error_type || 'Error'}</bdi></a>
        <span class="muted when" title=${utcText(error.at_us)}>${agoText(this.now_us - error.at_us)}</span>
      </header>
      <tt-error-text .text=${error.message}></tt-error-text>
      <div class="place muted">
        ${error.culprit === null ? nothing : html`<span class="mono">at <bdi>${error.culprit}</bdi></span>`}
        <span>in <bdi>${error.service}</bdi>, <bdi>${error.environment}</bdi></span>
        ${
          error.trace_id === null
            ? nothing
            : html`<a href=${pathOf(withPlace(place, { page: 'trace', id: error.trace_id }))}>Open trace</a>`
        }
      </div>
      ${
        error.traceback === null
          ? nothing
          : html`<details ?open=${this.open} @toggle=${this.#toggle}>
              <summary>Stack trace</summary>
              ${this.open ? html`<tt-stack-trace .traceback=${error.traceback}></tt-stack-trace>` : nothing}
            </details>`
      }
    `
  }

  #toggle(event: Event): void {
    this.open = (event.currentTarget as HTMLDetailsElement).open
  }
}

customElements.define('tt-error-card', ErrorCard)

declare global {
  interface HTMLElementTagNameMap {
    'tt-error-card': ErrorCard
  }
}
