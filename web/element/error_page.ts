import { Task, TaskStatus } from '@lit/task'
import { css, html, LitElement, nothing, type PropertyValues } from 'lit'
import { repeat } from 'lit/directives/repeat.js'
import { detailDaysKept, errorRowsListedMax, occurrencesAsked } from '../../src/core/limit.ts'
import type { Api } from '../api.ts'
import type { ErrorGroupDetail, ErrorRow } from '../view/answer.ts'
import { occurrencesOf, usOf } from '../view/error_view.ts'
import { versionsText } from '../view/group_state_view.ts'
import type { LiveView } from '../view/live_view.ts'
import { nameText } from '../view/name_text.ts'
import { agoText, countText, pluralText, utcText } from '../view/number_text.ts'
import { type Place, pathOf, withPlace } from '../view/place.ts'
import { GroupStateWrite } from './group_state_write.ts'
import { PagedRead } from './paged_read.ts'
import { sharedStyle } from './shared_style.ts'
import './error_occurrence.ts'
import './error_spark.ts'
import './error_text.ts'
import './group_state.ts'
import './group_touched.ts'
import './read_state.ts'

const refreshGapMs = 2_000

/** One kind of error: what it is, and its occurrences, the newest first, of all times that are kept. */
export class ErrorPage extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: var(--tt-gap);
      }
      .path {
        font-size: 13px;
      }
      .path a,
      .empty a {
        text-decoration: underline;
      }
      h1 {
        margin-block-end: 6px;
        overflow-wrap: anywhere;
      }
      h2 {
        margin-block-end: 10px;
      }
      .facts {
        display: flex;
        flex-wrap: wrap;
        gap: 4px 20px;
        margin-block-start: 10px;
        overflow-wrap: anywhere;
      }
      tt-error-spark {
        width: 100%;
        height: 40px;
        margin-block: 12px;
      }
      ol {
        margin: 0;
        padding: 0;
        list-style: none;
      }
      li {
        padding-block: 14px;
        border-block-start: 1px solid var(--tt-border);
      }
      li:first-child {
        padding-block-start: 0;
        border: 0;
      }
    `,
  ]
  static override properties = { api: { attribute: false }, place: { attribute: false }, live: { attribute: false } }
  declare api: Api | null
  declare place: Place | null
  declare live: LiveView | null
  #group: { readonly id: string; readonly row: ErrorGroupDetail | null } | null = null
  readonly #task = new Task(this, {
    args: () => [this.api, this.place?.id ?? null] as const,
    task: async ([api, id]) => {
      if (api === null || id === null) return null
      return { id, row: await api.errorGroup(id, { from: this.#now() - detailDaysKept * 86_400e6 }) }
    },
    onComplete: (group) => {
      this.#group = group
    },
  })
  readonly #read = new PagedRead<ErrorRow>(this, {
    key: () => (this.api === null ? null : (this.place?.id ?? null)),
    read: (cursor) => {
      const { api, place } = this as { api: Api; place: Place }
      return api.errors({ fingerprint: place.id }, cursor, occurrencesAsked)
    },
    idOf: ({ error_id }) => error_id,
    rowsMax: errorRowsListedMax,
    // The count belongs to the list: both are read together.
    onAsk: () => {
      if (this.#group !== null) void this.#task.run()
    },
  })

  readonly #write = new GroupStateWrite(
    this,
    () => this.api,
    () => void this.#task.run(),
  )

  constructor() {
    super()
    this.api = null
    this.place = null
    this.live = null
  }

  override willUpdate(changed: PropertyValues<this>): void {
    if (!changed.has('live') || this.#read.page === null) return
    const known = new Set(this.#read.page.rows.map(({ error_id }) => error_id))
    const oldest = this.#read.page.rows.at(-1)?.at_us ?? 0
    const unread = this.#liveErrors().some(({ error_id, at_us }) => !known.has(error_id) && at_us >= oldest)
    if (unread) this.#read.soon(refreshGapMs)
  }

  override render() {
    const { place } = this
    if (place === null || place.id === null) return nothing
    const { page, error, isStale } = this.#read
    const errors = occurrencesOf(isStale ? [] : (page?.rows ?? []), this.#liveErrors())
    const failure =
      error === null
        ? nothing
        : html`<div class="card"><tt-read-state what="the errors" .error=${error} @again=${() => this.#read.again()}></tt-read-state></div>`
    const reading = (page === null || isStale) && errors.length === 0
    return html`
      <nav class="path" aria-label="Breadcrumb"><a href=${pathOf(withPlace(place, { page: 'errors' }))}>Errors</a> / this kind</nav>
      ${this.#head(place, reading)} ${this.#touched(place)} ${failure}
      ${
        reading
          ? error === null
            ? html`<div class="card"><tt-read-state what="the errors" lines="10"></tt-read-state></div>`
            : nothing
          : errors.length === 0
            ? this.#empty(place)
            : html`<section class="card">
                <h2>Latest occurrences</h2>
                <ol>${repeat(
                  errors,
                  ({ error_id }) => error_id,
                  (each) =>
                    html`<li><tt-error-occurrence .error=${each} .place=${place} .nowUs=${this.#now()}></tt-error-occurrence></li>`,
                )}</ol>
                ${this.#foot()}
              </section>`
      }
    `
  }

  #head(place: Place, reading: boolean) {
    const row = this.#group?.id === place.id ? this.#group.row : null
    if (row === null) {
      if (reading || this.#liveErrors().length === 0) return nothing
      return this.#task.status === TaskStatus.PENDING
        ? html`<div class="card"><tt-read-state what="the error" lines="4"></tt-read-state></div>`
        : html`<div class="card"><h1>A new kind of error</h1></div>`
    }
    const nowUs = this.#now()
    const versions = versionsText(row)
    const [first, last] = [usOf(row.first_seen_at), usOf(row.last_seen_at)]
    return html`<header class="card">
      <h1 class="error"><bdi>${nameText(row.error_type, 'Error')}</bdi></h1>
      <tt-error-text .text=${row.message}></tt-error-text>
      <div class="facts muted">
        <strong>${countText(row.count)} ${row.count === 1 ? 'time' : 'times'}</strong>
        <span title=${utcText(first)}>first seen ${agoText(nowUs - first)}</span>
        <span title=${utcText(last)}>last seen ${agoText(nowUs - last)}</span>
        <span>in <bdi>${row.services.join(', ')}</bdi></span>
        <span><bdi>${row.environments.join(', ')}</bdi></span>
        ${row.culprit === null ? nothing : html`<span class="mono">at <bdi>${row.culprit}</bdi></span>`}
        ${versions === null ? nothing : html`<span>seen <bdi>${versions}</bdi></span>`}
        <span>fingerprint <bdi class="mono">${row.fingerprint}</bdi></span>
      </div>
      <tt-error-spark .counts=${row.counts}></tt-error-spark>
      <tt-group-state
        .group=${row}
        .nowUs=${nowUs}
        .busy=${this.#write.fingerprint !== null}
        @tt-group-state=${this.#write.say}
      ></tt-group-state>
      ${this.#write.failure()}
    </header>`
  }

  #touched(place: Place) {
    const row = this.#group?.id === place.id ? this.#group.row : null
    return row === null
      ? nothing
      : html`<tt-group-touched .group=${row} .place=${place} .nowUs=${this.#now()}></tt-group-touched>`
  }

  #empty(place: Place) {
    const known = this.#group?.id === place.id && this.#group.row !== null
    return html`<p class="card empty">${
      known
        ? 'None of its occurrences is kept any more: details are kept for 30 days.'
        : html`There is no error of the kind <bdi class="mono">${place.id}</bdi>.`
    } <a href=${pathOf(withPlace(place, { page: 'errors' }))}>All errors</a></p>`
  }

  #foot() {
    const { page, error, isOlderPending, olderError } = this.#read
    if (olderError !== null) {
      return html`<tt-read-state what="older ones" .error=${olderError} @again=${() => this.#read.older()}></tt-read-state>`
    }
    if (page === null)
      return error === null ? html`<tt-read-state what="older ones" lines="2"></tt-read-state>` : nothing
    if (page.next === null)
      return html`<p class="muted">${pluralText(page.rows.length, 'occurrence', 'occurrences')} kept.</p>`
    return html`<button type="button" ?disabled=${isOlderPending} @click=${() => this.#read.older()}>
      ${isOlderPending ? 'Reading older ones' : 'Show older'}
    </button>`
  }

  #liveErrors() {
    return this.live?.errors.filter(({ fingerprint }) => fingerprint === this.place?.id) ?? []
  }

  #now(): number {
    return Date.now() * 1_000 + (this.live?.skew_us ?? 0)
  }
}

customElements.define('tt-error-page', ErrorPage)

declare global {
  interface HTMLElementTagNameMap {
    'tt-error-page': ErrorPage
  }
}
