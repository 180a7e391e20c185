import { css, html, LitElement, nothing } from 'lit'
import { factsOfObject, factsOfSpan, markTexts, nodeNameOf } from '../view/span_view.ts'
import type { WaterfallNode } from '../view/waterfall_view.ts'
import { sharedStyle } from './shared_style.ts'
import './fact_list.ts'

/** Everything that is known of one span. */
export class SpanDetail extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host {
        min-width: 0;
      }
      h3 {
        margin-block: 14px 6px;
      }
      h2 {
        min-width: 0;
        margin-block-end: 10px;
        overflow-wrap: anywhere;
      }
      ul {
        margin: 0 0 10px;
        padding-inline-start: 18px;
        color: var(--tt-warn);
      }
    `,
  ]
  static override properties = { node: { attribute: false }, axisStart: { attribute: false } }
  declare node: WaterfallNode | null
  /** When the trace began, in µs, as the waterfall shows it. */
  declare axisStart: number

  constructor() {
    super()
    this.node = null
    this.axisStart = 0
  }

  override render() {
    const { node } = this
    if (node === null) return html`<p class="muted">Choose a span to see what is known of it.</p>`
    const { span } = node
    if (span === null) {
      return html`<h2>${nodeNameOf(node)}</h2>
        <p class="muted">These spans name a parent that was never reported: its recorder may be off, or its batch still on the way.</p>`
    }
    const attributes = factsOfObject(span.attributes)
    return html`
      <h2><span class="layer" data-layer=${span.layer}></span><bdi>${nodeNameOf(node)}</bdi></h2>
      ${node.marks.length === 0 ? nothing : html`<ul>${node.marks.map((mark) => html`<li>${markTexts[mark]}</li>`)}</ul>`}
      <tt-fact-list .facts=${factsOfSpan(span, node, this.axisStart)}></tt-fact-list>
      ${attributes.length === 0 ? nothing : html`<h3>Attributes</h3><tt-fact-list table .facts=${attributes}></tt-fact-list>`}
    `
  }
}

customElements.define('tt-span-detail', SpanDetail)

declare global {
  interface HTMLElementTagNameMap {
    'tt-span-detail': SpanDetail
  }
}
