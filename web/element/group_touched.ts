import { css, html, LitElement, nothing } from 'lit'
import type { ErrorGroupDetail, Named, TouchedRow } from '../view/answer.ts'
import { nameText } from '../view/name_text.ts'
import { agoText, countText, pluralText, utcText } from '../view/number_text.ts'
import { type FilterKey, type Place, pathOf, withFilter, withPlace } from '../view/place.ts'
import { sharedStyle } from './shared_style.ts'

/** Whom an error group touches: the versions it came from, the tools and the sessions, the first few of each. */
export class GroupTouched extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 260px), 1fr));
        gap: var(--tt-gap);
      }
      section {
        min-width: 0;
      }
      td:first-child {
        overflow-wrap: anywhere;
      }
    `,
  ]
  static override properties = { group: { attribute: false }, place: { attribute: false }, nowUs: { attribute: false } }
  declare group: ErrorGroupDetail | null
  declare place: Place | null
  declare nowUs: number

  constructor() {
    super()
    this.group = null
    this.place = null
    this.nowUs = 0
  }

  override render() {
    const { group, place } = this
    if (group === null || place === null) return nothing
    const { versions, touched } = group
    const seen = touched.errors === 0 ? nothing : html`of the latest ${pluralText(touched.errors, 'error', 'errors')}`
    return html`
      ${this.#table(
        'Versions',
        'errors',
        nothing,
        versions,
        versions.rows.map(({ version, service, count, last_us }) =>
          this.#row(
            html`<bdi>${version ?? 'unknown'}</bdi> <span class="muted">of <bdi>${service}</bdi></span>`,
            count,
            last_us,
          ),
        ),
      )}
      ${this.#table('Tools', 'requests', seen, touched.tools, this.#rows(place, 'tool', touched.tools.rows))}
      ${this.#table('Sessions', 'requests', seen, touched.sessions, this.#rows(place, 'session', touched.sessions.rows))}
    `
  }

  #rows(place: Place, key: FilterKey, rows: readonly TouchedRow[]) {
    return rows.map(({ name, requests, last_us }) => {
      const calls = pathOf(withFilter(withPlace(place, { page: 'traces' }), key, name))
      return this.#row(html`<a href=${calls}><bdi>${nameText(name, 'unnamed')}</bdi></a>`, requests, last_us)
    })
  }

  #row(name: unknown, count: number, lastUs: number) {
    return html`<tr>
      <td>${name}</td>
      <td class="number">${countText(count)}</td>
      <td class="number" title=${utcText(lastUs)}>${agoText(this.nowUs - lastUs)}</td>
    </tr>`
  }

  #table(name: string, counted: string, seen: unknown, { total }: Named<unknown>, rows: readonly unknown[]) {
    return html`<section class="card">
      <h2>${name} <span class="muted">${total > rows.length ? html`${countText(rows.length)} of ${countText(total)}` : countText(total)}</span></h2>
      ${
        rows.length === 0
          ? html`<p class="empty">None is known.</p>`
          : html`<table aria-label=${name}>
              <thead><tr><th>Name</th><th class="number">${counted}</th><th class="number">last</th></tr></thead>
              <tbody>${rows}</tbody>
            </table>`
      }
      ${seen === nothing || rows.length === 0 ? nothing : html`<p class="muted">${seen}</p>`}
    </section>`
  }
}

customElements.define('tt-group-touched', GroupTouched)

declare global {
  interface HTMLElementTagNameMap {
    'tt-group-touched': GroupTouched
  }
}
