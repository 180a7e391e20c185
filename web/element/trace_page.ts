import { Task } from '@lit/task'
import { css, html, LitElement, nothing, type PropertyValues } from 'lit'
import { repeat } from 'lit/directives/repeat.js'
import { type Api, ApiError } from '../api.ts'
import type { TraceDetail } from '../view/answer.ts'
import { type CriticalPath, criticalOf, noPath } from '../view/critical_path_view.ts'
import { firstLineOf } from '../view/error_view.ts'
import type { LiveView } from '../view/live_view.ts'
import { nameText } from '../view/name_text.ts'
import { pluralText } from '../view/number_text.ts'
import { type Place, pathOf, withPlace } from '../view/place.ts'
import { isOpen, layerLinesOf, liveMarkOf, rereadMsOf, settleMs, waitsByLayer } from '../view/trace_page_view.ts'
import { type Waterfall, type WaterfallNode, waterfallOf } from '../view/waterfall_view.ts'
import { sharedStyle } from './shared_style.ts'
import type { SpanSelectEvent } from './span_select_event.ts'
import './error_occurrence.ts'
import './read_state.ts'
import './span_detail.ts'
import './trace_head.ts'
import './trace_layers.ts'
import './trace_messages.ts'
import './waterfall.ts'
import './why_panel.ts'

/** A running trace grows this often, a large one less. */
const growMs = 250
const growSpansMax = 1_000
/** After a push said that something happened, at the soonest. */
const pushedGapMs = 300
/** After a failure that may pass, or when the trace was there before. */
const failedMs = 5_000

/** One trace, followed while it runs. */
export class TracePage extends LitElement {
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
      .top,
      .split {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: var(--tt-gap);
      }
      h2 {
        margin-block-end: 10px;
      }
      .critical {
        margin-block-end: 10px;
        overflow-wrap: anywhere;
      }
      .critical svg {
        margin-inline-end: 4px;
        vertical-align: middle;
        fill: var(--tt-text);
      }
      li {
        padding-block: 12px;
        border-block-start: 1px solid var(--tt-border);
      }
      li:first-child {
        padding-block-start: 0;
        border: 0;
      }
      ul {
        margin: 0;
        padding: 0;
        list-style: none;
      }
      .first {
        display: flex;
        flex-wrap: wrap;
        align-items: baseline;
        gap: 10px;
        margin-block-start: 12px;
        padding-block-start: 10px;
        border-block-start: 1px solid var(--tt-border);
      }
      .first bdi {
        min-width: 0;
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      @media (min-width: 1000px) {
        .top {
          grid-template-columns: minmax(0, 1fr) minmax(0, 1fr);
        }
      }
      @media (min-width: 1200px) {
        .split.chosen {
          grid-template-columns: minmax(0, 1fr) 360px;
        }
        .side {
          position: sticky;
          inset-block-start: 8px;
          align-self: start;
          max-height: calc(100vh - 16px);
          overflow-y: auto;
        }
      }
    `,
  ]
  static override properties = {
    api: { attribute: false },
    place: { attribute: false },
    live: { attribute: false },
    nowUs: { state: true },
    selected: { state: true },
  }
  declare api: Api | null
  declare place: Place | null
  declare live: LiveView | null
  /** The servers' clock. */
  declare nowUs: number
  /** The id of the chosen span. */
  declare selected: string | null
  /** The last good answer, null when there is none yet; `id` is the trace it was asked about. */
  #found: { readonly id: string; readonly detail: TraceDetail | null } | null = null
  #error: unknown = null
  #laidOut: TraceDetail | null = null
  #waterfall: Waterfall = { start: 0, end: 0, nodes: [] }
  #critical: CriticalPath = noPath
  #id: string | null = null
  #openedMs = 0
  #askedMs = 0
  #changedUs = 0
  #mark = ''
  #next: ReturnType<typeof setTimeout> | undefined
  #growth: ReturnType<typeof setInterval> | undefined
  readonly #task = new Task(this, {
    args: () => [this.api, this.place?.id ?? null] as const,
    task: async ([api, id]) => {
      this.#askedMs = performance.now()
      return api === null || id === null ? null : { id, detail: await api.trace(id) }
    },
    onComplete: (found) => {
      const before = this.#found?.detail?.trace.revision
      this.#found = found
      this.#error = null
      if (before !== found?.detail?.trace.revision) this.#changedUs = this.#now()
      this.#plan()
    },
    onError: (error) => {
      this.#error = error
      if (this.#detail !== null || (error instanceof ApiError && error.retryable)) this.#after(failedMs)
    },
  })

  constructor() {
    super()
    this.api = null
    this.place = null
    this.live = null
    this.nowUs = this.#now()
    this.selected = null
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    clearTimeout(this.#next)
    clearInterval(this.#growth)
    this.#growth = undefined
  }

  override willUpdate(changed: PropertyValues<this>): void {
    const id = this.place?.id ?? null
    if (id !== this.#id) this.#begin(id)
    if (changed.has('live') && id !== null) this.#hear(id)
    this.nowUs = this.#now()
    const detail = this.#detail
    const spans = detail?.trace.spans ?? []
    // What has ended stands still, however often a push comes.
    if (detail !== this.#laidOut || (detail !== null && isOpen(detail))) {
      this.#waterfall = waterfallOf(spans, this.nowUs)
      // What still runs has no end to ask after.
      this.#critical = detail === null || isOpen(detail) ? noPath : criticalOf(spans, this.#waterfall)
    }
    this.#laidOut = detail
    this.#grow(spans.length)
  }

  override render() {
    const { place } = this
    if (place === null || place.id === null) return nothing
    const detail = this.#detail
    return html`
      <nav class="path" aria-label="Breadcrumb"><a href=${pathOf(withPlace(place, { page: 'traces' }))}>Traces</a> / this trace</nav>
      ${this.#error === null ? nothing : html`<div class="card"><tt-read-state what="the trace" .error=${this.#error} @again=${this.#again}></tt-read-state></div>`}
      ${detail === null ? this.#missing(place) : this.#whole(place, detail)}
    `
  }

  #whole(place: Place, detail: TraceDetail) {
    const { trace, errors, messages } = detail
    const { nodes, start } = this.#waterfall
    const chosen = nodes.find(({ id }) => id === this.selected) ?? null
    const failed = new Set(errors.flatMap(({ span_id }) => (span_id === null ? [] : [span_id])))
    const where = this.live?.running.find(({ trace_id }) => trace_id === trace.trace_id)?.layer ?? null
    return html`
      <div class="top">
      <div class="card"><tt-trace-head .trace=${trace} .place=${place} .where=${where} .nowUs=${this.nowUs}></tt-trace-head>${this.#firstError(errors)}</div>
      <div class="card"><tt-trace-layers ?open=${isOpen(detail)} .layers=${trace.layers} .lines=${layerLinesOf(trace, waitsByLayer(nodes))}></tt-trace-layers></div>
      </div>
      <div class="split ${chosen === null ? '' : 'chosen'}" @tt-span-select=${this.#select}>
        <section class="card" aria-label="Waterfall">
          <h2>Waterfall <span class="muted">${pluralText(trace.span_count, 'span', 'spans')}</span></h2>
          ${this.#critical.text === '' ? nothing : html`<p class="critical"><svg width="18" height="4" aria-hidden="true"><rect width="18" height="4"></rect></svg> ${this.#critical.text}</p>`}
          <tt-waterfall .waterfall=${this.#waterfall} .path=${this.#critical.stretches} .selected=${this.selected} .failed=${failed}></tt-waterfall>
        </section>
        <section class="card side" aria-label="Chosen span"><tt-span-detail .node=${chosen as WaterfallNode | null} .axisStart=${start}></tt-span-detail></section>
      </div>
      <section class="card"><tt-why-panel .api=${this.api} .place=${place} .traceId=${trace.trace_id} .nowUs=${this.nowUs}></tt-why-panel></section>
      ${
        errors.length === 0
          ? nothing
          : html`<section class="card errors"><h2>${pluralText(errors.length, 'error', 'errors')}</h2><ul>${repeat(
              errors,
              ({ error_id }) => error_id,
              (error) =>
                html`<li><tt-error-occurrence inTrace .error=${error} .place=${place} .nowUs=${this.nowUs}></tt-error-occurrence></li>`,
            )}</ul></section>`
      }
      ${
        messages.length === 0
          ? nothing
          : html`<section class="card"><h2>${pluralText(messages.length, 'message', 'messages')}</h2>
              <tt-trace-messages .messages=${messages} .nowUs=${this.nowUs}></tt-trace-messages></section>`
      }
    `
  }

  /** What went wrong, at first sight. */
  #firstError(errors: TraceDetail['errors']) {
    const [error] = errors
    if (error === undefined) return nothing
    const behavior = matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth'
    const scroll = () => this.renderRoot.querySelector('.errors')?.scrollIntoView({ behavior })
    return html`<p class="first">
      <strong class="error cut"><bdi>${nameText(error.error_type, 'Error')}</bdi></strong> <bdi>${firstLineOf(error.message)}</bdi>
      <button type="button" @click=${scroll}>${error.traceback === null ? 'See the error' : 'See stack trace'}</button>
    </p>`
  }

  #missing(place: Place) {
    if (this.#found === null) {
      return this.#error === null
        ? html`<div class="card"><tt-read-state what="the trace" lines="8"></tt-read-state></div>`
        : nothing
    }
    const seeking = performance.now() - this.#openedMs < settleMs
    return html`<div class="card empty" role="status">
      <h1>Trace not found</h1>
      <p><bdi class="mono">${place.id}</bdi></p>
      <p>${
        seeking
          ? 'It is not stored yet, or not any more. Looking again until it comes.'
          : 'It is not stored: details are kept for 30 days, and a request that was never reported is unknown.'
      }</p>
      <p><button type="button" @click=${this.#again}>Look again</button></p>
    </div>`
  }

  #begin(id: string | null): void {
    this.#id = id
    this.#found = null
    this.#error = null
    this.#openedMs = performance.now()
    this.#mark = id === null ? '' : liveMarkOf(this.live, id)
    this.selected = null
    clearTimeout(this.#next)
  }

  /** Reads again when the live view says something new of this trace. */
  #hear(id: string): void {
    const mark = liveMarkOf(this.live, id)
    if (mark === this.#mark) return
    this.#mark = mark
    this.#after(Math.max(0, this.#askedMs + pushedGapMs - performance.now()))
  }

  /** After an answer: when to ask again, if at all. */
  #plan(): void {
    const detail = this.#detail
    if (detail !== null) {
      const ms = rereadMsOf(detail, this.#now(), this.#changedUs)
      if (ms !== null) this.#after(ms)
    } else if (performance.now() - this.#openedMs < settleMs) this.#after(1_000)
  }

  #after(ms: number): void {
    clearTimeout(this.#next)
    this.#next = setTimeout(() => this.#again(), ms)
  }

  #again(): void {
    if (this.isConnected) void this.#task.run()
  }

  /** While a span runs its bar grows, without asking anybody. */
  #grow(spans: number): void {
    const open = this.#detail !== null && isOpen(this.#detail)
    if (!open || !this.isConnected) {
      clearInterval(this.#growth)
      this.#growth = undefined
    } else if (this.#growth === undefined) {
      const ms = spans > growSpansMax ? 4 * growMs : growMs
      this.#growth = setInterval(() => this.requestUpdate(), ms)
    }
  }

  #select(event: SpanSelectEvent): void {
    this.selected = event.spanId
  }

  get #detail(): TraceDetail | null {
    return this.#found !== null && this.#found.id === this.#id ? this.#found.detail : null
  }

  #now(): number {
    return Date.now() * 1_000 + (this.live?.skew_us ?? 0)
  }
}

customElements.define('tt-trace-page', TracePage)

declare global {
  interface HTMLElementTagNameMap {
    'tt-trace-page': TracePage
  }
}
