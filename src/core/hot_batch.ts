import { isRoot } from './breakdown.ts'
import { jsonBytesOf } from './json_size.ts'
import {
  aheadSecondsMax,
  flushesUnrenewedMax,
  hotBatchBytesMax,
  hotEndedMax,
  hotErrorsMax,
  hotMessageCharactersMax,
  hotRunningMax,
  hotStaleMinutesMax,
  hotTracebackCharactersMax,
  interruptedSecondsMin,
  liveSecondsShown,
} from './limit.ts'
import type { EndedTrace, HotBatch, LiveError, ProcessRunning } from './live_snapshot.ts'
import type { Batch } from './record.ts'
import { assert } from './result.ts'
import type { StoredSpan, TraceRow } from './trace.ts'
import { mergeCells, type Series, type Window, windowsOf } from './window.ts'

/** A stored batch, as far as the live view wants to know of it. */
export type HotSource = {
  /** After redaction. */
  readonly batch: Batch
  readonly traces: readonly TraceRow[]
  readonly errors: readonly Omit<LiveError, 'service' | 'environment'>[]
  /** How many records were accepted. */
  readonly records: number
  /** Series keys that were not admitted, and what they are counted under. */
  readonly renamed: { readonly [seriesKey: string]: string }
  readonly receivedAtUs: number
  /** `Telltale-Sent-At`, null without it. */
  readonly sentAtUs: number | null
  /** The pace of a reporter that nobody watches, in ms. */
  readonly flushMs: number
}

/** How much of a batch is kept: characters of text, and the part of each list. */
type Shape = {
  readonly traceback: number
  readonly message: number
  readonly list: number
  /** Whether windows may go too. */
  readonly fewer: boolean
}

// Tracebacks go first, then lists, then windows, the oldest first: their minutes are read from the parts instead.
const shapes: readonly Shape[] = [
  { traceback: hotTracebackCharactersMax, message: hotMessageCharactersMax, list: 1, fewer: false },
  { traceback: hotTracebackCharactersMax / 4, message: hotMessageCharactersMax, list: 1, fewer: false },
  { traceback: 0, message: hotMessageCharactersMax, list: 1, fewer: false },
  { traceback: 0, message: hotMessageCharactersMax / 4, list: 1 / 2, fewer: false },
  { traceback: 0, message: hotMessageCharactersMax / 4, list: 1 / 4, fewer: false },
  { traceback: 0, message: hotMessageCharactersMax / 4, list: 1 / 8, fewer: true },
  { traceback: 0, message: hotMessageCharactersMax / 8, list: 1 / 20, fewer: true },
  { traceback: 0, message: 0, list: 0, fewer: true },
]

/**
 * What the stream of recent batches keeps of a batch: at most hotBatchBytesMax as JSON, by summarising. Seconds outside
 * of the last minute only name their minutes as stale. A running list that was old when it was sent has seq 0: it says
 * nothing about now.
 */
export function hotBatchOf(source: HotSource): HotBatch {
  const { batch, receivedAtUs } = source
  const { service, environment, instance } = batch.source
  const second = Math.floor(receivedAtUs / 1_000_000)
  const windows: Window[] = []
  const stale: number[] = []
  const shift = shiftOf(source)
  for (const { second: told, series } of windowsOf(batch)) {
    const at = told + shift
    const isNear = at > second - liveSecondsShown && at <= second + aheadSecondsMax
    if (isNear) windows.push({ second: at, series: renamedSeries(series, source.renamed) })
    else stale.push(minuteOf(at))
  }
  const whole: HotBatch = {
    batch_id: batch.batch_id,
    service,
    environment,
    instance,
    received_at_us: receivedAtUs,
    made_at_us: batch.made_at_us,
    records: source.records,
    windows,
    running: runningOf(source),
    ended: source.traces.flatMap((row) => endedOf(row, service, environment)).sort(newestFirst),
    errors: source.errors.map((error) => errorOf(error, service, environment)).sort(newestFirst),
    stale: staleOf(stale),
  }
  return withinBytes(whole)
}

/**
 * What to add to the seconds of a sender whose clock is off by minutes, in whole minutes, as telltale.source_clocks has it of
 * its minutes; 0 where it does not say when it sent, or is off by less.
 */
function shiftOf({ sentAtUs, receivedAtUs }: HotSource): number {
  const minutes = sentAtUs === null ? 0 : (receivedAtUs - sentAtUs) / 60_000_000
  return Math.abs(minutes) >= 1 && Math.abs(minutes) <= 1_440 ? Math.round(minutes) * 60 : 0
}

/** The minute of a second: both in whole seconds since the epoch. */
export function minuteOf(second: number): number {
  return Math.floor(second / 60) * 60
}

/** Each minute once, the newest hotStaleMinutesMax of them, ascending. */
export function staleOf(minutes: Iterable<number>): number[] {
  return [...new Set(minutes)].sort((a, b) => a - b).slice(-hotStaleMinutesMax)
}

function renamedSeries(series: Series, renamed: HotSource['renamed']): Series {
  const counted = new Map<string, Series[string]>()
  for (const [key, cell] of Object.entries(series)) {
    const name = (Object.hasOwn(renamed, key) ? renamed[key] : undefined) ?? key
    const other = counted.get(name)
    counted.set(name, other === undefined ? cell : mergeCells(other, cell))
  }
  return Object.fromEntries(counted)
}

function runningOf({ batch, receivedAtUs, sentAtUs, flushMs }: HotSource): ProcessRunning {
  const { service, environment } = batch.source
  const { id: process, started_at_us } = batch.process
  const said = { process, started_at_us, received_at_us: receivedAtUs, service, environment }
  // The rule of telltale.store_process: a backlog from an outage revives no call that has ended since.
  const ageMsMax = Math.max(interruptedSecondsMin * 1_000, flushesUnrenewedMax * flushMs)
  if ((sentAtUs ?? receivedAtUs) - batch.made_at_us > ageMsMax * 1_000) return { ...said, seq: 0, total: 0, list: [] }
  // Of many, those that run longest: they are what an operator looks for.
  const list = [...batch.running].sort((a, b) => a.start_us - b.start_us)
  return { ...said, seq: batch.seq, total: Math.max(batch.running_total, list.length), list }
}

/** None where the batch does not bring the end of the trace's own head: an inner process is only a part of its trace. */
function endedOf(row: TraceRow, service: string, environment: string): EndedTrace[] {
  const head = headOf(row)
  if (head?.end_us === undefined || row.duration_ms === null) return []
  if (head.entry !== true && head.parent_span_id !== undefined) return []
  const { trace_id, started_at_us, name, tool, provider, model, outcome, duration_ms, layers } = row
  const facts = { trace_id, started_at_us, name, tool, provider, model, outcome, duration_ms, layers }
  const { session_key, call_number } = row
  return [{ ...facts, at_us: head.end_us, session_key, call_number, service, environment }]
}

/** The head as `summaryOf` finds it. */
function headOf({ spans }: TraceRow): StoredSpan | undefined {
  const inOrder = Object.entries(spans).sort(([a, x], [b, y]) => x.start_us - y.start_us || (a < b ? -1 : 1))
  const head = inOrder.find(([, span]) => span.entry === true) ?? inOrder.find(([id]) => isRoot(spans, id))
  return head?.[1]
}

function errorOf(error: HotSource['errors'][number], service: string, environment: string): LiveError {
  const { error_id, at_us, trace_id, span_id, fingerprint, error_type, message, culprit, traceback } = error
  const facts = { error_id, at_us, trace_id, span_id, fingerprint, error_type, message, culprit, traceback }
  return { ...facts, service, environment }
}

function newestFirst(a: { readonly at_us: number }, b: { readonly at_us: number }): number {
  return b.at_us - a.at_us
}

function withinBytes(batch: HotBatch): HotBatch {
  for (const shape of shapes) {
    const shaped = shapedBatch(batch, shape)
    if (jsonBytesOf(shaped) <= hotBatchBytesMax) return shaped
    if (!shape.fewer) continue
    const fewer = withFewerWindows(shaped)
    if (fewer !== null) return fewer
  }
  assert(false, 'a batch without lists and windows fits')
}

function shapedBatch(batch: HotBatch, { traceback, message, list }: Shape): HotBatch {
  const errors = batch.errors.slice(0, Math.ceil(hotErrorsMax * list)).map((error) => ({
    ...error,
    message: endsOf(error.message, message),
    traceback: traceback === 0 || error.traceback === null ? null : endsOf(error.traceback, traceback),
  }))
  return {
    ...batch,
    running: { ...batch.running, list: batch.running.list.slice(0, Math.ceil(hotRunningMax * list)) },
    ended: batch.ended.slice(0, Math.ceil(hotEndedMax * list)),
    errors,
  }
}

/** The newest windows for which there is room; null when there is none even without them. */
function withFewerWindows(batch: HotBatch): HotBatch | null {
  const minutes = staleOf([...batch.stale, ...batch.windows.map(({ second }) => minuteOf(second))])
  let room = hotBatchBytesMax - jsonBytesOf({ ...batch, windows: [], stale: minutes })
  if (room < 0) return null
  let first = batch.windows.length
  for (; first > 0; first -= 1) {
    room -= jsonBytesOf(batch.windows[first - 1]) + 1
    if (room < 0) break
  }
  const dropped = batch.windows.slice(0, first).map(({ second }) => minuteOf(second))
  return { ...batch, windows: batch.windows.slice(first), stale: staleOf([...batch.stale, ...dropped]) }
}

/** Both ends of a text: one has the type of an error, the other, as its language prints it, the innermost frame. */
function endsOf(text: string, charactersMax: number): string {
  if (text.length <= charactersMax) return text
  if (charactersMax === 0) return ''
  const half = Math.floor((charactersMax - 1) / 2)
  // Half a pair of surrogates is no text: a strict reader of JSON would refuse the whole push.
  const start = text.slice(0, half).replace(/[\ud800-\udbff]$/, '')
  return `${start}\u2026${text.slice(text.length - half).replace(/^[\udc00-\udfff]/, '')}`
}
