import { css, html, LitElement } from 'lit'
import { sharedStyle } from './shared_style.ts'

/** How to connect a server: the whole page while nothing was ever received, a line while only the demo sends. */
export class FirstRun extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      .empty {
        display: grid;
        gap: 12px;
        justify-items: center;
        padding: 48px 16px;
      }
      .empty h2 {
        color: var(--tt-text);
        font-size: 18px;
      }
      pre {
        max-width: 100%;
        margin: 0;
        padding: 10px 14px;
        border: 1px solid var(--tt-border);
        border-radius: var(--tt-radius);
        background: var(--tt-surface-2);
        color: var(--tt-text);
        overflow-x: auto;
        user-select: all;
      }
      p {
        max-width: 60ch;
      }
      .notice {
        max-width: none;
        padding: 8px 12px;
        border: 1px solid var(--tt-border);
        border-inline-start: 3px solid var(--tt-accent);
        border-radius: var(--tt-radius);
        background: var(--tt-surface);
      }
    `,
  ]
  static override properties = { demo: { type: Boolean } }
  declare demo: boolean

  constructor() {
    super()
    this.demo = false
  }

  override render() {
    if (this.demo) {
      return html`<p class="notice">
        This is the demo's traffic. To see your own server, start it through Telltale:
        <code>telltale wrap -- CMD ARGS</code>
      </p>`
    }
    return html`
      <section class="card empty" aria-label="No data yet">
        <h2>Nothing has been received yet</h2>
        <p>Start your MCP server through Telltale, unchanged. Put this before the command that your client runs now:</p>
        <pre>telltale wrap -- CMD ARGS</pre>
        <p>From the clone, without installing anything: <code>node bin/telltale.mjs wrap -- CMD ARGS</code></p>
        <p>The first call shows up here by itself, a second after it is made.</p>
      </section>
    `
  }
}

customElements.define('tt-first-run', FirstRun)

declare global {
  interface HTMLElementTagNameMap {
    'tt-first-run': FirstRun
  }
}
