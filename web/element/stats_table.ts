import { css, html, LitElement, nothing } from 'lit'
import type { StatsRow } from '../view/overview_view.ts'
import { sharedStyle } from './shared_style.ts'

const rowsShown = 12

/** Counts, errors and latencies by name, each name a link to what it stands for. */
export class StatsTable extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      td:first-child,
      th:first-child {
        padding-inline-start: 0;
      }
      tbody th {
        max-width: 0;
        width: 40%;
        color: inherit;
        font-size: inherit;
        font-weight: 400;
      }
      table.layers {
        min-width: 560px;
      }
      button {
        margin-block-start: 4px;
      }
    `,
  ]
  static override properties = {
    caption: {},
    noun: {},
    rows: { attribute: false },
    pathOfRow: { attribute: false },
    isLayers: { attribute: false },
    whole: { state: true },
  }
  declare caption: string
  /** What a row is, as the first column's head. */
  declare noun: string
  declare rows: readonly StatsRow[]
  /** Where a row leads, null where there is nowhere to go. */
  declare pathOfRow: (row: StatsRow) => string | null
  /** Whether the rows are layers, which have a colour and count spans. */
  declare isLayers: boolean
  /** Whether the rows beyond the first ones are shown too. */
  declare whole: boolean

  constructor() {
    super()
    this.caption = ''
    this.noun = ''
    this.rows = []
    this.pathOfRow = () => null
    this.isLayers = false
    this.whole = false
  }

  override render() {
    if (this.rows.length === 0) {
      return html`<h2>${this.caption}</h2><p class="empty">Nothing in this time.</p>`
    }
    const rows = this.whole ? this.rows : this.rows.slice(0, rowsShown)
    const hidden = this.rows.length - rows.length
    return html`
      <div class="scroll">
        <table class=${this.isLayers ? 'layers' : ''}>
          <caption>${this.caption}</caption>
          <thead>
            <tr>
              <th scope="col">${this.noun}</th>
              ${
                this.isLayers
                  ? html`<th scope="col" class="number" title="Stretches of work and of waiting, each with all that it calls">Spans</th>`
                  : html`<th scope="col" class="number">Requests</th>`
              }
              <th scope="col" class="number">Errors</th>
              <th scope="col" class="number">p50</th>
              <th scope="col" class="number">p95</th>
              ${
                this.isLayers
                  ? html`<th scope="col" class="number">p99</th>
                      <th scope="col" class="number">Mean</th>`
                  : nothing
              }
            </tr>
          </thead>
          <tbody>
            ${rows.map((row) => this.#row(row))}
          </tbody>
        </table>
      </div>
      ${
        hidden === 0
          ? nothing
          : html`<button type="button" class="plain" @click=${this.#showWhole}>Show ${hidden} more</button>`
      }
    `
  }

  #showWhole(): void {
    this.whole = true
  }

  #row(row: StatsRow) {
    const path = this.pathOfRow(row)
    const name = html`<bdi title=${row.name}>${row.name}</bdi>`
    return html`
      <tr>
        <th scope="row" class="cut ${this.isLayers ? 'layer' : ''}" data-layer=${row.key}>
          ${path === null ? name : html`<a href=${path}>${name}</a>`}
        </th>
        <td class="number">${row.count}</td>
        <td class="number ${row.failing ? 'error' : ''}">${row.errors}</td>
        <td class="number">${row.p50}</td>
        <td class="number">${row.p95}</td>
        ${
          this.isLayers
            ? html`<td class="number">${row.p99}</td>
                <td class="number">${row.mean}</td>`
            : nothing
        }
      </tr>
    `
  }
}

customElements.define('tt-stats-table', StatsTable)

declare global {
  interface HTMLElementTagNameMap {
    'tt-stats-table': StatsTable
  }
}
