import { css, html, LitElement, nothing } from 'lit'
import { choicesOf, filterNames, filterValueText } from '../view/filter_text.ts'
import {
  type FilterKey,
  filterKeysOf,
  fromOf,
  isNumberKey,
  type Place,
  pathOf,
  type Range,
  rangeSeconds,
  withFilter,
  withPlace,
} from '../view/place.ts'
import { fieldTextOf, rangeNames, rangeText, usOfField } from '../view/range_text.ts'
import { NavigateEvent } from './navigate_event.ts'
import { sharedStyle } from './shared_style.ts'

/** Time range, text and filter of a page, which are all in its address: each change is a place to go to. */
export class RangeBar extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      :host {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 8px;
      }
      .ranges {
        display: flex;
      }
      .ranges button {
        border-radius: 0;
        margin-inline-start: -1px;
      }
      .ranges button:first-child {
        border-start-start-radius: var(--tt-radius);
        border-end-start-radius: var(--tt-radius);
      }
      .ranges button:last-child {
        border-start-end-radius: var(--tt-radius);
        border-end-end-radius: var(--tt-radius);
      }
      .ranges button[aria-pressed='true'] {
        z-index: 1;
      }
      select.ranges {
        display: none;
      }
      details {
        position: relative;
      }
      summary {
        list-style: none;
      }
      summary::-webkit-details-marker {
        display: none;
      }
      details form {
        position: absolute;
        z-index: 10;
        inset-block-start: calc(100% + 4px);
        inset-inline-start: 0;
        display: grid;
        gap: 10px;
        width: 280px;
        max-width: calc(100vw - 32px);
        padding: 12px;
        border: 1px solid var(--tt-border);
        border-radius: var(--tt-radius);
        background: var(--tt-surface);
        box-shadow: 0 8px 24px rgb(0 0 0 / 18%);
      }
      form label {
        display: grid;
        gap: 4px;
      }
      form.search {
        flex: 1 1 200px;
        max-width: 360px;
      }
      form.search input {
        width: 100%;
      }
      .chip button {
        min-height: 24px;
        min-width: 24px;
        padding: 0;
        border: 0;
        background: transparent;
        color: var(--tt-text-muted);
      }
      .chip {
        padding-inline-end: 2px;
      }
      .chip bdi {
        max-width: 220px;
        overflow: hidden;
        text-overflow: ellipsis;
      }
      @media (max-width: 640px) {
        :host {
          position: relative;
        }
        details {
          position: static;
        }
        details form {
          inset-block-start: auto;
          inset-inline: 0;
          width: auto;
          max-width: none;
          margin-block-start: 4px;
        }
        div.ranges {
          display: none;
        }
        select.ranges {
          display: block;
        }
        form.search {
          order: 3;
          flex-basis: 100%;
          max-width: none;
        }
      }
    `,
  ]
  static override properties = {
    place: { attribute: false },
    environments: { attribute: false },
    services: { attribute: false },
    key: { state: true },
  }
  declare place: Place | null
  declare environments: readonly string[]
  declare services: readonly string[]
  declare key: FilterKey

  /** Only what is pressed stays open. */
  readonly #closeOthers = (event: Event): void => {
    const pressed = event.composedPath()
    for (const details of this.renderRoot.querySelectorAll('details')) {
      if (!pressed.includes(details)) details.open = false
    }
  }

  constructor() {
    super()
    this.place = null
    this.environments = []
    this.services = []
    this.key = 'environment'
  }

  override connectedCallback(): void {
    super.connectedCallback()
    document.addEventListener('pointerdown', this.#closeOthers)
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    document.removeEventListener('pointerdown', this.#closeOthers)
  }

  override render() {
    const { place } = this
    if (place === null) return nothing
    return html`${this.#ranges(place)} ${this.#custom(place)} ${this.#search(place)} ${this.#add(place)} ${this.#chips(place)}`
  }

  #ranges(place: Place) {
    const ranges = Object.keys(rangeSeconds) as Range[]
    const choose = (range: Range) => this.#go(withPlace(place, { range, from_us: null, to_us: null }))
    return html`
      <div class="ranges" role="group" aria-label="Time range">
        ${ranges.map(
          (range) => html`<button type="button" aria-pressed=${place.range === range} @click=${() => choose(range)}>
            ${rangeNames[range]}
          </button>`,
        )}
      </div>
      <select
        class="ranges"
        aria-label="Time range"
        @change=${(event: Event) => choose((event.target as HTMLSelectElement).value as Range)}
      >
        ${place.range === null ? html`<option selected disabled>Custom</option>` : nothing}
        ${ranges.map(
          (range) => html`<option value=${range} .selected=${place.range === range}>Last ${rangeNames[range]}</option>`,
        )}
      </select>
    `
  }

  #custom(place: Place) {
    const now = Date.now() * 1_000
    const label = place.range === null ? rangeText(place, now) : 'Custom'
    const submit = (event: SubmitEvent) => {
      const fields = fieldsOf(event)
      const from_us = usOfField(fields.from ?? '')
      const to_us = usOfField(fields.to ?? '')
      const later = (event.target as HTMLFormElement).elements.namedItem('to') as HTMLInputElement
      const wrong = from_us === null || to_us === null || from_us >= to_us
      later.setCustomValidity(wrong ? 'The end must be after the start.' : '')
      if (!later.reportValidity()) return
      this.#close(event)
      this.#go(withPlace(place, { range: null, from_us, to_us }))
    }
    return html`
      <details @keydown=${closeOnEscape}>
        <summary class="button" aria-label="Custom time range">${label}</summary>
        <form @submit=${submit} @input=${forgetProblem}>
          <label>From <input name="from" type="datetime-local" step="1" required .value=${fieldTextOf(fromOf(place, now))}></label>
          <label>To <input name="to" type="datetime-local" step="1" required .value=${fieldTextOf(place.to_us ?? now)}></label>
          <button class="primary">Show</button>
        </form>
      </details>
    `
  }

  #search(place: Place) {
    if (place.page !== 'traces' && place.page !== 'errors') return nothing
    const submit = (event: SubmitEvent) => this.#go(withFilter(place, 'text', (fieldsOf(event).text ?? '').trim()))
    return html`
      <form class="search" role="search" @submit=${submit}>
        <input
          name="text"
          type="search"
          aria-label=${place.page === 'traces' ? 'Search in names and errors' : 'Search in errors'}
          placeholder=${place.page === 'traces' ? 'Search names and errors' : 'Search errors'}
          maxlength="512"
          .value=${place.filter.text ?? ''}
        >
      </form>
    `
  }

  #add(place: Place) {
    const keys: FilterKey[] = filterKeysOf(place.page).filter((key) => key !== 'text' && key !== 'state')
    const key = keys.includes(this.key) ? this.key : (keys[0] ?? 'environment')
    const choices = choicesOf(key, this)
    const submit = (event: SubmitEvent) => {
      const value = (fieldsOf(event).value ?? '').trim()
      this.#close(event)
      this.#go(withFilter(place, key, value))
    }
    const isNumber = isNumberKey(key)
    return html`
      <details @keydown=${closeOnEscape}>
        <summary class="button">Add filter</summary>
        <form @submit=${submit}>
          <label>
            By
            <select @change=${(event: Event) => this.#setKey((event.target as HTMLSelectElement).value as FilterKey)}>
              ${keys.map((each) => html`<option value=${each} .selected=${each === key}>${filterNames[each]}</option>`)}
            </select>
          </label>
          <label>
            ${filterNames[key]}
            ${
              choices === null
                ? html`<input name="value" type=${isNumber ? 'number' : 'text'} min="1" required maxlength="512" autocomplete="off">`
                : html`<select name="value">${choices.map(({ value, text }) => html`<option value=${value}>${text}</option>`)}</select>`
            }
          </label>
          <button class="primary">Apply</button>
        </form>
      </details>
    `
  }

  #chips(place: Place) {
    const set = filterKeysOf(place.page).flatMap((key) => {
      const value = place.filter[key]
      // The list of errors has buttons of its own for the state.
      return value === undefined || key === 'state' ? [] : [{ key, value }]
    })
    return set.map(
      ({ key, value }) => html`
        <span class="chip">
          ${filterNames[key]}: <bdi title=${value}>${filterValueText(key, value)}</bdi>
          <button type="button" aria-label="Remove filter ${filterNames[key]}" @click=${() => this.#go(withFilter(place, key, null))}>×</button>
        </span>
      `,
    )
  }

  #setKey(key: FilterKey): void {
    this.key = key
  }

  #go(place: Place): void {
    this.dispatchEvent(new NavigateEvent(pathOf(place)))
  }

  #close(event: Event): void {
    ;(event.target as Element).closest('details')?.removeAttribute('open')
  }
}

function fieldsOf(event: SubmitEvent): { readonly [name: string]: string } {
  event.preventDefault()
  const entries = [...new FormData(event.target as HTMLFormElement)]
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]))
}

function closeOnEscape(event: KeyboardEvent): void {
  if (event.key !== 'Escape') return
  const details = event.currentTarget as HTMLDetailsElement
  details.open = false
  details.querySelector('summary')?.focus()
}

function forgetProblem(event: Event): void {
  for (const field of (event.currentTarget as HTMLFormElement).querySelectorAll('input')) field.setCustomValidity('')
}

customElements.define('tt-range-bar', RangeBar)

declare global {
  interface HTMLElementTagNameMap {
    'tt-range-bar': RangeBar
  }
}
