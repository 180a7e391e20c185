import { css, html, LitElement, nothing } from 'lit'
import type { AlertPush } from '../../src/core/alert/alert_document.ts'
import { firingOf } from '../view/alert_view.ts'
import type { LiveView } from '../view/live_view.ts'
import { countText } from '../view/number_text.ts'
import { badgeOf, errorsLastHour } from '../view/overview_view.ts'
import { type Page, type Place, pathOf, withPlace } from '../view/place.ts'
import { sharedStyle } from './shared_style.ts'

/** Somebody wants to be signed out. */
class SignOutEvent extends Event {
  static readonly type = 'tt-sign-out'
  constructor() {
    super(SignOutEvent.type, { bubbles: true, composed: true })
  }
}

const themes = ['system', 'light', 'dark'] as const
type Theme = (typeof themes)[number]
const themeNames: { readonly [theme in Theme]: string } = { system: 'Auto', light: 'Light', dark: 'Dark' }

/** The head of every page: where one can go, whether what is shown is live, the theme and the way out. */
export class PageHeader extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host {
        position: sticky;
        z-index: 20;
        inset-block-start: 0;
        border-bottom: 1px solid var(--tt-border);
        background: var(--tt-surface);
      }
      header {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 4px 20px;
        max-width: 1680px;
        margin: 0 auto;
        padding: 8px 20px;
      }
      .name {
        display: inline-flex;
        align-items: center;
        gap: 8px;
        color: var(--tt-text);
        font-size: 16px;
        font-weight: 650;
      }
      .name svg {
        width: 22px;
        height: 22px;
      }
      .name rect {
        fill: var(--tt-accent);
      }
      .name path {
        fill: none;
        stroke: var(--tt-surface);
        stroke-width: 2.6;
        stroke-linecap: round;
        stroke-linejoin: round;
      }
      nav {
        display: flex;
        gap: 4px;
        flex: 1;
      }
      nav a {
        display: inline-flex;
        align-items: center;
        gap: 6px;
        padding: 6px 10px;
        border-radius: var(--tt-radius);
        color: var(--tt-text-muted);
      }
      nav a:hover {
        background: var(--tt-surface-2);
        text-decoration: none;
      }
      nav a[aria-current='page'] {
        background: var(--tt-surface-2);
        color: var(--tt-text);
        font-weight: 600;
      }
      .count {
        padding: 0 7px;
        border-radius: 999px;
        background: var(--tt-error);
        color: var(--tt-surface);
        font-size: 11.5px;
        font-weight: 600;
      }
      .badge {
        display: inline-flex;
        align-items: center;
        gap: 6px;
        font-size: 13px;
        white-space: nowrap;
      }
      .badge::before {
        content: '';
        width: 8px;
        height: 8px;
        border-radius: 50%;
        background: currentcolor;
      }
      .skip {
        position: absolute;
        inset-block-start: -60px;
      }
      .skip:focus {
        inset-block-start: 4px;
        padding: 6px 10px;
        background: var(--tt-surface);
      }
      @media (max-width: 640px) {
        .what {
          position: absolute;
          clip-path: inset(50%);
        }
        header {
          gap: 6px 10px;
          padding: 8px 12px;
        }
        nav {
          order: 4;
          flex-basis: 100%;
        }
        nav {
          flex-wrap: wrap;
          gap: 2px;
        }
        nav a {
          flex: 1;
          justify-content: center;
          padding-inline: 5px;
          font-size: 13px;
        }
        .badge {
          flex: 1;
        }
      }
    `,
  ]
  static override properties = {
    place: { attribute: false },
    live: { attribute: false },
    alerts: { attribute: false },
    theme: { state: true },
  }
  declare place: Place | null
  declare live: LiveView | null
  declare alerts: AlertPush | null
  declare theme: Theme

  constructor() {
    super()
    this.place = null
    this.live = null
    this.alerts = null
    const chosen = document.documentElement.dataset.theme
    this.theme = chosen === 'light' || chosen === 'dark' ? chosen : 'system'
  }

  override render() {
    const { place, live } = this
    if (place === null) return nothing
    const badge = badgeOf(live?.status ?? 'connecting')
    const failed = live === null ? 0 : errorsLastHour(live)
    const firing = firingOf(this.alerts).length
    return html`
      <header>
        <button type="button" class="skip" @click=${this.#skip}>Skip to the page</button>
        <a class="name" href=${this.#to(place, 'overview')}>
          <svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="7"></rect><path d="M5 18h5l3-9 5 15 3-8h6"></path></svg>
          Telltale
        </a>
        <nav aria-label="Pages">
          ${this.#link(place, 'overview', 'Overview', ['overview'])} ${this.#link(place, 'traces', 'Traces', ['traces', 'trace'])}
          ${this.#link(place, 'sessions', 'Sessions', ['sessions', 'session'])} ${this.#link(place, 'where', 'Time', ['where'])}
          ${this.#link(
            place,
            'errors',
            'Errors',
            ['errors', 'error'],
            failed === 0
              ? nothing
              : html`<span class="count" title="Failed requests in the last hour">${countText(failed)}<span class="visually-hidden"> failed requests in the last hour</span></span>`,
          )}
          ${this.#link(
            place,
            'alerts',
            'Alerts',
            ['alerts'],
            firing === 0
              ? nothing
              : html`<span class="count" title="Alerts that fire now">${countText(firing)}<span class="visually-hidden"> alerts that fire now</span></span>`,
          )}
        </nav>
        <span class="badge ${badge.tone}" role="status" title=${badge.hint} data-status=${live?.status ?? 'connecting'}>${badge.text}</span>
        <button type="button" class="plain" title="Change the theme" @click=${this.#nextTheme}>
          <span class="what">Theme: </span>${themeNames[this.theme]}
        </button>
        <button type="button" class="plain" @click=${() => this.dispatchEvent(new SignOutEvent())}>Sign out</button>
      </header>
    `
  }

  #link(place: Place, page: Page, text: string, current: readonly Page[], more: unknown = nothing) {
    const isCurrent = current.includes(place.page)
    return html`<a href=${this.#to(place, page)} aria-current=${isCurrent ? 'page' : 'false'}>${text}${more}</a>`
  }

  #to(place: Place, page: Page): string {
    return pathOf(withPlace(place, { page, id: null }))
  }

  #skip(): void {
    const frame = this.getRootNode() as ShadowRoot
    frame.querySelector<HTMLElement>('main')?.focus()
  }

  #nextTheme(): void {
    const next = themes[(themes.indexOf(this.theme) + 1) % themes.length] ?? 'system'
    this.theme = next
    if (next === 'system') {
      delete document.documentElement.dataset.theme
      localStorage.removeItem('telltale-theme')
    } else {
      document.documentElement.dataset.theme = next
      localStorage.setItem('telltale-theme', next)
    }
  }
}

customElements.define('tt-page-header', PageHeader)

declare global {
  interface HTMLElementTagNameMap {
    'tt-page-header': PageHeader
  }
}
