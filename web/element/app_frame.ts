import { html, LitElement } from 'lit'
import { sharedStyle } from './shared_style.ts'

/** The frame around every page. */
export class AppFrame extends LitElement {
  static override styles = sharedStyle
  static override properties = { code: { attribute: false } }
  declare code: string | null

  override render() {
    return html`<main></main>`
  }
}

customElements.define('tt-app', AppFrame)

declare global {
  interface HTMLElementTagNameMap {
    'tt-app': AppFrame
  }
}
