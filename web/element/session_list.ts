import { css, html, LitElement, nothing } from 'lit'
import { repeat } from 'lit/directives/repeat.js'
import { sessionRowsAsked, sessionRowsListedMax } from '../../src/core/limit.ts'
import type { Api } from '../api.ts'
import type { SessionRow } from '../view/lens_answer.ts'
import { nameText } from '../view/name_text.ts'
import { countText, durationText, timeText } from '../view/number_text.ts'
import { endsNow, filterOf, type Place, pathOf, withPlace } from '../view/place.ts'
import { shortId } from '../view/trace_list_view.ts'
import { sessionRuleText } from '../view/trace_page_view.ts'
import { PagedRead } from './paged_read.ts'
import { sharedStyle } from './shared_style.ts'
import './read_state.ts'

const refreshMs = 30_000

/** The sessions of a place, the one with the latest call first; each leads to its timeline. */
export class SessionList extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      td {
        white-space: nowrap;
      }
      td.tools {
        max-width: 320px;
      }
      .stale {
        opacity: 0.55;
      }
      .foot {
        padding-block-start: 10px;
      }
    `,
  ]
  static override properties = { api: { attribute: false }, place: { attribute: false }, nowUs: { attribute: false } }
  declare api: Api | null
  declare place: Place | null
  declare nowUs: number
  #timer = 0
  readonly #read = new PagedRead<SessionRow>(this, {
    key: () => (this.api === null || this.place === null ? null : pathOf(this.place)),
    read: (cursor) => {
      const { api, place } = this as { api: Api; place: Place }
      return api.sessions(filterOf(place, this.nowUs), cursor, sessionRowsAsked)
    },
    idOf: ({ session_key }) => session_key,
    rowsMax: sessionRowsListedMax,
  })

  constructor() {
    super()
    this.api = null
    this.place = null
    this.nowUs = Date.now() * 1_000
  }

  override connectedCallback(): void {
    super.connectedCallback()
    this.#timer = window.setInterval(() => {
      if (!document.hidden && this.place !== null && endsNow(this.place)) this.#read.again()
    }, refreshMs)
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    clearInterval(this.#timer)
  }

  override render() {
    const { place } = this
    const { page, error, isStale } = this.#read
    if (place === null) return nothing
    const failure =
      error === null
        ? nothing
        : html`<tt-read-state what="the sessions" .error=${error} @again=${() => this.#read.again()}></tt-read-state>`
    if (page === null)
      return error === null ? html`<tt-read-state what="the sessions" lines="6"></tt-read-state>` : failure
    if (page.rows.length === 0) return html`${failure}<p class="empty">No call of this time belongs to a session.</p>`
    return html`
      ${failure}
      <div class="scroll">
        <table class=${isStale ? 'stale' : ''} aria-label="Sessions, the latest call first">
          <thead>
            <tr>
              <th scope="col">Session</th>
              <th scope="col">Known by</th>
              <th scope="col">Last call</th>
              <th scope="col" class="number">Calls</th>
              <th scope="col" class="number">Failed</th>
              <th scope="col" class="number">p50</th>
              <th scope="col" class="number">Slowest</th>
              <th scope="col" class="number">Waited</th>
              <th scope="col">Tools</th>
            </tr>
          </thead>
          <tbody>
            ${repeat(
              page.rows,
              ({ session_key }) => session_key,
              (row) => this.#row(row, place),
            )}
          </tbody>
        </table>
      </div>
      ${
        page.next === null
          ? nothing
          : html`<p class="foot"><button type="button" ?disabled=${this.#read.isOlderPending} @click=${() => this.#read.older()}>Show older sessions</button></p>`
      }
    `
  }

  #row(row: SessionRow, place: Place) {
    const tools = row.tools.map((tool) => nameText(tool ?? 'no tool')).join(', ')
    const more = row.tool_count > row.tools.length ? ` and ${countText(row.tool_count - row.tools.length)} more` : ''
    const slowest = pathOf(withPlace(place, { page: 'trace', id: row.slowest_trace_id }))
    return html`<tr>
      <td>
        <a class="mono" href=${pathOf(withPlace(place, { page: 'session', id: row.session_key }))} title=${row.session_key}
          ><bdi>${nameText(shortId(row.session_key))}</bdi></a>
      </td>
      <td class="muted">${sessionRuleText(row.session_rule)}</td>
      <td>${timeText(row.last_started_at_us, this.nowUs)}</td>
      <td class="number">${countText(row.calls)}</td>
      <td class="number ${row.errors > 0 ? 'error' : ''}">${countText(row.errors)}</td>
      <td class="number">${durationText(row.p50_ms)}</td>
      <td class="number"><a href=${slowest}>${durationText(row.max_ms)}</a></td>
      <td class="number">${durationText(row.wait_ms)}</td>
      <td class="tools cut" title=${tools + more}><bdi>${tools}</bdi>${more}</td>
    </tr>`
  }
}

customElements.define('tt-session-list', SessionList)

declare global {
  interface HTMLElementTagNameMap {
    'tt-session-list': SessionList
  }
}
