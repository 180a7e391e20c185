import { css, html, LitElement } from 'lit'
import type { MessageRow } from '../view/answer.ts'
import { messageColumns, messageLineOf } from '../view/trace_page_view.ts'
import { sharedStyle } from './shared_style.ts'

/** What was said to or by a model during a trace: metadata, never the text. */
export class TraceMessages extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      th,
      td {
        white-space: nowrap;
      }
      td:last-child {
        min-width: 220px;
        white-space: normal;
        overflow-wrap: anywhere;
      }
    `,
  ]
  static override properties = { messages: { attribute: false }, nowUs: { attribute: false } }
  declare messages: readonly MessageRow[]
  declare nowUs: number

  constructor() {
    super()
    this.messages = []
    this.nowUs = 0
  }

  override render() {
    return html`
      <div class="scroll" tabindex="0" role="region" aria-label="Messages">
        <table>
          <thead>
            <tr><th scope="col">Role</th>${messageColumns.map((name) => html`<th scope="col">${name}</th>`)}</tr>
          </thead>
          <tbody>
            ${this.messages.map((message) => {
              const { role, cells } = messageLineOf(message, this.nowUs)
              return html`<tr>
                <th scope="row"><bdi>${role}</bdi></th>${cells.map((cell) => html`<td><bdi>${cell}</bdi></td>`)}
              </tr>`
            })}
          </tbody>
        </table>
      </div>
    `
  }
}

customElements.define('tt-trace-messages', TraceMessages)

declare global {
  interface HTMLElementTagNameMap {
    'tt-trace-messages': TraceMessages
  }
}
