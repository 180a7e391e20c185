import { css, html, LitElement } from 'lit'
import { frameCountsOf, stackLinesOf } from '../view/stack_view.ts'
import { sharedStyle } from './shared_style.ts'

/** A stack trace as it came: own code stressed, libraries muted, causes apart. Scrolls sideways by itself. */
export class StackTrace extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host {
        min-width: 0;
      }
      .head {
        margin-block-end: 4px;
      }
      pre {
        margin: 0;
        padding: 10px 12px;
        max-height: 480px;
        overflow: auto;
        border: 1px solid var(--tt-border);
        border-radius: var(--tt-radius);
        background: var(--tt-surface-2);
        line-height: 1.55;
        tab-size: 4;
      }
      pre.wrapped {
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      .line {
        display: block;
        min-height: 1.55em;
        unicode-bidi: isolate;
        direction: ltr;
      }
      .own {
        color: var(--tt-text);
        font-weight: 600;
      }
      .own_code {
        color: var(--tt-text);
      }
      .library,
      .library_code,
      .text {
        color: var(--tt-text-muted);
      }
      .error {
        font-weight: 600;
      }
      .cause {
        margin-block-start: 8px;
        padding-block-start: 8px;
        border-block-start: 1px solid var(--tt-border);
        color: var(--tt-warn);
      }
      button {
        min-height: 28px;
        padding: 2px 10px;
      }
    `,
  ]
  static override properties = {
    traceback: { attribute: false },
    wrapped: { state: true },
    copied: { state: true },
  }
  declare traceback: string
  declare wrapped: boolean
  /** What came of copying: null before it was tried. */
  declare copied: boolean | null

  constructor() {
    super()
    this.traceback = ''
    this.wrapped = false
    this.copied = null
  }

  override render() {
    const lines = stackLinesOf(this.traceback)
    const { own, all } = frameCountsOf(lines)
    const copied = this.copied === null ? 'Copy' : this.copied ? 'Copied' : 'Cannot copy here'
    return html`
      <div class="row spread head">
        <span class="muted">${all === 0 ? 'Stack trace' : `${all} frames, ${own} of the application's own`}</span>
        <span class="row">
          <button type="button" aria-pressed=${this.wrapped} @click=${this.#wrap}>Wrap lines</button>
          <button type="button" aria-live="polite" @click=${this.#copy}>${copied}</button>
        </span>
      </div>
      <pre class=${this.wrapped ? 'wrapped' : ''} tabindex="0" role="group" aria-label="Stack trace"
        >${lines.map(({ kind, text }) => html`<span class="line ${kind}">${text}</span>`)}</pre>
    `
  }

  #wrap(): void {
    this.wrapped = !this.wrapped
  }

  async #copy(): Promise<void> {
    // Without https, and without the user's leave, there is no clipboard.
    this.copied =
      (await navigator.clipboard?.writeText(this.traceback).then(
        () => true,
        () => false,
      )) ?? false
  }
}

customElements.define('tt-stack-trace', StackTrace)

declare global {
  interface HTMLElementTagNameMap {
    'tt-stack-trace': StackTrace
  }
}
