import { css, html, LitElement, nothing, svg } from 'lit'
import type { HeatGrid as Grid, HeatRegion } from '../view/heatmap_view.ts'
import { heatStyle } from './heat_style.ts'
import { RegionEvent } from './region_event.ts'
import { sharedStyle } from './shared_style.ts'

type Spot = { readonly x: number; readonly y: number }

/** A heatmap over time, of which a region is chosen: by drawing over it, or with the arrow keys and Shift. */
export class HeatGrid extends LitElement {
  static override styles = [
    sharedStyle,
    heatStyle,
    css`
      .grid {
        display: grid;
        grid-template-columns: auto minmax(0, 1fr);
        column-gap: 8px;
      }
      .names {
        margin: 0;
        padding: 0;
        list-style: none;
        color: var(--tt-text-muted);
        font-size: 11.5px;
        text-align: end;
        white-space: nowrap;
      }
      .names li {
        height: 20px;
        line-height: 20px;
      }
      .plot {
        touch-action: pan-y;
        cursor: crosshair;
        border-radius: 4px;
        background: var(--tt-surface-2);
      }
      svg {
        display: block;
        width: 100%;
      }
      .chosen {
        fill: color-mix(in srgb, var(--tt-warn) 14%, transparent);
        stroke: var(--tt-warn);
        stroke-width: 2px;
      }
      .cursor {
        fill: none;
        stroke: var(--tt-text);
        stroke-width: 1.5px;
      }
      .axis {
        grid-column: 2;
        height: 20px;
      }
      .axis text {
        fill: var(--tt-text-muted);
        font: 11px var(--tt-font);
      }
      @media (max-width: 640px) {
        .axis g:nth-of-type(even) {
          display: none;
        }
      }
    `,
  ]
  static override properties = {
    grid: { attribute: false },
    label: {},
    describe: { attribute: false },
    region: { attribute: false },
    cursor: { state: true },
    drawn: { state: true },
  }
  declare grid: Grid | null
  declare label: string
  /** What a part of it says, in words. */
  declare describe: (region: HeatRegion) => string
  /** What is chosen. */
  declare region: HeatRegion | null
  /** Where the pointer or the keys are. */
  declare cursor: Spot | null
  /** What is being drawn. */
  declare drawn: HeatRegion | null
  /** Where drawing, or choosing with Shift, began. */
  #anchor: Spot | null = null

  constructor() {
    super()
    this.grid = null
    this.label = ''
    this.describe = () => ''
    this.region = null
    this.cursor = null
    this.drawn = null
  }

  override render() {
    const { grid, cursor } = this
    if (grid === null) return nothing
    const chosen = this.drawn ?? this.region
    const told = this.drawn ?? (cursor === null ? null : { x0: cursor.x, x1: cursor.x, y0: cursor.y, y1: cursor.y })
    return html`
      <div class="grid">
        <ul class="names" aria-hidden="true">
          ${grid.rows.map(({ name, layer }) => html`<li><span class=${layer === null ? '' : 'layer'} data-layer=${layer ?? nothing}><bdi>${name}</bdi></span></li>`)}
        </ul>
        <div
          class="plot"
          role="group"
          tabindex="0"
          aria-label="${this.label}. Move with the arrow keys, choose a region with Shift, let it go with Escape."
          @pointerdown=${this.#press}
          @pointermove=${this.#move}
          @pointerup=${this.#release}
          @pointercancel=${this.#cancel}
          @pointerleave=${this.#leave}
          @keydown=${this.#key}
          @blur=${this.#leave}
        >
          <svg height=${grid.rows.length * rowHeight} aria-hidden="true">
            ${grid.cells.map((cell) => this.#rect({ x0: cell.x, x1: cell.x, y0: cell.y, y1: cell.y }, `shade-${cell.shade}${cell.failed ? ' failed' : ''}`))}
            ${chosen === null ? nothing : this.#rect(chosen, 'chosen')}
            ${cursor === null ? nothing : this.#rect({ x0: cursor.x, x1: cursor.x, y0: cursor.y, y1: cursor.y }, 'cursor')}
          </svg>
        </div>
        <svg class="axis" aria-hidden="true">${grid.ticks.map(({ x, text }) => svg`<g><text x="${x}%" y="14">${text}</text></g>`)}</svg>
      </div>
      <p class="muted" role="status">${told === null ? 'Draw over the map to choose a region of it.' : this.describe(told)}</p>
    `
  }

  #rect({ x0, x1, y0, y1 }: HeatRegion, name: string) {
    const columns = this.grid?.columns ?? 1
    const x = Math.floor((10_000 * x0) / columns) / 100
    const width = Math.floor((10_000 * (x1 - x0 + 1)) / columns) / 100
    return svg`<rect class=${name} x="${x}%" y=${y0 * rowHeight + 0.5} width="${width}%" height=${(y1 - y0 + 1) * rowHeight - 1}></rect>`
  }

  #press(event: PointerEvent): void {
    if (event.button !== 0) return
    const spot = this.#spotOf(event)
    this.#anchor = spot
    ;(event.currentTarget as Element).setPointerCapture(event.pointerId)
    this.drawn = between(spot, spot)
  }

  #move(event: PointerEvent): void {
    const spot = this.#spotOf(event)
    this.cursor = spot
    if (this.drawn !== null && this.#anchor !== null) this.drawn = between(this.#anchor, spot)
  }

  #release(): void {
    if (this.drawn !== null) this.#choose(this.drawn)
    this.drawn = null
  }

  #cancel(): void {
    this.drawn = null
  }

  #leave(): void {
    this.cursor = null
  }

  #key(event: KeyboardEvent): void {
    const { grid } = this
    const step = steps[event.key]
    if (event.key === 'Escape') this.#choose(null)
    else if (event.key === 'Enter' && this.cursor !== null) this.#choose(between(this.cursor, this.cursor))
    if (grid === null || step === undefined) return
    event.preventDefault()
    const at = this.cursor ?? { x: grid.columns - 1, y: grid.rows.length - 1 }
    const moved = this.cursor === null ? at : this.#inside({ x: at.x + step.x, y: at.y + step.y })
    if (event.shiftKey) {
      this.#anchor = this.region === null || this.#anchor === null ? at : this.#anchor
      this.#choose(between(this.#anchor, moved))
    } else this.#anchor = null
    this.cursor = moved
  }

  #choose(region: HeatRegion | null): void {
    this.dispatchEvent(new RegionEvent(region))
  }

  #spotOf(event: PointerEvent): Spot {
    const { left, top, width } = (event.currentTarget as Element).getBoundingClientRect()
    const columns = this.grid?.columns ?? 1
    return this.#inside({
      x: Math.floor(((event.clientX - left) / width) * columns),
      y: Math.floor((event.clientY - top) / rowHeight),
    })
  }

  #inside({ x, y }: Spot): Spot {
    const { columns = 1, rows = [] } = this.grid ?? {}
    return { x: Math.max(0, Math.min(columns - 1, x)), y: Math.max(0, Math.min(rows.length - 1, y)) }
  }
}

/** In px, as the names beside the rows have it. */
const rowHeight = 20

const steps: { readonly [key: string]: Spot } = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
}

function between(a: Spot, b: Spot): HeatRegion {
  return { x0: Math.min(a.x, b.x), x1: Math.max(a.x, b.x), y0: Math.min(a.y, b.y), y1: Math.max(a.y, b.y) }
}

customElements.define('tt-heat-grid', HeatGrid)

declare global {
  interface HTMLElementTagNameMap {
    'tt-heat-grid': HeatGrid
  }
}
