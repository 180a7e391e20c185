import { outcomeText } from './filter_text.ts'
import type { HeatTable } from './heat_shade.ts'
import { shadeOf } from './heat_shade.ts'
import type { CallStep, LensCall, LensCell, PredecessorRow, SessionLens } from './lens_answer.ts'
import { nameText } from './name_text.ts'
import { countText, durationText, percentText, pluralText } from './number_text.ts'
import { type Place, pathOf, withFilter, withPlace } from './place.ts'
import { layersInOrder, unexplainedLayer } from './trace_layer_view.ts'
import { sessionRuleText } from './trace_page_view.ts'

// The session lens as values: the matrix of call number and layer, steps between call numbers, and what went before.

export const measures = ['p50', 'p95', 'mean'] as const
export type Measure = (typeof measures)[number]
export const measureNames: { readonly [measure in Measure]: string } = { p50: 'Median', p95: 'p95', mean: 'Mean' }

/** `Call 3`, `Call 6 and later`, `Number not known`. */
export function callName(call: string): string {
  if (call === 'unknown') return 'Not known'
  return call.endsWith('+') ? `Call ${call.slice(0, -1)} and later` : `Call ${call}`
}

/** Self time by call number and layer. A call number that no filter names leads nowhere. */
export function matrixOf(lens: SessionLens, measure: Measure, place: Place): HeatTable {
  const layers = layersInOrder(lens.layers)
  const byPlace = new Map(lens.cells.map((cell) => [`${cell.call}\n${cell.layer}`, cell]))
  const most = Math.max(0, ...lens.cells.map((cell) => figureOf(cell, measure)))
  return {
    caption: `${measureNames[measure]} self time by call number and layer`,
    noun: 'Call number',
    columns: [...layers.map((layer) => ({ name: layer, layer })), { name: 'Whole call', layer: null }],
    rows: lens.calls.map((call) => {
      const path = callPathOf(call.call, place)
      const whole = wholeOf(call, measure)
      return {
        name: callName(call.call),
        note: pluralText(call.n, 'call', 'calls'),
        path,
        cells: [
          ...layers.map((layer) => {
            const cell = byPlace.get(`${call.call}\n${layer}`)
            return cell === undefined ? null : cellOf(cell, measure, most, path === null ? null : place)
          }),
          { text: durationText(whole), note: '', hint: wholeHint(call), shade: 0, path },
        ],
      }
    }),
  }
}

function figureOf(cell: LensCell, measure: Measure): number {
  if (measure === 'mean') return cell.self_ms / cell.n
  return measure === 'p50' ? cell.p50_ms : cell.p95_ms
}

function waitOf(cell: LensCell, measure: Measure): number {
  if (measure === 'mean') return cell.wait_ms / cell.n
  return measure === 'p50' ? cell.wait_p50_ms : cell.wait_p95_ms
}

function wholeOf(call: LensCall, measure: Measure): number {
  if (measure === 'mean') return call.total_ms / call.n
  return measure === 'p50' ? call.p50_ms : call.p95_ms
}

function cellOf(cell: LensCell, measure: Measure, most: number, place: Place | null) {
  const value = figureOf(cell, measure)
  const wait = waitOf(cell, measure)
  return {
    text: durationText(value),
    note: wait > 0.01 * value ? `${durationText(wait)} waiting` : '',
    hint: [
      `${cell.layer}, ${callName(cell.call)}: in ${countText(cell.seen)} of ${pluralText(cell.n, 'call', 'calls')}`,
      `median ${durationText(cell.p50_ms)}, p95 ${durationText(cell.p95_ms)}`,
      `work ${durationText(cell.work_ms)}, waiting ${durationText(cell.wait_ms)} in all`,
    ].join('; '),
    shade: shadeOf(value, most),
    path: place === null ? null : callPathOf(cell.call, withFilter(place, 'layer', cell.layer)),
  }
}

function wholeHint(call: LensCall): string {
  const unexplained = call.unexplained_ms > 0 ? `, ${durationText(call.unexplained_ms)} unexplained` : ''
  return `${callName(call.call)}: median ${durationText(call.p50_ms)}, p95 ${durationText(call.p95_ms)}; ${durationText(call.wait_ms)} waiting${unexplained} in all`
}

/** The traces of a call number; null where no filter names it. */
export function callPathOf(call: string, place: Place): string | null {
  if (!/^\d+$/.test(call)) return null
  return pathOf(withPlace(withFilter(place, 'call_number', call), { page: 'traces' }))
}

/** A row of the table of call numbers. */
export type CallLine = {
  readonly call: string
  readonly name: string
  readonly path: string | null
  readonly count: string
  readonly failing: boolean
  readonly errors: string
  readonly p50: string
  readonly p95: string
  readonly wait: string
  readonly tools: string
  /** `up`, `down`, or `none` where no step is told apart from chance. */
  readonly step: 'up' | 'down' | 'none'
  readonly stepText: string
  readonly previous: string
  readonly predecessors: readonly PredecessorLine[]
}

export type PredecessorLine = {
  readonly name: string
  readonly failed: boolean
  readonly count: string
  readonly share: string
  readonly gap: string
  readonly running: string
  readonly p50: string
}

export function callLinesOf(lens: SessionLens, place: Place): readonly CallLine[] {
  return lens.calls.map((call, i) => ({
    call: call.call,
    name: callName(call.call),
    path: callPathOf(call.call, place),
    count: countText(call.n),
    failing: call.errors > 0,
    errors: percentText(call.errors / call.n),
    p50: durationText(call.p50_ms),
    p95: durationText(call.p95_ms),
    wait: percentText(call.total_ms > 0 ? call.wait_ms / call.total_ms : 0),
    tools: call.tools.map(({ tool, n }) => `${nameText(tool ?? 'no tool')} ${countText(n)}`).join(', '),
    step: call.step?.changed ? (call.step.change_ms > 0 ? 'up' : 'down') : 'none',
    stepText: stepText(call.step, lens.calls[i - 1]?.call),
    previous: previousText(call),
    predecessors: (call.previous?.list ?? []).map((row) => predecessorLine(row, call.previous?.n ?? 0)),
  }))
}

/** How a call number compares with the one before it, as a sentence. */
export function stepText(step: CallStep | null, before: string | undefined): string {
  if (step === null) return ''
  if (step.few) return 'Too few calls to compare'
  const than = before === undefined ? 'the one before' : callName(before).toLowerCase()
  if (!step.changed) return `No step from ${than} (${chanceText(step.p)})`
  const side = step.change_ms > 0 ? 'slower' : 'faster'
  const where = step.layer === null ? '' : `, most of it ${step.waiting ? 'waiting in' : 'in'} ${step.layer}`
  return `${durationText(Math.abs(step.change_ms))} ${side} than ${than} at the median (${chanceText(step.p)})${where}`
}

/** `p = 0.004`, and `p < 0.001` below. */
function chanceText(p: number): string {
  return p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(3)}`
}

function previousText({ call, previous }: LensCall): string {
  if (previous === null) return call === 'unknown' ? 'In no session' : 'Nothing in its session'
  const running =
    previous.running === 0 ? '' : `, ${countText(previous.running)} of ${countText(previous.n)} while it still ran`
  const gap = previous.gap_p50_ms === null ? '' : `${gapText(previous.gap_p50_ms)}`
  return `${gap}${running}`
}

/** A gap in words: after the end of the call before, or while it still ran. */
export function gapText(ms: number): string {
  return ms < 0 ? `${durationText(-ms)} before its end` : `${durationText(ms)} after its end`
}

function predecessorLine(row: PredecessorRow, total: number): PredecessorLine {
  return {
    name: `${nameText(row.tool ?? 'no tool')}, ${outcomeText(row.outcome).toLowerCase()}`,
    failed: row.outcome !== null && row.outcome !== 'ok',
    count: countText(row.n),
    share: percentText(total === 0 ? null : row.n / total),
    gap: row.gap_p50_ms === null ? 'it had not ended' : gapText(row.gap_p50_ms),
    running: row.running === 0 ? 'never' : `${countText(row.running)} of ${countText(row.n)}`,
    p50: durationText(row.p50_ms),
  }
}

/** By which rules the sessions of these calls were found. */
export function rulesText({ rules }: Pick<SessionLens, 'rules'>): string {
  const parts = rules
    .filter(({ rule }) => rule !== null)
    .map(({ rule, sessions }) => `${pluralText(sessions, 'session', 'sessions')} by ${sessionRuleText(rule)}`)
  const alone = rules.find(({ rule }) => rule === null)?.n ?? 0
  return [...parts, ...(alone === 0 ? [] : [`${pluralText(alone, 'call', 'calls')} in no session`])].join(', ')
}

/** Whether anything of these calls is explained by no span. */
export function hasUnexplained(lens: SessionLens): boolean {
  return lens.layers.includes(unexplainedLayer)
}
