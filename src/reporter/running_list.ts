import { nameBytesMax, openCallsMax, runningMax } from '../core/limit.ts'
import type { RunningCall } from '../core/record.ts'
import { cutText } from './text_cut.ts'

/** What the list needs to know of a span that runs. */
export type OpenSpan = {
  readonly traceId: string
  readonly spanId: string
  readonly layer: string
  readonly name: string
  readonly tool: string | null
  readonly sessionKey: string | null
  readonly startUs: number
}

/**
 * The spans that run now, by trace. Bounded: beyond `openMax` open spans the trace that has run longest is forgotten
 * (its spans can still end), so that a host that never ends its spans does not grow.
 */
export class RunningList<T extends OpenSpan> {
  readonly #traces = new Map<string, T[]>()
  readonly #openMax: number
  #open = 0

  constructor(openMax: number = openCallsMax) {
    this.#openMax = openMax
  }

  /** The true number of traces that run. */
  get total(): number {
    return this.#traces.size
  }

  /** Open spans, of all traces. */
  get open(): number {
    return this.#open
  }

  add(span: T): void {
    const spans = this.#traces.get(span.traceId)
    if (spans) spans.push(span)
    else this.#traces.set(span.traceId, [span])
    this.#open++
    while (this.#open > this.#openMax) {
      const [oldest, forgotten] = this.#traces.entries().next().value as [string, T[]]
      this.#traces.delete(oldest)
      this.#open -= forgotten.length
    }
  }

  remove(span: T): void {
    const spans = this.#traces.get(span.traceId)
    const at = spans?.lastIndexOf(span) ?? -1
    if (!spans || at < 0) return
    spans.splice(at, 1)
    this.#open--
    if (spans.length === 0) this.#traces.delete(span.traceId)
  }

  /** Every open span, by trace, in the order in which they began. */
  *spans(): Iterable<T> {
    for (const spans of this.#traces.values()) yield* spans
  }

  /** One entry a trace: its innermost open span, the one that began last. The longest running first, `max` at most. */
  entries(max: number = runningMax): readonly RunningCall[] {
    const entries: RunningCall[] = []
    for (const spans of this.#traces.values()) {
      if (entries.length >= max) break
      const innermost = spans.at(-1)
      if (innermost) entries.push(entryOf(innermost))
    }
    return entries
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
