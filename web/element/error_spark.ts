import { css, html, LitElement, svg } from 'lit'
import type { ErrorCounts } from '../view/answer.ts'
import { sparkOf } from '../view/spark_view.ts'

/** How often something happened over a time, as small bars. Its size is the element's. */
export class ErrorSpark extends LitElement {
  static override styles = css`
    :host {
      display: block;
      width: 120px;
      height: 24px;
    }
    svg {
      display: block;
      width: 100%;
      height: 100%;
      border-block-end: 1px solid var(--tt-border);
      overflow: visible;
    }
    rect {
      fill: var(--tt-error);
    }
  `
  static override properties = { counts: { attribute: false } }
  declare counts: ErrorCounts | null

  constructor() {
    super()
    this.counts = null
  }

  override render() {
    const { bars, text } = sparkOf(this.counts ?? { from_us: 0, step_s: 1, values: [] })
    return html`
      <svg role="img" aria-label=${text} viewBox="0 0 100 100" preserveAspectRatio="none">
        <title>${text}</title>
        ${bars.map(
          ({ x, width, height }) =>
            svg`<rect x=${x + width * 0.1} y=${100 - height} width=${width * 0.8} height=${height}></rect>`,
        )}
      </svg>
    `
  }
}

customElements.define('tt-error-spark', ErrorSpark)

declare global {
  interface HTMLElementTagNameMap {
    'tt-error-spark': ErrorSpark
  }
}
