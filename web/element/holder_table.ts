import { css, html, LitElement, nothing } from 'lit'
import type { HolderLine } from '../view/holder_view.ts'
import { sharedStyle } from './shared_style.ts'
import { traceLayerStyle } from './trace_layer_style.ts'

const rowsShown = 10

/** Who held what was waited for: what took longest first. */
export class HolderTable extends LitElement {
  static override styles = [
    sharedStyle,
    traceLayerStyle,
    css`
      td {
        white-space: nowrap;
      }
      td.bar {
        min-width: 90px;
        width: 16%;
      }
      td.bar svg {
        display: block;
        width: 100%;
        height: 12px;
        border-radius: 3px;
        background: var(--tt-surface-2);
      }
      td bdi {
        display: inline-block;
        max-width: 260px;
        overflow: hidden;
        text-overflow: ellipsis;
        vertical-align: bottom;
      }
    `,
  ]
  static override properties = { lines: { attribute: false }, whole: { state: true } }
  declare lines: readonly HolderLine[]
  declare whole: boolean

  constructor() {
    super()
    this.lines = []
    this.whole = false
  }

  override render() {
    const lines = this.whole ? this.lines : this.lines.slice(0, rowsShown)
    const hidden = this.lines.length - lines.length
    return html`
      <div class="scroll">
        <table aria-label="Who held what was waited for">
          <thead>
            <tr>
              <th scope="col">Waited for</th>
              <th scope="col">Held by</th>
              <th scope="col" class="number">Share</th>
              <th scope="col">Of all waiting</th>
              <th scope="col" class="number">In all</th>
              <th scope="col" class="number">Waits</th>
              <th scope="col" class="number">p50</th>
              <th scope="col" class="number">p95</th>
              <th scope="col" class="number">Longest</th>
              <th scope="col">Who waited</th>
            </tr>
          </thead>
          <tbody>
            ${lines.map((line) => this.#row(line))}
          </tbody>
        </table>
      </div>
      ${hidden === 0 ? nothing : html`<button type="button" class="plain" @click=${this.#showWhole}>Show ${hidden} more</button>`}
    `
  }

  #row(line: HolderLine) {
    return html`<tr>
      <td><span class="layer" data-layer=${line.layer}><bdi title=${line.wait}>${line.wait}</bdi></span></td>
      <td>${line.holder === '' ? html`<span class="muted">nobody named</span>` : html`<bdi title=${line.holder}>${line.holder}</bdi>`}</td>
      <td class="number">${line.share}</td>
      <td class="bar"><svg aria-hidden="true"><rect data-layer=${line.layer} width="${line.width}%" height="100%"></rect></svg></td>
      <td class="number">${line.total}</td>
      <td class="number">${line.count}</td>
      <td class="number">${line.p50}</td>
      <td class="number">${line.p95}</td>
      <td class="number"><a href=${line.longestPath}>${line.longest}</a></td>
      <td>${line.tools.map(({ text, path }, i) => html`${i === 0 ? '' : ', '}${path === null ? text : html`<a href=${path}><bdi>${text}</bdi></a>`}`)}</td>
    </tr>`
  }

  #showWhole(): void {
    this.whole = true
  }
}

customElements.define('tt-holder-table', HolderTable)

declare global {
  interface HTMLElementTagNameMap {
    'tt-holder-table': HolderTable
  }
}
