import { css, html, LitElement, nothing, type PropertyValues } from 'lit'
import type { Api } from '../api.ts'
import { sampleText } from '../view/heat_shade.ts'
import {
  callsIn,
  type HeatKind,
  type HeatRegion,
  heatGridOf,
  heatmaps,
  heatTableOf,
  placeOfRegion,
  regionText,
  whyRegionOf,
} from '../view/heatmap_view.ts'
import { holderLinesOf, holdersText } from '../view/holder_view.ts'
import type { Heatmap, Holders, TimeTree } from '../view/lens_answer.ts'
import type { LiveView } from '../view/live_view.ts'
import { countText, durationText } from '../view/number_text.ts'
import { endsNow, filterOf, type Place, pathOf, withPlace } from '../view/place.ts'
import { emptiedText, treeLinesOf } from '../view/time_tree_view.ts'
import type { RegionEvent } from './region_event.ts'
import { sharedStyle } from './shared_style.ts'
import { SteadyRead } from './steady_read.ts'
import './heat_grid.ts'
import './heat_table.ts'
import './holder_table.ts'
import './read_state.ts'
import './time_tree.ts'
import './why_panel.ts'

/** Where time goes: heatmaps, the spans of many traces as one tree, and who held what was waited for. */
export class WherePage extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: var(--tt-gap);
      }
      .head {
        margin-block-end: 10px;
      }
      .stale {
        opacity: 0.6;
      }
      .chosen {
        min-height: 34px;
        margin-block-start: 6px;
      }
      select {
        max-width: 100%;
      }
    `,
  ]
  static override properties = {
    api: { attribute: false },
    place: { attribute: false },
    live: { attribute: false },
    kind: { state: true },
    region: { state: true },
  }
  declare api: Api | null
  declare place: Place | null
  declare live: LiveView | null
  declare kind: HeatKind
  declare region: HeatRegion | null
  readonly #tree = this.#reader<TimeTree>((api, filter) => api.timeTree(filter))
  readonly #heat = this.#reader<Heatmap>((api, filter) => api.heatmap(filter, this.kind.x, this.kind.y), true)
  readonly #holders = this.#reader<Holders>((api, filter) => api.holders(filter))

  constructor() {
    super()
    this.api = null
    this.place = null
    this.live = null
    this.kind = heatmaps[0]
    this.region = null
  }

  #reader<Value>(
    read: (api: Api, filter: Record<string, unknown>) => Promise<Value>,
    byKind = false,
  ): SteadyRead<Value> {
    return new SteadyRead<Value>(this, {
      key: () => (this.api === null || this.place === null ? null : pathOf(this.place) + (byKind ? this.kind.key : '')),
      read: () => {
        const { api, place } = this as { api: Api; place: Place }
        return read(api, filterOf(place, this.#now()))
      },
      // What is chosen of a map would be of another one.
      moves: () => this.place !== null && endsNow(this.place) && !(byKind && this.region !== null),
    })
  }

  override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('kind') || (changed.has('place') && !samePlace(changed.get('place'), this.place)))
      this.region = null
  }

  override render() {
    const { place } = this
    if (place === null) return nothing
    return html`
      <section class="card" aria-label="Heatmap">
        <div class="row spread head">
          <h2>Heatmap</h2>
          <select aria-label="Heatmap of" @change=${this.#setKind}>
            ${heatmaps.map(({ key, name }) => html`<option value=${key} .selected=${key === this.kind.key}>${name}</option>`)}
          </select>
        </div>
        ${this.#part(this.#heat, 'the heatmap', (heat) => this.#map(heat, place))}
      </section>
      <section class="card" aria-label="Time tree">
        ${this.#part(this.#tree, 'the tree', (tree) => this.#treeOf(tree))}
      </section>
      <section class="card" aria-label="Who held the slot">
        <div class="head"><h2>Who held what was waited for</h2></div>
        ${this.#part(this.#holders, 'the waits', (holders) => this.#holdersOf(holders, place))}
      </section>
    `
  }

  #part<Value extends { readonly read: number }>(
    read: SteadyRead<Value>,
    what: string,
    draw: (value: Value) => unknown,
  ) {
    const { value, error, isStale } = read
    const failure =
      error === null
        ? nothing
        : html`<tt-read-state what=${what} .error=${error} @again=${() => read.again()}></tt-read-state>`
    if (value === null) return error === null ? html`<tt-read-state what=${what} lines="6"></tt-read-state>` : failure
    if (value.read === 0) return html`${failure}<p class="empty">No call that ended in this time matches.</p>`
    return html`${failure}<div class=${isStale ? 'stale' : ''} aria-busy=${isStale}>${draw(value)}</div>`
  }

  #map(heat: Heatmap, place: Place) {
    const kind = heatmaps.find(({ x, y }) => x === heat.x && y === heat.y) ?? heatmaps[0]
    const note = sampleText(heat)
    const sample = note === '' ? nothing : html`<p class="muted">${note}</p>`
    if (heat.x !== 'time')
      return html`<tt-heat-table .table=${heatTableOf(heat, kind, place)}></tt-heat-table>${sample}`
    return html`
      <tt-heat-grid
        .grid=${heatGridOf(heat, this.#now())}
        .label=${kind.name}
        .region=${this.region}
        .describe=${(region: HeatRegion) => regionText(heat, region, this.#now())}
        @tt-region=${this.#choose}
      ></tt-heat-grid>
      ${sample} ${this.region === null ? nothing : this.#chosen(heat, this.region, place)}
    `
  }

  #chosen(heat: Heatmap, region: HeatRegion, place: Place) {
    const shown = placeOfRegion(heat, region, place)
    const n = callsIn(heat, region)
    const why = whyRegionOf(heat, region)
    const list =
      heat.y === 'latency' && heat.read === heat.matched
        ? `List ${countText(n)} ${n === 1 ? 'call' : 'calls'}`
        : 'List its calls'
    return html`<p class="row chosen">
      <span>${regionText(heat, region, this.#now())}</span>
      <a class="button" href=${pathOf(shown)}>Look at it alone</a>
      <a class="button" href=${pathOf(withPlace(shown, { page: 'traces' }))}>${list}</a>
      <button type="button" class="plain" @click=${this.#forget}>Let it go</button>
    </p>
    ${why === null ? nothing : html`<tt-why-panel .api=${this.api} .place=${place} .region=${why} .nowUs=${this.#now()}></tt-why-panel>`}`
  }

  #treeOf(tree: TimeTree) {
    const note = `${sampleText(tree)} ${emptiedText(tree)}`
    return html`
      <div class="row spread head">
        <h2>Where the time of ${countText(tree.read)} ${tree.read === 1 ? 'call' : 'calls'} goes <span class="muted">${durationText(tree.total_ms)} in all</span></h2>
        <span class="muted">${note}</span>
      </div>
      <tt-time-tree .lines=${treeLinesOf(tree)}></tt-time-tree>
    `
  }

  #holdersOf(holders: Holders, place: Place) {
    if (holders.rows.length === 0) return html`<p class="empty">Nothing was waited for in this time.</p>`
    return html`<tt-holder-table .lines=${holderLinesOf(holders, place)}></tt-holder-table>
      <p class="muted">${holdersText(holders)} ${sampleText(holders)}</p>`
  }

  #setKind(event: Event): void {
    const key = (event.target as HTMLSelectElement).value
    this.kind = heatmaps.find((each) => each.key === key) ?? heatmaps[0]
  }

  #choose(event: RegionEvent): void {
    this.region = event.region
  }

  #forget(): void {
    this.region = null
  }

  #now(): number {
    return Date.now() * 1_000 + (this.live?.skew_us ?? 0)
  }
}

function samePlace(a: Place | null | undefined, b: Place | null): boolean {
  return a !== null && a !== undefined && b !== null && pathOf(a) === pathOf(b)
}

customElements.define('tt-where-page', WherePage)

declare global {
  interface HTMLElementTagNameMap {
    'tt-where-page': WherePage
  }
}
