import { css, html, LitElement, nothing } from 'lit'
import { sharedStyle } from './shared_style.ts'

/** What stands where an answer is missing: a sketch of it while it is read, or why there is none and a way to try again. */
export class ReadState extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      .sketch {
        display: grid;
        gap: 10px;
        padding-block: 6px;
        /* A quick answer shows no sketch at all. */
        animation: appear 1ms linear 200ms backwards;
      }
      .sketch span {
        height: 16px;
        border-radius: 4px;
        background: var(--tt-surface-2);
      }
      .sketch span:nth-child(3n) {
        width: 72%;
      }
      .sketch span:nth-child(3n + 1) {
        width: 90%;
      }
      @keyframes appear {
        from {
          visibility: hidden;
        }
      }
      .failure {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 8px 12px;
        padding: 8px 0;
      }
      .failure p {
        min-width: 0;
        overflow-wrap: anywhere;
      }
    `,
  ]
  static override properties = { error: { attribute: false }, what: {}, lines: { type: Number } }
  /** Why it could not be read; null while it is read. */
  declare error: unknown
  /** What is read, such as `the traces`. */
  declare what: string
  /** How tall the sketch is. */
  declare lines: number

  constructor() {
    super()
    this.error = null
    this.what = ''
    this.lines = 6
  }

  override render() {
    if (this.error === null) {
      const lines = Array.from({ length: this.lines }, () => html`<span></span>`)
      return html`<div class="sketch" aria-hidden="true">${lines}</div>
        <p class="visually-hidden" role="status">Reading ${this.what}</p>`
    }
    const reason = this.error instanceof Error ? this.error.message : String(this.error)
    return html`<div class="failure" role="alert">
      <p><span class="error">Could not read ${this.what}.</span> ${reason === '' ? nothing : html`<bdi class="muted">${reason}</bdi>`}</p>
      <button type="button" @click=${this.#again}>Try again</button>
    </div>`
  }

  #again(): void {
    this.dispatchEvent(new Event('again'))
  }
}

customElements.define('tt-read-state', ReadState)

declare global {
  interface HTMLElementTagNameMap {
    'tt-read-state': ReadState
  }
}
