import { css, html, LitElement, nothing, type PropertyValues } from 'lit'
import { repeat } from 'lit/directives/repeat.js'
import { errorRowsAsked, errorRowsListedMax } from '../../src/core/limit.ts'
import type { Api } from '../api.ts'
import type { ErrorGroup } from '../view/answer.ts'
import { type ErrorLine, errorLinesOf, firstLineOf } from '../view/error_view.ts'
import {
  decisionText,
  type GroupStateRequest,
  isRegressed,
  stateNames,
  versionsText,
} from '../view/group_state_view.ts'
import type { LiveView } from '../view/live_view.ts'
import { nameText } from '../view/name_text.ts'
import { agoText, countText, pluralText, utcText } from '../view/number_text.ts'
import {
  filterOf,
  isFiltered,
  type Place,
  pathOf,
  stateShownOf,
  statesShown,
  withFilter,
  withPlace,
} from '../view/place.ts'
import { GroupStateEvent } from './group_state_event.ts'
import { GroupStateWrite } from './group_state_write.ts'
import { NavigateEvent } from './navigate_event.ts'
import { PagedRead } from './paged_read.ts'
import { sharedStyle } from './shared_style.ts'
import './error_spark.ts'
import './read_state.ts'

/** SQL is asked again this soon at the earliest after a live error. */
const refreshGapMs = 5_000
const noIds: ReadonlySet<string> = new Set()

const emptyTexts = {
  open: 'No open errors in this time. A new one shows up here by itself.',
  resolved: 'No resolved errors in this time.',
  ignored: 'No ignored errors in this time.',
  all: 'No errors in this time. A new one shows up here by itself.',
} as const

/** Errors by what they have in common, the last seen first, live ones at once. */
export class ErrorList extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      .card {
        padding: 0;
        overflow: hidden;
      }
      ul {
        margin: 0;
        padding: 0;
        list-style: none;
      }
      .stale {
        opacity: 0.55;
      }
      li {
        position: relative;
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto;
        gap: 2px 18px;
        padding: 11px 16px;
        border-block-end: 1px solid var(--tt-border);
      }
      li:hover {
        background: var(--tt-surface-2);
      }
      .what {
        display: flex;
        align-items: baseline;
        gap: 8px;
        min-width: 0;
      }
      .what a {
        overflow: hidden;
        color: var(--tt-error);
        font-weight: 600;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .what a::after {
        content: '';
        position: absolute;
        inset: 0;
      }
      .what a:focus-visible {
        outline-offset: -2px;
      }
      .new {
        flex: none;
        padding: 0 7px;
        border-radius: 999px;
        background: var(--tt-error);
        color: var(--tt-surface);
        font-size: 12px;
        font-weight: 600;
      }
      .count {
        font-size: 16px;
        font-weight: 600;
      }
      .message {
        display: -webkit-box;
        -webkit-box-orient: vertical;
        -webkit-line-clamp: 2;
        line-clamp: 2;
        overflow: hidden;
        overflow-wrap: anywhere;
      }
      .empty a {
        text-decoration: underline;
      }
      .foot {
        padding: 10px 14px;
      }
      .facts {
        display: flex;
        flex-wrap: wrap;
        gap: 2px 14px;
        font-size: 12.5px;
        overflow-wrap: anywhere;
      }
      .facts a,
      .facts button {
        position: relative;
      }
      .facts button {
        min-height: 24px;
        padding: 0 8px;
        font-size: 12.5px;
      }
      .states {
        display: flex;
        flex-wrap: wrap;
        gap: 6px;
        padding: 10px 16px;
        border-block-end: 1px solid var(--tt-border);
      }
      tt-error-spark {
        justify-self: end;
        align-self: end;
      }
      tt-read-state {
        padding: 0 14px;
      }
    `,
  ]
  static override properties = { api: { attribute: false }, place: { attribute: false }, live: { attribute: false } }
  declare api: Api | null
  declare place: Place | null
  declare live: LiveView | null
  #lines: readonly ErrorLine[] = []
  /** When the page was opened, by this machine's clock. */
  readonly #openedMs = Date.now()
  /** Live errors that SQL has counted. */
  #counted = noIds
  #asked = noIds
  readonly #read = new PagedRead<ErrorGroup>(this, {
    key: () => (this.api === null || this.place === null ? null : pathOf(this.place)),
    read: async (cursor) => {
      const { api, place } = this as { api: Api; place: Place }
      const page = await api.errorGroups(filterOf(place, this.#now()), cursor, errorRowsAsked)
      if (cursor === null) this.#counted = this.#asked
      return page
    },
    idOf: ({ fingerprint }) => fingerprint,
    rowsMax: errorRowsListedMax,
    // Whatever was pushed before SQL is asked was stored before: SQL's answer counts it.
    onAsk: () => {
      this.#asked = this.#liveIds()
    },
  })

  readonly #write = new GroupStateWrite(
    this,
    () => this.api,
    () => this.#read.again(),
  )

  constructor() {
    super()
    this.addEventListener(GroupStateEvent.type, this.#write.say)
    this.api = null
    this.place = null
    this.live = null
  }

  override willUpdate(changed: PropertyValues<this>): void {
    const { place, live } = this
    if (place === null) return
    const errors = live?.errors ?? []
    const openedUs = this.#openedMs * 1_000 + (live?.skew_us ?? 0)
    this.#lines = errorLinesOf(this.#read.page?.rows ?? [], errors, place, this.#counted, openedUs)
    if (changed.has('live') && errors.some(({ error_id }) => !this.#counted.has(error_id)))
      this.#read.soon(refreshGapMs)
  }

  override render() {
    const { place } = this
    if (place === null) return nothing
    const { page, error, isStale } = this.#read
    const failure =
      error === null
        ? nothing
        : html`<tt-read-state what="the errors" .error=${error} @again=${() => this.#read.again()}></tt-read-state>`
    if (page === null && this.#lines.length === 0) {
      return html`<div class="card">${error === null ? html`<tt-read-state what="the errors" lines="8"></tt-read-state>` : failure}</div>`
    }
    if (this.#lines.length === 0)
      return html`<div class="card">${this.#states(place)}${failure}${this.#empty(place)}</div>`
    return html`
      <div class="card" aria-busy=${isStale}>
        ${this.#states(place)} ${failure}
        <ul class=${isStale ? 'stale' : ''} aria-label="Kinds of errors, the last seen first">
          ${repeat(
            this.#lines,
            ({ fingerprint }) => fingerprint,
            (line) => this.#line(place, line),
          )}
        </ul>
        ${this.#foot()}
      </div>
    `
  }

  #states(place: Place) {
    const shown = stateShownOf(place)
    const show = (state: (typeof statesShown)[number]) =>
      this.dispatchEvent(new NavigateEvent(pathOf(withFilter(place, 'state', state === 'open' ? null : state))))
    return html`<div class="states" role="group" aria-label="State of the errors">
      ${statesShown.map(
        (state) =>
          html`<button type="button" aria-pressed=${state === shown} @click=${() => show(state)}>${stateNames[state]}</button>`,
      )}
      ${this.#write.failure()}
    </div>`
  }

  #line(place: Place, line: ErrorLine) {
    const nowUs = this.#now()
    const said = decisionText(line, nowUs)
    const versions = versionsText(line)
    return html`
      <li>
        <span class="what">
          <a href=${pathOf(withPlace(place, { page: 'error', id: line.fingerprint }))}><bdi>${nameText(line.errorType, 'Error')}</bdi></a>
          ${line.fresh === 0 ? nothing : html`<span class="new">${countText(line.fresh)} new</span>`}
          ${
            line.decision === null
              ? nothing
              : html`<span class="chip ${isRegressed(line) ? 'error' : ''}">${isRegressed(line) ? 'Regressed' : stateNames[line.state]}</span>`
          }
        </span>
        <span class="number"><span class="count">${countText(line.count)}</span> <span class="muted">${line.count === 1 ? 'time' : 'times'}</span></span>
        <span class="message"><bdi>${firstLineOf(line.message)}</bdi></span>
        <span class="number muted" title=${utcText(line.lastUs)}>${agoText(nowUs - line.lastUs)}</span>
        <span class="facts muted">
          ${line.culprit === null ? nothing : html`<span class="mono">at <bdi>${line.culprit}</bdi></span>`}
          <span title=${utcText(line.firstUs)}>first seen ${agoText(nowUs - line.firstUs)}</span>
          <span>in <bdi>${line.services.join(', ')}</bdi></span>
          ${versions === null ? nothing : html`<span>seen <bdi>${versions}</bdi></span>`}
          ${said === null ? nothing : html`<span><bdi>${said}</bdi></span>`}
          ${
            line.traceId === null
              ? nothing
              : html`<a href=${pathOf(withPlace(place, { page: 'trace', id: line.traceId }))}>Latest trace</a>`
          }
          ${
            line.state === 'open'
              ? html`${this.#button(line, 'Resolve', 'resolved')} ${this.#button(line, 'Ignore', 'ignored')}`
              : this.#button(line, 'Reopen', 'open')
          }
        </span>
        ${line.counts === null ? html`<span></span>` : html`<tt-error-spark .counts=${line.counts}></tt-error-spark>`}
      </li>
    `
  }

  #button({ fingerprint, errorType }: ErrorLine, text: string, state: GroupStateRequest['state']) {
    const say = () => this.dispatchEvent(new GroupStateEvent(fingerprint, { state, options: {} }))
    return html`<button
      type="button"
      aria-label="${text} ${nameText(errorType, 'Error')}"
      ?disabled=${this.#write.fingerprint !== null}
      @click=${say}
    >${text}</button>`
  }

  #foot() {
    const { page, isOlderPending, olderError } = this.#read
    if (olderError !== null) {
      return html`<tt-read-state what="more errors" .error=${olderError} @again=${() => this.#read.older()}></tt-read-state>`
    }
    if (page === null) return nothing
    if (page.next === null)
      return html`<p class="foot muted">${pluralText(this.#lines.length, 'kind of error', 'kinds of errors')} in this time.</p>`
    return html`<div class="foot">
      <button type="button" ?disabled=${isOlderPending} @click=${() => this.#read.older()}>
        ${isOlderPending ? 'Reading more' : 'Show more'}
      </button>
    </div>`
  }

  #empty(place: Place) {
    const wider = pathOf(withPlace(place, { range: '30d', from_us: null, to_us: null }))
    const widen = place.range === '30d' ? nothing : html`<a href=${wider}>Look at 30 days</a>`
    if (!isFiltered(place)) return html`<p class="empty">${emptyTexts[stateShownOf(place)]} ${widen}</p>`
    const all = pathOf(withPlace(place, { filter: {} }))
    return html`<p class="empty">No error in this time matches the filter. <a href=${all}>Remove the filter</a> ${widen}</p>`
  }

  #liveIds(): ReadonlySet<string> {
    return new Set(this.live?.errors.map(({ error_id }) => error_id))
  }

  #now(): number {
    return Date.now() * 1_000 + (this.live?.skew_us ?? 0)
  }
}

customElements.define('tt-error-list', ErrorList)

declare global {
  interface HTMLElementTagNameMap {
    'tt-error-list': ErrorList
  }
}
