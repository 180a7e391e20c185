import { Task, TaskStatus } from '@lit/task'
import { html, LitElement, nothing, type PropertyValues } from 'lit'
import type { Api } from '../api.ts'
import type { ErrorRow, GapRow, Overview, SeriesAnswer } from '../view/answer.ts'
import { type LiveView, wholeSince } from '../view/live_view.ts'
import {
  callRowsOf,
  type ErrorLine,
  errorsShownMax,
  filterValueOf,
  freshnessText,
  gapText,
  healthTextOf,
  layerRowsOf,
  refreshIsDue,
  type StatsRow,
  statsRowsOf,
  tilesOf,
} from '../view/overview_view.ts'
import {
  endsNow,
  type FilterKey,
  filterKeysOf,
  filterOf,
  fromOf,
  isFiltered,
  type Place,
  pathOf,
  withFilter,
  withPlace,
} from '../view/place.ts'
import { beforeText } from '../view/range_text.ts'
import {
  lastMinuteOf,
  latencyChart,
  secondsSeries,
  settledSeries,
  throughputChart,
  withLiveMinute,
} from '../view/series_chart.ts'
import { overviewStyle } from './overview_style.ts'
import { sharedStyle } from './shared_style.ts'
import './first_run.ts'
import type { LineChart } from './line_chart.ts'
import './line_chart.ts'
import './recent_errors.ts'
import './running_requests.ts'
import './active_sessions.ts'
import './stat_tile.ts'
import './stats_table.ts'
import './why_panel.ts'

type Loaded = {
  /** The path that it was read for. */
  readonly path: string
  readonly isFiltered: boolean
  readonly at_ms: number
  readonly rev: string | null
  readonly received_us: number | null
  readonly overview: Overview
  readonly series: SeriesAnswer
  readonly errors: readonly ErrorRow[] | null
  readonly gaps: readonly GapRow[]
}

/** How the servers do: health, numbers, charts, what runs, what failed, and where the time goes. */
export class OverviewPage extends LitElement {
  static override styles = [sharedStyle, overviewStyle]
  static override properties = {
    api: { attribute: false },
    place: { attribute: false },
    live: { attribute: false },
    now_us: { state: true },
    round: { state: true },
  }
  declare api: Api | null
  declare place: Place | null
  declare live: LiveView | null
  declare now_us: number
  declare round: number
  #timer = 0
  #shown: Loaded | null = null
  /** How many times in a row it could not be read. */
  #failures = 0

  readonly #load = new Task(this, {
    args: () => [this.api, this.place === null ? null : pathOf(this.place), this.round] as const,
    task: async ([api, path]): Promise<Loaded | null> => {
      const { place, live } = this
      if (api === null || path === null || place === null) return null
      const filter = filterOf(place, this.#now())
      const errorFilter = filterOf({ ...place, page: 'error' }, this.#now())
      const lost = live !== null && live.gaps.missing + live.gaps.dropped > 0
      const [overview, series, errors, gaps] = await Promise.all([
        api.overview(filter),
        api.series(filter),
        this.#followsErrors(place) ? null : api.errors(errorFilter, null, errorsShownMax),
        lost ? api.gaps({}, null, 5) : null,
      ]).catch((error: unknown) => {
        this.#failures += 1
        throw error
      })
      const known = { rev: live?.rev ?? null, received_us: live?.last_received_at_us ?? null }
      this.#failures = 0
      const read = { path, isFiltered: isFiltered(place), at_ms: Date.now(), ...known }
      return { ...read, overview, series, errors: errors?.rows ?? null, gaps: gaps?.rows ?? [] }
    },
  })

  constructor() {
    super()
    this.api = null
    this.place = null
    this.live = null
    this.now_us = Date.now() * 1_000
    this.round = 0
  }

  override connectedCallback(): void {
    super.connectedCallback()
    this.#timer = window.setInterval(() => this.#tick(), 1_000)
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    clearInterval(this.#timer)
  }

  protected override willUpdate(_changed: PropertyValues<this>): void {
    const loaded = this.#load.value
    if (loaded) this.#shown = loaded
    this.now_us = this.#now()
  }

  override render() {
    const { place, live } = this
    if (place === null) return nothing
    const shown = this.#shown
    const failed = this.#lasts() ? this.#load.error : null
    if (shown === null) {
      return failed === null
        ? html`<p class="empty" role="status">Loading the overview…</p>`
        : html`<div class="card empty" role="alert">${this.#problem(failed)}</div>`
    }
    const stale = shown.path !== pathOf(place)
    if (shown.overview.health.status === 'empty') {
      // Of a service or environment that never sent, the servers know nothing either.
      return shown.isFiltered ? this.#nothingMatches(place) : html`<tt-first-run></tt-first-run>`
    }
    return html`
      ${live !== null && !live.real ? html`<tt-first-run demo></tt-first-run>` : nothing}
      ${failed === null ? nothing : html`<div class="card problem" role="alert">${this.#problem(failed)}</div>`}
      <div class="page" aria-busy=${stale} ?data-stale=${stale}>
        ${this.#health(shown, live)} ${this.#tiles(place, shown, live)} ${this.#charts(place, shown, live)}
        <section class="card half"><tt-running-list .live=${live} .place=${place}></tt-running-list></section>
        <section class="card half">${this.#errors(place, shown, live)}</section>
        <section class="card"><tt-active-sessions .live=${live} .place=${place}></tt-active-sessions></section>
        <section class="card"><tt-why-panel .api=${this.api} .place=${place} .nowUs=${this.now_us}></tt-why-panel></section>
        ${this.#tables(place, shown.overview)}
      </div>
    `
  }

  #health({ overview, gaps }: Loaded, live: LiveView | null) {
    const { status, name, note } = healthTextOf(overview)
    return html`
      <section class="card health" aria-label="Health" data-status=${status}>
        <div>
          <h2><span class="dot" aria-hidden="true"></span>${name}</h2>
          ${note === '' ? nothing : html`<p class="muted">${note}</p>`}
          <ul>
            ${overview.health.reasons.map((reason) => html`<li>${reason}</li>`)} ${gaps.map((gap) => html`<li class="warn">${gapText(gap)}</li>`)}
          </ul>
        </div>
        ${live === null ? nothing : html`<p class="muted">${freshnessText(live, this.now_us)}</p>`}
      </section>
    `
  }

  #tiles(place: Place, { overview }: Loaded, live: LiveView | null) {
    const isKnown = this.#showsSeconds(place, live) && live.live
    const minute = isKnown ? lastMinuteOf(live.seconds, live.at_us, wholeSince(live)) : undefined
    return html`
      <section class="tiles" aria-label="Key numbers">
        ${tilesOf(overview, minute).map((tile) => html`<tt-stat-tile .tile=${tile} against=${beforeText(place)}></tt-stat-tile>`)}
      </section>
    `
  }

  #charts(place: Place, { series }: Loaded, live: LiveView | null) {
    const seconds = this.#showsSeconds(place, live) ? live.seconds : null
    const now = this.now_us
    const whole = settledSeries(seconds === null ? series : withLiveMinute(series, seconds, now), now)
    const since = live === null ? 0 : wholeSince(live)
    const last = seconds === null ? null : secondsSeries(seconds, live?.at_us ?? now, since)
    const chart = (title: string, draw: LineChart['chart']) => html`
      <section class="card chart">
        <h2>${title}</h2>
        <tt-line-chart .chart=${draw}></tt-line-chart>
      </section>
    `
    return html`
      <div class="charts">
        ${chart('Throughput and errors', (palette) => throughputChart(whole, palette, now))}
        ${chart('Latency', (palette) => latencyChart(whole, palette))}
        ${last === null ? nothing : chart(live?.live ? 'Last minute, by the second' : 'By the second, as last heard', (palette) => throughputChart(last, palette, now))}
      </div>
    `
  }

  #errors(place: Place, { errors }: Loaded, live: LiveView | null) {
    const from = fromOf(place, this.now_us)
    const followed = live?.errors.filter(({ at_us }) => at_us >= from).slice(0, errorsShownMax) ?? null
    const lines: readonly ErrorLine[] | null = this.#followsErrors(place) ? followed : errors
    const known = filterKeysOf('errors')
    const unjudged = (Object.keys(place.filter) as FilterKey[]).filter((key) => !known.includes(key))
    return html`<tt-recent-errors .errors=${lines} .place=${place} .now_us=${this.now_us} .unjudged=${unjudged}></tt-recent-errors>`
  }

  #tables(place: Place, overview: Overview) {
    const to = (key: FilterKey) => (row: StatsRow) => {
      const value = filterValueOf(key, row.key)
      return value === null ? null : pathOf(withPlace(withFilter(place, key, value), { page: 'traces' }))
    }
    const table = (caption: string, noun: string, key: FilterKey, rows: readonly StatsRow[]) => html`
      <section class="card">
        <tt-stats-table
          caption=${caption}
          noun=${noun}
          .isLayers=${key === 'layer'}
          .rows=${rows}
          .pathOfRow=${to(key)}
        ></tt-stats-table>
      </section>
    `
    return html`
      ${table('Layers', 'Layer', 'layer', layerRowsOf(overview.layers))}
      <div class="half stack">${table('Tools', 'Tool', 'tool', statsRowsOf(overview.tools))}</div>
      <div class="half stack">
        ${table('Position in the session', 'Call', 'call_number', callRowsOf(overview.calls))}
        ${table('Providers', 'Provider', 'provider', statsRowsOf(overview.providers))}
        ${table('Models', 'Model', 'model', statsRowsOf(overview.models))}
      </div>
    `
  }

  #nothingMatches(place: Place) {
    const all = pathOf(withPlace(place, { filter: {} }))
    return html`<p class="card empty">Nothing was ever received that matches the filter. <a href=${all}>Remove the filter</a></p>`
  }

  /** Whether a failure is one to speak of: while the live view works, one is over before it is read. */
  #lasts(): boolean {
    return (
      this.#load.status !== TaskStatus.COMPLETE && this.#failures > (this.#shown !== null && this.live?.live ? 1 : 0)
    )
  }

  #problem(error: unknown) {
    const text = error instanceof Error ? error.message : String(error)
    return html`<p>${text}</p><button type="button" @click=${() => this.#again()}>Try again</button>`
  }

  /** Whether the live windows, which know no filter, say what this place shows. */
  #showsSeconds(place: Place, live: LiveView | null): live is LiveView {
    return live !== null && !live.degraded && endsNow(place) && !isFiltered(place)
  }

  #followsErrors(place: Place): boolean {
    return endsNow(place) && !isFiltered(place)
  }

  #tick(): void {
    const { live, place } = this
    this.now_us = this.#now()
    if (place === null || this.#load.status === TaskStatus.PENDING || document.hidden) return
    const failedBefore = this.#load.status === TaskStatus.ERROR
    const shown = this.#shown
    if (failedBefore || shown === null) {
      if (failedBefore && (live?.status === 'live' || live?.status === 'degraded')) this.#again()
      return
    }
    if (endsNow(place) && refreshIsDue(shown, live, Date.now())) this.#again()
  }

  #again(): void {
    this.round += 1
  }

  #now(): number {
    return Date.now() * 1_000 + (this.live?.skew_us ?? 0)
  }
}

customElements.define('tt-overview-page', OverviewPage)

declare global {
  interface HTMLElementTagNameMap {
    'tt-overview-page': OverviewPage
  }
}
