import { html, LitElement, nothing, type PropertyValues } from 'lit'
import { repeat } from 'lit/directives/repeat.js'
import { traceRowsAsked, traceRowsListedMax } from '../../src/core/limit.ts'
import type { Api } from '../api.ts'
import type { TraceRow } from '../view/answer.ts'
import { filterNames } from '../view/filter_text.ts'
import type { LiveView } from '../view/live_view.ts'
import { nameText } from '../view/name_text.ts'
import { ageText, countText, durationText, nothing as noValue, timeText, utcText } from '../view/number_text.ts'
import { type FilterKey, filterOf, isFiltered, type Place, pathOf, withFilter, withPlace } from '../view/place.ts'
import {
  type AskedTraces,
  endedMarkOf,
  isJudgedBySql,
  mayBeJoined,
  mayBePartial,
  runningSince,
  shortId,
  type TraceLine,
  traceLinesOf,
} from '../view/trace_list_view.ts'
import { PagedRead } from './paged_read.ts'
import { sharedStyle } from './shared_style.ts'
import { traceListStyle } from './trace_list_style.ts'
import './read_state.ts'
import './trace_layer_bar.ts'
import './trace_outcome.ts'

/** While live entries come in, SQL is asked for what only it knows of them (tokens, filters by text) this often at most. */
const refreshGapMs = 5_000

/** The traces of a place, newest first, what runs on top. */
export class TraceList extends LitElement {
  static override styles = [sharedStyle, traceListStyle]
  static override properties = {
    api: { attribute: false },
    place: { attribute: false },
    live: { attribute: false },
    nowUs: { state: true },
  }
  declare api: Api | null
  declare place: Place | null
  declare live: LiveView | null
  /** The servers' clock. */
  declare nowUs: number
  #lines: readonly TraceLine[] = []
  #since: ReadonlyMap<string, number> = new Map()
  /** Lines that were there before, by the address they were listed under; a line that is not among them arrived. */
  #known: { readonly key: string | null; readonly ids: ReadonlySet<string> } = { key: null, ids: new Set() }
  #timer = 0
  /** What the live view told of traces that ended when SQL was asked the last time. */
  #asked = ''
  #askedIds: ReadonlySet<string> = new Set()
  /** Of these the page that is there tells all there is to tell. */
  #answeredIds: ReadonlySet<string> = new Set()
  readonly #read = new PagedRead<TraceRow>(this, {
    key: () => (this.api === null || this.place === null ? null : pathOf(this.place)),
    read: (cursor) => {
      const { api, place } = this as { api: Api; place: Place }
      return api.traces(filterOf(place, this.#now()), cursor, traceRowsAsked)
    },
    idOf: ({ trace_id }) => trace_id,
    rowsMax: traceRowsListedMax,
    // Whatever was told before SQL is asked was stored before.
    onAsk: () => {
      this.#asked = this.#ended()
      this.#askedIds = new Set(this.live?.ended.map((trace) => trace.trace_id))
    },
    onAnswer: () => {
      this.#answeredIds = this.#askedIds
    },
  })

  constructor() {
    super()
    this.api = null
    this.place = null
    this.live = null
    this.nowUs = this.#now()
  }

  override connectedCallback(): void {
    super.connectedCallback()
    this.#timer = window.setInterval(() => {
      const now = this.#now()
      if (this.#lines.some((line) => line.running !== null || mayBePartial(line, this.nowUs))) this.nowUs = now
    }, 1_000)
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    clearInterval(this.#timer)
  }

  override willUpdate(changed: PropertyValues<this>): void {
    const { place, live } = this
    if (place === null) return
    this.nowUs = this.#now()
    if (changed.has('live')) this.#since = runningSince(this.#since, live?.running ?? [])
    const before = new Set(this.#lines.map(({ id }) => id))
    const key = this.#read.page === null || this.#read.isStale ? null : pathOf(place)
    if (this.#known.key !== key) this.#known = { key, ids: new Set(this.#read.page?.rows.map((row) => row.trace_id)) }
    else this.#known = { key, ids: new Set([...this.#known.ids, ...before]) }
    this.#lines = traceLinesOf(this.#read.page?.rows ?? [], live, place, this.nowUs, this.#since, this.#answered())
    if (changed.has('live') && this.#mayBeBehind(place)) this.#read.soon(refreshGapMs)
  }

  override render() {
    const { place } = this
    const { page, error, isStale } = this.#read
    if (place === null) return nothing
    const failure = error === null ? nothing : this.#failure(error)
    if (page === null && this.#lines.length === 0) {
      return html`<div class="card">${error === null ? html`<tt-read-state what="the traces" lines="10"></tt-read-state>` : failure}</div>`
    }
    if (this.#lines.length === 0) return html`<div class="card">${failure}${this.#empty(place)}</div>`
    return html`
      <div class="card" aria-busy=${isStale}>
        ${failure}
        <table class=${isStale ? 'stale' : ''} role="table" aria-label="Traces, newest first">
          <thead role="rowgroup">
            <tr role="row">
              <th class="w-time" role="columnheader" scope="col">Started</th>
              <th role="columnheader" scope="col">Tool</th>
              <th class="w-outcome" role="columnheader" scope="col">Outcome</th>
              <th class="w-duration number" role="columnheader" scope="col">Duration</th>
              <th class="w-layers" role="columnheader" scope="col">Time by layer</th>
              <th class="w-session" role="columnheader" scope="col">Session, call</th>
              <th class="w-model" role="columnheader" scope="col">Model</th>
              <th class="w-tokens number" role="columnheader" scope="col">Tokens in, out</th>
              <th class="w-source" role="columnheader" scope="col">Service</th>
            </tr>
          </thead>
          <tbody role="rowgroup">
            ${repeat(
              this.#lines,
              ({ id }) => id,
              (line) => this.#row(place, line),
            )}
          </tbody>
        </table>
        ${this.#foot()}
      </div>
    `
  }

  #row(place: Place, line: TraceLine) {
    const { running } = line
    const { ids, key } = this.#known
    const classes = `${running === null ? '' : 'running'} ${key !== null && !ids.has(line.id) ? 'fresh' : ''}`
    const only = (filter: FilterKey, value: string | null, text: unknown = nameText(value ?? '')) =>
      value === null ? nothing : onlyLink(place, filter, value, text)
    return html`
      <tr role="row" class=${classes}>
        <td role="cell" class="time" title=${utcText(line.startedUs)}>${timeText(line.startedUs, this.nowUs)}</td>
        <td role="cell" class="name" title=${line.tool === null ? line.name : `${line.tool} (${line.name})`}>
          <div>
            <a class="open" href=${pathOf(withPlace(place, { page: 'trace', id: line.id }))}><bdi>${nameText(line.tool ?? line.name)}</bdi></a>
            ${line.tool === null ? nothing : funnel(place, line.tool)}
          </div>
        </td>
        <td role="cell" class="outcome">
          ${
            running !== null || line.outcome === null
              ? html`<tt-trace-outcome .outcome=${line.outcome} ?running=${running !== null}></tt-trace-outcome>`
              : only('outcome', line.outcome, html`<tt-trace-outcome .outcome=${line.outcome}></tt-trace-outcome>`)
          }
        </td>
        <td role="cell" class="duration number">
          ${running === null ? durationText(line.durationMs) : html`<span class="muted">${ageText(this.nowUs - running.sinceUs)}</span>`}
        </td>
        <td role="cell" class="layers">${whereOf(line, mayBePartial(line, this.nowUs))}</td>
        <td role="cell" class="session" title=${line.session ?? ''}>
          ${line.session === null ? html`<span class="muted">${noValue}</span>` : only('session', line.session, nameText(shortId(line.session)))}
          ${line.callNumber === null ? nothing : only('call_number', String(line.callNumber), html`<span class="muted">#${line.callNumber}</span>`)}
        </td>
        <td role="cell" class="model" title=${[line.provider, line.model].filter((name) => name !== null).join(' ')}>
          ${line.model === null && line.provider === null ? html`<span class="muted">${noValue}</span>` : nothing}
          ${only('model', line.model)} <span class="sub">${only('provider', line.provider)}</span>
        </td>
        <td role="cell" class="tokens number">${tokensOf(line)}</td>
        <td role="cell" class="source" title=${`${line.service ?? ''} ${line.environment ?? ''}`}>
          ${only('service', line.service)} <span class="sub">${only('environment', line.environment)}</span>
        </td>
      </tr>
    `
  }

  #foot() {
    const { page, isOlderPending, olderError } = this.#read
    if (page === null) return nothing
    const failure =
      olderError === null
        ? nothing
        : html`<tt-read-state what="older traces" .error=${olderError} @again=${() => this.#read.older()}></tt-read-state>`
    if (page.next !== null && olderError === null) {
      return html`<div class="foot row">
        <button type="button" ?disabled=${isOlderPending} @click=${() => this.#read.older()}>
          ${isOlderPending ? 'Reading older traces' : 'Show older'}
        </button>
        <span class="muted">${countText(this.#lines.length)} shown</span>
      </div>`
    }
    const text =
      page.rows.length >= traceRowsListedMax
        ? `The newest ${countText(traceRowsListedMax)} are shown. Narrow the time or the filter to see others.`
        : `That is all: ${countText(this.#lines.length)} in this time.`
    return html`${failure}${olderError === null ? html`<p class="foot muted">${text}</p>` : nothing}`
  }

  #empty(place: Place) {
    const wider = pathOf(withPlace(place, { range: '30d', from_us: null, to_us: null }))
    const widen = place.range === '30d' ? nothing : html`<a href=${wider}>Look at 30 days</a>`
    if (isFiltered(place)) {
      const all = pathOf(withPlace(place, { filter: {} }))
      return html`<p class="empty">No trace in this time matches the filter. <a href=${all}>Remove the filter</a> ${widen}</p>`
    }
    return html`<p class="empty">
      No requests in this time. They show up here by themselves as soon as a server reports them. ${widen}
    </p>`
  }

  #failure(error: unknown) {
    return html`<tt-read-state what="the traces" .error=${error} @again=${() => this.#read.again()}></tt-read-state>`
  }

  /** Whether SQL knows more of what is live than the lines show, or may. */
  #mayBeBehind(place: Place): boolean {
    if (place.to_us !== null) return false
    return (
      isJudgedBySql(place) ||
      this.#ended() !== this.#asked ||
      this.#lines.some(
        (line) => (line.running === null && line.tokensIn === undefined) || mayBeJoined(line, this.nowUs),
      )
    )
  }

  #answered(): AskedTraces {
    const { page, isStale } = this.#read
    if (page === null || isStale) return { ids: new Set(), sinceUs: 0 }
    return { ids: this.#answeredIds, sinceUs: page.next === null ? 0 : (page.rows.at(-1)?.started_at_us ?? 0) }
  }

  #ended(): string {
    return this.place === null ? '' : endedMarkOf(this.live, this.place, this.#now())
  }

  #now(): number {
    return Date.now() * 1_000 + (this.live?.skew_us ?? 0)
  }
}

function onlyLink(place: Place, key: FilterKey, value: string, text: unknown) {
  const what = `Only ${filterNames[key].toLowerCase()}`
  return html`<a class="only" href=${pathOf(withFilter(place, key, value))} title=${`${what} ${value}`}
    ><span class="visually-hidden">${what} </span><bdi>${text}</bdi></a>`
}

function funnel(place: Place, tool: string) {
  return html`<a class="funnel" href=${pathOf(withFilter(place, 'tool', tool))} aria-label=${`Only tool ${tool}`} title="Only this tool"
    ><svg width="12" height="12" viewBox="0 0 12 12" fill="currentColor" aria-hidden="true"><path d="M1 1h10L7.3 6v5L4.7 9.4V6z"></path></svg></a>`
}

function whereOf({ running, layers }: TraceLine, isPartial: boolean) {
  if (running === null) {
    return html`<tt-trace-layer-bar class=${isPartial ? 'partial' : ''} title=${isPartial ? 'As far as reported yet' : ''} .layers=${layers}></tt-trace-layer-bar>`
  }
  if (running.layer === null) return html`<span class="muted">no news of it lately</span>`
  return html`<span class="layer" data-layer=${running.layer}>in <bdi>${running.layer}</bdi></span>
    <span class="muted"><bdi>${running.name}</bdi></span>`
}

function tokensOf({ tokensIn, tokensOut }: TraceLine) {
  if ((tokensIn ?? null) === null && (tokensOut ?? null) === null) return html`<span class="muted">${noValue}</span>`
  return `${countText(tokensIn)} / ${countText(tokensOut)}`
}

customElements.define('tt-trace-list', TraceList)

declare global {
  interface HTMLElementTagNameMap {
    'tt-trace-list': TraceList
  }
}
