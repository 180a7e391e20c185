import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isRoot, selfTimesOf, shadowedSpansOf } from '../src/core/breakdown.ts'
import { criticalPathOf, type PathPart, pathTimesOf } from '../src/core/critical_path.ts'
import type { StoredSpan, StoredSpans } from '../src/core/trace.ts'
import { cpuMsOf } from './cost_fixture.ts'
import { arbitraryStoredSpans, fixtureProcesses, spanIdOf } from './span_fixture.ts'

const [here, there] = fixtureProcesses

/** [start, end or null, parent's letter or null, more]. */
type Sketch = readonly [start: number, end: number | null, parent?: string | null, more?: Partial<StoredSpan>]

function spansOf(sketch: { readonly [letter: string]: Sketch }): StoredSpans {
  return Object.fromEntries(
    Object.entries(sketch).map(([letter, [start_us, end_us, parent, more]]) => {
      const ended = end_us === null ? {} : { end_us }
      const hung = parent === undefined || parent === null ? {} : { parent_span_id: parent }
      return [letter, { layer: letter, name: letter, start_us, process: here, ...ended, ...hung, ...more }]
    }),
  )
}

/** `a 0-10, b 10-20`. */
function textOf(path: readonly PathPart[]): string {
  return path.map(({ span_id, start, end }) => `${span_id ?? '?'} ${start}-${end}`).join(', ')
}

test.each<[string, { readonly [letter: string]: Sketch }, string]>([
  ['a span alone', { a: [0, 100] }, 'a 0-100'],
  ['a child inside', { a: [0, 100], b: [10, 40, 'a'] }, 'a 0-10, b 10-40, a 40-100'],
  ['children one after the other', { a: [0, 100], b: [0, 40, 'a'], c: [40, 100, 'a'] }, 'b 0-40, c 40-100'],
  ['two at once: the later end', { a: [0, 100], b: [10, 60, 'a'], c: [10, 90, 'a'] }, 'a 0-10, c 10-90, a 90-100'],
  [
    'two that overlap: the earlier one cut',
    { a: [0, 100], b: [10, 60, 'a'], c: [40, 90, 'a'] },
    'a 0-10, b 10-40, c 40-90, a 90-100',
  ],
  [
    'three that end together: what began first',
    { a: [0, 100], b: [50, 90, 'a'], c: [10, 90, 'a'], d: [20, 90, 'a'] },
    'a 0-10, c 10-90, a 90-100',
  ],
  ['one within another child', { a: [0, 100], b: [10, 90, 'a'], c: [20, 30, 'a'] }, 'a 0-10, b 10-90, a 90-100'],
  ['a grandchild', { a: [0, 100], b: [10, 90, 'a'], c: [20, 30, 'b'] }, 'a 0-10, b 10-20, c 20-30, b 30-90, a 90-100'],
  [
    'a grandchild in a child that is cut',
    { a: [0, 100], b: [10, 60, 'a'], c: [40, 90, 'a'], d: [30, 55, 'b'] },
    'a 0-10, b 10-30, d 30-40, c 40-90, a 90-100',
  ],
  ['a child that outlives its parent', { a: [0, 100], b: [80, 150, 'a'] }, 'a 0-80, b 80-100'],
  ['a child wholly after its parent', { a: [0, 100], b: [150, 180, 'a'] }, 'a 0-100'],
  ['roots with a gap', { a: [0, 100], b: [150, 200] }, 'a 0-100, ? 100-150, b 150-200'],
  ['roots that overlap', { a: [0, 100], b: [50, 200] }, 'a 0-50, b 50-200'],
  ['a child that runs', { a: [0, 100], b: [50, null, 'a'] }, 'a 0-100'],
  ['a root that runs, and what hangs on it', { a: [0, null], b: [10, 20, 'a'] }, ''],
  ['a circle', { a: [0, 100, 'b'], b: [50, 200, 'a'] }, ''],
  ['a span of no length', { a: [0, 100], b: [50, 50, 'a'] }, 'a 0-100'],
  [
    'a child by a fast clock, with what hangs on it',
    { a: [0, 100], b: [90, 140, 'a', { process: there }], c: [100, 110, 'b', { process: there }] },
    'a 0-50, b 50-60, c 60-70, b 70-100',
  ],
  [
    'what was derived of a process that reports by itself',
    {
      a: [0, 100],
      b: [10, 20, 'a', { process: there }],
      c: [20, 90, 'a', { attributes: { 'telltale.derived': true } }],
    },
    'a 0-10, b 10-20, a 20-100',
  ],
])('criticalPathOf() of %s', (_, sketch, text) => {
  expect(textOf(criticalPathOf(spansOf(sketch)))).toBe(text)
})

const traces = fc.oneof(
  arbitraryStoredSpans(),
  arbitraryStoredSpans({ spanIds: 40, spansMax: 40, spread_us: 5_000 }),
  arbitraryStoredSpans({ spanIds: 4, spansMax: 4, spread_us: 5 }),
)

test('criticalPathOf() covers exactly the time from the first start to the last end of the roots', () => {
  fc.assert(
    fc.property(traces, (spans) => {
      const path = criticalPathOf(spans)
      const roots = Object.entries(spans).filter(([id, { end_us }]) => end_us !== undefined && isRoot(spans, id))
      const starts = roots.map(([, { start_us }]) => start_us)
      const ends = roots.map(([, { start_us, end_us = 0 }]) => Math.max(start_us, end_us))
      const [first, last] = [Math.min(...starts), Math.max(...ends)]
      expect(path.length === 0).toBe(roots.length === 0 || first === last)
      if (path.length > 0) expect([path[0]?.start, path.at(-1)?.end]).toEqual([first, last])
      path.forEach(({ start, end }, i) => {
        expect(end).toBeGreaterThan(start)
        if (i > 0) expect(start).toBe(path[i - 1]?.end)
      })
    }),
    { numRuns: 500 },
  )
})

test('criticalPathOf() goes through a span only while it ran and no child of it did', () => {
  fc.assert(
    fc.property(traces, (spans) => {
      const path = criticalPathOf(spans)
      const selves = selfTimesOf(spans)
      const shadowed = shadowedSpansOf(spans)
      for (const { span_id, start, end, moved_us } of path) {
        if (span_id === null) continue
        const { start_us, end_us = 0 } = spans[span_id] as StoredSpan
        expect(start - moved_us).toBeGreaterThanOrEqual(start_us)
        expect(end - moved_us).toBeLessThanOrEqual(end_us)
        expect(shadowed.has(span_id)).toBe(false)
      }
      for (const [id, us] of pathTimesOf(path)) expect(us).toBeLessThanOrEqual(selves.get(id) ?? -1)
    }),
    { numRuns: 500 },
  )
})

test('criticalPathOf() takes a trace of 10,000 spans in its stride, wide or deep', () => {
  const spans = (parentOf: (i: number) => number, at: (i: number) => [number, number]): StoredSpans =>
    Object.fromEntries(
      Array.from({ length: 10_000 }, (_, i) => {
        const [start_us, end_us] = at(i)
        const parent = i === 0 ? {} : { parent_span_id: spanIdOf(parentOf(i)) }
        return [spanIdOf(i), { layer: 'tool', name: 'x', process: here, start_us, end_us, ...parent }]
      }),
    )
  const wide = spans(
    () => 0,
    (i) => (i === 0 ? [0, 100_000] : [i * 7, i * 7 + 30]),
  )
  const deep = spans(
    (i) => i - 1,
    (i) => [i, 100_000 - i],
  )
  expect(cpuMsOf(() => criticalPathOf(wide))).toBeLessThan(1_000)
  expect(cpuMsOf(() => criticalPathOf(deep))).toBeLessThan(1_000)
  expect(criticalPathOf(deep).length).toBe(19_999)
})
