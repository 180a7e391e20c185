import { css, html, LitElement, nothing, type PropertyValues, svg } from 'lit'
import { indentOf } from '../view/span_view.ts'
import { foldedAtFirst, seenLinesOf, type TreeLine } from '../view/time_tree_view.ts'
import { moveIn } from '../view/waterfall_view.ts'
import { sharedStyle } from './shared_style.ts'
import { traceLayerStyle } from './trace_layer_style.ts'

/** Where the time of many traces goes, as one tree: below each path what it calls, the longest first. */
export class TimeTree extends LitElement {
  static override styles = [
    sharedStyle,
    traceLayerStyle,
    css`
      .head,
      .line {
        display: grid;
        grid-template-columns: minmax(150px, 32%) minmax(0, 1fr) 62px 78px 78px 78px 64px;
        align-items: center;
        column-gap: 10px;
        padding-inline: 6px;
      }
      .head {
        padding-block: 4px;
        border-block-end: 1px solid var(--tt-border);
        color: var(--tt-text-muted);
        font-size: 12px;
      }
      .line {
        min-height: 27px;
        border-radius: 4px;
        cursor: pointer;
      }
      .line:hover {
        background: var(--tt-surface-2);
      }
      .line.selected {
        box-shadow: inset 3px 0 var(--tt-accent);
        background: color-mix(in srgb, var(--tt-accent) 10%, transparent);
      }
      [role='tree'] {
        outline-offset: -2px;
      }
      .name {
        display: flex;
        align-items: center;
        gap: 5px;
        min-width: 0;
      }
      .name bdi {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .wait bdi,
      .unexplained bdi,
      .rest bdi {
        font-style: italic;
      }
      .indent,
      .swatch,
      .toggle {
        flex: none;
      }
      .toggle {
        width: 18px;
        min-height: 22px;
        padding: 0;
        border: 0;
        background: transparent;
        color: var(--tt-text-muted);
      }
      .toggle svg {
        display: block;
        margin: auto;
        fill: currentColor;
      }
      .bar {
        width: 100%;
        height: 18px;
        border-radius: 3px;
        background: var(--tt-surface-2);
      }
      .all {
        opacity: 0.38;
      }
      .hatching {
        position: absolute;
      }
      .hatching path {
        stroke: var(--tt-surface);
        stroke-width: 2.5px;
      }
      @media (max-width: 760px) {
        .head {
          display: none;
        }
        .line {
          grid-template-columns: minmax(0, 1fr) auto;
          padding-block: 3px;
        }
        .name {
          grid-area: 1 / 1;
        }
        .share {
          grid-area: 1 / 2;
        }
        .bar {
          grid-area: 2 / 1 / 3 / 3;
          height: 12px;
        }
        .wide {
          display: none;
        }
      }
    `,
  ]
  static override properties = { lines: { attribute: false }, folded: { state: true }, selected: { state: true } }
  declare lines: readonly TreeLine[]
  /** Null until somebody folds or unfolds a line. */
  declare folded: ReadonlySet<string> | null
  declare selected: string | null
  #seen: readonly TreeLine[] = []

  constructor() {
    super()
    this.lines = []
    this.folded = null
    this.selected = null
  }

  override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('lines') || changed.has('folded')) this.#seen = seenLinesOf(this.lines, this.#folded)
  }

  override render() {
    const chosen = this.#seen.findIndex(({ id }) => id === this.selected)
    return html`
      <svg class="hatching" width="0" height="0" aria-hidden="true">
        <defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M1 0V7"></path></pattern></defs>
      </svg>
      <div class="head" aria-hidden="true">
        <span>Path</span><span>Share of all time</span><span class="number">Share</span><span class="number">Own</span
        ><span class="number">p50</span><span class="number">p95</span><span class="number">Calls</span>
      </div>
      <div
        role="tree"
        tabindex="0"
        aria-label="Where time goes"
        aria-activedescendant=${chosen < 0 ? nothing : `line-${chosen}`}
        @keydown=${this.#onKey}
        @click=${this.#onClick}
      >
        ${this.#seen.map((line, i) => this.#line(line, i))}
      </div>
    `
  }

  #line(line: TreeLine, i: number) {
    const open = !this.#folded.has(line.id)
    const { bar, own, layer, kind } = line
    return html`<div
      class="line ${kind} ${line.id === this.selected ? 'selected' : ''}"
      role="treeitem"
      id="line-${i}"
      data-place=${i}
      aria-level=${line.depth + 1}
      aria-posinset=${line.place}
      aria-setsize=${line.siblings}
      aria-selected=${line.id === this.selected}
      aria-expanded=${line.descendants === 0 ? nothing : open}
      title=${line.hint}
    >
      <span class="name">
        <svg class="indent" width=${indentOf(line.depth)} height="1" aria-hidden="true"></svg>
        ${
          line.descendants === 0
            ? html`<svg class="indent" width="18" height="1" aria-hidden="true"></svg>`
            : html`<button class="toggle" type="button" tabindex="-1" aria-hidden="true">
                <svg width="10" height="10" viewBox="0 0 10 10"><path d=${open ? 'M1 3h8L5 8z' : 'M3 1l5 4-5 4z'}></path></svg>
              </button>`
        }
        <svg class="swatch" width="9" height="9" aria-hidden="true"><rect data-layer=${layer} width="9" height="9" rx="2"></rect></svg>
        <bdi>${line.name}</bdi>
      </span>
      <svg class="bar" aria-hidden="true">
        <rect class="all" data-layer=${layer} x="${bar.x}%" width="${bar.width}%" y="2" height="14" rx="1.5"></rect>
        <rect data-layer=${layer} x="${bar.x}%" width="${own}%" y="2" height="14" rx="1.5"></rect>
        ${kind === 'wait' ? svg`<rect fill="url(#hatch)" x="${bar.x}%" width="${bar.width}%" y="2" height="14"></rect>` : nothing}
      </svg>
      <span class="number share">${line.shareText}</span>
      <span class="number wide">${line.self}</span>
      <span class="number wide">${line.p50}</span>
      <span class="number wide">${line.p95}</span>
      <span class="number wide">${line.count}</span>
      <span class="visually-hidden">${line.kind === 'work' || line.kind === 'wait' ? `layer ${layer}, ${line.total} in all` : line.total}</span>
    </div>`
  }

  #onClick(event: Event): void {
    const place = (event.target as Element).closest<HTMLElement>('.line')?.dataset.place
    const line = place === undefined ? undefined : this.#seen[Number(place)]
    if (line === undefined) return
    this.selected = line.id
    if ((event.target as Element).closest('.toggle') !== null) this.#fold(line.id, !this.#folded.has(line.id))
  }

  #onKey(event: KeyboardEvent): void {
    const move = moveIn(this.#seen, this.selected, event.key, this.#folded)
    if (move === null) return
    event.preventDefault()
    if (move.fold !== undefined) this.#fold(move.id, move.fold)
    this.selected = move.id
    const place = this.#seen.findIndex(({ id }) => id === move.id)
    this.renderRoot.querySelector(`#line-${place}`)?.scrollIntoView({ block: 'nearest' })
  }

  #fold(id: string, folded: boolean): void {
    const next = new Set(this.#folded)
    if (folded) next.add(id)
    else next.delete(id)
    this.folded = next
  }

  get #folded(): ReadonlySet<string> {
    return this.folded ?? foldedAtFirst(this.lines)
  }
}

customElements.define('tt-time-tree', TimeTree)

declare global {
  interface HTMLElementTagNameMap {
    'tt-time-tree': TimeTree
  }
}
