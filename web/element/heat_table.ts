import { css, html, LitElement, nothing } from 'lit'
import type { HeatTableCell, HeatTable as Table } from '../view/heat_shade.ts'
import { heatStyle } from './heat_style.ts'
import { sharedStyle } from './shared_style.ts'

/** A heatmap whose rows and columns are names, as a table: each cell says its figure, and leads to its calls. */
export class HeatTable extends LitElement {
  static override styles = [
    sharedStyle,
    heatStyle,
    css`
      table {
        border-collapse: separate;
        border-spacing: 2px;
      }
      th,
      td {
        padding: 4px 8px;
        border: 0;
        border-radius: 4px;
        vertical-align: middle;
      }
      tbody th {
        position: sticky;
        inset-inline-start: 0;
        padding-inline-start: 0;
        background: var(--tt-surface);
        color: var(--tt-text);
        font-size: inherit;
        font-weight: 400;
      }
      tbody tr:hover {
        background: transparent;
      }
      th bdi {
        display: inline-block;
        max-width: 220px;
        overflow: hidden;
        text-overflow: ellipsis;
        vertical-align: bottom;
      }
      .note {
        display: block;
        font-size: 11.5px;
      }
      th .note {
        color: var(--tt-text-muted);
      }
      td a {
        display: block;
        margin: -4px -8px;
        padding: 4px 8px;
        border-radius: 4px;
        color: inherit;
      }
      td a:hover {
        text-decoration: none;
        box-shadow: inset 0 0 0 1px var(--tt-accent);
      }
    `,
  ]
  static override properties = { table: { attribute: false } }
  declare table: Table | null

  constructor() {
    super()
    this.table = null
  }

  override render() {
    const { table } = this
    if (table === null) return nothing
    return html`<div class="scroll">
      <table aria-label=${table.caption}>
        <thead>
          <tr>
            <th scope="col">${table.noun}</th>
            ${table.columns.map(
              ({ name, layer }) =>
                html`<th scope="col" class="number"><span class=${layer === null ? '' : 'layer'} data-layer=${layer ?? nothing}><bdi>${name}</bdi></span></th>`,
            )}
          </tr>
        </thead>
        <tbody>
          ${table.rows.map(
            ({ name, note, path, cells }) => html`<tr>
              <th scope="row">
                ${path === null ? html`<bdi title=${name}>${name}</bdi>` : html`<a href=${path}><bdi title=${name}>${name}</bdi></a>`}
                <span class="note">${note}</span>
              </th>
              ${cells.map((cell) => this.#cell(cell))}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>`
  }

  #cell(cell: HeatTableCell | null) {
    if (cell === null) return html`<td class="number muted" title="Nothing here">–</td>`
    const { text, note, hint, shade, path } = cell
    const words = html`${text}${note === '' ? nothing : html`<span class="note">${note}</span>`}`
    return html`<td class="number shade-${shade}" title=${hint}>${path === null ? words : html`<a href=${path}>${words}</a>`}</td>`
  }
}

customElements.define('tt-heat-table', HeatTable)

declare global {
  interface HTMLElementTagNameMap {
    'tt-heat-table': HeatTable
  }
}
