import { traceRowsListedMax } from '../../src/core/limit.ts'
import type { EndedTrace } from '../../src/core/live_snapshot.ts'
import { isFailure, type Outcome } from '../../src/core/outcome.ts'
import type { Breakdown } from '../../src/core/trace.ts'
import type { TraceRow } from './answer.ts'
import type { LiveView, RunningTrace } from './live_view.ts'
import { endsNow, failedOutcome, fromOf, type Place } from './place.ts'

// The list of traces: what SQL answered, page by page, with what is live on top.

/** One line of the list. What only SQL knows is undefined until it was asked. */
export type TraceLine = {
  readonly id: string
  readonly startedUs: number
  readonly name: string
  readonly tool: string | null
  readonly outcome: string | null
  readonly durationMs: number | null
  readonly layers: Breakdown
  readonly session: string | null
  readonly callNumber: number | null
  readonly provider: string | null
  readonly model: string | null
  readonly tokensIn: number | null | undefined
  readonly tokensOut: number | null | undefined
  readonly service: string | null
  readonly environment: string | null
  /** Null: it has ended. `layer` is where it is now, null where no process says so lately. */
  readonly running: { readonly layer: string | null; readonly name: string | null; readonly sinceUs: number } | null
}

/**
 * All lines: what runs first, as it started, the newest first; then the rest, the newest first. SQL's row replaces a live
 * one unless it has not seen the end yet. `since` says when each running trace was first seen to run. A live one that SQL
 * was asked for and did not list is part of another request: it is not shown.
 */
export function traceLinesOf(
  rows: readonly TraceRow[],
  live: Pick<LiveView, 'running' | 'ended'> | null,
  place: Place,
  nowUs: number,
  since: ReadonlyMap<string, number>,
  asked: AskedTraces = noneAsked,
): readonly TraceLine[] {
  const lines = new Map<string, TraceLine>()
  for (const row of rows) lines.set(row.trace_id, lineOfRow(row))
  for (const trace of live?.ended ?? []) {
    const known = lines.get(trace.trace_id)
    if (known?.running === null) continue
    if (known === undefined && asked.ids.has(trace.trace_id) && trace.started_at_us >= asked.sinceUs) continue
    if (known !== undefined || belongs(judgeEnded(trace, place, nowUs))) lines.set(trace.trace_id, lineOfEnded(trace))
  }
  for (const trace of live?.running ?? []) {
    const known = lines.get(trace.trace_id)
    if (known?.running === null) continue
    const running = {
      layer: trace.layer,
      name: trace.name,
      sinceUs: known?.startedUs ?? since.get(trace.trace_id) ?? trace.start_us,
    }
    if (known !== undefined) lines.set(trace.trace_id, { ...known, running })
    else if (belongs(judgeRunning(trace, place))) lines.set(trace.trace_id, lineOfRunning(trace, running))
  }
  return [...lines.values()].sort(byRunningThenStart).slice(0, traceRowsListedMax)
}

/** What had been told of when SQL was asked the last time, and how far back its answer reaches (the start, in µs). */
export type AskedTraces = { readonly ids: ReadonlySet<string>; readonly sinceUs: number }

const noneAsked: AskedTraces = { ids: new Set(), sinceUs: 0 }

/** Whether a trace ended so lately that SQL may yet find it to be part of another request. */
export function mayBeJoined({ running, startedUs, durationMs }: TraceLine, nowUs: number): boolean {
  return running === null && durationMs !== null && nowUs - startedUs - durationMs * 1_000 < joinedUsMax
}

// The tick that joins traces comes every five seconds, after what it joins was stored.
const joinedUsMax = 15e6

/** Whether a trace ended so lately that others of its processes may not have told their part yet. */
export function mayBePartial({ running, startedUs, durationMs }: TraceLine, nowUs: number): boolean {
  return running === null && durationMs !== null && nowUs - startedUs - durationMs * 1_000 < partialUsMax
}

// A reporter sends every second or two; one retry more is in it.
const partialUsMax = 6e6

/** What was told of the traces of this place that ended, as one text: another text means that SQL may know more. */
export function endedMarkOf(live: Pick<LiveView, 'ended'> | null, place: Place, nowUs: number): string {
  const told = (live?.ended ?? []).filter((trace) => judgeEnded(trace, place, nowUs) !== false)
  return JSON.stringify(told)
}

/** When each trace that runs now was first seen to run: the least start told, which moves on with its innermost span. */
export function runningSince(
  before: ReadonlyMap<string, number>,
  running: readonly RunningTrace[],
): ReadonlyMap<string, number> {
  return new Map(
    running.map(({ trace_id, start_us }) => [trace_id, Math.min(start_us, before.get(trace_id) ?? start_us)]),
  )
}

/** Whether live entries may belong to a place whose filter only SQL can judge, so that it has to be asked. */
export function isJudgedBySql(place: Place): boolean {
  return place.filter.text !== undefined || place.filter.call_number !== undefined
}

/** True, false, or null: the entry does not tell. */
type Judgement = boolean | null

function belongs(judgement: Judgement): boolean {
  return judgement === true
}

function judgeEnded(trace: EndedTrace, place: Place, nowUs: number): Judgement {
  const { filter } = place
  if (!isInTime(trace.started_at_us, place, nowUs)) return false
  const least = filter.min_duration_ms === undefined ? 0 : Number(filter.min_duration_ms)
  const most = filter.max_duration_ms === undefined ? Number.POSITIVE_INFINITY : Number(filter.max_duration_ms)
  return allOf([
    filter.text === undefined ? true : null,
    equal(filter.tool, trace.tool),
    equal(filter.provider, trace.provider),
    equal(filter.model, trace.model),
    equal(filter.session, trace.session_key),
    equal(filter.service, trace.service),
    equal(filter.environment, trace.environment),
    filter.layer === undefined || Object.hasOwn(trace.layers, filter.layer),
    trace.duration_ms >= least && trace.duration_ms < most,
    isOutcome(filter.outcome, trace.outcome),
    isCall(filter.call_number, trace),
  ])
}

function judgeRunning(trace: RunningTrace, place: Place): Judgement {
  const { filter } = place
  if (!endsNow(place) || filter.outcome !== undefined) return false
  if (filter.min_duration_ms !== undefined || filter.max_duration_ms !== undefined) return false
  const untold = [filter.text, filter.provider, filter.model, filter.layer, filter.call_number]
  return allOf([
    untold.every((value) => value === undefined) ? true : null,
    equal(filter.tool, trace.tool),
    equal(filter.session, trace.session),
    equal(filter.service, trace.service),
    equal(filter.environment, trace.environment),
  ])
}

function allOf(judgements: readonly Judgement[]): Judgement {
  if (judgements.includes(false)) return false
  return judgements.includes(null) ? null : true
}

function equal(wanted: string | undefined, value: string | null): boolean {
  return wanted === undefined || wanted === value
}

function isOutcome(wanted: string | undefined, outcome: string | null): boolean {
  if (wanted === undefined) return true
  return wanted === failedOutcome ? isFailure(outcome as Outcome | null) : wanted === outcome
}

/** A number that the recorder did not send is ranked by SQL. */
function isCall(wanted: string | undefined, { call_number, session_key }: EndedTrace): Judgement {
  if (wanted === undefined) return true
  if (call_number === null) return session_key === null ? false : null
  return call_number === Number(wanted)
}

function isInTime(us: number, place: Place, nowUs: number): boolean {
  return us >= fromOf(place, nowUs) && (place.to_us === null || us < place.to_us)
}

function lineOfRow(row: TraceRow): TraceLine {
  const ended = row.duration_ms !== null
  return {
    id: row.trace_id,
    startedUs: row.started_at_us,
    name: row.name,
    tool: row.tool,
    outcome: row.outcome,
    durationMs: row.duration_ms,
    layers: row.layers,
    session: row.session_key,
    callNumber: row.call_number,
    provider: row.provider,
    model: row.model,
    tokensIn: row.tokens_in,
    tokensOut: row.tokens_out,
    service: row.service,
    environment: row.environment,
    running: ended ? null : { layer: null, name: null, sinceUs: row.started_at_us },
  }
}

function lineOfEnded(trace: EndedTrace): TraceLine {
  return {
    id: trace.trace_id,
    startedUs: trace.started_at_us,
    name: trace.name,
    tool: trace.tool,
    outcome: trace.outcome,
    durationMs: trace.duration_ms,
    layers: trace.layers,
    session: trace.session_key,
    callNumber: trace.call_number,
    provider: trace.provider,
    model: trace.model,
    tokensIn: undefined,
    tokensOut: undefined,
    service: trace.service,
    environment: trace.environment,
    running: null,
  }
}

function lineOfRunning(trace: RunningTrace, running: NonNullable<TraceLine['running']>): TraceLine {
  return {
    id: trace.trace_id,
    startedUs: running.sinceUs,
    name: trace.name,
    tool: trace.tool,
    outcome: null,
    durationMs: null,
    layers: {},
    session: trace.session,
    callNumber: null,
    provider: null,
    model: null,
    tokensIn: undefined,
    tokensOut: undefined,
    service: trace.service,
    environment: trace.environment,
    running,
  }
}

function byRunningThenStart(a: TraceLine, b: TraceLine): number {
  const running = Number(isSeenRunning(b)) - Number(isSeenRunning(a))
  return running || b.startedUs - a.startedUs || (a.id < b.id ? 1 : -1)
}

/** A trace without an end that no process tells of any more stays where its start puts it. */
function isSeenRunning({ running }: TraceLine): boolean {
  return running !== null && running.layer !== null
}

/** Both ends of an id: enough to tell sessions apart at a glance. */
export function shortId(id: string): string {
  // What was a secret is told apart by a mark.
  const hidden = /^\[redacted\](~[0-9a-f]+)$/.exec(id)?.[1]
  return hidden ?? (id.length <= 11 ? id : `${id.slice(0, 5)}…${id.slice(-4)}`)
}
