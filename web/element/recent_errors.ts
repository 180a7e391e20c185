import { css, html, LitElement, nothing } from 'lit'
import { repeat } from 'lit/directives/repeat.js'
import { filterNames } from '../view/filter_text.ts'
import { nameText } from '../view/name_text.ts'
import { agoText, timeText, utcText } from '../view/number_text.ts'
import type { ErrorLine } from '../view/overview_view.ts'
import { type FilterKey, type Place, pathOf, withPlace } from '../view/place.ts'
import { sharedStyle } from './shared_style.ts'
import './stack_trace.ts'

/** The latest errors, each with its stack trace on demand and a way to its group and to its trace. */
export class RecentErrors extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      ul {
        margin: 6px 0 0;
        padding: 0;
        list-style: none;
      }
      li {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto;
        gap: 0 12px;
        padding: 6px 0;
        border-bottom: 1px solid var(--tt-border);
      }
      li:last-child {
        border-bottom: 0;
      }
      .number a {
        text-decoration: underline;
      }
      .message,
      details {
        grid-column: 1 / -1;
        min-width: 0;
      }
      summary {
        padding-block: 3px;
        color: var(--tt-text-muted);
        cursor: pointer;
      }
    `,
  ]
  static override properties = {
    errors: { attribute: false },
    place: { attribute: false },
    now_us: { attribute: false },
    unjudged: { attribute: false },
    open: { state: true },
  }
  /** Newest first; null while they are not known. */
  declare errors: readonly ErrorLine[] | null
  declare place: Place | null
  declare now_us: number
  /** What the filter asks for that errors do not say. */
  declare unjudged: readonly FilterKey[]
  /** The ids of the errors whose stack trace is shown. */
  declare open: ReadonlySet<string>

  constructor() {
    super()
    this.errors = null
    this.place = null
    this.now_us = 0
    this.unjudged = []
    this.open = new Set()
  }

  override render() {
    const { errors, place, now_us } = this
    if (place === null) return nothing
    return html`
      <div class="row spread">
        <h2>
          Latest errors
          ${
            this.unjudged.length === 0
              ? nothing
              : html`<span class="muted">not narrowed by ${this.unjudged.map((key) => filterNames[key].toLowerCase()).join(', ')}</span>`
          }
        </h2>
        <a href=${pathOf(withPlace(place, { page: 'errors' }))}>All errors</a>
      </div>
      ${
        errors === null
          ? html`<p class="empty">Loading…</p>`
          : errors.length === 0
            ? html`<p class="empty">No errors in this time.</p>`
            : html`<ul>${repeat(
                errors,
                ({ error_id }) => error_id,
                (error) => this.#line(place, error, now_us),
              )}</ul>`
      }
    `
  }

  #line(place: Place, error: ErrorLine, nowUs: number) {
    const group = pathOf(withPlace(place, { page: 'error', id: error.fingerprint }))
    return html`
      <li>
        <span class="cut"><a class="error" href=${group}><bdi>${nameText(error.error_type, 'Error')}</bdi></a>
          ${error.service === null ? nothing : html`<span class="muted"> in <bdi>${error.service}</bdi></span>`}
        </span>
        <span class="muted number" title=${`${timeText(error.at_us, nowUs)} (${utcText(error.at_us)})`}>
          ${agoText(nowUs - error.at_us)}
          ${
            error.trace_id === null
              ? nothing
              : html`· <a href=${pathOf(withPlace(place, { page: 'trace', id: error.trace_id }))}>trace</a>`
          }
        </span>
        <span class="message cut muted"><bdi title=${error.message.slice(0, 500)}>${error.message}</bdi></span>
        ${error.traceback === null ? nothing : this.#stack(error, error.traceback)}
      </li>
    `
  }

  #stack({ error_id: id, culprit }: ErrorLine, traceback: string) {
    const isOpen = this.open.has(id)
    return html`
      <details ?open=${isOpen} @toggle=${(event: Event) => this.#toggle(id, event)}>
        <summary class="cut">${culprit === null ? 'Stack trace' : html`<span class="mono">at <bdi>${culprit}</bdi></span>`}</summary>
        ${isOpen ? html`<tt-stack-trace .traceback=${traceback}></tt-stack-trace>` : nothing}
      </details>
    `
  }

  #toggle(id: string, event: Event): void {
    const open = new Set(this.open)
    if ((event.currentTarget as HTMLDetailsElement).open) open.add(id)
    else open.delete(id)
    this.open = open
  }
}

customElements.define('tt-recent-errors', RecentErrors)

declare global {
  interface HTMLElementTagNameMap {
    'tt-recent-errors': RecentErrors
  }
}
