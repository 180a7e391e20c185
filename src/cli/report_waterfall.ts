import type { ReportSpan, ReportTrace } from './report_data.ts'
import { type Markup, markup } from './report_markup.ts'
import { layerClass } from './report_table.ts'
import { durationText } from './tail_line.ts'

const linesMax = 40
const depthMax = 12

type Line = { readonly span: ReportSpan; readonly depth: number; readonly startUs: number; readonly endUs: number }

/** A call span by span, each with its bar on the time axis of the whole. */
export function waterfall(trace: ReportTrace): Markup {
  const lines = linesOf(trace.spans)
  const from = Math.min(...lines.map(({ startUs }) => startUs))
  const length = Math.max(1, Math.max(...lines.map(({ endUs }) => endUs)) - from)
  const shown = lines.slice(0, linesMax)
  const left = lines.length - shown.length
  return markup`<article>
    <h3><bdi>${trace.name}</bdi> ${durationText(trace.duration_ms)}</h3>
    <p class="muted"><code>${trace.trace_id}</code> at ${instantText(trace.started_at_us)}${trace.outcome === null ? '' : markup`, outcome ${trace.outcome}`}${trace.call_number === null ? '' : markup`, call ${trace.call_number} of session <bdi>${trace.session_key}</bdi>`}</p>
    ${lines.length === 0 ? markup`<p class="muted">Its spans were not kept.</p>` : markup`<ol class="waterfall">${shown.map((line) => lineOf(line, from, length))}</ol>`}
    ${left > 0 ? markup`<p class="muted">${left} more spans are left out.</p>` : ''}
  </article>`
}

function lineOf({ span, depth, startUs, endUs }: Line, from: number, length: number): Markup {
  const x = (100 * (startUs - from)) / length
  const width = Math.max(0.3, (100 * (endUs - startUs)) / length)
  const holder = span.holder === undefined ? '' : markup` <span class="muted">held by <bdi>${span.holder}</bdi></span>`
  const failed =
    span.outcome === undefined || span.outcome === 'ok' ? '' : markup` <span class="failed">${span.outcome}</span>`
  return markup`<li>
    <span class="name" style="padding-inline-start: ${Math.min(depth, depthMax)}ch"><bdi>${span.name}</bdi>${holder}${failed} <span class="layer">${span.layer}${span.kind === 'wait' ? ', wait' : ''}</span></span>
    <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="${layerClass(span.layer)} ${span.kind}" x="${x.toFixed(3)}" y="1" width="${Math.min(width, 100 - x).toFixed(3)}" height="8"/></svg>
    <span class="number">${span.end_us === null ? 'runs' : durationText((endUs - startUs) / 1_000)}</span>
  </li>`
}

/** Parents before children, children by their start; what hangs on nothing that is known stands first. */
function linesOf(spans: readonly ReportSpan[]): Line[] {
  const last = Math.max(0, ...spans.map(({ start_us, end_us }) => end_us ?? start_us))
  const ids = new Set(spans.map(({ span_id }) => span_id))
  const children = new Map<string | null, ReportSpan[]>()
  for (const span of [...spans].sort((a, b) => a.start_us - b.start_us)) {
    const { parent_span_id, span_id } = span
    const parent =
      parent_span_id !== null && parent_span_id !== span_id && ids.has(parent_span_id) ? parent_span_id : null
    children.set(parent, [...(children.get(parent) ?? []), span])
  }
  const lines: Line[] = []
  const seen = new Set<ReportSpan>()
  const walk = (root: ReportSpan) => {
    const open = [{ span: root, depth: 0 }]
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { span, depth } = next
      if (seen.has(span)) continue
      seen.add(span)
      const startUs = span.start_us + (span.shift_us ?? 0)
      lines.push({ span, depth, startUs, endUs: Math.max(startUs, (span.end_us ?? last) + (span.shift_us ?? 0)) })
      open.push(...(children.get(span.span_id) ?? []).toReversed().map((child) => ({ span: child, depth: depth + 1 })))
    }
  }
  for (const root of children.get(null) ?? []) walk(root)
  // What hangs together in a circle hangs on nothing.
  for (const span of spans) walk(span)
  return lines
}

export function instantText(us: number): string {
  return new Date(us / 1_000)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' UTC')
}
