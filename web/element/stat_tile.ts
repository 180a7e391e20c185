import { css, html, LitElement, nothing } from 'lit'
import type { Tile } from '../view/overview_view.ts'
import { sharedStyle } from './shared_style.ts'

/** One number at a glance, how it changed, and what it is in the last minute. */
export class StatTile extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      .card {
        height: 100%;
      }
      dt {
        color: var(--tt-text-muted);
      }
      dl,
      dd {
        margin: 0;
      }
      .value {
        padding: 2px 0 4px;
        font-size: 24px;
        font-weight: 600;
        line-height: 1.2;
        white-space: nowrap;
      }
      .small {
        font-size: 12px;
      }
      .worse {
        color: var(--tt-error);
      }
      .better {
        color: var(--tt-ok);
      }
      @media (max-width: 640px) {
        .value {
          font-size: 20px;
        }
      }
    `,
  ]
  static override properties = {
    tile: { attribute: false },
    against: {},
  }
  declare tile: Tile | null
  /** What the change is against. */
  declare against: string

  constructor() {
    super()
    this.tile = null
    this.against = ''
  }

  override render() {
    const { tile } = this
    if (tile === null) return nothing
    return html`
      <dl class="card">
        <dt>${tile.label}</dt>
        <dd class="value">${tile.value}</dd>
        <dd class="small muted">
          ${tile.change === '' ? html`${this.against.replace('vs', 'no data in')}` : html`<span class=${tile.tone}>${tile.change}</span> ${this.against}`}
        </dd>
        ${tile.now === '' ? nothing : html`<dd class="small muted">last minute ${tile.now}</dd>`}
      </dl>
    `
  }
}

customElements.define('tt-stat-tile', StatTile)

declare global {
  interface HTMLElementTagNameMap {
    'tt-stat-tile': StatTile
  }
}
