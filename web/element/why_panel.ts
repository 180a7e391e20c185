import { Task, TaskStatus } from '@lit/task'
import { css, html, LitElement, nothing, type PropertyValues, svg } from 'lit'
import type { WhyAnswer } from '../../src/core/why/why_answer.ts'
import type { Api } from '../api.ts'
import { percentText } from '../view/number_text.ts'
import { type Place, pathOf, withPlace } from '../view/place.ts'
import { cohortLinesOf, factsOfVerdict, type WhyRegion, type WhySubject, whyFilterOf } from '../view/why_view.ts'
import { sharedStyle } from './shared_style.ts'
import './read_state.ts'

const factorsShown = 5
const exemplarsShown = 5

/** Answers why calls are slow, once it is asked: the verdict, what it rests on, and where to look. */
export class WhyPanel extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      .verdict {
        margin-block: 10px;
        font-size: 16px;
        font-weight: 600;
        overflow-wrap: anywhere;
      }
      dl {
        display: grid;
        grid-template-columns: max-content minmax(0, 1fr);
        gap: 2px 14px;
        margin: 0;
      }
      dt {
        color: var(--tt-text-muted);
      }
      dd {
        margin: 0;
        overflow-wrap: anywhere;
      }
      .columns {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr));
        gap: 12px 28px;
      }
      svg {
        width: 100%;
        height: 10px;
      }
      .thick {
        fill: var(--tt-accent);
      }
      .thin {
        fill: var(--tt-accent);
        opacity: 0.35;
      }
      ul {
        margin: 4px 0 0;
        padding: 0;
        list-style: none;
      }
      li {
        padding-block: 2px;
        overflow-wrap: anywhere;
      }
      h3 {
        margin-block: 12px 2px;
      }
      table {
        width: 100%;
      }
    `,
  ]
  static override properties = {
    api: { attribute: false },
    place: { attribute: false },
    traceId: { attribute: false },
    region: { attribute: false },
    nowUs: { attribute: false },
    asked: { state: true },
  }
  declare api: Api | null
  declare place: Place | null
  /** The one call that is asked about; null: what the place shows. */
  declare traceId: string | null
  /** The part of a heatmap that is asked about; null: what the place shows. */
  declare region: WhyRegion | null
  declare nowUs: number
  /** What was asked last, as text; null before anything was. */
  declare asked: string | null

  readonly #read = new Task(this, {
    args: () => [this.api, this.asked] as const,
    task: async ([api, asked]): Promise<WhyAnswer | null> =>
      api === null || asked === null ? null : await api.why(JSON.parse(asked) as Record<string, unknown>),
  })

  constructor() {
    super()
    this.api = null
    this.place = null
    this.traceId = null
    this.region = null
    this.nowUs = 0
    this.asked = null
  }

  /** What was asked about another place answers nothing about this one. */
  override willUpdate(changed: PropertyValues<this>): void {
    const before = changed.get('place')
    if (before && this.place !== null && pathOf(before) !== pathOf(this.place)) this.asked = null
    // Of another region, or of the same that was read anew, the same is asked.
    const moved = changed.has('region') && JSON.stringify(changed.get('region')) !== JSON.stringify(this.region)
    if (moved && this.asked !== null) this.#ask()
  }

  override render() {
    const { place } = this
    if (place === null) return nothing
    const busy = this.asked !== null && this.#read.status === TaskStatus.PENDING
    const what = titleOf(this.#subject())
    return html`
      <div class="row spread">
        <h2>${what}</h2>
        <button type="button" ?disabled=${busy} @click=${this.#ask}>${this.asked === null ? 'Find out' : 'Look again'}</button>
      </div>
      ${this.asked === null ? html`<p class="muted">Compares the slow calls with the others and names what makes the difference.</p>` : this.#answer(place)}
    `
  }

  #answer(place: Place) {
    if (this.#read.status === TaskStatus.ERROR) {
      return html`<tt-read-state what="the verdict" .error=${this.#read.error} @again=${this.#ask}></tt-read-state>`
    }
    const answer = this.#read.value ?? null
    if (answer === null) return html`<tt-read-state what="the verdict" lines="3"></tt-read-state>`
    return html`<div aria-live="polite">
      <p class="verdict">${answer.verdict === null ? (answer.slow.n === 0 ? 'There is nothing to explain.' : 'There is no difference worth naming.') : html`<bdi>${answer.verdict.sentence}</bdi>`}</p>
      ${answer.note === null ? nothing : html`<p class="muted">${answer.note}</p>`}
      <div class="columns">${this.#facts(answer)} ${this.#cohorts(answer)}</div>
      ${this.#factors(answer)} ${this.#exemplars(answer, place)}
    </div>`
  }

  #facts(answer: WhyAnswer) {
    const facts = factsOfVerdict(answer, this.nowUs)
    if (facts.length === 0) return nothing
    return html`<dl>${facts.map(({ name, value }) => html`<dt>${name}</dt><dd><bdi>${value}</bdi></dd>`)}</dl>`
  }

  #cohorts(answer: WhyAnswer) {
    return html`<table>
      <thead><tr><th scope="col"></th><th scope="col" class="number">Calls</th><th scope="col" class="number">p50</th><th scope="col" class="number">p95</th></tr></thead>
      <tbody>${cohortLinesOf(answer).map(
        ({ name, calls, p50, p95, middle, end }) => html`
          <tr><th scope="row">${name}</th><td class="number">${calls}</td><td class="number">${p50}</td><td class="number">${p95}</td></tr>
          <tr aria-hidden="true"><td colspan="4"><svg viewBox="0 0 100 10" preserveAspectRatio="none">${svg`<rect class="thin" y="3" height="4" width=${100 * end}></rect><rect class="thick" y="1" height="8" width=${100 * middle}></rect>`}</svg></td></tr>`,
      )}</tbody>
    </table>`
  }

  #factors({ factors }: WhyAnswer) {
    if (factors.length === 0) return nothing
    return html`<h3>Also considered</h3>
      <ul>${factors.slice(0, factorsShown).map(({ share, sentence }) => html`<li><span class="muted number">${percentText(share)}</span> <bdi>${sentence}</bdi></li>`)}</ul>`
  }

  #exemplars({ exemplars }: WhyAnswer, place: Place) {
    if (exemplars.length === 0) return nothing
    return html`<h3>Typical of the slow calls</h3>
      <ul class="row">${exemplars
        .slice(0, exemplarsShown)
        .map(
          (id) =>
            html`<li><a class="mono" href=${pathOf(withPlace(place, { page: 'trace', id }))}>${id.slice(0, 8)}</a></li>`,
        )}</ul>`
  }

  #subject(): WhySubject {
    if (this.traceId !== null) return { traceId: this.traceId }
    return this.region === null ? null : { region: this.region }
  }

  #ask(): void {
    if (this.place === null) return
    const asked = JSON.stringify(whyFilterOf(this.place, this.nowUs, this.#subject()))
    // The same question again: with what has come in since.
    if (asked === this.asked) void this.#read.run()
    else this.asked = asked
  }
}

function titleOf(subject: WhySubject): string {
  if (subject === null) return 'Why are calls slow?'
  return 'traceId' in subject ? 'Why was this call slow?' : 'Why are these calls slow?'
}

customElements.define('tt-why-panel', WhyPanel)

declare global {
  interface HTMLElementTagNameMap {
    'tt-why-panel': WhyPanel
  }
}
