import { css, html, LitElement, nothing, svg } from 'lit'
import { repeat } from 'lit/directives/repeat.js'
import { sessionCallsAsked, sessionCallsListedMax } from '../../src/core/limit.ts'
import type { Api } from '../api.ts'
import type { SessionCall } from '../view/lens_answer.ts'
import type { LiveView } from '../view/live_view.ts'
import { pluralText } from '../view/number_text.ts'
import { type Place, pathOf, withFilter, withPlace } from '../view/place.ts'
import { type SessionLine, sessionLinesOf } from '../view/session_timeline_view.ts'
import { layersInOrder } from '../view/trace_layer_view.ts'
import { sessionRuleText } from '../view/trace_page_view.ts'
import { PagedRead } from './paged_read.ts'
import { sharedStyle } from './shared_style.ts'
import { traceLayerStyle } from './trace_layer_style.ts'
import './read_state.ts'
import './trace_outcome.ts'

/** While calls of it run or just ended, it is read again this often at most. */
const refreshMs = 3_000

/** The calls of one session in order: when each began, how it ended, and what still ran beside it. */
export class SessionPage extends LitElement {
  static override styles = [
    sharedStyle,
    traceLayerStyle,
    css`
      :host {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: var(--tt-gap);
      }
      .path {
        font-size: 13px;
      }
      .path a,
      p.muted a {
        text-decoration: underline;
      }
      h1 {
        overflow-wrap: anywhere;
      }
      table {
        table-layout: fixed;
        min-width: 900px;
      }
      th.n {
        width: 44px;
      }
      th.started {
        width: 96px;
      }
      th.took {
        width: 104px;
      }
      th.outcome {
        width: 124px;
      }
      th.gap {
        width: 190px;
      }
      th.tool {
        width: 17%;
      }
      td {
        vertical-align: middle;
      }
      td svg {
        display: block;
        width: 100%;
        height: 18px;
      }
      .bar {
        fill: var(--tt-layer-other);
        opacity: 0.3;
      }
      .beside {
        fill: none;
        stroke: var(--tt-warn);
        stroke-width: 2px;
      }
      .running {
        fill: none;
        stroke: var(--tt-accent);
        stroke-dasharray: 4 3;
      }
      .legend {
        padding-block-start: 8px;
        font-size: 12.5px;
      }
      .foot {
        padding-block-start: 10px;
      }
      @media (max-width: 760px) {
        thead {
          position: absolute;
          width: 1px;
          height: 1px;
          overflow: hidden;
          clip-path: inset(50%);
        }
        table {
          display: block;
          min-width: 0;
        }
        tbody {
          display: block;
        }
        tbody tr {
          display: grid;
          grid-template-columns: 22px minmax(0, 1fr) auto;
          gap: 3px 10px;
          padding-block: 8px;
          border-bottom: 1px solid var(--tt-border);
        }
        td {
          padding: 0;
          border: 0;
        }
        td.started,
        td.waited {
          display: none;
        }
        td.line {
          order: 1;
          grid-column: 1 / -1;
        }
        td.gap {
          order: 2;
          grid-column: 1 / 3;
        }
        td.outcome {
          order: 3;
        }
      }
    `,
  ]
  static override properties = { api: { attribute: false }, place: { attribute: false }, live: { attribute: false } }
  declare api: Api | null
  declare place: Place | null
  declare live: LiveView | null
  /** What the live view says of this session: something else means that SQL knows more. */
  #told = ''
  readonly #read = new PagedRead<SessionCall>(this, {
    key: () => (this.api === null ? null : (this.place?.id ?? null)),
    read: (cursor) => {
      const { api, place } = this as { api: Api; place: Place }
      return api.sessionTimeline(place.id ?? '', cursor, sessionCallsAsked)
    },
    idOf: ({ trace_id }) => trace_id,
    rowsMax: sessionCallsListedMax,
  })

  constructor() {
    super()
    this.api = null
    this.place = null
    this.live = null
  }

  override willUpdate(): void {
    const told = this.#tell()
    if (told !== this.#told && this.#read.page !== null) this.#read.soon(refreshMs)
    this.#told = told
  }

  override render() {
    const { place } = this
    if (place === null || place.id === null) return nothing
    const { page, error, isStale } = this.#read
    const list = pathOf(withPlace(place, { page: 'sessions', id: null }))
    return html`
      <nav class="path" aria-label="Breadcrumb"><a href=${list}>Sessions</a> / this session</nav>
      ${error === null ? nothing : html`<div class="card"><tt-read-state what="the session" .error=${error} @again=${() => this.#read.again()}></tt-read-state></div>`}
      ${
        page === null || isStale
          ? error === null
            ? html`<div class="card"><tt-read-state what="the session" lines="8"></tt-read-state></div>`
            : nothing
          : this.#whole(place, page.rows, page.next)
      }
    `
  }

  #whole(place: Place, calls: readonly SessionCall[], next: string | null) {
    const rules = [...new Set(calls.map(({ session_rule }) => session_rule))].map(sessionRuleText).join(', ')
    const lines = sessionLinesOf(calls, Date.now() * 1_000 + (this.live?.skew_us ?? 0))
    if (lines.length === 0) {
      return html`<div class="card empty" role="status"><h1>Session not found</h1>
        <p><bdi class="mono">${place.id}</bdi></p>
        <p>No call of it is stored: details are kept for 30 days.</p></div>`
    }
    const traces = pathOf(
      withFilter(
        withPlace(place, { page: 'traces', range: '30d', from_us: null, to_us: null, filter: {} }),
        'session',
        place.id,
      ),
    )
    return html`
      <section class="card">
        <h1>Session <bdi class="mono">${place.id}</bdi></h1>
        <p class="muted">${pluralText(lines.length, 'call', 'calls')}${next === null ? '' : ' so far'}, known by ${rules}. <a href=${traces}>List its calls</a></p>
      </section>
      <section class="card" aria-label="Timeline">
        <div class="scroll">
          <table role="table" aria-label="Calls of the session in order">
            <thead role="rowgroup">
              <tr role="row">
                <th role="columnheader" scope="col" class="n number">Call</th>
                <th role="columnheader" scope="col" class="started">Started</th>
                <th role="columnheader" scope="col" class="tool">Tool</th>
                <th role="columnheader" scope="col" title="Time by layer">Timeline</th>
                <th role="columnheader" scope="col" class="took number">Took</th>
                <th role="columnheader" scope="col" class="took number">Waited</th>
                <th role="columnheader" scope="col" class="gap">After the call before</th>
                <th role="columnheader" scope="col" class="outcome">Outcome</th>
              </tr>
            </thead>
            <tbody role="rowgroup">
              ${repeat(
                calls,
                ({ trace_id }) => trace_id,
                (call, i) => this.#row(place, call, lines[i] as SessionLine),
              )}
            </tbody>
          </table>
        </div>
        <p class="row legend">
          ${layersIn(calls).map((layer) => html`<span class="layer" data-layer=${layer}><bdi>${layer}</bdi></span>`)}
          <span class="muted">${lines.some(({ cut }) => cut) ? 'Idle time between calls is drawn shorter than it was.' : ''}</span>
        </p>
        ${
          next === null
            ? nothing
            : html`<p class="foot"><button type="button" ?disabled=${this.#read.isOlderPending} @click=${() => this.#read.older()}>Show later calls</button></p>`
        }
      </section>
    `
  }

  #row(place: Place, call: SessionCall, line: SessionLine) {
    return html`<tr role="row">
      <td role="cell" class="number n">${call.call_number}</td>
      <td role="cell" class="started">${line.started}</td>
      <td role="cell" class="cut tool"><a href=${pathOf(withPlace(place, { page: 'trace', id: line.traceId }))} title=${line.name}><bdi>${line.name}</bdi></a></td>
      <td role="cell" class="line"><svg aria-hidden="true">
          <rect class="bar" x="${line.bar.x}%" width="${line.bar.width}%" y="1" height="16" rx="1.5"></rect>
          ${line.parts.map(({ layer, x, width }) => svg`<rect data-layer=${layer} x="${x}%" width="${width}%" y="1" height="16"></rect>`)}
          ${line.beside === null ? nothing : svg`<rect class="beside" x="${line.beside.x}%" width="${line.beside.width}%" y="1" height="16"></rect>`}
          ${line.running ? svg`<rect class="running" x="${line.bar.x}%" width="${line.bar.width}%" y="1" height="16"></rect>` : nothing}
        </svg>
      </td>
      <td role="cell" class="number took">${line.duration}</td>
      <td role="cell" class="number waited">${line.waited}</td>
      <td role="cell" class="gap ${line.overlaps ? 'warn' : ''}">${line.gap}</td>
      <td role="cell" class="outcome"><tt-trace-outcome .outcome=${line.outcome} ?running=${line.running}></tt-trace-outcome></td>
    </tr>`
  }

  #tell(): string {
    const key = this.place?.id ?? null
    const running = this.live?.running.filter(({ session }) => session === key).map(({ trace_id }) => trace_id) ?? []
    const ended =
      this.live?.ended.filter(({ session_key }) => session_key === key).map(({ trace_id }) => trace_id) ?? []
    return [...running, '', ...ended].join(' ')
  }
}

function layersIn(calls: readonly SessionCall[]): readonly string[] {
  return layersInOrder([...new Set(calls.flatMap(({ layers }) => Object.keys(layers)))])
}

customElements.define('tt-session-page', SessionPage)

declare global {
  interface HTMLElementTagNameMap {
    'tt-session-page': SessionPage
  }
}
