import { css, html, LitElement, nothing } from 'lit'
import { repeat } from 'lit/directives/repeat.js'
import type { ActiveSession } from '../../src/core/live_snapshot.ts'
import type { LiveView } from '../view/live_view.ts'
import { agoText, countText } from '../view/number_text.ts'
import { activeSessionPlace, sessionsIn, sessionsShownMax } from '../view/overview_view.ts'
import { type Place, pathOf } from '../view/place.ts'
import { sharedStyle } from './shared_style.ts'

/** The sessions in which something runs or has lately ended: who calls, how often, with which model and how many tokens. */
export class ActiveSessions extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host {
        container-type: inline-size;
      }
      @container (max-width: 560px) {
        .wide {
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
  }
  declare live: LiveView | null
  declare place: Place | null

  constructor() {
    super()
    this.live = null
    this.place = null
  }

  override render() {
    const { live, place } = this
    if (place === null) return nothing
    const shown = live === null ? [] : sessionsIn(place, live.sessions)
    return html`
      <h2>Active sessions <span class="muted">${live === null ? '' : countText(shown.length)}</span></h2>
      ${
        live === null || shown.length === 0
          ? html`<p class="empty">${live === null ? 'Waiting for the first snapshot…' : 'No session was active in the last ten minutes.'}</p>`
          : this.#table(place, live, shown)
      }
    `
  }

  #table(place: Place, live: LiveView, shown: readonly ActiveSession[]) {
    const rows = shown.slice(0, sessionsShownMax)
    return html`
      <div class="scroll">
        <table>
          <caption class="visually-hidden">Sessions that were active in the last ten minutes</caption>
          <thead>
            <tr>
              <th scope="col">Session</th>
              <th scope="col" class="wide">Client</th>
              <th scope="col" class="number">Calls</th>
              <th scope="col" class="number">Running</th>
              <th scope="col">Model</th>
              <th scope="col" class="number wide" title="Of the last day: to models, and from them">Tokens in / out</th>
              <th scope="col" class="number">Last</th>
            </tr>
          </thead>
          <tbody>
            ${repeat(
              rows,
              ({ session_key, service, environment }) => `${session_key} ${service} ${environment}`,
              (session) => html`
                <tr>
                  <td class="cut">
                    <a href=${pathOf(activeSessionPlace(place, session))}><bdi title=${session.session_key}>${session.session_key}</bdi></a>
                  </td>
                  <td class="cut wide"><bdi title=${session.client ?? ''}>${session.client ?? '–'}</bdi></td>
                  <td class="number">${countText(session.calls)}</td>
                  <td class="number">${session.running === 0 ? '–' : countText(session.running)}</td>
                  <td class="cut"><bdi title=${session.model ?? ''}>${session.model ?? '–'}</bdi></td>
                  <td class="number wide">${tokensText(session)}</td>
                  <td class="number muted">${agoText(live.at_us - session.last_at_us)}</td>
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
      ${shown.length > rows.length ? html`<p class="muted note">The ${rows.length} last active of ${countText(shown.length)}.</p>` : nothing}
    `
  }
}

function tokensText({ tokens_in, tokens_out }: ActiveSession): string {
  return tokens_in === null && tokens_out === null
    ? '–'
    : `${countText(tokens_in ?? 0)} / ${countText(tokens_out ?? 0)}`
}

customElements.define('tt-active-sessions', ActiveSessions)

declare global {
  interface HTMLElementTagNameMap {
    'tt-active-sessions': ActiveSessions
  }
}
