import { css, html, LitElement, nothing } from 'lit'
import { isLongText, textShownOf } from '../view/error_view.ts'
import { sharedStyle } from './shared_style.ts'

/** A message that somebody else wrote: as text, apart from what stands around it, cut until it is asked for whole. */
export class ErrorText extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host([mono]) p {
        font-family: var(--tt-mono);
        font-size: 12.5px;
      }
      p {
        unicode-bidi: plaintext;
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      p.cut {
        display: -webkit-box;
        -webkit-box-orient: vertical;
        -webkit-line-clamp: 4;
        line-clamp: 4;
        overflow: hidden;
        white-space: pre-wrap;
      }
      button {
        margin-block-start: 4px;
        padding: 0;
        color: var(--tt-accent);
      }
    `,
  ]
  static override properties = {
    text: { attribute: false },
    mono: { type: Boolean, reflect: true },
    whole: { state: true },
  }
  declare text: string
  /** In the type of ids and code. */
  declare mono: boolean
  declare whole: boolean

  constructor() {
    super()
    this.text = ''
    this.mono = false
    this.whole = false
  }

  override render() {
    const long = isLongText(this.text)
    const cut = long && !this.whole
    return html`
      <p class=${cut ? 'cut' : ''}>${textShownOf(this.text, !cut)}</p>
      ${
        long
          ? html`<button class="plain" type="button" aria-expanded=${!cut} @click=${this.#toggle}>
              ${cut ? 'Show all' : 'Show less'}
            </button>`
          : nothing
      }
    `
  }

  #toggle(): void {
    this.whole = !this.whole
  }
}

customElements.define('tt-error-text', ErrorText)

declare global {
  interface HTMLElementTagNameMap {
    'tt-error-text': ErrorText
  }
}
