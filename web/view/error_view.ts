import { errorRowsListedMax } from '../../src/core/limit.ts'
import type { LiveError } from '../../src/core/live_snapshot.ts'
import type { ErrorCounts, ErrorGroup, ErrorRow, GroupDecision, GroupState } from './answer.ts'
import { bytesText, durationText } from './number_text.ts'
import { type Place, stateShownOf } from './place.ts'
import type { Fact } from './span_view.ts'

// Errors by what they have in common, and one by one: what SQL answered, with what is live on top.

/** One line of the list of groups. */
export type ErrorLine = {
  readonly fingerprint: string
  readonly errorType: string
  readonly message: string
  readonly culprit: string | null
  readonly traceId: string | null
  readonly count: number
  /** How many of them came since the page was opened. */
  readonly fresh: number
  readonly firstUs: number
  readonly lastUs: number
  readonly services: readonly string[]
  readonly state: GroupState
  readonly decision: GroupDecision | null
  readonly first_version: string | null
  readonly last_version: string | null
  /** Null of a group that SQL has not told of yet. */
  readonly counts: ErrorCounts | null
}

/** One failure, whole or as far as the push told it: `context` and what follows are undefined until SQL was asked. */
export type Occurrence = Omit<LiveError, 'service' | 'environment'> &
  Partial<Omit<ErrorRow, keyof LiveError>> & {
    readonly service: string | null
    readonly environment: string | null
  }

/**
 * All groups, the last seen first. A live error is added to the count of its group unless SQL counted it: because it is
 * among `counted`, those that were known before SQL was asked, or because SQL saw one of its group that is as late. Those
 * since `openedUs`, when the page was opened, are fresh. A group that SQL has not told of yet is a line too, but not one
 * that it left out, being resolved or ignored.
 */
export function errorLinesOf(
  groups: readonly ErrorGroup[],
  live: readonly LiveError[],
  place: Place,
  counted: ReadonlySet<string>,
  openedUs: number,
): readonly ErrorLine[] {
  const lines = new Map<string, ErrorLine>()
  for (const group of groups) lines.set(group.fingerprint, lineOfGroup(group))
  const leftOut = new Set(
    live.flatMap(({ error_id, fingerprint }) =>
      counted.has(error_id) && !lines.has(fingerprint) ? [fingerprint] : [],
    ),
  )
  const seenUs = new Map([...lines.values()].map(({ fingerprint, lastUs }) => [fingerprint, lastUs]))
  for (const error of [...live].sort((a, b) => a.at_us - b.at_us)) {
    const known = lines.get(error.fingerprint)
    if (known === undefined && (leftOut.has(error.fingerprint) || !isShown(error, place))) continue
    if (!isOfPlace(error, place)) continue
    const line = known ?? lineOfError(error)
    const latest = error.at_us >= line.lastUs
    // SQL's instants are read to the ms.
    const isCounted = counted.has(error.error_id) || error.at_us < (seenUs.get(error.fingerprint) ?? 0) + 1_000
    lines.set(error.fingerprint, {
      ...line,
      ...(latest ? { message: error.message, errorType: error.error_type, culprit: error.culprit } : {}),
      ...(latest ? { traceId: error.trace_id, lastUs: error.at_us } : {}),
      count: line.count + (isCounted ? 0 : 1),
      fresh: line.fresh + (error.at_us >= openedUs ? 1 : 0),
      services: line.services.includes(error.service) ? line.services : [...line.services, error.service],
    })
  }
  return [...lines.values()].sort(byLast).slice(0, errorRowsListedMax)
}

/** Live errors and those that SQL answered, each once, the newest first; SQL's is the whole one. */
export function occurrencesOf(rows: readonly ErrorRow[], live: readonly LiveError[]): readonly Occurrence[] {
  const known = new Set(rows.map(({ error_id }) => error_id))
  const found: Occurrence[] = [...live.filter(({ error_id }) => !known.has(error_id)), ...rows]
  return found.sort((a, b) => b.at_us - a.at_us || (a.error_id < b.error_id ? 1 : -1)).slice(0, errorRowsListedMax)
}

/** µs since the epoch of an ISO 8601 instant, to the ms. */
export function usOf(iso: string): number {
  return Date.parse(iso) * 1_000
}

/** The first line of a message, as far as a list shows it. */
export function firstLineOf(message: string): string {
  return (
    message
      .trimStart()
      .slice(0, lineCharactersMax)
      .split(/[\r\n]/, 1)[0] ?? ''
  )
}

const lineCharactersMax = 300

/** Whether a live error fits the filter as far as it tells; what its words are only SQL knows. */
function isShown(error: LiveError, place: Place): boolean {
  const isStateUnknown = stateShownOf(place) === 'open' || stateShownOf(place) === 'all'
  return isStateUnknown && place.filter.text === undefined && place.to_us === null && isOfPlace(error, place)
}

function isOfPlace({ service, environment }: LiveError, { filter }: Place): boolean {
  const { service: wanted, environment: place } = filter
  return (wanted === undefined || wanted === service) && (place === undefined || place === environment)
}

function lineOfGroup(group: ErrorGroup): ErrorLine {
  return {
    fingerprint: group.fingerprint,
    errorType: group.error_type,
    message: group.message,
    culprit: group.culprit,
    traceId: group.trace_id,
    count: group.count,
    fresh: 0,
    firstUs: usOf(group.first_seen_at),
    lastUs: usOf(group.last_seen_at),
    services: group.services,
    state: group.state,
    decision: group.decision,
    first_version: group.first_version,
    last_version: group.last_version,
    counts: group.counts,
  }
}

/** A group that begins with this error; its count is still to come. */
function lineOfError(error: LiveError): ErrorLine {
  return {
    fingerprint: error.fingerprint,
    errorType: error.error_type,
    message: error.message,
    culprit: error.culprit,
    traceId: error.trace_id,
    count: 0,
    fresh: 0,
    firstUs: error.at_us,
    lastUs: error.at_us,
    services: [error.service],
    state: 'open',
    decision: null,
    first_version: null,
    last_version: null,
    counts: null,
  }
}

function byLast(a: ErrorLine, b: ErrorLine): number {
  return b.lastUs - a.lastUs || (a.fingerprint < b.fingerprint ? 1 : -1)
}

/** Whether a text is more than a few lines, so that it is cut at first. */
export function isLongText(text: string): boolean {
  return text.length > cutCharactersMax || text.split('\n', cutLinesMax + 1).length > cutLinesMax
}

/** What of a text is in the page: all, or no more than the few lines of it that are seen. */
export function textShownOf(text: string, whole: boolean): string {
  return whole || text.length <= cutCharactersMax ? text : `${text.slice(0, cutCharactersMax)}…`
}

const cutCharactersMax = 600
const cutLinesMax = 4

/** What is known of the connection that a failure happened on; empty where it was on none. */
export function connectionFactsOf(error: Occurrence): readonly Fact[] {
  const { data_size_bytes: size, response_time_ms: took } = error
  const facts: readonly [term: string, text: string | null | undefined][] = [
    ['Connection', error.connection_type],
    ['Direction', error.direction],
    ['Script', error.script_name],
    ['Function', error.function_name],
    ['Size', size === null || size === undefined ? null : bytesText(size)],
    ['Response time', took === null || took === undefined ? null : durationText(took)],
  ]
  return facts.flatMap(([term, text]) => (text === null || text === undefined ? [] : [{ term, text }]))
}
