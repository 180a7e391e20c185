import { css, html, LitElement, nothing } from 'lit'
import type { TraceRow } from '../view/answer.ts'
import { nameText } from '../view/name_text.ts'
import { ageText, durationText, pluralText } from '../view/number_text.ts'
import { type Place, pathOf, withPlace } from '../view/place.ts'
import { factsOfTrace, sessionPlaceOf, sessionRuleText } from '../view/trace_page_view.ts'
import { sharedStyle } from './shared_style.ts'
import './fact_list.ts'
import './trace_outcome.ts'

/** What a trace was: tool, outcome, duration, its place in its session, and the facts of its head span. */
export class TraceHead extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      header {
        display: flex;
        flex-wrap: wrap;
        align-items: baseline;
        gap: 4px 18px;
        margin-block-end: 12px;
      }
      header > * {
        min-width: 0;
        overflow-wrap: anywhere;
      }
      .duration {
        font-size: 18px;
        font-weight: 600;
      }
      .session a {
        text-decoration: underline;
      }
      .session {
        margin-block-end: 12px;
        overflow-wrap: anywhere;
      }
      .lost {
        margin-block-start: 10px;
      }
    `,
  ]
  static override properties = {
    trace: { attribute: false },
    place: { attribute: false },
    where: { attribute: false },
    nowUs: { attribute: false },
  }
  declare trace: TraceRow | null
  declare place: Place | null
  /** The layer where it is now; null when it has ended or nobody tells. */
  declare where: string | null
  declare nowUs: number

  constructor() {
    super()
    this.trace = null
    this.place = null
    this.where = null
    this.nowUs = 0
  }

  override render() {
    const { trace, place, nowUs } = this
    if (trace === null || place === null) return nothing
    const running = trace.duration_ms === null
    const elapsed = ageText(nowUs - trace.started_at_us)
    const dropped = Number(trace.spans_dropped)
    return html`
      <header>
        <h1><bdi>${nameText(trace.tool ?? trace.name)}</bdi></h1>
        <tt-trace-outcome .outcome=${trace.outcome} ?running=${running}></tt-trace-outcome>
        <span class="duration">${running ? `${elapsed} so far` : durationText(trace.duration_ms)}</span>
        ${running && this.where !== null ? html`<span class="layer" data-layer=${this.where}>in <bdi>${this.where}</bdi></span>` : nothing}
        ${trace.tool === null ? nothing : html`<span class="muted"><bdi>${trace.name}</bdi></span>`}
      </header>
      ${this.#session(trace, place)}
      <tt-fact-list .facts=${factsOfTrace(trace, nowUs)}></tt-fact-list>
      ${
        trace.sampled
          ? html`<p class="muted sampled">Its spans were let go by the rules of sampling. What is summed up here counts all of them.</p>`
          : nothing
      }
      ${
        dropped > 0
          ? html`<p class="warn lost">${pluralText(dropped, 'span was', 'spans were')} not kept: a trace holds 10,000.</p>`
          : nothing
      }
    `
  }

  #session(trace: TraceRow, place: Place) {
    if (trace.session_key === null) return html`<p class="session muted">Belongs to no session.</p>`
    const call = trace.call_number === null ? 'A call' : `Call ${trace.call_number}`
    return html`<p class="session">
      ${call} of session <bdi class="mono">${trace.session_key}</bdi>
      <span class="muted">(known by ${sessionRuleText(trace.session_rule)})</span>
      · <a href=${pathOf(sessionPlaceOf(place, trace, this.nowUs))}>All calls of this session</a>
      · <a href=${pathOf(withPlace(place, { page: 'session', id: trace.session_key }))}>Its timeline</a>
    </p>`
  }
}

customElements.define('tt-trace-head', TraceHead)

declare global {
  interface HTMLElementTagNameMap {
    'tt-trace-head': TraceHead
  }
}
