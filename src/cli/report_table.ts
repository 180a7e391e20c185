import { layers } from '../core/layer.ts'
import type { Cohort, WhyAnswer } from '../core/why/why_answer.ts'
import type { ErrorGroup, KeyStats, ReportLens, StatsKind } from './report_data.ts'
import { type Markup, markup } from './report_markup.ts'
import { durationText } from './tail_line.ts'

const rowsMax = 12

/** The class that colours a layer; one that is not of the six has the colour of the others. */
export function layerClass(layer: string): string {
  return (layers as readonly string[]).includes(layer) ? `layer-${layer}` : 'layer-other'
}

/** From the outside in; those that are not of the six last. */
function inOrder(names: readonly string[]): readonly string[] {
  const place = (name: string) => (layers as readonly string[]).indexOf(name) >>> 0
  return [...names].sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1))
}

/** Both cohorts on one scale: thick to the median, thin to the 95th percentile. */
export function cohortTable({ slow, baseline }: WhyAnswer): Markup {
  const longest = Math.max(slow.p95_ms ?? 0, baseline.p95_ms ?? 0, Number.MIN_VALUE)
  const row = (name: string, { n, p50_ms, p95_ms }: Cohort, kind: string) => markup`<tr>
    <th scope="row">${name}</th><td>${n}</td><td>${orDash(p50_ms)}</td><td>${orDash(p95_ms)}</td>
    <td class="plot"><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="${kind} thin" y="3.5" height="3" width="${percent(p95_ms, longest)}"/><rect class="${kind}" y="1" height="8" width="${percent(p50_ms, longest)}"/></svg></td>
  </tr>`
  return markup`<div class="scroll"><table>
    <thead><tr><th></th><th scope="col">Calls</th><th scope="col">p50</th><th scope="col">p95</th><th class="plot"></th></tr></thead>
    <tbody>${row('Slow calls', slow, 'slow')}${row('Other calls', baseline, 'others')}</tbody>
  </table></div>`
}

function percent(ms: number | null, longest: number): string {
  return ((100 * (ms ?? 0)) / longest).toFixed(2)
}

function orDash(ms: number | null): string {
  return ms === null ? '–' : durationText(ms)
}

/** Median self time by call number and layer, the longest the darkest. */
export function lensTable(lens: ReportLens): Markup {
  if (lens.calls.length === 0) return markup`<p class="muted">No call of this time belongs to a session.</p>`
  const columns = inOrder(lens.layers)
  const cells = new Map(lens.cells.map((cell) => [`${cell.call}\n${cell.layer}`, cell]))
  const most = Math.max(Number.MIN_VALUE, ...lens.cells.map(({ p50_ms }) => p50_ms))
  const sample =
    lens.read < lens.matched ? markup`<p class="muted">Of a sample of ${lens.read} of ${lens.matched} calls.</p>` : ''
  return markup`<div class="scroll"><table class="matrix">
    <thead><tr><th scope="col">Call</th>${columns.map((layer) => markup`<th scope="col"><bdi>${layer}</bdi></th>`)}<th scope="col">Whole p50</th><th scope="col">p95</th><th scope="col">Calls</th><th scope="col">Failed</th></tr></thead>
    <tbody>${lens.calls.map(
      ({ call, n, errors, p50_ms, p95_ms, step }) => markup`<tr>
        <th scope="row">${callName(call)}</th>
        ${columns.map((layer) => {
          const cell = cells.get(`${call}\n${layer}`)
          if (cell === undefined) return markup`<td></td>`
          const wait =
            cell.wait_p50_ms > 0.01 * cell.p50_ms
              ? markup`<small>${durationText(cell.wait_p50_ms)} waiting</small>`
              : ''
          return markup`<td class="shaded" style="--shade: ${(cell.p50_ms / most).toFixed(3)}">${durationText(cell.p50_ms)}${wait}</td>`
        })}
        <td>${durationText(p50_ms)}${step?.changed ? markup`<small>${step.change_ms < 0 ? '−' : '+'}${durationText(Math.abs(step.change_ms))}${step.layer === null ? '' : markup` in <bdi>${step.layer}</bdi>`}</small>` : ''}</td>
        <td>${durationText(p95_ms)}</td><td>${n}</td><td>${errors}</td>
      </tr>`,
    )}</tbody>
  </table></div>${sample}`
}

function callName(call: string): string {
  if (call === 'unknown') return 'Not known'
  return call.endsWith('+') ? `${call.slice(0, -1)} and later` : call
}

const kindNames: { readonly [kind in StatsKind]: string } = {
  layers: 'Layer',
  tools: 'Tool',
  providers: 'Provider',
  models: 'Model',
}

/** Nothing where no call has any. */
export function statsTable(kind: StatsKind, rows: readonly KeyStats[]): Markup | null {
  if (rows.length === 0) return null
  const left = rows.length - rowsMax
  return markup`<section><h3>By ${kindNames[kind].toLowerCase()}</h3><div class="scroll"><table>
    <thead><tr><th scope="col">${kindNames[kind]}</th><th scope="col">Calls</th><th scope="col">Failed</th><th scope="col">p50</th><th scope="col">p95</th><th scope="col">p99</th></tr></thead>
    <tbody>${rows.slice(0, rowsMax).map(
      ({ key, count, errors, p50_ms, p95_ms, p99_ms }) => markup`<tr>
        <th scope="row"><bdi>${key}</bdi></th><td>${count}</td><td>${errors}</td><td>${orDash(p50_ms)}</td><td>${orDash(p95_ms)}</td><td>${orDash(p99_ms)}</td>
      </tr>`,
    )}</tbody>
  </table></div>${left > 0 ? markup`<p class="muted">${left} more are left out.</p>` : ''}</section>`
}

export function errorTable(groups: readonly ErrorGroup[]): Markup {
  if (groups.length === 0) return markup`<p class="muted">None in this time.</p>`
  return markup`<ul class="errors">${groups.map(
    ({ error_type, message, culprit, count, last_seen_at }) => markup`<li>
      <p><strong><bdi>${error_type}</bdi></strong> <span class="muted">${count} ${count === 1 ? 'time' : 'times'}, last ${last_seen_at.slice(0, 19).replace('T', ' ')} UTC</span></p>
      <p><bdi>${message}</bdi></p>
      ${culprit === null ? '' : markup`<p class="muted"><code>${culprit}</code></p>`}
    </li>`,
  )}</ul>`
}
