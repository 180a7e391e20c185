import { css, html, LitElement, nothing } from 'lit'
import type { LayerLine } from '../view/trace_page_view.ts'
import { sharedStyle } from './shared_style.ts'
import './trace_layer_bar.ts'

/** Where a trace's time went: a bar, and the same in a table. */
export class TraceLayers extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      tt-trace-layer-bar {
        height: 22px;
        margin-block: 8px 10px;
      }
      .note {
        display: block;
        color: var(--tt-text-muted);
        font-size: 12px;
      }
      td.number,
      th.number {
        width: 1%;
        padding-inline-start: 18px;
      }
    `,
  ]
  static override properties = { layers: { attribute: false }, lines: { attribute: false }, open: { type: Boolean } }
  /** Self time by layer, in ms. */
  declare layers: { readonly [layer: string]: number }
  declare lines: readonly LayerLine[]
  /** Whether the trace still runs: only what has ended counts. */
  declare open: boolean

  constructor() {
    super()
    this.layers = {}
    this.lines = []
    this.open = false
  }

  override render() {
    const title = html`<h2>Time by layer${this.open ? html` <span class="muted">so far, of spans that ended</span>` : nothing}</h2>`
    if (this.lines.length === 0) return html`${title}<p class="empty">No span has ended yet.</p>`
    return html`
      ${title}
      <tt-trace-layer-bar .layers=${this.layers}></tt-trace-layer-bar>
      <div class="scroll">
        <table aria-label="Self time by layer">
          <thead>
            <tr>
              <th scope="col">Layer</th>
              <th class="number" scope="col">Self time</th>
              <th class="number" scope="col">Share</th>
              <th class="number" scope="col">Waiting</th>
            </tr>
          </thead>
          <tbody>
            ${this.lines.map(
              ({ layer, self, share, waited, note }) => html`<tr>
                <td><span class="layer" data-layer=${layer}><bdi>${layer}</bdi></span>${
                  note === '' ? nothing : html`<span class="note">${note}</span>`
                }</td>
                <td class="number">${self}</td>
                <td class="number">${share}</td>
                <td class="number">${waited}</td>
              </tr>`,
            )}
          </tbody>
        </table>
      </div>
    `
  }
}

customElements.define('tt-trace-layers', TraceLayers)

declare global {
  interface HTMLElementTagNameMap {
    'tt-trace-layers': TraceLayers
  }
}
