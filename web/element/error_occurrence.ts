import { css, html, LitElement, nothing } from 'lit'
import { connectionFactsOf, type Occurrence } from '../view/error_view.ts'
import { nameText } from '../view/name_text.ts'
import { agoText, timeText, utcText } from '../view/number_text.ts'
import { type Place, pathOf, withPlace } from '../view/place.ts'
import { factsOfObject } from '../view/span_view.ts'
import { sharedStyle } from './shared_style.ts'
import './error_text.ts'
import './fact_list.ts'
import './stack_trace.ts'

/** One failure, whole: message, stack trace, context, what connection it was on, when and in which trace. */
export class ErrorOccurrence extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host {
        min-width: 0;
      }
      header {
        display: flex;
        flex-wrap: wrap;
        gap: 2px 12px;
        margin-block-end: 4px;
      }
      header strong {
        min-width: 0;
        overflow-wrap: anywhere;
      }
      h3 {
        margin-block: 12px 4px;
      }
      tt-stack-trace {
        margin-block-start: 8px;
      }
    `,
  ]
  static override properties = {
    error: { attribute: false },
    place: { attribute: false },
    nowUs: { attribute: false },
    inTrace: { type: Boolean },
  }
  declare error: Occurrence | null
  declare place: Place | null
  declare nowUs: number
  /** Whether it stands on the page of its trace: then it leads to its group, else to its trace. */
  declare inTrace: boolean

  constructor() {
    super()
    this.error = null
    this.place = null
    this.nowUs = 0
    this.inTrace = false
  }

  override render() {
    const { error, place, nowUs } = this
    if (error === null || place === null) return nothing
    const connection = connectionFactsOf(error)
    const context = factsOfObject({ ...error.context, ...error.metadata })
    return html`
      <header>
        <strong class="error"><bdi>${nameText(error.error_type, 'Error')}</bdi></strong>
        <span class="muted" title=${utcText(error.at_us)}>${timeText(error.at_us, nowUs)}, ${agoText(nowUs - error.at_us)}</span>
        <span class="muted"><bdi>${error.service}</bdi>, <bdi>${error.environment}</bdi></span>
        ${this.#link(error, place)}
      </header>
      <tt-error-text .text=${error.message}></tt-error-text>
      ${
        error.traceback === null
          ? html`<p class="muted">It came without a stack trace.</p>`
          : html`<tt-stack-trace .traceback=${error.traceback}></tt-stack-trace>`
      }
      ${connection.length === 0 ? nothing : html`<h3>Connection</h3><tt-fact-list .facts=${connection}></tt-fact-list>`}
      ${context.length === 0 ? nothing : html`<h3>Context</h3><tt-fact-list table .facts=${context}></tt-fact-list>`}
    `
  }

  #link(error: Occurrence, place: Place) {
    if (this.inTrace) {
      return html`<a href=${pathOf(withPlace(place, { page: 'error', id: error.fingerprint }))}>All of this kind</a>`
    }
    if (error.trace_id === null) return html`<span class="muted">outside of any trace</span>`
    return html`<a href=${pathOf(withPlace(place, { page: 'trace', id: error.trace_id }))}>Open trace</a>`
  }
}

customElements.define('tt-error-occurrence', ErrorOccurrence)

declare global {
  interface HTMLElementTagNameMap {
    'tt-error-occurrence': ErrorOccurrence
  }
}
