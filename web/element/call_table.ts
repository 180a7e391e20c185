import { css, html, LitElement } from 'lit'
import type { CallLine } from '../view/session_lens_view.ts'
import { sharedStyle } from './shared_style.ts'

/** One row a call number: how long its calls take, whether that is a step from the one before, and what went before it. */
export class CallTable extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      tbody th {
        color: var(--tt-text);
        font-size: inherit;
        font-weight: 400;
      }
      td.what {
        min-width: 220px;
        white-space: normal;
      }
      .step {
        font-weight: 600;
      }
      tr.up > :first-child {
        box-shadow: inset 3px 0 var(--tt-error);
      }
      tr.down > :first-child {
        box-shadow: inset 3px 0 var(--tt-ok);
      }
      tr > :first-child {
        padding-inline-start: 10px;
      }
      details table {
        margin-block-start: 4px;
      }
      summary {
        cursor: pointer;
      }
      .down-text {
        color: var(--tt-ok);
      }
      @media (max-width: 760px) {
        .calls > thead {
          position: absolute;
          width: 1px;
          height: 1px;
          overflow: hidden;
          clip-path: inset(50%);
        }
        .calls,
        .calls > tbody {
          display: block;
        }
        .calls > tbody > tr {
          display: flex;
          flex-wrap: wrap;
          gap: 2px 14px;
          padding: 8px 0 8px 10px;
          border-bottom: 1px solid var(--tt-border);
        }
        .calls > tbody > tr > * {
          padding: 0;
          border: 0;
          box-shadow: none;
        }
        .calls > tbody > tr[class] > :first-child {
          box-shadow: none;
        }
        .calls > tbody > tr.up {
          box-shadow: inset 3px 0 var(--tt-error);
        }
        .calls > tbody > tr.down {
          box-shadow: inset 3px 0 var(--tt-ok);
        }
        .calls > tbody > tr > th {
          flex-basis: 100%;
          font-weight: 600;
        }
        td.count {
          display: none;
        }
        td[data-label]::before {
          content: attr(data-label) ' ';
          color: var(--tt-text-muted);
          font-size: 12px;
        }
        td.what {
          flex-basis: 100%;
          min-width: 0;
        }
      }
    `,
  ]
  static override properties = { lines: { attribute: false } }
  declare lines: readonly CallLine[]

  constructor() {
    super()
    this.lines = []
  }

  override render() {
    return html`<div class="scroll">
      <table role="table" class="calls" aria-label="Call numbers">
        <thead role="rowgroup">
          <tr role="row">
            <th role="columnheader" scope="col">Call number</th>
            <th role="columnheader" scope="col" class="number">Calls</th>
            <th role="columnheader" scope="col" class="number">Errors</th>
            <th role="columnheader" scope="col" class="number">p50</th>
            <th role="columnheader" scope="col" class="number">p95</th>
            <th role="columnheader" scope="col" class="number">Waiting</th>
            <th role="columnheader" scope="col">Against the call before</th>
            <th role="columnheader" scope="col">What went before</th>
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${this.lines.map((line) => this.#row(line))}
        </tbody>
      </table>
    </div>`
  }

  #row(line: CallLine) {
    return html`<tr role="row" class=${line.step}>
      <th role="rowheader" scope="row" title=${line.tools}>${line.path === null ? line.name : html`<a href=${line.path}>${line.name}</a>`}</th>
      <td role="cell" class="number count">${line.count}</td>
      <td role="cell" data-label="Errors" class="number ${line.failing ? 'error' : ''}">${line.errors}</td>
      <td role="cell" data-label="p50" class="number">${line.p50}</td>
      <td role="cell" data-label="p95" class="number">${line.p95}</td>
      <td role="cell" data-label="Waiting" class="number">${line.wait}</td>
      <td role="cell" class="what ${line.step === 'none' ? 'muted' : ''}">
        ${line.step === 'none' ? line.stepText : html`<span class="step ${line.step === 'up' ? 'error' : 'down-text'}">${line.step === 'up' ? '▲' : '▼'} ${line.stepText}</span>`}
      </td>
      <td role="cell" class="what">${this.#previous(line)}</td>
    </tr>`
  }

  #previous({ name, previous, predecessors }: CallLine) {
    if (predecessors.length === 0) return html`<span class="muted">${previous}</span>`
    return html`<details>
      <summary>${previous}</summary>
      <div class="scroll" role="region" tabindex="0" aria-label="What went before ${name}"><table>
        <thead>
          <tr>
            <th scope="col">Before it</th>
            <th scope="col" class="number">Share</th>
            <th scope="col">Began</th>
            <th scope="col" class="number">While it ran</th>
            <th scope="col" class="number" title="Of the calls after it">p50 after it</th>
          </tr>
        </thead>
        <tbody>
          ${predecessors.map(
            (each) => html`<tr>
              <td class=${each.failed ? 'error' : ''}><bdi>${each.name}</bdi></td>
              <td class="number">${each.share}</td>
              <td>${each.gap}</td>
              <td class="number">${each.running}</td>
              <td class="number">${each.p50}</td>
            </tr>`,
          )}
        </tbody>
      </table></div>
    </details>`
  }
}

customElements.define('tt-call-table', CallTable)

declare global {
  interface HTMLElementTagNameMap {
    'tt-call-table': CallTable
  }
}
