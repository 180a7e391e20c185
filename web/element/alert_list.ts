import { Task, TaskStatus } from '@lit/task'
import { html, LitElement, nothing, type PropertyValues } from 'lit'
import { repeat } from 'lit/directives/repeat.js'
import type { AlertDocument, AlertPush } from '../../src/core/alert/alert_document.ts'
import { alertRowsAsked, alertRowsListedMax } from '../../src/core/limit.ts'
import type { Api } from '../api.ts'
import { type AlertLine, alertLinesOf, deliveryLineOf, silenceText } from '../view/alert_view.ts'
import type { DeliveryRow, SilenceRow } from '../view/answer.ts'
import { utcText } from '../view/number_text.ts'
import { type Place, pathOf, withPlace } from '../view/place.ts'
import { alertStyle } from './alert_style.ts'
import { PagedRead } from './paged_read.ts'
import { sharedStyle } from './shared_style.ts'
import './fact_list.ts'
import './read_state.ts'

const refreshGapMs = 1_000
const silenceSeconds = 3_600
const deliveriesAsked = 20

/** What fires, what did, what is silenced, and who was told. */
export class AlertList extends LitElement {
  static override styles = [sharedStyle, alertStyle]
  static override properties = {
    api: { attribute: false },
    place: { attribute: false },
    alerts: { attribute: false },
    round: { state: true },
    problem: { state: true },
  }
  declare api: Api | null
  declare place: Place | null
  declare alerts: AlertPush | null
  declare round: number
  /** Why the last thing that was asked for did not happen. */
  declare problem: string | null
  #beside: { readonly silences: readonly SilenceRow[]; readonly deliveries: readonly DeliveryRow[] } | null = null
  readonly #read = new PagedRead<AlertDocument>(this, {
    key: () => (this.api === null ? null : 'alerts'),
    read: (cursor) => (this.api as Api).alerts({}, cursor, alertRowsAsked),
    idOf: ({ alert_id }) => alert_id ?? '',
    rowsMax: alertRowsListedMax,
    onAsk: () => {
      this.round += 1
    },
  })
  readonly #besides = new Task(this, {
    args: () => [this.api, this.round] as const,
    task: async ([api]) => {
      if (api === null) return null
      const [silences, deliveries] = await Promise.all([api.silences(), api.deliveries({}, null, deliveriesAsked)])
      return { silences, deliveries: deliveries.rows }
    },
    onComplete: (beside) => {
      if (beside !== null) this.#beside = beside
    },
  })

  constructor() {
    super()
    this.api = null
    this.place = null
    this.alerts = null
    this.round = 0
    this.problem = null
  }

  override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('alerts') && this.#read.page !== null) this.#read.soon(refreshGapMs)
  }

  override render() {
    const { place } = this
    if (place === null) return nothing
    const { page, error } = this.#read
    const nowUs = Date.now() * 1_000
    const { open, over } = alertLinesOf(page?.rows ?? [], this.alerts, nowUs)
    const reading = page === null && open.length === 0
    return html`
      <h1>Alerts</h1>
      ${this.problem === null ? nothing : html`<p class="card error" role="alert">${this.problem}</p>`}
      ${
        error === null
          ? nothing
          : html`<div class="card"><tt-read-state what="the alerts" .error=${error} @again=${() => this.#read.again()}></tt-read-state></div>`
      }
      <section class="card">
        <h2>Now</h2>
        ${reading ? html`<tt-read-state what="the alerts" lines="4"></tt-read-state>` : this.#list(place, open, 'Nothing fires. What does shows up here by itself.')}
      </section>
      ${this.#silenced(nowUs)}
      <section class="card">
        <h2>Over</h2>
        ${reading ? nothing : this.#list(place, over, 'Nothing has resolved yet.')} ${this.#older()}
      </section>
      ${this.#told(nowUs)}
    `
  }

  #list(place: Place, lines: readonly AlertLine[], none: string) {
    if (lines.length === 0) return html`<p class="muted">${none}</p>`
    return html`<ul>
      ${repeat(
        lines,
        ({ id }) => id,
        (line) => this.#line(place, line),
      )}
    </ul>`
  }

  #line(place: Place, line: AlertLine) {
    return html`<li>
      <details ?open=${line.isFiring || line.id === place.id}>
        <summary>
          <span class="state ${line.tone}">${line.state}</span>
          <bdi class="title">${line.title}</bdi>
          <span class="muted when" title=${utcText(line.startedUs)}>${line.when}</span>
        </summary>
        <tt-fact-list .facts=${line.facts}></tt-fact-list>
        <p class="links">
          ${line.link === null ? nothing : html`<a href=${line.link}>${line.link.startsWith('/errors/') ? 'The error' : 'The calls around it'}</a>`}
          ${line.traceIds.map(
            (id) => html`<a class="mono" href=${pathOf(withPlace(place, { page: 'trace', id }))}>${id.slice(0, 8)}</a>`,
          )}
        </p>
        ${line.isOpen ? this.#buttons(line) : nothing}
      </details>
    </li>`
  }

  #buttons({ id, isFiring, ruleId, service, environment, title }: AlertLine) {
    const wanted = { rule_id: ruleId, service, environment, seconds: silenceSeconds }
    return html`<p class="links">
      ${
        isFiring
          ? html`<button type="button" aria-label=${`Acknowledge: ${title}`} @click=${() => this.#ask((api) => api.acknowledgeAlert(id))}>Acknowledge</button>`
          : nothing
      }
      <button type="button" class="plain" aria-label=${`Silence for an hour: ${title}`} @click=${() => this.#ask((api) => api.silence(wanted))}>Silence for an hour</button>
    </p>`
  }

  #silenced(nowUs: number) {
    const silences = this.#beside?.silences ?? []
    if (silences.length === 0) return nothing
    return html`<section class="card">
      <h2>Silenced</h2>
      <ul>
        ${silences.map((silence) => {
          const text = silenceText(silence, nowUs)
          return html`<li class="row spread">
            <bdi>${text}</bdi>
            <button type="button" aria-label=${`End: ${text}`} @click=${() => this.#ask((api) => api.endSilence(silence.silence_id))}>End</button>
          </li>`
        })}
      </ul>
    </section>`
  }

  #told(nowUs: number) {
    const failed = this.#besides.status === TaskStatus.ERROR ? this.#besides.error : null
    if (failed !== null && this.#beside === null) {
      return html`<section class="card"><h2>Who was told</h2>
        <tt-read-state what="the log" .error=${failed} @again=${() => void this.#besides.run()}></tt-read-state></section>`
    }
    const deliveries = this.#beside?.deliveries ?? []
    return html`<section class="card">
      <h2>Who was told</h2>
      ${
        deliveries.length === 0
          ? html`<p class="muted">Nobody yet. <code>telltale alerts destinations add</code> says whom to tell.</p>`
          : html`<ul>
              ${deliveries.map((row) => {
                const line = deliveryLineOf(row, nowUs)
                return html`<li class="told">
                  <bdi>${line.text}</bdi>
                  <span class=${line.tone}><bdi>${line.detail}</bdi></span>
                  <span class="muted" title=${utcText(row.created_us)}>${line.when}</span>
                </li>`
              })}
            </ul>`
      }
    </section>`
  }

  #older() {
    const { page, isOlderPending, olderError } = this.#read
    if (olderError !== null) {
      return html`<tt-read-state what="older ones" .error=${olderError} @again=${() => this.#read.older()}></tt-read-state>`
    }
    if (page === null || page.next === null) return nothing
    return html`<button type="button" ?disabled=${isOlderPending} @click=${() => this.#read.older()}>${isOlderPending ? 'Reading more' : 'Show more'}</button>`
  }

  async #ask(what: (api: Api) => Promise<void>): Promise<void> {
    if (this.api === null) return
    try {
      await what(this.api)
      this.problem = null
    } catch (error) {
      this.problem = error instanceof Error ? error.message : String(error)
    }
    this.#read.again()
  }
}

customElements.define('tt-alert-list', AlertList)

declare global {
  interface HTMLElementTagNameMap {
    'tt-alert-list': AlertList
  }
}
