import { css, html, LitElement } from 'lit'
import { sharedStyle } from './shared_style.ts'

const configuration = `{
  "mcpServers": {
    "files": {
      "command": "node",
      "args": [
        "/path/to/telltale/bin/telltale.mjs", "wrap", "--",
        "npx", "-y", "@modelcontextprotocol/server-filesystem", "."
      ]
    }
  }
}`

const commands = `node bin/telltale.mjs wrap -- CMD ARGS
telltale wrap -- CMD ARGS`

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
        text-align: start;
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
        This is the demo's traffic. To see your own server, put
        <code>node /path/to/telltale/bin/telltale.mjs wrap --</code> before the command that starts it (installed:
        <code>telltale wrap --</code>).
      </p>`
    }
    return html`
      <section class="card empty" aria-labelledby="head">
        <h2 id="head">Nothing has been received yet</h2>
        <p>
          Put Telltale before the command that starts your MCP server. The server and its client stay as they are. For
          example, in the client's configuration:
        </p>
        <pre tabindex="0" aria-label="Example configuration">${configuration}</pre>
        <p>In a terminal, from Telltale's directory, or from anywhere once it is installed:</p>
        <pre tabindex="0" aria-label="Commands">${commands}</pre>
        <p>Start the server again through its client. Its first call shows up here by itself within seconds.</p>
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
