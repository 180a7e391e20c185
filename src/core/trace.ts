import { breakdownOf, isRoot, msOf } from './breakdown.ts'
import { compareBytes, jsonbTextOf } from './jsonb_text.ts'
import type { Outcome } from './outcome.ts'
import type { Json, Span } from './record.ts'
import { assert } from './result.ts'

/**
 * A span inside its trace's `spans` object, keyed by span id: the wire's fields without type, trace_id and span_id,
 * and without those that are null, false or empty (`{}`); `session` is flattened to session_key and session_rule.
 */
export type StoredSpan = {
  readonly parent_span_id?: string
  readonly layer: string
  /** Absent: `work`. */
  readonly kind?: 'wait'
  readonly name: string
  readonly start_us: number
  readonly end_us?: number
  readonly outcome?: Outcome
  readonly entry?: true
  readonly request_id?: string
  readonly session_key?: string
  readonly session_rule?: string
  readonly call_number?: number
  readonly tool?: string
  readonly provider?: string
  readonly model?: string
  readonly bytes_in?: number
  readonly bytes_out?: number
  readonly tokens_in?: number
  readonly tokens_out?: number
  readonly holder?: string
  readonly attributes?: Span['attributes']
  /** The process that recorded it; its source stands in telltale.processes. */
  readonly process: string
  /** Ended by the tick, not by a recorder: weaker than any reported end. */
  readonly concluded?: true
}

export type StoredSpans = { readonly [spanId: string]: StoredSpan }

/** Self time by layer, in ms with three decimals; `unexplained` is what no root span covers. Layers of 0 are absent. */
export type Breakdown = { readonly [layer: string]: number }

/** What a trace's spans add up to. A pure function of the spans, the same in SQL (`telltale.summary_of`). */
export type TraceSummary = {
  readonly started_at_us: number
  /** Greatest end of any span, null while none has ended. */
  readonly ended_at_us: number | null
  /** Duration of the head span, null while it runs. */
  readonly duration_ms: number | null
  readonly name: string
  readonly outcome: Outcome | null
  readonly request_id: string | null
  readonly session_key: string | null
  readonly session_rule: string | null
  readonly call_number: number | null
  readonly tool: string | null
  readonly provider: string | null
  readonly model: string | null
  readonly bytes_in: number | null
  readonly bytes_out: number | null
  readonly tokens_in: number | null
  readonly tokens_out: number | null
  readonly span_count: number
  /** The head span's process. */
  readonly process: string
  readonly layers: Breakdown
  /** Self time of the wait spans, in ms. */
  readonly wait_ms: number
}

/** One trace as a batch brings it. */
export type TraceRow = { readonly trace_id: string; readonly spans: StoredSpans } & TraceSummary

/** 0 pending (no end), 1 concluded by the tick, 2 ended as a recorder reported. */
export type Rank = 0 | 1 | 2

/** A wire span as it is stored: see `StoredSpan` for what is left out. `process` is the id of the process that sent it. */
export function storedSpanOf(span: Span, process: string): StoredSpan {
  const stored: { [field: string]: unknown } = {}
  for (const field of copiedFields) if (span[field] !== null) stored[field] = span[field]
  if (span.kind === 'wait') stored.kind = 'wait'
  if (span.entry) stored.entry = true
  if (span.session !== null) {
    stored.session_key = span.session.key
    stored.session_rule = span.session.rule
  }
  if (Object.keys(span.attributes).length > 0) stored.attributes = span.attributes
  stored.process = process
  return stored as StoredSpan
}

const copiedFields = [
  'parent_span_id',
  'layer',
  'name',
  'start_us',
  'end_us',
  'outcome',
  'request_id',
  'call_number',
  'tool',
  'provider',
  'model',
  'bytes_in',
  'bytes_out',
  'tokens_in',
  'tokens_out',
  'holder',
] as const satisfies readonly (keyof Span)[]

export function rankOf(span: StoredSpan): Rank {
  if (span.end_us === undefined) return 0
  return span.concluded === true ? 1 : 2
}

/**
 * Of two versions of one span the one that stays, whole: the greater by (rank, end or 0, jsonb text by bytes). The order
 * is total but for equal text, so the choice is associative, commutative and idempotent, here and in SQL.
 */
export function strongerSpan(a: StoredSpan, b: StoredSpan): StoredSpan {
  const order = rankOf(a) - rankOf(b) || (a.end_us ?? 0) - (b.end_us ?? 0)
  if (order !== 0) return order > 0 ? a : b
  return compareBytes(textOf(a), textOf(b)) >= 0 ? a : b
}

/**
 * One trace as one batch tells it: of the spans with one id the strongest, and what they add up to.
 * All `spans` belong to `trace_id`, there is at least one, and `process` sent them.
 */
export function traceRowOf(trace_id: string, spans: readonly Span[], process: string): TraceRow {
  const kept = new Map<string, StoredSpan>()
  for (const span of spans) {
    const stored = storedSpanOf(span, process)
    const other = kept.get(span.span_id)
    kept.set(span.span_id, other === undefined ? stored : strongerSpan(other, stored))
  }
  const storedSpans: StoredSpans = Object.fromEntries(kept)
  return { trace_id, spans: storedSpans, ...summaryOf(storedSpans) }
}

/**
 * What spans add up to; at least one. The head is the least by (start_us, span_id) among the entry spans, else among the
 * roots, else among all (a circle). It gives name, process, duration (as its clock told it, negative if that stepped back)
 * and outcome, both null while it has no end. The other facts are the head's where it has one, else those of the first
 * span in the same order that does; session_key and session_rule come from one span. tokens_in and tokens_out, each alone,
 * are the head's, else the sum over layer `api`, else null. For layers and waits see `breakdownOf`.
 */
export function summaryOf(spans: StoredSpans): TraceSummary {
  const ids = Object.keys(spans)
  assert(ids.length > 0, 'a trace has at least one span')
  const spanAt = (id: string): StoredSpan => spans[id] as StoredSpan
  ids.sort((a, b) => spanAt(a).start_us - spanAt(b).start_us || compareBytes(a, b))
  const inOrder = ids.map(spanAt)
  const headId =
    ids.find((id) => spanAt(id).entry === true) ?? ids.find((id) => isRoot(spans, id)) ?? (ids[0] as string)
  const head = spanAt(headId)
  const factOf = <F extends keyof StoredSpan>(field: F): NonNullable<StoredSpan[F]> | null =>
    head[field] ?? inOrder.find((span) => span[field] !== undefined)?.[field] ?? null
  const session = head.session_key !== undefined ? head : inOrder.find((span) => span.session_key !== undefined)
  return {
    started_at_us: (inOrder[0] as StoredSpan).start_us,
    ended_at_us: lastEndOf(inOrder),
    duration_ms: head.end_us === undefined ? null : msOf(head.end_us - head.start_us),
    name: head.name,
    outcome: head.end_us === undefined ? null : (head.outcome ?? null),
    request_id: factOf('request_id'),
    session_key: session?.session_key ?? null,
    session_rule: session?.session_rule ?? null,
    call_number: factOf('call_number'),
    tool: factOf('tool'),
    provider: factOf('provider'),
    model: factOf('model'),
    bytes_in: factOf('bytes_in'),
    bytes_out: factOf('bytes_out'),
    tokens_in: head.tokens_in ?? tokensOf(inOrder, 'tokens_in'),
    tokens_out: head.tokens_out ?? tokensOf(inOrder, 'tokens_out'),
    span_count: ids.length,
    process: head.process,
    ...breakdownOf(spans),
  }
}

function lastEndOf(spans: readonly StoredSpan[]): number | null {
  let last: number | null = null
  for (const { end_us } of spans) if (end_us !== undefined && (last === null || end_us > last)) last = end_us
  return last
}

function tokensOf(spans: readonly StoredSpan[], field: 'tokens_in' | 'tokens_out'): number | null {
  let sum: number | null = null
  for (const span of spans) {
    const tokens = span[field]
    if (span.layer === 'api' && tokens !== undefined) sum = (sum ?? 0) + tokens
  }
  return sum
}

function textOf(span: StoredSpan): string {
  // A stored span is JSON by its type; its optional fields are absent, never undefined.
  return jsonbTextOf(span as unknown as Json)
}
