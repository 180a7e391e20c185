import { css, html, LitElement, svg } from 'lit'
import type { Breakdown } from '../../src/core/trace.ts'
import { layerSharesOf, layerSharesText } from '../view/trace_layer_view.ts'
import { traceLayerStyle } from './trace_layer_style.ts'

/** Where a trace's time went, by layer, as one bar. Its height is the element's. */
export class TraceLayerBar extends LitElement {
  static override styles = [
    traceLayerStyle,
    css`
      :host {
        display: block;
        height: 10px;
      }
      svg {
        display: block;
        width: 100%;
        height: 100%;
        border-radius: 2px;
        background: var(--tt-surface-2);
      }
      rect {
        stroke: var(--tt-surface);
        stroke-width: 1px;
      }
    `,
  ]
  static override properties = { layers: { attribute: false } }
  declare layers: Breakdown

  constructor() {
    super()
    this.layers = {}
  }

  override render() {
    const text = layerSharesText(this.layers)
    return html`
      <svg role="img" aria-label=${text === '' ? 'No time yet' : `Time by layer: ${text}`}>
        <title>${text}</title>
        ${layerSharesOf(this.layers).map(
          ({ layer, x, width }) =>
            svg`<rect data-layer=${layer} x="${x}%" y="0" width="${width}%" height="100%"></rect>`,
        )}
      </svg>
    `
  }
}

customElements.define('tt-trace-layer-bar', TraceLayerBar)

declare global {
  interface HTMLElementTagNameMap {
    'tt-trace-layer-bar': TraceLayerBar
  }
}
