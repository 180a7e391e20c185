import { html, LitElement, nothing, type PropertyValues, svg } from 'lit'
import { type CriticalPath, pathBarsOf } from '../view/critical_path_view.ts'
import { durationText } from '../view/number_text.ts'
import { indentOf, markNames, markTexts, nodeNameOf, unseenTextOf } from '../view/span_view.ts'
import { outcomeViewOf } from '../view/trace_outcome_view.ts'
import { barOf, rowWindowOf, scrollTopFor, selfBarsOf, type Tick, ticksOf } from '../view/waterfall_axis_view.ts'
import { moveIn, visibleNodesOf, type Waterfall, type WaterfallNode } from '../view/waterfall_view.ts'
import { sharedStyle } from './shared_style.ts'
import { SpanSelectEvent } from './span_select_event.ts'
import { traceLayerStyle } from './trace_layer_style.ts'
import { waterfallStyle } from './waterfall_style.ts'

/** Heights in px, as the style has them, and the width below which names stand above bars. */
const rowHeights = { wide: 28, compact: 48 } as const
const axisHeight = 26
const compactBelow = 620
const emptyWaterfall: Waterfall = { start: 0, end: 0, nodes: [] }

/** The spans of a trace on one axis of time, as a tree. Draws only the lines in view. */
export class WaterfallTree extends LitElement {
  static override styles = [sharedStyle, traceLayerStyle, waterfallStyle]
  static override properties = {
    waterfall: { attribute: false },
    selected: { attribute: false },
    failed: { attribute: false },
    path: { attribute: false },
    collapsed: { state: true },
    view: { state: true },
  }
  declare waterfall: Waterfall
  /** The id of the chosen line. */
  declare selected: string | null
  /** The spans that an error names. */
  declare failed: ReadonlySet<string>
  /** When each span was on the critical path, as the lines stand. */
  declare path: CriticalPath['stretches']
  declare collapsed: ReadonlySet<string>
  /** What is seen: px. */
  declare view: { readonly scrollTop: number; readonly height: number; readonly width: number }
  #visible: readonly WaterfallNode[] = []
  readonly #observer = new ResizeObserver(() => this.#measure())

  constructor() {
    super()
    this.waterfall = emptyWaterfall
    this.selected = null
    this.failed = new Set()
    this.path = new Map()
    this.collapsed = new Set()
    this.view = { scrollTop: 0, height: 600, width: 1_000 }
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.#observer.disconnect()
  }

  override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('waterfall') || changed.has('collapsed')) {
      this.#visible = visibleNodesOf(this.waterfall, this.collapsed)
    }
  }

  override render() {
    const { waterfall, view } = this
    const compact = view.width < compactBelow
    const { first, end } = rowWindowOf({ ...view, rowHeight: this.#rowHeight, rows: this.#visible.length })
    const ticks = ticksOf(waterfall, compact ? 3 : 5)
    const active = this.#visible.slice(first, end).some(({ id }) => id === this.selected)
    return html`
      ${this.#tools()}
      <div class="scroller ${compact ? 'compact' : ''}" @scroll=${this.#measure}>
        <svg class="hatching" width="0" height="0" aria-hidden="true">
          <defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <path d="M1 0V7"></path>
          </pattern></defs>
        </svg>
        <div class="axis" aria-hidden="true">
          <span>Span</span>
          <svg>${ticks.map(tickOf)}</svg>
          <span class="number own" title="Without what its children cover">Self</span>
          <span class="number">Duration</span>
        </div>
        <div
          role="tree"
          tabindex="0"
          aria-label="Spans of the trace"
          aria-activedescendant=${active && this.selected !== null ? `line-${this.selected}` : nothing}
          @keydown=${this.#onKey}
          @click=${this.#onClick}
        >
          <div class="above" role="none"></div>
          ${this.#visible.slice(first, end).map((node) => this.#line(node, ticks))}
          <div class="below" role="none"></div>
        </div>
      </div>
    `
  }

  override firstUpdated(): void {
    this.#observer.observe(this)
    this.#observer.observe(this.#scroller)
  }

  override updated(): void {
    const { first, end } = rowWindowOf({ ...this.view, rowHeight: this.#rowHeight, rows: this.#visible.length })
    this.#stretch('.above', first)
    this.#stretch('.below', this.#visible.length - end)
  }

  #tools() {
    if (this.waterfall.nodes.length < 12) return nothing
    const parents = () => this.waterfall.nodes.filter(({ descendants }) => descendants > 0).map(({ id }) => id)
    return html`<div class="tools row">
      <button type="button" @click=${() => this.#collapse(new Set())}>Expand all</button>
      <button type="button" @click=${() => this.#collapse(new Set(parents()))}>Collapse all</button>
    </div>`
  }

  #line(node: WaterfallNode, ticks: readonly Tick[]) {
    const { id, span } = node
    const failed = this.failed.has(id) || outcomeViewOf(span?.outcome, false).tone === 'error'
    const open = !this.collapsed.has(id)
    const name = nodeNameOf(node)
    return html`
      <div
        class="line ${id === this.selected ? 'selected' : ''}"
        role="treeitem"
        id="line-${id}"
        data-id=${id}
        aria-level=${node.depth + 1}
        aria-posinset=${node.place}
        aria-setsize=${node.siblings}
        aria-selected=${id === this.selected}
        aria-expanded=${node.descendants === 0 ? nothing : open}
        title=${name}
      >
        <span class="name">
          <svg class="indent" width=${indentOf(node.depth)} height="1" aria-hidden="true"></svg>
          ${node.descendants === 0 ? html`<svg class="indent" width="18" height="1" aria-hidden="true"></svg>` : toggleOf(open)}
          ${
            span === null
              ? nothing
              : html`<svg class="swatch" width="9" height="9" aria-hidden="true"><rect data-layer=${span.layer} width="9" height="9" rx="2"></rect></svg>`
          }
          ${failed ? failedShape() : nothing}
          <bdi class=${span?.kind === 'wait' ? 'wait' : span === null ? 'muted' : ''}>${name}</bdi>
          ${node.marks.map((mark) => html`<span class="mark ${mark}" title=${markTexts[mark]}>${markNames[mark]}</span>`)}
        </span>
        ${this.#bar(node, ticks)}
        <span class="number own">${span === null ? nothing : durationText(node.selfUs / 1_000)}</span>
        <span class="number took">${span === null ? nothing : durationText((node.end - node.start) / 1_000)}</span>
        <span class="visually-hidden">${unseenTextOf(node, failed)}${this.path.has(id) ? ', on the critical path' : ''}</span>
      </div>
    `
  }

  #bar(node: WaterfallNode, ticks: readonly Tick[]) {
    const { span, marks } = node
    const grid = ticks.map(({ x }) => svg`<line class="grid" x1="${x}%" x2="${x}%" y1="0" y2="100%"></line>`)
    if (span === null) return html`<svg class="bar" aria-hidden="true">${grid}</svg>`
    const { x, width } = barOf(this.waterfall, node)
    const rect = (kind: string, at: { x: number; width: number }) =>
      svg`<rect class=${kind} data-layer=${span.layer} x="${at.x}%" width="${at.width}%" y="2" height="76%" rx="1.5"></rect>`
    return html`<svg class="bar" aria-hidden="true">
      ${grid} ${rect('covered', { x, width })} ${selfBarsOf(this.waterfall, node).map((part) => rect('self', part))}
      ${span.kind === 'wait' ? svg`<rect fill="url(#hatch)" x="${x}%" width="${width}%" y="2" height="76%"></rect>` : nothing}
      ${pathBarsOf(this.waterfall, this.path.get(node.id)).map((at) => svg`<rect class="critical" x="${at.x}%" width="${at.width}%" y="84%" height="13%"></rect>`)}
      ${marks.includes('running') ? svg`<rect class="open" x="${x}%" width="${width}%" y="2" height="76%"></rect>` : nothing}
      ${
        marks.includes('interrupted')
          ? svg`<line class="cut-off" x1="${x + width}%" x2="${x + width}%" y1="0" y2="100%"></line>`
          : nothing
      }
    </svg>`
  }

  #onClick(event: Event): void {
    const target = event.target as Element
    const id = target.closest<HTMLElement>('.line')?.dataset.id
    if (id === undefined) return
    if (target.closest('.toggle') !== null) this.#fold(id, !this.collapsed.has(id))
    else this.#select(id)
  }

  #onKey(event: KeyboardEvent): void {
    const move = moveIn(this.#visible, this.selected, event.key, this.collapsed)
    if (move === null) return
    event.preventDefault()
    if (move.fold !== undefined) this.#fold(move.id, move.fold)
    this.#select(move.id)
    const row = this.#visible.findIndex(({ id }) => id === move.id)
    const rowHeight = this.#rowHeight
    const top = scrollTopFor(row, { ...this.view, rowHeight })
    if (top !== null) this.#scroller.scrollTop = top
  }

  #select(id: string): void {
    if (id !== this.selected) this.dispatchEvent(new SpanSelectEvent(id))
  }

  #fold(id: string, folded: boolean): void {
    const collapsed = new Set(this.collapsed)
    if (folded) collapsed.add(id)
    else collapsed.delete(id)
    this.#collapse(collapsed)
  }

  #collapse(collapsed: ReadonlySet<string>): void {
    this.collapsed = collapsed
  }

  #measure(): void {
    const { scrollTop, clientHeight, clientWidth } = this.#scroller
    const seen = { scrollTop, height: Math.max(0, clientHeight - axisHeight), width: clientWidth }
    const { view } = this
    if (seen.scrollTop === view.scrollTop && seen.height === view.height && seen.width === view.width) return
    this.view = seen
  }

  /** The style of an attribute would be refused by the page's policy; that of a script is not. */
  #stretch(part: string, rows: number): void {
    this.renderRoot.querySelector<HTMLElement>(part)?.style.setProperty('height', `${rows * this.#rowHeight}px`)
  }

  get #rowHeight(): number {
    return this.view.width < compactBelow ? rowHeights.compact : rowHeights.wide
  }

  get #scroller(): HTMLElement {
    return this.renderRoot.querySelector('.scroller') as HTMLElement
  }
}

function tickOf({ x, us }: Tick) {
  return svg`<text x="${x}%" y="17" text-anchor=${x > 85 ? 'end' : 'start'}>${durationText(us / 1_000)}</text>`
}

function toggleOf(open: boolean) {
  return html`<button class="toggle" type="button" tabindex="-1" aria-hidden="true">
    <svg width="10" height="10" viewBox="0 0 10 10"><path d=${open ? 'M1 3h8L5 8z' : 'M3 1l5 4-5 4z'}></path></svg>
  </button>`
}

function failedShape() {
  return html`<svg class="failed" width="11" height="11" viewBox="0 0 12 12" aria-hidden="true">
    <path d=${outcomeViewOf('tool_error', false).path}></path>
  </svg>`
}

customElements.define('tt-waterfall', WaterfallTree)

declare global {
  interface HTMLElementTagNameMap {
    'tt-waterfall': WaterfallTree
  }
}
