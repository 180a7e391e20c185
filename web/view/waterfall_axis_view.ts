import { waterfallRowsDrawnMax, waterfallShapesMax } from '../../src/core/limit.ts'
import type { Waterfall, WaterfallNode } from './waterfall_view.ts'

// From times to percent of the axis, and from a scroll position to the lines that are drawn.

/** A stretch of the axis, both in percent; `x + width` is at most 100. */
export type Stretch = { readonly x: number; readonly width: number }

/** A mark on the axis: where, in percent, and how many µs after the axis begins. */
export type Tick = { readonly x: number; readonly us: number }

/** Thinner than this a bar could not be seen. */
const widthMin = 0.2
/** Parts nearer than this are drawn as one, so that a span with thousands of children is some hundreds of shapes. */
const gapMin = 100 / waterfallShapesMax
const rowsBeyond = 12

type Axis = Pick<Waterfall, 'start' | 'end'>

/** The bar of a line. An axis of no length is all bar. */
export function barOf(axis: Axis, node: Pick<WaterfallNode, 'start' | 'end'>): Stretch {
  const length = axis.end - axis.start
  if (length <= 0) return { x: 0, width: 100 }
  const width = Math.min(100, Math.max(widthMin, ((node.end - node.start) / length) * 100))
  return {
    x: round(Math.min(100 - width, Math.max(0, ((node.start - axis.start) / length) * 100))),
    width: round(width),
  }
}

/** The parts of a bar in which the span itself worked; at most `waterfallShapesMax`. */
export function selfBarsOf(axis: Axis, node: Pick<WaterfallNode, 'selfParts'>): readonly Stretch[] {
  const length = axis.end - axis.start
  if (length <= 0) return node.selfParts.length === 0 ? [] : [{ x: 0, width: 100 }]
  const merged: { start: number; end: number }[] = []
  for (const { start, end } of node.selfParts) {
    const last = merged.at(-1)
    if (last !== undefined && ((start - last.end) / length) * 100 < gapMin) last.end = end
    else merged.push({ start, end })
  }
  return merged.map((part) => barOf(axis, part))
}

/** Two decimals are a hundredth of a pixel on any screen; down, so that nothing leaves the axis. */
function round(percent: number): number {
  return Math.floor(percent * 100) / 100
}

/** At most `countMax` + 1 marks at 1, 2 or 5 times a power of ten µs, the first at 0. `countMax` is at least 1. */
export function ticksOf(axis: Axis, countMax: number): readonly Tick[] {
  const length = axis.end - axis.start
  if (length <= 0) return [{ x: 0, us: 0 }]
  const least = length / countMax
  const power = 10 ** Math.floor(Math.log10(least))
  const step = Math.max(1, power * ([1, 2, 5].find((factor) => factor * power >= least) ?? 10))
  const ticks: Tick[] = []
  for (let us = 0; us <= length && ticks.length <= countMax; us += step)
    ticks.push({ x: round((us / length) * 100), us })
  return ticks
}

/** Which lines to draw: [first, end) of `rows`, those in view and a few beyond, never more than `waterfallRowsDrawnMax`. Heights in px. */
export function rowWindowOf(view: {
  readonly scrollTop: number
  readonly height: number
  readonly rowHeight: number
  readonly rows: number
}): { readonly first: number; readonly end: number } {
  const { height, rowHeight, rows } = view
  const top = Math.max(0, Math.min(view.scrollTop, rows * rowHeight - height))
  const first = Math.max(0, Math.floor(top / rowHeight) - rowsBeyond)
  const count = Math.min(waterfallRowsDrawnMax, Math.ceil(Math.max(0, height) / rowHeight) + 2 * rowsBeyond + 1)
  return { first, end: Math.min(rows, first + count) }
}

/** Where the list must be scrolled to for line `row` to be in view; null when it is already. In px. */
export function scrollTopFor(
  row: number,
  view: { readonly scrollTop: number; readonly height: number; readonly rowHeight: number },
): number | null {
  const top = row * view.rowHeight
  if (top < view.scrollTop) return top
  const bottom = top + view.rowHeight
  return bottom > view.scrollTop + view.height ? bottom - view.height : null
}
