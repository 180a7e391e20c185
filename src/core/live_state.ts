import { minuteOf, staleOf } from './hot_batch.ts'
import {
  aheadSecondsMax,
  hotEndedMax,
  hotErrorsMax,
  hotStaleMinutesMax,
  lateSecondsMax,
  liveProcessesMax,
  liveSecondsShown,
  snapshotBatchesMax,
} from './limit.ts'
import { stateWithin } from './live_size.ts'
import type { EndedTrace, HotBatch, LiveError, ProcessRunning, Push } from './live_snapshot.ts'
import { type Cell, mergeCells, type Series, type Window } from './window.ts'

// The stream of recent batches folded into what is pushed. The stream's own ids are the clock: an entry's windows are
// taken while its id is less than lateSecondsMax past the end of their second. So what a second adds up to depends on
// the stream alone, not on who merged how much of it at once, or twice.

/** An entry of the stream of recent batches; its id is `<ms>-<n>`. */
export type HotEntry = { readonly id: string; readonly batch: HotBatch }

/** A value and the id of the entry that last changed it. */
export type Dated<T> = { readonly rev: string; readonly value: T }

/** The stream up to `rev`, folded. What the last two merges changed is kept, so that a push heals the loss of the one before. */
export type LiveState = {
  readonly version: 1
  /** Id of the newest entry merged. */
  readonly rev: string
  /** What `rev` was before the last merge; null after the first. */
  readonly before: string | null
  /** Seconds below take nothing more, whatever their age: there was no room for them. */
  readonly from: number
  /** Ascending: those that still take something, and those lately closed. */
  readonly windows: readonly Dated<Window>[]
  /** One a process, newest first; of more than liveProcessesMax those whose calls run longest. */
  readonly running: readonly Dated<ProcessRunning>[]
  readonly ended: readonly Dated<EndedTrace>[]
  readonly errors: readonly Dated<LiveError>[]
  readonly stale: readonly Dated<number>[]
}

/** What the hot store knows at one moment. */
export type HotView = {
  readonly state: LiveState | null
  /** The finished seconds lately written. */
  readonly seconds: readonly Window[]
  /** The newest snapshotBatchesMax entries of the stream, newest first. */
  readonly entries: readonly HotEntry[]
}

export type Merged = {
  readonly state: LiveState
  /** Seconds that take nothing more from now on, ascending. */
  readonly finished: readonly Window[]
  readonly push: Push
}

/**
 * The state after entries that it has not seen; those that it has change nothing, nor does their order. Without a state
 * it begins anew, and no second is too late. Null when there is neither a state nor an entry.
 */
export function stateAfter(state: LiveState | null, entries: readonly HotEntry[], nowUs: number): Merged | null {
  const fresh = freshOf(entries, state?.rev ?? null)
  const last = fresh.at(-1)
  if (last === undefined) return state === null ? null : { state, finished: [], push: pushOf(state, nowUs) }
  const rev = last.id
  const { windows, stale } = windowsAfter(state, fresh)
  const inOrder = [...windows.values()].sort((a, b) => a.value.second - b.value.second)
  const finished = inOrder.filter(
    ({ value: { second } }) => isClosed(second, rev) && (state === null || !isClosed(second, state.rev)),
  )
  const before = state?.rev ?? null
  const isRecent = (dated: Dated<unknown>) =>
    (state !== null && compareIds(dated.rev, state.before ?? '0-0') > 0) ||
    msOfId(rev) - msOfId(dated.rev) < lateSecondsMax * 1_000
  const said = runningAfter(state, fresh).filter(isRecent)
  const running = longestRunning(said, liveProcessesMax)
  const next: LiveState = {
    version: 1,
    rev,
    before,
    from: state?.from ?? 0,
    windows: inOrder.filter((dated) => !isClosed(dated.value.second, rev) || isRecent(dated)),
    running,
    ended: listAfter(state?.ended ?? [], fresh, (batch) => batch.ended, traceIdOf)
      .filter(isRecent)
      .slice(0, hotEndedMax),
    errors: listAfter(state?.errors ?? [], fresh, (batch) => batch.errors, errorIdOf)
      .filter(isRecent)
      .slice(0, hotErrorsMax),
    stale: stale.filter(isRecent).slice(-hotStaleMinutesMax),
  }
  const kept = stateWithin(next)
  const push = pushOf(kept, nowUs)
  const isCrowded = running.length < said.length
  return {
    state: kept,
    finished: finished.map(({ value }) => value),
    push: isCrowded ? { ...push, crowded: true } : push,
  }
}

/**
 * The last minute by the second, oldest first, and the newest entry that it holds. Nothing is counted twice: a finished
 * second stands as it is, the others are the state and the entries beyond its cursor.
 */
export function secondsOf(view: HotView, nowUs: number): { readonly rev: string | null; readonly seconds: Window[] } {
  const newest = view.entries[0]?.id ?? null
  const state = view.state !== null && newest !== null && isAbandoned(view.state, newest) ? null : view.state
  const oldest = view.entries.at(-1)?.id ?? null
  const isCut = view.entries.length >= snapshotBatchesMax && oldest !== null
  // Where the entries do not reach back to the cursor, what lies between is not known: the state alone is whole.
  const isApart = isCut && state !== null && compareIds(oldest, state.rev) > 0
  const merged = stateAfter(state, isApart ? [] : view.entries, nowUs)
  const firstWhole = isCut && state === null ? Math.floor(msOfId(oldest) / 1_000) + 1 : 0
  const seconds = new Map<number, Window>()
  for (const window of [...(merged?.finished ?? []), ...(merged?.state.windows ?? []).map(({ value }) => value)]) {
    if (window.second >= firstWhole) seconds.set(window.second, window)
  }
  for (const window of view.seconds) seconds.set(window.second, window)
  const now = Math.floor(nowUs / 1_000_000)
  const shown = [...seconds.values()].filter(
    ({ second }) => second > now - liveSecondsShown && second <= now + aheadSecondsMax,
  )
  return { rev: merged?.state.rev ?? null, seconds: shown.sort((a, b) => a.second - b.second) }
}

/** Whether a state is too far from an entry's id to go on from: nobody watched, or Redis began anew. */
export function isAbandoned(state: LiveState, id: string): boolean {
  return Math.abs(msOfId(id) - msOfId(state.rev)) > liveSecondsShown * 1_000
}

/** The id after which a state that begins anew reads: a minute before `id`. */
export function idBefore(id: string): string {
  return `${Math.max(0, msOfId(id) - liveSecondsShown * 1_000)}-0`
}

/** Ids of stream entries as two numbers; never as text, where 9 comes after 10. */
export function compareIds(a: string, b: string): number {
  return msOfId(a) - msOfId(b) || Number(a.split('-')[1] ?? 0) - Number(b.split('-')[1] ?? 0)
}

function msOfId(id: string): number {
  return Number.parseInt(id, 10)
}

/** Whether an entry with this id comes too late for the second. */
function isClosed(second: number, id: string): boolean {
  return msOfId(id) >= (second + 1 + lateSecondsMax) * 1_000
}

/** Each entry beyond `rev` once, ascending. */
function freshOf(entries: readonly HotEntry[], rev: string | null): HotEntry[] {
  const byId = new Map(entries.map((entry) => [entry.id, entry]))
  return [...byId.values()]
    .filter(({ id }) => rev === null || compareIds(id, rev) > 0)
    .sort((a, b) => compareIds(a.id, b.id))
}

function windowsAfter(state: LiveState | null, fresh: readonly HotEntry[]) {
  const windows = new Map((state?.windows ?? []).map((dated) => [dated.value.second, dated]))
  const sums = new Map<number, SeriesSum>()
  const stale = new Map((state?.stale ?? []).map((dated) => [dated.value, dated]))
  const outdate = (minute: number, rev: string) => {
    // Set anew, so that the newest are last.
    stale.delete(minute)
    stale.set(minute, { rev, value: minute })
  }
  for (const { id, batch } of fresh) {
    const at = Math.floor(msOfId(id) / 1_000)
    for (const minute of batch.stale) outdate(minute, id)
    for (const { second, series } of batch.windows) {
      const isLate = state === null ? second <= at - liveSecondsShown : isClosed(second, id) || second < state.from
      if (isLate || second > at + aheadSecondsMax) outdate(minuteOf(second), id)
      else {
        const sum = sums.get(second) ?? { rev: id, cells: cellsOf(windows.get(second)?.value) }
        sums.set(second, { rev: id, cells: addSeries(sum.cells, series) })
      }
    }
  }
  for (const [second, { rev, cells }] of sums) {
    windows.set(second, { rev, value: { second, series: Object.fromEntries(cells) } })
  }
  return { windows, stale: [...stale.values()] }
}

/** A second while entries are added to it: in place, or each would cost all that came before. */
type SeriesSum = { readonly rev: string; readonly cells: Map<string, Cell> }

function cellsOf(window: Window | undefined): Map<string, Cell> {
  return new Map(Object.entries(window?.series ?? {}))
}

function addSeries(cells: Map<string, Cell>, series: Series): Map<string, Cell> {
  for (const [key, cell] of Object.entries(series)) {
    const other = cells.get(key)
    cells.set(key, other === undefined ? cell : mergeCells(other, cell))
  }
  return cells
}

function runningAfter(state: LiveState | null, fresh: readonly HotEntry[]): Dated<ProcessRunning>[] {
  const byProcess = new Map((state?.running ?? []).map((dated) => [dated.value.process, dated]))
  for (const { id, batch } of fresh) {
    const seq = byProcess.get(batch.running.process)?.value.seq ?? 0
    if (batch.running.seq > seq) byProcess.set(batch.running.process, { rev: id, value: batch.running })
  }
  return [...byProcess.values()].sort((a, b) => compareIds(b.rev, a.rev))
}

/** So many of them, in the order in which they come. What runs longest is what an operator looks for. */
function longestRunning(said: readonly Dated<ProcessRunning>[], countMax: number): readonly Dated<ProcessRunning>[] {
  if (said.length <= countMax) return said
  const startOf = ({ value }: Dated<ProcessRunning>) =>
    value.list.reduce((least, { start_us }) => Math.min(least, start_us), Number.MAX_SAFE_INTEGER)
  const byStart = said.map((dated) => ({ dated, start: startOf(dated) }))
  byStart.sort((a, b) => a.start - b.start || (a.dated.value.process < b.dated.value.process ? -1 : 1))
  const kept = new Set(byStart.slice(0, countMax).map(({ dated }) => dated))
  return said.filter((dated) => kept.has(dated))
}

/** Newest first, each id once: as its newest entry tells it. */
function listAfter<T>(
  known: readonly Dated<T>[],
  fresh: readonly HotEntry[],
  itemsOf: (batch: HotBatch) => readonly T[],
  idOf: (item: T) => string,
): Dated<T>[] {
  const found = new Map<string, Dated<T>>()
  for (const { id, batch } of [...fresh].reverse()) {
    for (const value of itemsOf(batch)) if (!found.has(idOf(value))) found.set(idOf(value), { rev: id, value })
  }
  for (const dated of known) if (!found.has(idOf(dated.value))) found.set(idOf(dated.value), dated)
  return [...found.values()]
}

const traceIdOf = (trace: EndedTrace) => trace.trace_id
const errorIdOf = (error: LiveError) => error.error_id

function pushOf(state: LiveState, nowUs: number): Push {
  return {
    rev: state.rev,
    at_us: nowUs,
    windows: state.windows.map(({ value }) => value),
    running: state.running.map(({ value }) => value),
    ended: state.ended.map(({ value }) => value),
    errors: state.errors.map(({ value }) => value),
    stale: staleOf(state.stale.map(({ value }) => value)),
  }
}
