import { nameBytesMax, openCallsMax, runningMax } from '../core/limit.ts'
import type { RunningCall } from '../core/record.ts'
import { cutText } from './text_cut.ts'

/** What the list needs to know of a span that runs. Its neighbours in the list are kept on the span itself. */
export type OpenSpan = {
  readonly traceId: string
  readonly spanId: string
  readonly layer: string
  readonly name: string
  readonly tool: string | null
  readonly sessionKey: string | null
  readonly startUs: number
  older?: OpenSpan | null
  newer?: OpenSpan | null
  listed?: boolean
}

/**
 * The spans that run now, in the order in which they began. Bounded: beyond `openMax` the one that has run longest is
 * forgotten (it can still end), so that a host that never ends its spans does not grow.
 */
export class RunningList<T extends OpenSpan> {
  readonly #openMax: number
  #oldest: T | null = null
  #newest: T | null = null
  #open = 0

  constructor(openMax: number = openCallsMax) {
    this.#openMax = openMax
  }

  /** The true number of traces that run. */
  get total(): number {
    return this.#innermost().size
  }

  /** Open spans, of all traces. */
  get open(): number {
    return this.#open
  }

  add(span: T): void {
    const before = this.#newest
    span.older = before
    span.listed = true
    if (before) before.newer = span
    else this.#oldest = span
    this.#newest = span
    if (++this.#open > this.#openMax && this.#oldest) this.remove(this.#oldest)
  }

  remove(span: T): void {
    if (!span.listed) return
    const older = span.older as T | null
    const newer = (span.newer ?? null) as T | null
    if (older) older.newer = newer
    else this.#oldest = newer
    if (newer) newer.older = older
    else this.#newest = older
    span.older = null
    span.newer = null
    span.listed = false
    this.#open--
  }

  /** Every open span, in the order in which they began. */
  *spans(): Iterable<T> {
    for (let span = this.#oldest; span; span = (span.newer ?? null) as T | null) yield span
  }

  /** One entry a trace: its innermost open span, the one that began last. The longest running first, `max` at most. */
  entries(max: number = runningMax): readonly RunningCall[] {
    const entries: RunningCall[] = []
    for (const span of this.#innermost().values()) {
      if (entries.length >= max) break
      entries.push(entryOf(span))
    }
    return entries
  }

  /** By trace, in the order in which the traces began. */
  #innermost(): ReadonlyMap<string, T> {
    const innermost = new Map<string, T>()
    for (const span of this.spans()) innermost.set(span.traceId, span)
    return innermost
  }
}

function entryOf(span: OpenSpan): RunningCall {
  return {
    trace_id: span.traceId,
    span_id: span.spanId,
    layer: span.layer,
    name: span.name,
    tool: span.tool,
    session: span.sessionKey === null ? null : cutText(span.sessionKey, nameBytesMax),
    start_us: span.startUs,
  }
}
