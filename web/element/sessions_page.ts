import { css, html, LitElement, nothing } from 'lit'
import type { Api } from '../api.ts'
import { sampleText } from '../view/heat_shade.ts'
import type { SessionLens } from '../view/lens_answer.ts'
import type { LiveView } from '../view/live_view.ts'
import { pluralText } from '../view/number_text.ts'
import { endsNow, filterOf, type Place, pathOf, withPlace } from '../view/place.ts'
import { callLinesOf, type Measure, matrixOf, measureNames, measures, rulesText } from '../view/session_lens_view.ts'
import { sharedStyle } from './shared_style.ts'
import { SteadyRead } from './steady_read.ts'
import './call_table.ts'
import './heat_table.ts'
import './read_state.ts'
import './session_list.ts'

/** The session lens: whether it matters which call of its session a call is, and what went before it. */
export class SessionsPage extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: var(--tt-gap);
      }
      .card {
        min-width: 0;
      }
      h2 {
        margin-block-end: 8px;
      }
      .head {
        margin-block-end: 8px;
      }
      .head h2 {
        margin: 0;
      }
      .empty a {
        text-decoration: underline;
      }
      .stale {
        opacity: 0.6;
      }
    `,
  ]
  static override properties = {
    api: { attribute: false },
    place: { attribute: false },
    live: { attribute: false },
    measure: { state: true },
  }
  declare api: Api | null
  declare place: Place | null
  declare live: LiveView | null
  declare measure: Measure
  readonly #read = new SteadyRead<SessionLens>(this, {
    key: () => (this.api === null || this.place === null ? null : pathOf(this.place)),
    read: () => {
      const { api, place } = this as { api: Api; place: Place }
      return api.sessionLens(filterOf(place, this.#now()))
    },
    moves: () => this.place !== null && endsNow(this.place),
  })

  constructor() {
    super()
    this.api = null
    this.place = null
    this.live = null
    this.measure = 'p50'
  }

  override render() {
    const { place } = this
    if (place === null) return nothing
    const { value, error, isStale } = this.#read
    const failure =
      error === null
        ? nothing
        : html`<div class="card"><tt-read-state what="the session lens" .error=${error} @again=${() => this.#read.again()}></tt-read-state></div>`
    if (value === null) {
      return error === null
        ? html`<div class="card"><tt-read-state what="the session lens" lines="8"></tt-read-state></div>`
        : failure
    }
    if (value.read === 0) {
      return html`${failure}<p class="card empty">No call that ended in this time matches.
        <a href=${pathOf(withPlace(place, { filter: {} }))}>Remove the filter</a></p>`
    }
    return html`
      ${failure}
      <section class="card ${isStale ? 'stale' : ''}" aria-busy=${isStale} aria-label="Call number and layer">
        <div class="row spread head">
          <h2>Where each call of a session spends its time</h2>
          <div class="row" role="group" aria-label="Figure">
            ${measures.map(
              (each) =>
                html`<button type="button" aria-pressed=${each === this.measure} @click=${() => this.#setMeasure(each)}>${measureNames[each]}</button>`,
            )}
          </div>
        </div>
        <tt-heat-table .table=${matrixOf(value, this.measure, place)}></tt-heat-table>
        <p class="muted">${rulesText(value)}. ${sampleText(value)} ${this.#unknownText(value)}</p>
      </section>
      <section class="card ${isStale ? 'stale' : ''}" aria-label="Call numbers">
        <h2>Steps from call to call</h2>
        <tt-call-table .lines=${callLinesOf(value, place)}></tt-call-table>
      </section>
      <section class="card" aria-label="Sessions">
        <h2>Sessions</h2>
        <tt-session-list .api=${this.api} .place=${place} .nowUs=${this.#now()}></tt-session-list>
      </section>
    `
  }

  #unknownText({ waits_unknown: n }: SessionLens): string {
    return n === 0 ? '' : `Of ${pluralText(n, 'call', 'calls')} the waits are not known by layer.`
  }

  #setMeasure(measure: Measure): void {
    this.measure = measure
  }

  #now(): number {
    return Date.now() * 1_000 + (this.live?.skew_us ?? 0)
  }
}

customElements.define('tt-sessions-page', SessionsPage)

declare global {
  interface HTMLElementTagNameMap {
    'tt-sessions-page': SessionsPage
  }
}
