import { css, html, LitElement, nothing } from 'lit'
import type { AlertPush } from '../../src/core/alert/alert_document.ts'
import { bannerOf } from '../view/alert_view.ts'
import { type Place, pathOf, withPlace } from '../view/place.ts'
import { sharedStyle } from './shared_style.ts'

/** What fires now, in one line above the overview; nothing where nothing does. */
export class AlertBanner extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      a {
        display: flex;
        flex-wrap: wrap;
        gap: 2px 8px;
        margin-block-end: 12px;
        padding: 10px 16px;
        border: 1px solid currentcolor;
        border-radius: var(--tt-radius);
        background: var(--tt-surface);
        overflow-wrap: anywhere;
      }
      a.error {
        color: var(--tt-error);
      }
      a.warn {
        color: var(--tt-warn);
      }
      bdi {
        font-weight: 600;
      }
    `,
  ]
  static override properties = { alerts: { attribute: false }, place: { attribute: false } }
  declare alerts: AlertPush | null
  declare place: Place | null

  constructor() {
    super()
    this.alerts = null
    this.place = null
  }

  override render() {
    const { place } = this
    const banner = bannerOf(this.alerts)
    const link =
      banner === null || place === null
        ? nothing
        : html`<a class=${banner.tone} href=${pathOf(withPlace(place, { page: 'alerts', id: null }))}>
            <bdi>${banner.title}</bdi> ${banner.more === '' ? nothing : html`<span>${banner.more}</span>`}
          </a>`
    // It is there before it says anything: only then is what it says read out.
    return html`<div role="status">${link}</div>`
  }
}

customElements.define('tt-alert-banner', AlertBanner)

declare global {
  interface HTMLElementTagNameMap {
    'tt-alert-banner': AlertBanner
  }
}
