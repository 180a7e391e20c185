import fc from 'fast-check'
import { expect, test } from 'vitest'
import { selfTimesOf } from '../src/core/breakdown.ts'
import { waterfallRowsDrawnMax, waterfallShapesMax } from '../src/core/limit.ts'
import type { StoredSpan, StoredSpans } from '../src/core/trace.ts'
import type { SpanRow } from '../web/view/answer.ts'
import { barOf, rowWindowOf, scrollTopFor, selfBarsOf, ticksOf } from '../web/view/waterfall_axis_view.ts'
import { unseenParentId, visibleNodesOf, type WaterfallNode, waterfallOf } from '../web/view/waterfall_view.ts'
import { cpuMsOf } from './cost_fixture.ts'
import { arbitraryStoredSpans, fixtureBaseUs, fixtureProcesses, spanIdOf } from './span_fixture.ts'

const nowUs = fixtureBaseUs + 2_000

function answersOf(spans: StoredSpans): SpanRow[] {
  return Object.entries(spans).map(([span_id, span]) => answerOf(span_id, span))
}

function answerOf(span_id: string, span: Partial<StoredSpan>, clock_offset_us: number | null = null): SpanRow {
  const { parent_span_id = null, end_us = null, kind = 'work', ...rest } = span
  const filled = { layer: 'tool', name: 'call', start_us: fixtureBaseUs, process: fixtureProcesses[0], ...rest }
  return {
    ...filled,
    span_id,
    parent_span_id,
    end_us,
    kind,
    self_ms: null,
    service: 's',
    instance: 'i',
    clock_offset_us,
  }
}

/** A span of one process from `start` to `end` µs after the base. */
function spanFrom(id: number, start: number, end: number | null, more: Partial<StoredSpan> = {}): SpanRow {
  const end_us = end === null ? {} : { end_us: fixtureBaseUs + end }
  return answerOf(spanIdOf(id), { start_us: fixtureBaseUs + start, ...end_us, ...more })
}

const arbitrarySpans = arbitraryStoredSpans({ spansMax: 12, spanIds: 12 })

test('waterfallOf() shows every span once, whatever the parents are', () => {
  fc.assert(
    fc.property(arbitrarySpans, (spans) => {
      const { nodes } = waterfallOf(answersOf(spans), nowUs)
      const shown = nodes.filter(({ span }) => span !== null).map(({ id }) => id)
      expect(shown.toSorted()).toEqual(Object.keys(spans).toSorted())
      expect(nodes.filter(({ span }) => span === null).length).toBeLessThanOrEqual(1)
    }),
  )
})

test('waterfallOf() moves a child by what was measured of its clock, and marks what was inferred', () => {
  const other = { parent_span_id: spanIdOf(1), process: fixtureProcesses[1] } as const
  const ahead = { ...spanFrom(2, 700, 720, other), shift_us: -500, inferred: 'arguments' } as const
  const [, child] = waterfallOf([spanFrom(1, 0, 1_000), ahead], nowUs).nodes
  expect([child?.start, child?.movedUs, child?.marks]).toEqual([fixtureBaseUs + 200, -500, ['inferred', 'moved']])
})

test('waterfallOf() gives each ended span the self time that the breakdown gives it', () => {
  fc.assert(
    fc.property(arbitrarySpans, (spans) => {
      const selfTimes = selfTimesOf(spans)
      for (const node of waterfallOf(answersOf(spans), nowUs).nodes) {
        if (node.span === null || node.span.end_us === null) continue
        expect(node.selfUs).toBe(selfTimes.get(node.id))
        expect(sumOf(node.selfParts)).toBe(node.selfUs)
      }
    }),
    { numRuns: 300 },
  )
})

test('waterfallOf() puts parents before children, one deeper, children by start, and counts what hangs below', () => {
  fc.assert(
    fc.property(arbitrarySpans, (spans) => {
      const { nodes } = waterfallOf(answersOf(spans), nowUs)
      const at = new Map(nodes.map((node, i) => [node.id, i]))
      nodes.forEach((node, i) => {
        const parent = node.parent === null ? null : (nodes[at.get(node.parent) ?? -1] as WaterfallNode)
        expect(node.depth).toBe(parent === null ? 0 : parent.depth + 1)
        if (parent !== null) expect(at.get(parent.id)).toBeLessThan(i)
        const below = nodes.slice(i + 1, i + 1 + node.descendants)
        expect(below.every(({ depth }) => depth > node.depth)).toBe(true)
        expect(nodes[i + 1 + node.descendants]?.depth ?? 0).toBeLessThanOrEqual(node.depth)
        const starts = nodes.filter(({ parent }) => parent === node.id).map(({ span }) => span?.start_us ?? 0)
        expect(starts).toEqual(starts.toSorted((a, b) => a - b))
      })
    }),
  )
})

test('barOf() and selfBarsOf() stay within the axis, and self bars are in order', () => {
  fc.assert(
    fc.property(arbitrarySpans, (spans) => {
      const waterfall = waterfallOf(answersOf(spans), nowUs)
      for (const node of waterfall.nodes) {
        for (const bar of [barOf(waterfall, node), ...selfBarsOf(waterfall, node)]) {
          expect(bar.x).toBeGreaterThanOrEqual(0)
          expect(bar.width).toBeGreaterThan(0)
          expect(bar.x + bar.width).toBeLessThanOrEqual(100)
        }
        const xs = selfBarsOf(waterfall, node).map(({ x }) => x)
        expect(xs).toEqual(xs.toSorted((a, b) => a - b))
      }
    }),
  )
})

test('waterfallOf() moves a child of another process into its parent and says so', () => {
  const other = { process: fixtureProcesses[1] }
  const parent = spanFrom(0, 0, 100)
  const child = spanFrom(1, -500, -450, { parent_span_id: spanIdOf(0), ...other })
  const grandchild = spanFrom(2, -490, -480, { parent_span_id: spanIdOf(1), ...other })
  const { nodes, start, end } = waterfallOf([parent, child, grandchild], nowUs)
  expect([start, end]).toEqual([fixtureBaseUs, fixtureBaseUs + 100])
  expect(nodes.map((node) => [node.start - fixtureBaseUs, node.end - fixtureBaseUs, node.marks])).toEqual([
    [0, 100, []],
    [0, 50, ['moved']],
    [10, 20, []],
  ])
})

test('waterfallOf() moves what fits nowhere by the difference of the clocks', () => {
  const hour = 3_600_000_000
  const parent = answerOf(spanIdOf(0), { start_us: fixtureBaseUs, end_us: fixtureBaseUs + 100 }, 10)
  const late = { start_us: fixtureBaseUs + hour, end_us: fixtureBaseUs + hour + 150, process: fixtureProcesses[1] }
  const child = answerOf(spanIdOf(1), { ...late, parent_span_id: spanIdOf(0) }, 10 - hour)
  const { nodes } = waterfallOf([parent, child], nowUs)
  expect(nodes[1]?.start).toBe(fixtureBaseUs)
  expect(nodes[1]?.marks).toContain('moved')
})

test('waterfallOf() lets a running span reach to now, and its running child cover it', () => {
  const parent = spanFrom(0, 0, null)
  const child = spanFrom(1, 40, null, { parent_span_id: spanIdOf(0) })
  const { nodes, end } = waterfallOf([parent, child], fixtureBaseUs + 100)
  expect(end).toBe(fixtureBaseUs + 100)
  expect(nodes.map(({ selfUs, marks }) => [selfUs, marks])).toEqual([
    [40, ['running']],
    [60, ['running']],
  ])
})

test('waterfallOf() marks what the tick concluded and what reaches outside its parent', () => {
  const parent = spanFrom(0, 0, 10_000)
  const child = spanFrom(1, 5_000, 20_000, { parent_span_id: spanIdOf(0), concluded: true })
  expect(waterfallOf([parent, child], nowUs).nodes[1]?.marks).toEqual(['interrupted', 'outside'])
})

test('waterfallOf() hangs orphans under one line, but lets the entry span stand by itself', () => {
  const entry = spanFrom(0, 0, 100, { parent_span_id: 'feedfeedfeedfeed', entry: true })
  const orphans = [1, 2].map((id) => spanFrom(id, 10, 20, { parent_span_id: `${id}eedfeedfeedfeed` }))
  const { nodes } = waterfallOf([entry, ...orphans], nowUs)
  expect(nodes.map(({ id, depth, marks }) => [id, depth, marks])).toEqual([
    [spanIdOf(0), 0, []],
    [unseenParentId, 0, []],
    [spanIdOf(1), 1, ['unseen']],
    [spanIdOf(2), 1, ['unseen']],
  ])
})

test('waterfallOf() moves an orphan as the rest of its process was moved', () => {
  const other = { process: fixtureProcesses[1] }
  const child = spanFrom(1, 9_000, 9_050, { parent_span_id: spanIdOf(0), ...other })
  const orphan = spanFrom(2, 9_010, 9_020, { parent_span_id: 'feedfeedfeedfeed', ...other })
  const { nodes } = waterfallOf([spanFrom(0, 0, 100), child, orphan], nowUs)
  expect(nodes.map(({ start }) => start - fixtureBaseUs)).toEqual([0, 50, 0, 60])
})

test('waterfallOf() cuts a circle of parents at its first span', () => {
  const circle = [0, 1, 2].map((id) => spanFrom(id, id * 10, 90, { parent_span_id: spanIdOf((id + 2) % 3) }))
  const { nodes } = waterfallOf(circle, nowUs)
  expect(nodes.map(({ depth, marks }) => [depth, marks])).toEqual([
    [0, ['circle']],
    [1, []],
    [2, []],
  ])
})

test('waterfallOf() answers an empty axis for no spans', () => {
  expect(waterfallOf([], nowUs)).toEqual({ start: nowUs, end: nowUs, nodes: [] })
})

const shapes = {
  'a chain': (i: number) => (i === 0 ? null : spanIdOf(i - 1)),
  'one parent': (i: number) => (i === 0 ? null : spanIdOf(0)),
  'a circle': (i: number) => spanIdOf((i + 9_999) % 10_000),
  'all orphans': (i: number) => `f${spanIdOf(i).slice(1)}`,
}

for (const [name, parentOf] of Object.entries(shapes)) {
  test(`waterfallOf() lays out 10,000 spans in time and draws few of them: ${name}`, () => {
    const spans = Array.from({ length: 10_000 }, (_, i) => {
      const parent = parentOf(i)
      return spanFrom(i, i, 30_000 - i, parent === null ? {} : { parent_span_id: parent })
    })
    expect(cpuMsOf(() => waterfallOf(spans, nowUs))).toBeLessThan(500)
    const waterfall = waterfallOf(spans, nowUs)
    expect(waterfall.nodes.length).toBeGreaterThanOrEqual(10_000)
    const drawn = rowWindowOf({ scrollTop: 99_999, height: 5_000, rowHeight: 28, rows: waterfall.nodes.length })
    expect(drawn.end - drawn.first).toBeLessThanOrEqual(waterfallRowsDrawnMax)
    for (const node of waterfall.nodes.slice(0, 50)) {
      expect(selfBarsOf(waterfall, node).length).toBeLessThanOrEqual(waterfallShapesMax)
    }
  })
}

test('visibleNodesOf() hides what hangs below a collapsed line, and nothing else', () => {
  fc.assert(
    fc.property(arbitrarySpans, fc.nat(11), (spans, n) => {
      const waterfall = waterfallOf(answersOf(spans), nowUs)
      const node = waterfall.nodes[n % waterfall.nodes.length] as WaterfallNode
      const visible = visibleNodesOf(waterfall, new Set([node.id]))
      expect(visible.length).toBe(waterfall.nodes.length - node.descendants)
      expect(visible).toContain(node)
    }),
  )
})

test('ticksOf() begins at 0, steps evenly by 1, 2 or 5 times a power of ten, and stays on the axis', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 86_400_000_000 }), fc.integer({ min: 1, max: 10 }), (length, countMax) => {
      const ticks = ticksOf({ start: 7, end: 7 + length }, countMax)
      expect(ticks[0]).toEqual({ x: 0, us: 0 })
      expect(ticks.length).toBeLessThanOrEqual(countMax + 1)
      expect(ticks.every(({ x, us }) => x <= 100 && us <= length)).toBe(true)
      const step = ticks[1]?.us
      if (step !== undefined) expect(String(step)).toMatch(/^[125]0*$/)
    }),
  )
})

test('rowWindowOf() holds every line in view', () => {
  fc.assert(
    fc.property(fc.nat(400_000), fc.integer({ min: 0, max: 3_000 }), fc.nat(10_000), (scrollTop, height, rows) => {
      const rowHeight = 28
      const { first, end } = rowWindowOf({ scrollTop, height, rowHeight, rows })
      const top = Math.min(scrollTop, Math.max(0, rows * rowHeight - height))
      expect(first * rowHeight).toBeLessThanOrEqual(top)
      expect(end === rows || end * rowHeight >= top + height).toBe(true)
    }),
  )
})

test('scrollTopFor() scrolls as little as shows the line', () => {
  const view = { scrollTop: 100, height: 200, rowHeight: 20 }
  expect(scrollTopFor(2, view)).toBe(40)
  expect(scrollTopFor(8, view)).toBeNull()
  expect(scrollTopFor(20, view)).toBe(220)
})

function sumOf(parts: WaterfallNode['selfParts']): number {
  return parts.reduce((sum, { start, end }) => sum + end - start, 0)
}
