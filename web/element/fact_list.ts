import { css, html, LitElement } from 'lit'
import type { Fact } from '../view/span_view.ts'
import { sharedStyle } from './shared_style.ts'
import './error_text.ts'

/** Facts by name, in as many columns as fit, or one below the other. */
export class FactList extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      dl {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(150px, 1fr));
        gap: 8px 16px;
        margin: 0;
      }
      div {
        min-width: 0;
      }
      dt {
        color: var(--tt-text-muted);
        font-size: 12px;
        overflow-wrap: anywhere;
      }
      dd {
        margin: 0;
        overflow-wrap: anywhere;
      }
      .wide {
        grid-column: 1 / -1;
      }
      :host([table]) dl {
        grid-template-columns: minmax(0, 1fr);
        gap: 0;
      }
      :host([table]) div {
        display: grid;
        grid-template-columns: minmax(90px, 30%) minmax(0, 1fr);
        gap: 12px;
        padding-block: 5px;
        border-block-end: 1px solid var(--tt-border);
      }
      :host([table]) div:last-child {
        border: 0;
      }
    `,
  ]
  static override properties = { facts: { attribute: false }, table: { type: Boolean, reflect: true } }
  declare facts: readonly Fact[]
  /** One below the other. */
  declare table: boolean

  constructor() {
    super()
    this.facts = []
    this.table = false
  }

  override render() {
    return html`<dl>
      ${this.facts.map(
        ({ term, text, mono }) => html`<div class=${text.length > 48 ? 'wide' : ''}>
          <dt><bdi>${term}</bdi></dt>
          <dd><tt-error-text ?mono=${mono === true} .text=${text}></tt-error-text></dd>
        </div>`,
      )}
    </dl>`
  }
}

customElements.define('tt-fact-list', FactList)

declare global {
  interface HTMLElementTagNameMap {
    'tt-fact-list': FactList
  }
}
