import { shadowedSpansOf } from '../../src/core/breakdown.ts'
import type { SpanRow } from './answer.ts'

// The geometry of a trace: which bar stands where. Self time here is that of src/core/breakdown.ts; positions differ from
// the stored times only where two clocks disagree. Times are µs since the epoch, positions percent of the axis.

/** Half-open, in µs. */
type Interval = { readonly start: number; readonly end: number }

/**
 * What is peculiar about a span: it still runs; the tick concluded it; it was moved to where its parent's clock would have
 * it; it reaches outside its parent; its parent was never reported; its parents go round in a circle; no trace context
 * said that it hangs on its parent, but what it has in common with it; it was derived
 * from what its process said of itself, and the spans of that process count in place of it.
 */
export type SpanMark = 'running' | 'interrupted' | 'moved' | 'outside' | 'unseen' | 'circle' | 'inferred' | 'derived'

/** One line of the waterfall. `span` is null in the one line under which spans stand whose parent was never reported. */
export type WaterfallNode = {
  readonly id: string
  readonly span: SpanRow | null
  readonly parent: string | null
  /** From 0. */
  readonly depth: number
  /** How many lines hang below this one, at any depth. */
  readonly descendants: number
  /** Place among the lines that hang on the same parent, from 1, and how many these are. */
  readonly place: number
  readonly siblings: number
  /** As shown; a running span reaches to now. */
  readonly start: number
  readonly end: number
  /** What of it no child covers, in order, without gaps of no time. */
  readonly selfParts: readonly Interval[]
  readonly selfUs: number
  /** By how much it was moved for its clock; 0 for most. */
  readonly movedUs: number
  readonly marks: readonly SpanMark[]
}

/** All lines in the order of the tree, parents before children, children by start. */
export type Waterfall = {
  readonly start: number
  readonly end: number
  readonly nodes: readonly WaterfallNode[]
}

/** The id of the line above spans whose parent was never reported; no span id looks like it. */
export const unseenParentId = 'unseen'

/** Less than this outside the parent is how clocks are read, not what happened. */
const outsideUsMin = 1_000
/** Roots of another process are moved by the difference of the clocks only when it is plain. */
const rootSkewUsMin = 1_000_000

/**
 * Lays a trace out. Spans with equal ids do not occur; parents may be missing, the span itself, or go in circles.
 * Ended children cover their ended parent; of a running parent everything is covered up to `nowUs`.
 */
export function waterfallOf(spans: readonly SpanRow[], nowUs: number): Waterfall {
  const ordered = [...spans].sort((a, b) => a.start_us - b.start_us || (a.span_id < b.span_id ? -1 : 1))
  const byId = new Map(ordered.map((span) => [span.span_id, span]))
  const children = childrenOf(ordered, byId)
  const lines = linesOf(ordered, byId, children)
  const head = ordered.find(({ entry }) => entry === true) ?? lines.find(({ span }) => span !== null)?.span ?? null
  const shadowed = shadowedSpansOf(Object.fromEntries(byId))
  const shifts = new Map<string, number>()
  const shiftOfProcess = new Map<string, number>()
  const nodes: MutableNode[] = []
  for (const line of lines) {
    const { span, parent } = line
    if (span === null) {
      nodes.push({ ...line, start: 0, end: 0, selfParts: [], selfUs: 0, movedUs: 0, marks: [] })
      continue
    }
    const above = parent === null || parent === unseenParentId ? undefined : byId.get(parent)
    // What hangs on nothing seen moves as the rest of its process did.
    const rootShift = (): number => shiftOfProcess.get(span.process) ?? rootShiftOf(span, head)
    const ownShift = above === undefined ? rootShift() : shiftOf(span, above, nowUs)
    const shift = (above === undefined ? 0 : (shifts.get(above.span_id) ?? 0)) + ownShift
    shifts.set(span.span_id, shift)
    if (!shiftOfProcess.has(span.process)) shiftOfProcess.set(span.process, shift)
    const shown = moved(intervalOf(span, nowUs), shift)
    const covers = (children.get(span.span_id) ?? []).filter((child) => !shadowed.has(child.span_id))
    const parts = shadowed.has(span.span_id) ? [] : selfPartsOf(span, covers, nowUs)
    nodes.push({
      ...line,
      ...shown,
      selfParts: parts.map((part) => moved(part, shift)),
      selfUs: parts.reduce((sum, part) => sum + part.end - part.start, 0),
      movedUs: ownShift,
      marks: [
        ...line.marks,
        ...marksOf(span, ownShift, above, nowUs),
        ...(shadowed.has(span.span_id) ? (['derived'] as const) : []),
      ],
    })
  }
  return { ...spanned(nodes, nowUs), nodes }
}

type MutableNode = { -readonly [field in keyof WaterfallNode]: WaterfallNode[field] }
type Line = Pick<WaterfallNode, 'id' | 'span' | 'parent' | 'depth' | 'descendants' | 'place' | 'siblings' | 'marks'>

/** The direct children of each span, by the parent's id; a span is never its own child. */
function childrenOf(ordered: readonly SpanRow[], byId: ReadonlyMap<string, SpanRow>): Map<string, SpanRow[]> {
  const children = new Map<string, SpanRow[]>()
  for (const span of ordered) {
    const parent = span.parent_span_id
    if (parent === null || parent === span.span_id || !byId.has(parent)) continue
    const listed = children.get(parent)
    if (listed === undefined) children.set(parent, [span])
    else listed.push(span)
  }
  return children
}

/** The order of the tree. Every span once, circles cut at their first span. A loop and no recursion: chains may be long. */
function linesOf(
  ordered: readonly SpanRow[],
  byId: ReadonlyMap<string, SpanRow>,
  children: ReadonlyMap<string, SpanRow[]>,
): Line[] {
  const roots = ordered.filter(({ span_id, parent_span_id: parent }) => {
    return parent === null || parent === span_id || !byId.has(parent)
  })
  // The outermost recorder's span may name a parent outside of all recorders: that is how a request arrives, no loss.
  const orphans = roots.filter((span) => isOrphan(span))
  const rooted = roots.filter((span) => !isOrphan(span))
  const lines: MutableLine[] = []
  const seen = new Set<string>()
  const grow = (tops: readonly SpanRow[], parent: string | null, depth: number, marks: readonly SpanMark[]): void => {
    const stack = stacked(tops, parent, depth)
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const id = next.span.span_id
      if (seen.has(id)) continue
      seen.add(id)
      lines.push({ ...next, id, descendants: 0, marks: next.depth === depth ? marks : [] })
      stack.push(...stacked(children.get(id) ?? [], id, next.depth + 1))
    }
  }
  grow(rooted, null, 0, [])
  if (orphans.length > 0) {
    lines.push({
      id: unseenParentId,
      span: null,
      parent: null,
      depth: 0,
      descendants: 0,
      place: 1,
      siblings: 1,
      marks: [],
    })
    grow(orphans, unseenParentId, 1, ['unseen'])
  }
  for (const span of ordered) if (!seen.has(span.span_id)) grow([span], null, 0, ['circle'])
  return withCounts(lines)
}

type MutableLine = { -readonly [field in keyof Line]: Line[field] }
type Stacked = { span: SpanRow; parent: string | null; depth: number; place: number; siblings: number }

function isOrphan(span: SpanRow): boolean {
  return span.parent_span_id !== null && span.parent_span_id !== span.span_id && span.entry !== true
}

/** Last first, so that the first is popped first. */
function stacked(spans: readonly SpanRow[], parent: string | null, depth: number): Stacked[] {
  return spans.map((span, i) => ({ span, parent, depth, place: i + 1, siblings: spans.length })).reverse()
}

/** Fills in how many lines hang below each, from the last line up, and counts the tops through. */
function withCounts(lines: MutableLine[]): MutableLine[] {
  const at = new Map(lines.map((line, i) => [line.id, i]))
  for (const line of lines.toReversed()) {
    const parent = line.parent === null ? undefined : lines[at.get(line.parent) ?? -1]
    if (parent !== undefined) parent.descendants += line.descendants + 1
  }
  const tops = lines.filter(({ parent }) => parent === null)
  tops.forEach((top, i) => {
    top.place = i + 1
    top.siblings = tops.length
  })
  return lines
}

function intervalOf(span: SpanRow, nowUs: number): Interval {
  return { start: span.start_us, end: Math.max(span.start_us, span.end_us ?? nowUs) }
}

function moved({ start, end }: Interval, by: number): Interval {
  return { start: start + by, end: end + by }
}

/**
 * By how much a child of another process is moved: by what was measured of the two clocks, and then as in breakdown.ts;
 * else by what their batches told of them.
 */
function shiftOf(child: SpanRow, parent: SpanRow, nowUs: number): number {
  if (child.process === parent.process || (child.end_us === null && parent.end_us !== null)) return 0
  const known = (child.shift_us ?? 0) - (parent.shift_us ?? 0)
  const inner = moved(intervalOf(child, nowUs), known)
  const outer = intervalOf(parent, nowUs)
  if (inner.end - inner.start <= outer.end - outer.start) return known + placeInside(inner, outer) - inner.start
  if (known !== 0) return known
  const apart = inner.start >= outer.end || inner.end <= outer.start
  return apart ? offsetBetween(child, parent) : 0
}

/** Where an interval no longer than `outer` starts when it is moved by the least that puts it inside. */
function placeInside(inner: Interval, outer: Interval): number {
  if (inner.start < outer.start) return outer.start
  return inner.end > outer.end ? outer.end - (inner.end - inner.start) : inner.start
}

function rootShiftOf(root: SpanRow, head: SpanRow | null): number {
  if (head === null || root.process === head.process) return 0
  const offset = offsetBetween(root, head)
  return Math.abs(offset) < rootSkewUsMin ? 0 : offset
}

function offsetBetween(span: SpanRow, other: SpanRow): number {
  if (span.clock_offset_us === null || other.clock_offset_us === null) return 0
  return span.clock_offset_us - other.clock_offset_us
}

/** A span minus the union of its children, at the times of its own clock. */
function selfPartsOf(span: SpanRow, children: readonly SpanRow[], nowUs: number): Interval[] {
  const own = intervalOf(span, nowUs)
  const covers = children
    .filter((child) => span.end_us === null || child.end_us !== null)
    .map((child) => moved(intervalOf(child, nowUs), coverShiftOf(child, span, nowUs)))
    .filter(({ start, end }) => end > start)
    .sort((a, b) => a.start - b.start)
  const parts: Interval[] = []
  let reached = own.start
  for (const { start, end } of covers) {
    if (start > reached) parts.push({ start: reached, end: Math.min(start, own.end) })
    reached = Math.max(reached, end)
    if (reached >= own.end) break
  }
  if (reached < own.end) parts.push({ start: reached, end: own.end })
  return parts.filter(({ start, end }) => end > start)
}

/** Only what breakdown.ts moves too: a child that is longer than its parent stays where its clock had it. */
function coverShiftOf(child: SpanRow, parent: SpanRow, nowUs: number): number {
  const inner = intervalOf(child, nowUs)
  const outer = intervalOf(parent, nowUs)
  return inner.end - inner.start <= outer.end - outer.start ? shiftOf(child, parent, nowUs) : 0
}

function marksOf(span: SpanRow, shift: number, parent: SpanRow | undefined, nowUs: number): SpanMark[] {
  const marks: SpanMark[] = []
  if (span.end_us === null) marks.push('running')
  if (span.concluded === true) marks.push('interrupted')
  if (span.inferred !== undefined) marks.push('inferred')
  if (shift !== 0) marks.push('moved')
  if (parent !== undefined && parent.end_us !== null && span.end_us !== null) {
    const shown = moved(intervalOf(span, nowUs), shift)
    const over = Math.max(shown.end - parent.end_us, parent.start_us - shown.start)
    if (over > outsideUsMin) marks.push('outside')
  }
  return marks
}

/** The axis: from the first start to the last end of all lines. Lines without a span are given it too. */
function spanned(nodes: readonly MutableNode[], nowUs: number): Interval {
  let start = Number.POSITIVE_INFINITY
  let end = Number.NEGATIVE_INFINITY
  for (const node of nodes) {
    if (node.span === null) continue
    start = Math.min(start, node.start)
    end = Math.max(end, node.end)
  }
  if (start > end) return { start: nowUs, end: nowUs }
  for (const node of nodes) if (node.span === null) Object.assign(node, { start, end })
  return { start, end }
}

/** The lines that are seen when those of `collapsed` hide what hangs below them. */
export function visibleNodesOf(waterfall: Waterfall, collapsed: ReadonlySet<string>): readonly WaterfallNode[] {
  if (collapsed.size === 0) return waterfall.nodes
  const visible: WaterfallNode[] = []
  for (let i = 0; i < waterfall.nodes.length; i += 1) {
    const node = waterfall.nodes[i] as WaterfallNode
    visible.push(node)
    if (collapsed.has(node.id)) i += node.descendants
  }
  return visible
}

/** A step through the lines: which line is chosen next, and whether it is folded or unfolded. */
export type WaterfallMove = { readonly id: string; readonly fold?: boolean }

/** What a key does in a tree (https://www.w3.org/WAI/ARIA/apg/patterns/treeview/); null: nothing. */
export function moveIn(
  visible: readonly Pick<WaterfallNode, 'id' | 'parent' | 'descendants'>[],
  selected: string | null,
  key: string,
  collapsed: ReadonlySet<string>,
): WaterfallMove | null {
  const at = visible.findIndex(({ id }) => id === selected)
  const node = visible[at]
  const to = (i: number): WaterfallMove | null => {
    const id = visible[Math.max(0, Math.min(visible.length - 1, i))]?.id
    return id === undefined ? null : { id }
  }
  if (key === 'ArrowDown') return to(at + 1)
  if (key === 'ArrowUp') return to(at - 1)
  if (key === 'Home') return to(0)
  if (key === 'End') return to(visible.length - 1)
  if (key === 'PageDown') return to(at + pageLines)
  if (key === 'PageUp') return to(at - pageLines)
  if (node === undefined) return null
  const folded = collapsed.has(node.id)
  if (key === 'ArrowRight' && node.descendants > 0) return folded ? { id: node.id, fold: false } : to(at + 1)
  if (key !== 'ArrowLeft') return null
  if (node.descendants > 0 && !folded) return { id: node.id, fold: true }
  return node.parent === null ? null : { id: node.parent }
}

const pageLines = 10
