import type { Breakdown, StoredSpan, StoredSpans } from './trace.ts'

// Where a trace's time went. `telltale.summary_of` computes the same in SQL; a change here is a change there.
//
// The interval of an ended span is [start_us, max(start_us, end_us)): an end before its start counts as no time. A span
// without end_us neither counts nor shields. A span that the tick concluded has an end and counts.

/** Half-open, in µs. */
export type Interval = { readonly start: number; readonly end: number }

/**
 * Self time in µs of every ended span, by span id: its duration minus the union of its ended direct children, each
 * clipped to it. Never negative. A child is a span whose parent_span_id is this span's id and not its own id; in a circle
 * of parents each span is the child of the one before. Clocks of two processes differ, so a child of another process
 * that does not lie inside its parent, and is not longer than it, is first moved by the least time that puts it inside
 * (for this subtraction alone). A shadowed span has none.
 */
export function selfTimesOf(spans: StoredSpans): Map<string, number> {
  const intervals = new Map<string, Interval>()
  const covered = new Map<string, Interval[]>()
  for (const [id, span] of Object.entries(spans)) {
    const interval = intervalOf(span)
    if (interval !== null) intervals.set(id, interval)
  }
  const shadowed = shadowedSpansOf(spans)
  for (const [id, interval] of intervals) {
    if (shadowed.has(id)) continue
    const span = spans[id] as StoredSpan
    const parentId = span.parent_span_id
    if (parentId === undefined || parentId === id) continue
    const parent = intervals.get(parentId)
    if (parent === undefined) continue
    const seen = span.process === spans[parentId]?.process ? interval : movedInto(parent, interval)
    const start = Math.max(seen.start, parent.start)
    const end = Math.min(seen.end, parent.end)
    if (start >= end) continue
    const siblings = covered.get(parentId)
    if (siblings === undefined) covered.set(parentId, [{ start, end }])
    else siblings.push({ start, end })
  }
  const selfTimes = new Map<string, number>()
  for (const [id, { start, end }] of intervals) {
    selfTimes.set(id, shadowed.has(id) ? 0 : end - start - measureOf(covered.get(id) ?? []))
  }
  return selfTimes
}

const derived = 'telltale.derived'
type DerivedSpan = Pick<StoredSpan, 'attributes' | 'process'> & {
  readonly parent_span_id?: string | null
  readonly end_us?: number | null
}

/**
 * Spans that a recorder derived from what the process further in said of itself (attribute `telltale.derived`), where
 * that process has recorded the same call too: their parent has an ended child of another process that is not derived.
 * They have no self time and shield nothing: the same time would count twice.
 */
export function shadowedSpansOf(spans: { readonly [id: string]: DerivedSpan }): ReadonlySet<string> {
  const shadowed = new Set<string>()
  for (const [id, span] of Object.entries(spans)) {
    const parent = span.parent_span_id
    if (span.attributes?.[derived] !== true || typeof parent !== 'string' || parent === id) continue
    if (!Object.hasOwn(spans, parent)) continue
    const seen = Object.entries(spans).some(
      ([otherId, other]) =>
        other.parent_span_id === parent &&
        otherId !== parent &&
        typeof other.end_us === 'number' &&
        other.process !== span.process &&
        other.attributes?.[derived] !== true,
    )
    if (seen) shadowed.add(id)
  }
  return shadowed
}

/**
 * Self time summed by layer, and `unexplained`: the time between the first start and the last end of the ended root
 * spans that no root covers. A root's parent is absent, not in the trace, or the span itself; a span whose parent still
 * runs is no root. A layer that is itself named `unexplained` adds to that. `wait_ms` is the self time of wait spans.
 */
export function breakdownOf(spans: StoredSpans): { readonly layers: Breakdown; readonly wait_ms: number } {
  const sums = new Map<string, number>()
  const add = (layer: string, us: number): void => {
    if (us > 0) sums.set(layer, (sums.get(layer) ?? 0) + us)
  }
  let waited = 0
  for (const [id, us] of selfTimesOf(spans)) {
    const span = spans[id] as StoredSpan
    add(span.layer, us)
    if (span.kind === 'wait') waited += us
  }
  add('unexplained', unexplainedOf(spans))
  const layers = [...sums].map(([layer, us]): [string, number] => [layer, msOf(us)])
  return { layers: Object.fromEntries(layers), wait_ms: msOf(waited) }
}

/** Whether a span hangs on no other: its parent is absent, not among these spans, or itself. */
export function isRoot(spans: StoredSpans, id: string): boolean {
  const parentId = spans[id]?.parent_span_id
  return parentId === undefined || parentId === id || !Object.hasOwn(spans, parentId)
}

/** µs to ms, three decimals. */
export function msOf(us: number): number {
  return us / 1_000
}

/** In µs. */
function unexplainedOf(spans: StoredSpans): number {
  const roots: Interval[] = []
  let first = Number.POSITIVE_INFINITY
  let last = Number.NEGATIVE_INFINITY
  for (const [id, span] of Object.entries(spans)) {
    const interval = intervalOf(span)
    if (interval === null || !isRoot(spans, id)) continue
    roots.push(interval)
    first = Math.min(first, interval.start)
    last = Math.max(last, interval.end)
  }
  return roots.length === 0 ? 0 : last - first - measureOf(roots)
}

/** When a span ran; null while it does. */
export function intervalOf(span: StoredSpan): Interval | null {
  if (span.end_us === undefined) return null
  return { start: span.start_us, end: Math.max(span.start_us, span.end_us) }
}

/** A child's interval moved by the least that puts it inside its parent's; as it is where it is longer. */
export function movedInto(parent: Interval, child: Interval): Interval {
  const length = child.end - child.start
  if (length > parent.end - parent.start) return child
  if (child.start < parent.start) return { start: parent.start, end: parent.start + length }
  if (child.end > parent.end) return { start: parent.end - length, end: parent.end }
  return child
}

/** The length of the union of intervals. Sorts them. */
function measureOf(intervals: Interval[]): number {
  intervals.sort((a, b) => a.start - b.start)
  let measure = 0
  let reached = Number.NEGATIVE_INFINITY
  for (const { start, end } of intervals) {
    if (end <= reached) continue
    measure += end - Math.max(start, reached)
    reached = end
  }
  return measure
}
