import { html, LitElement, nothing, type PropertyValues } from 'lit'
import type { AlertPush } from '../../src/core/alert/alert_document.ts'
import { AlertFeed } from '../alert_feed.ts'
import { type Api, ApiError, openApi } from '../api.ts'
import { LiveFeed } from '../live_feed.ts'
import { knownSourcesOf, type LiveView } from '../view/live_view.ts'
import { type Page, type Place, pageTitle, placeOf } from '../view/place.ts'
import type { SignInRefusal } from '../view/sign_in_text.ts'
import { frameStyle } from './frame_style.ts'
import { NavigateEvent } from './navigate_event.ts'
import { sharedStyle } from './shared_style.ts'
import { SignedInEvent } from './sign_in.ts'
import './alert_banner.ts'
import './page_header.ts'
import './range_bar.ts'

/** `starting` until it is known who looks; `unreachable` while nothing answers; `refused`: signed in without a right. */
type Phase = 'starting' | 'unreachable' | 'signed_out' | 'refused' | 'ready'

const retryMs = 2_000

/** Each page comes when it is first shown; the overview with the frame would make every other page wait for it. */
const loads: { readonly [page in Page]: () => Promise<unknown> } = {
  overview: () => import('./overview_page.ts'),
  traces: () => import('./trace_list.ts'),
  trace: () => import('./trace_page.ts'),
  sessions: () => import('./sessions_page.ts'),
  session: () => import('./session_page.ts'),
  where: () => import('./where_page.ts'),
  errors: () => import('./error_list.ts'),
  error: () => import('./error_page.ts'),
  alerts: () => import('./alert_list.ts'),
}

const pagesWithRange: ReadonlySet<Page> = new Set(['overview', 'traces', 'sessions', 'where', 'errors'])

/** The frame around every page: who looks, where, and the live view that all pages share. */
export class AppFrame extends LitElement {
  static override styles = [sharedStyle, frameStyle]
  static override properties = {
    code: { attribute: false },
    phase: { state: true },
    place: { state: true },
    live: { state: true },
    alerts: { state: true },
    refusal: { state: true },
    outdated: { state: true },
  }
  /** A sign-in code from the address, used once. */
  declare code: string | null
  declare phase: Phase
  declare place: Place
  declare live: LiveView | null
  declare alerts: AlertPush | null
  declare refusal: SignInRefusal | 'ended' | null
  /** A page's code could not be loaded, most likely because a newer dashboard has taken this one's place. */
  declare outdated: boolean
  #api: Api | null = null
  #feed: LiveFeed | null = null
  #alertFeed: AlertFeed | null = null
  #retry = 0
  readonly #onHistory = (): void => this.#show(placeOf(new URL(location.href)))
  readonly #onVisible = (): void => {
    this.#feed?.show(!document.hidden)
    this.#alertFeed?.show(!document.hidden)
  }

  constructor() {
    super()
    this.code = null
    this.phase = 'starting'
    this.place = placeOf(new URL(location.href))
    this.live = null
    this.alerts = null
    this.refusal = null
    this.outdated = false
    this.addEventListener(NavigateEvent.type, (event) => this.#navigate(event as NavigateEvent))
    this.addEventListener(SignedInEvent.type, () => this.#enter())
    this.addEventListener('click', (event) => this.#follow(event))
  }

  override connectedCallback(): void {
    super.connectedCallback()
    addEventListener('popstate', this.#onHistory)
    void this.#loadPage()
    document.addEventListener('visibilitychange', this.#onVisible)
    void this.#start()
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    removeEventListener('popstate', this.#onHistory)
    document.removeEventListener('visibilitychange', this.#onVisible)
    clearTimeout(this.#retry)
    this.#leave()
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has('place')) document.title = `${pageTitle(this.place)} · Telltale`
  }

  override render() {
    if (this.phase === 'starting') return html`<p class="notice muted" role="status">Opening the dashboard…</p>`
    if (this.phase === 'unreachable') {
      return html`<p class="notice" role="alert">Telltale does not answer. This page tries again every two seconds.</p>`
    }
    if (this.phase === 'refused') return this.#refused()
    if (this.phase === 'signed_out') return html`<tt-sign-in .api=${this.#api} .refusal=${this.refusal}></tt-sign-in>`
    const hasRange = pagesWithRange.has(this.place.page)
    const { environments, services } = knownSourcesOf(this.live)
    return html`
      <tt-page-header .place=${this.place} .live=${this.live} .alerts=${this.alerts} @tt-sign-out=${() => void this.#signOut()}></tt-page-header>
      <main tabindex="-1">
        ${
          hasRange
            ? html`<h1 class="visually-hidden">${pageTitle(this.place)}</h1>
                <tt-range-bar .place=${this.place} .environments=${environments} .services=${services}></tt-range-bar>`
            : nothing
        }
        ${this.place.page === 'overview' ? html`<tt-alert-banner .alerts=${this.alerts} .place=${this.place}></tt-alert-banner>` : nothing}
        ${this.#page()}
      </main>
    `
  }

  #page() {
    const { place, live } = this
    if (this.outdated) {
      return html`<section class="notice card" role="alert">
        <p>This page could not be loaded. The dashboard may have been updated.</p>
        <button type="button" @click=${() => location.reload()}>Reload</button>
      </section>`
    }
    const api = this.#api
    switch (place.page) {
      case 'overview':
        return html`<tt-overview-page .api=${api} .place=${place} .live=${live}></tt-overview-page>`
      case 'traces':
        return html`<tt-trace-list .api=${api} .place=${place} .live=${live}></tt-trace-list>`
      case 'trace':
        return html`<tt-trace-page .api=${api} .place=${place} .live=${live}></tt-trace-page>`
      case 'sessions':
        return html`<tt-sessions-page .api=${api} .place=${place} .live=${live}></tt-sessions-page>`
      case 'session':
        return html`<tt-session-page .api=${api} .place=${place} .live=${live}></tt-session-page>`
      case 'where':
        return html`<tt-where-page .api=${api} .place=${place} .live=${live}></tt-where-page>`
      case 'errors':
        return html`<tt-error-list .api=${api} .place=${place} .live=${live}></tt-error-list>`
      case 'error':
        return html`<tt-error-page .api=${api} .place=${place} .live=${live}></tt-error-page>`
      case 'alerts':
        return html`<tt-alert-list .api=${api} .place=${place} .alerts=${this.alerts}></tt-alert-list>`
    }
  }

  #refused() {
    return html`
      <section class="notice card" role="alert">
        <h1>This account may not read here</h1>
        <p>Signing in worked, but the account is not a member of this dashboard. Whoever runs Telltale can add it.</p>
        <button type="button" @click=${() => void this.#signOut()}>Sign out</button>
      </section>
    `
  }

  /** Finds out who looks. What does not answer is asked again. */
  async #start(): Promise<void> {
    try {
      this.#api ??= await this.#open()
      if (this.code !== null) {
        const refusal = await this.#api.redeemCode(this.code)
        if (refusal === 'unreachable') throw new ApiError('Cannot sign in: no answer', 0)
        this.code = null
        this.refusal = refusal
      }
      // A code that was used before is of no matter to who is signed in already.
      if (await this.#api.hasSession()) this.#enter()
      else this.#askToSignIn(this.refusal)
    } catch {
      this.phase = 'unreachable'
      this.#retry = window.setTimeout(() => void this.#start(), retryMs)
    }
  }

  async #open(): Promise<Api> {
    const api = await openApi()
    api.onSignedOut(() => {
      if (this.phase === 'ready') this.#askToSignIn('ended')
    })
    return api
  }

  #enter(): void {
    if (this.#api === null) return
    this.refusal = null
    this.phase = 'ready'
    this.#feed?.stop()
    this.#alertFeed?.stop()
    const alertFeed = new AlertFeed({
      source: this.#api,
      onAlerts: (push) => {
        this.alerts = push
      },
    })
    this.#alertFeed = alertFeed
    this.#feed = new LiveFeed({
      source: this.#api,
      onAlerts: (push) => alertFeed.hear(push),
      onView: (view) => {
        this.live = view
      },
      onEnd: (why) => {
        if (why === 'signed_out') this.#askToSignIn('ended')
        else {
          this.#leave()
          this.phase = 'refused'
        }
      },
    })
    this.#onVisible()
  }

  #askToSignIn(refusal: SignInRefusal | 'ended' | null): void {
    this.#leave()
    this.refusal = refusal
    this.phase = 'signed_out'
  }

  #leave(): void {
    this.#feed?.stop()
    this.#feed = null
    this.live = null
    this.#alertFeed?.stop()
    this.#alertFeed = null
    this.alerts = null
  }

  async #signOut(): Promise<void> {
    this.#askToSignIn(null)
    await this.#api?.signOut()
  }

  #navigate(event: NavigateEvent): void {
    event.stopPropagation()
    this.#goTo(new URL(event.path, location.href), event.replace)
  }

  /** A plain click on a link to one of the pages stays in this document. */
  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    const link = event.composedPath().find((target) => target instanceof HTMLAnchorElement)
    if (!(link instanceof HTMLAnchorElement) || link.target !== '' || link.hasAttribute('download')) return
    const url = new URL(link.href)
    if (url.origin !== location.origin || (url.hash !== '' && url.pathname === location.pathname)) return
    event.preventDefault()
    this.#goTo(url, false)
  }

  #goTo(url: URL, replace: boolean): void {
    const path = url.pathname + url.search + url.hash
    if (replace || path === location.pathname + location.search + location.hash) history.replaceState(null, '', path)
    else history.pushState(null, '', path)
    const before = this.place
    this.#show(placeOf(url))
    if (before.page === this.place.page && before.id === this.place.id) return
    scrollTo(0, 0)
    void this.updateComplete.then(() => this.renderRoot.querySelector('main')?.focus({ preventScroll: true }))
  }

  #show(place: Place): void {
    this.place = place
    void this.#loadPage()
  }

  async #loadPage(): Promise<void> {
    try {
      await loads[this.place.page]()
      this.outdated = false
    } catch {
      this.outdated = true
    }
  }
}

customElements.define('tt-app', AppFrame)

declare global {
  interface HTMLElementTagNameMap {
    'tt-app': AppFrame
  }
}
