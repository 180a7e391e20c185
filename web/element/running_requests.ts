import { css, html, LitElement, nothing } from 'lit'
import { repeat } from 'lit/directives/repeat.js'
import { filterNames } from '../view/filter_text.ts'
import type { LiveView, RunningTrace } from '../view/live_view.ts'
import { nameText } from '../view/name_text.ts'
import { ageText, countText } from '../view/number_text.ts'
import { runningIn, runningShownMax, unjudgedKeys } from '../view/overview_view.ts'
import { type Place, pathOf, withPlace } from '../view/place.ts'
import { sharedStyle } from './shared_style.ts'

/** The requests that run now, each in the layer where it is, ageing by the second. */
export class RunningList extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host {
        container-type: inline-size;
        /* Requests come and go by the second; what is below stays where it is. */
        min-height: 172px;
      }
      /* Columns of one width, whatever runs, so that nothing moves sideways. */
      table {
        table-layout: fixed;
      }
      .now {
        width: 96px;
      }
      .elapsed {
        width: 84px;
      }
      .session {
        width: 20%;
      }
      .tool {
        width: 23%;
      }
      @container (max-width: 560px) {
        .session {
          display: none;
        }
      }
      p.note {
        padding-top: 8px;
      }
    `,
  ]
  static override properties = {
    live: { attribute: false },
    place: { attribute: false },
    now_us: { state: true },
  }
  declare live: LiveView | null
  declare place: Place | null
  declare now_us: number
  #timer = 0

  constructor() {
    super()
    this.live = null
    this.place = null
    this.now_us = Date.now() * 1_000
  }

  override connectedCallback(): void {
    super.connectedCallback()
    this.#timer = window.setInterval(() => {
      this.now_us = Date.now() * 1_000
    }, 1_000)
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    clearInterval(this.#timer)
  }

  override render() {
    const { live, place } = this
    if (place === null) return nothing
    if (live === null) return html`<h2>Running now</h2><p class="empty">Waiting for the first snapshot…</p>`
    const shown = runningIn(place, live.running)
    const total = shown.length === live.running.length ? live.running_total : shown.length
    const keys = unjudgedKeys(place)
    return html`
      <div class="row spread">
        <h2>Running now <span class="muted">${countText(total)}</span></h2>
        ${live.live ? nothing : html`<span class="warn">may be out of date</span>`}
      </div>
      ${shown.length === 0 ? html`<p class="empty">No request is running.</p>` : this.#table(place, live, shown)}
      ${
        keys.length === 0
          ? nothing
          : html`<p class="muted note">Not narrowed by ${keys.map((key) => filterNames[key].toLowerCase()).join(', ')}.</p>`
      }
    `
  }

  #table(place: Place, live: LiveView, shown: readonly RunningTrace[]) {
    const rows = shown.slice(0, runningShownMax)
    return html`
      <div class="scroll">
        <table>
          <caption class="visually-hidden">Requests that run now</caption>
          <thead>
            <tr>
              <th scope="col" class="now">Layer</th>
              <th scope="col">Operation</th>
              <th scope="col" class="tool">Tool</th>
              <th scope="col" class="session">Session</th>
              <th scope="col" class="number elapsed" title="Since the operation started">Elapsed</th>
            </tr>
          </thead>
          <tbody>
            ${repeat(
              rows,
              ({ trace_id }) => trace_id,
              (call) => html`
                <tr>
                  <td class="cut layer" data-layer=${call.layer}>${call.layer}</td>
                  <td class="cut">
                    <a href=${pathOf(withPlace(place, { page: 'trace', id: call.trace_id }))}><bdi title=${call.name}>${nameText(call.name)}</bdi></a>
                  </td>
                  <td class="cut"><bdi title=${call.tool ?? ''}>${call.tool ?? '–'}</bdi></td>
                  <td class="cut muted session"><bdi title=${call.session ?? ''}>${call.session ?? '–'}</bdi></td>
                  <td class="number elapsed">${ageText(this.now_us + live.skew_us - call.start_us)}</td>
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
      ${shown.length > rows.length ? html`<p class="muted note">The ${rows.length} oldest of ${countText(shown.length)}.</p>` : nothing}
    `
  }
}

customElements.define('tt-running-list', RunningList)

declare global {
  interface HTMLElementTagNameMap {
    'tt-running-list': RunningList
  }
}
