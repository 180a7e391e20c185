import { css, html, LitElement } from 'lit'
import { outcomeViewOf } from '../view/trace_outcome_view.ts'

/** How a trace or span ended: a shape, a colour and a word. */
export class TraceOutcome extends LitElement {
  static override styles = css`
    :host {
      display: inline-flex;
      align-items: center;
      gap: 6px;
      max-width: 100%;
      white-space: nowrap;
    }
    svg {
      flex: none;
      fill: currentColor;
    }
    .ok {
      color: var(--tt-ok);
    }
    .warn {
      color: var(--tt-warn);
    }
    .error {
      color: var(--tt-error);
      font-weight: 600;
    }
    .muted {
      color: var(--tt-text-muted);
    }
    .running {
      color: var(--tt-accent);
    }
    bdi {
      overflow: hidden;
      text-overflow: ellipsis;
    }
    svg.running path {
      animation: pulse 1.6s ease-in-out infinite;
    }
    @keyframes pulse {
      50% {
        opacity: 0.35;
      }
    }
    @media (prefers-reduced-motion: reduce) {
      svg.running path {
        animation: none;
      }
    }
  `
  static override properties = { outcome: { attribute: false }, running: { type: Boolean } }
  declare outcome: string | null
  declare running: boolean

  constructor() {
    super()
    this.outcome = null
    this.running = false
  }

  override render() {
    const { word, tone, path } = outcomeViewOf(this.outcome, this.running)
    return html`
      <svg class=${tone} width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
        <path d=${path} fill-rule="evenodd"></path>
      </svg>
      <bdi class=${tone}>${word}</bdi>
    `
  }
}

customElements.define('tt-trace-outcome', TraceOutcome)

declare global {
  interface HTMLElementTagNameMap {
    'tt-trace-outcome': TraceOutcome
  }
}
