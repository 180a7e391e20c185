import { type Interval, intervalOf, isRoot, movedInto, shadowedSpansOf } from './breakdown.ts'
import type { StoredSpan, StoredSpans } from './trace.ts'

// Which spans the end of a trace waited for: were any part of this path shorter, the trace could have ended sooner.

/** A stretch of the path, half-open, in µs by the clocks of the roots. `span_id` is null where no root ran. */
export type PathPart = Interval & {
  readonly span_id: string | null
  /** What was added to the times of the span's own process to get there. */
  readonly moved_us: number
}

/** `walked` once it is cut up: then it is a part of the path. */
type Stretch = PathPart & { readonly walked: boolean }

/** A child as its parent has it: moved, and clipped. */
type Child = Interval & { readonly span_id: string; readonly moved_us: number }

/**
 * The critical path: in order, without gaps or overlaps, from the first start to the last end of the ended roots. Found from
 * the end back: at each moment it goes through the child that ran then (of several the one that began first), else through
 * the span itself down to where its last child before that ended; and within the child the same again. Clocks as in
 * `selfTimesOf`: a child of another process that fits its parent is moved into it, with all below it. What still runs, is
 * shadowed, or hangs on no root is on no path. Empty where no root has ended.
 */
export function criticalPathOf(spans: StoredSpans): readonly PathPart[] {
  const children = childrenOf(spans)
  const roots = children.get(null) ?? []
  if (roots.length === 0) return []
  let [start, end] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const root of roots) [start, end] = [Math.min(start, root.start), Math.max(end, root.end)]
  const parts: PathPart[] = []
  // A loop and no recursion: chains may be long. The latest stretch is on top.
  const stack: Stretch[] = [{ span_id: null, start, end, moved_us: 0, walked: false }]
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { walked, ...part } = top
    if (walked) parts.push(part)
    else stack.push(...stretchesOf(part, seenFrom(part, children.get(part.span_id) ?? [], spans)))
  }
  return parts.reverse()
}

/** The time of each span on the path, in µs, by span id; what is of no span is left out. */
export function pathTimesOf(path: readonly PathPart[]): ReadonlyMap<string, number> {
  const times = new Map<string, number>()
  for (const { span_id, start, end } of path) {
    if (span_id !== null) times.set(span_id, (times.get(span_id) ?? 0) + end - start)
  }
  return times
}

/** A stretch of a span cut into stretches of its children and, between them, of itself: the earliest first. */
function stretchesOf(of: PathPart, children: readonly Child[]): Stretch[] {
  const found: Stretch[] = []
  const own = (start: number, end: number) => {
    if (start < end) found.push({ ...of, start, end, walked: true })
  }
  let reached = of.end
  let first: Child | undefined
  let next = 0
  while (reached > of.start) {
    // Of those that ended at this moment or later, the one that began first; what begins after it is passed for good.
    for (let child = children[next]; child !== undefined && child.end >= reached; child = children[++next]) {
      if (first === undefined || isBefore(child, first)) first = child
    }
    if (first === undefined || first.start >= reached) {
      const last = children[next]
      if (last === undefined) break
      own(last.end, reached)
      reached = last.end
      continue
    }
    found.push({ ...first, end: reached, walked: false })
    reached = first.start
  }
  own(of.start, reached)
  return found.reverse()
}

/** The children of a span that take any of a stretch of it, those that end last first. */
function seenFrom(of: PathPart, ids: readonly Child[], spans: StoredSpans): Child[] {
  const parent = of.span_id === null ? null : (spans[of.span_id] as StoredSpan)
  const children: Child[] = []
  for (const { span_id, start, end } of ids) {
    const outer = parent === null ? null : intervalOf(parent)
    const isForeign = outer !== null && spans[span_id]?.process !== parent?.process
    const seen = isForeign ? movedInto(outer, { start, end }) : { start, end }
    const moved_us = of.moved_us + seen.start - start
    const clipped = { start: Math.max(start + moved_us, of.start), end: Math.min(end + moved_us, of.end) }
    if (clipped.start < clipped.end) children.push({ span_id, moved_us, ...clipped })
  }
  return children.sort((a, b) => b.end - a.end || (isBefore(a, b) ? -1 : 1))
}

/** The ended children of each ended span that count, as they were recorded; the roots under null. */
function childrenOf(spans: StoredSpans): ReadonlyMap<string | null, Child[]> {
  const children = new Map<string | null, Child[]>()
  const shadowed = shadowedSpansOf(spans)
  for (const [span_id, span] of Object.entries(spans)) {
    const interval = intervalOf(span)
    if (interval === null || shadowed.has(span_id)) continue
    const parent = isRoot(spans, span_id) ? null : (span.parent_span_id as string)
    const child = { span_id, moved_us: 0, ...interval }
    const siblings = children.get(parent)
    if (siblings === undefined) children.set(parent, [child])
    else siblings.push(child)
  }
  return children
}

function isBefore(a: Child, b: Child): boolean {
  return a.start < b.start || (a.start === b.start && a.span_id < b.span_id)
}
