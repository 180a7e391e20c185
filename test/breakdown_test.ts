import fc from 'fast-check'
import { expect, test } from 'vitest'
import { breakdownOf, isRoot, selfTimesOf } from '../src/core/breakdown.ts'
import type { StoredSpan, StoredSpans } from '../src/core/trace.ts'
import { cpuMsOf } from './cost_fixture.ts'
import { arbitraryStoredSpans, fixtureProcesses, spanIdOf } from './span_fixture.ts'

const [here, there] = fixtureProcesses

/** [start, end or null, parent's letter or null, more]. */
type Sketch = readonly [start: number, end: number | null, parent?: string | null, more?: Partial<StoredSpan>]

function spansOf(sketch: { readonly [letter: string]: Sketch }): StoredSpans {
  return Object.fromEntries(
    Object.entries(sketch).map(([letter, [start_us, end_us, parent, more]]) => [
      letter,
      {
        layer: letter,
        name: letter,
        start_us,
        process: here,
        ...(end_us === null ? {} : { end_us }),
        ...(parent === undefined || parent === null ? {} : { parent_span_id: parent }),
        ...more,
      },
    ]),
  )
}

test.each<[string, { readonly [letter: string]: Sketch }, { readonly [layer: string]: number }]>([
  ['a span alone', { a: [0, 100] }, { a: 0.1 }],
  ['a child inside', { a: [0, 100], b: [10, 40, 'a'] }, { a: 0.07, b: 0.03 }],
  ['children one after the other', { a: [0, 100], b: [0, 40, 'a'], c: [40, 100, 'a'] }, { b: 0.04, c: 0.06 }],
  ['children that overlap', { a: [0, 100], b: [10, 60, 'a'], c: [40, 90, 'a'] }, { a: 0.02, b: 0.05, c: 0.05 }],
  ['concurrent children', { a: [0, 100], b: [10, 60, 'a'], c: [10, 60, 'a'] }, { a: 0.05, b: 0.05, c: 0.05 }],
  ['a child within another child', { a: [0, 100], b: [10, 90, 'a'], c: [20, 30, 'a'] }, { a: 0.02, b: 0.08, c: 0.01 }],
  ['a child that outlives its parent', { a: [0, 100], b: [80, 150, 'a'] }, { a: 0.08, b: 0.07 }],
  ['a child wholly after its parent', { a: [0, 100], b: [150, 180, 'a'] }, { a: 0.1, b: 0.03 }],
  ['a grandchild, which takes nothing from a', { a: [0, 100], b: [0, 50, 'a'], c: [0, 50, 'b'] }, { a: 0.05, c: 0.05 }],
  [
    'what was derived of a process that reports by itself',
    {
      a: [0, 100],
      b: [10, 90, 'a', { process: there }],
      c: [20, 80, 'a', { attributes: { 'telltale.derived': true } }],
      d: [20, 30, 'a', { attributes: { 'telltale.derived': false } }],
    },
    { a: 0.02, b: 0.08, d: 0.01 },
  ],
  [
    'what was derived of a process that does not report',
    { a: [0, 100], c: [20, 80, 'a', { attributes: { 'telltale.derived': true } }], e: [0, 10, 'a'] },
    { a: 0.03, c: 0.06, e: 0.01 },
  ],
  ['a missing parent: a root', { a: [0, 100], b: [10, 40, 'x'] }, { a: 0.1, b: 0.03 }],
  ['roots with a gap', { a: [0, 100], b: [150, 200] }, { a: 0.1, b: 0.05, unexplained: 0.05 }],
  ['a parent that is itself: a root', { a: [0, 100, 'a'], b: [150, 200] }, { a: 0.1, b: 0.05, unexplained: 0.05 }],
  ['a circle, which has no root', { a: [0, 100, 'b'], b: [50, 200, 'a'] }, { a: 0.05, b: 0.1 }],
  ['a span of no length', { a: [0, 100], b: [50, 50, 'a'] }, { a: 0.1 }],
  ['an end before its start', { a: [0, 100], b: [50, 20, 'a'] }, { a: 0.1 }],
  ['a child that runs, which shields nothing', { a: [0, 100], b: [50, null, 'a'] }, { a: 0.1 }],
  ['a parent that runs', { a: [0, null], b: [50, 70, 'a'], c: [90, 95, 'a'] }, { b: 0.02, c: 0.005 }],
  ['a concluded end', { a: [0, 100], b: [50, 70, 'a', { concluded: true }] }, { a: 0.08, b: 0.02 }],
  ['nothing that has ended', { a: [0, null] }, {}],
  ['a layer named unexplained', { unexplained: [0, 100], b: [150, 200] }, { unexplained: 0.15, b: 0.05 }],
  ['a layer named __proto__', { a: [0, 100, null, { layer: '__proto__' }] }, { ['__proto__']: 0.1 }],
])('breakdownOf() of %s', (_, sketch, layers) => {
  expect(Object.entries(breakdownOf(spansOf(sketch)).layers).sort()).toEqual(Object.entries(layers).sort())
})

test.each<[string, Sketch, number]>([
  ['early is moved to the start', [-30, 20, 'a', { process: there }], 50],
  ['late is moved to the end', [80, 140, 'a', { process: there }], 40],
  ['far away is moved all the way', [100_000, 100_060, 'a', { process: there }], 40],
  ['as long as its parent covers it', [500, 600, 'a', { process: there }], 0],
  ['longer than its parent is only clipped', [50, 151, 'a', { process: there }], 50],
  ['inside stays', [10, 20, 'a', { process: there }], 90],
])('selfTimesOf() of a parent of 100 µs: a child of another process %s', (_, child, left) => {
  const selfTimes = selfTimesOf(spansOf({ a: [0, 100], b: child }))
  expect(selfTimes.get('a')).toBe(left)
  expect(selfTimes.get('b')).toBe((child[1] as number) - child[0])
})

test('selfTimesOf() moves each child of another process by itself, so two skewed siblings may come to overlap', () => {
  const far: Partial<StoredSpan> = { process: there }
  const spans = spansOf({ a: [0, 100], b: [900, 930, 'a', far], c: [930, 970, 'a', far] })
  expect(selfTimesOf(spans).get('a')).toBe(60)
})

test('selfTimesOf() and breakdownOf() take a span that ends before it starts as one of no length', () => {
  const spans = spansOf({ a: [100, 40, null, { kind: 'wait' }], b: [110, 120] })
  expect(selfTimesOf(spans).get('a')).toBe(0)
  expect(breakdownOf(spans)).toEqual({ layers: { b: 0.01, unexplained: 0.01 }, wait_ms: 0 })
})

test('breakdownOf() counts the self time of wait spans, whatever their layer', () => {
  const wait: Partial<StoredSpan> = { kind: 'wait', layer: 'provider' }
  const spans = spansOf({ a: [0, 100], b: [10, 60, 'a', wait], c: [20, 30, 'b'] })
  expect(breakdownOf(spans)).toEqual({ layers: { a: 0.05, provider: 0.04, c: 0.01 }, wait_ms: 0.04 })
})

test('selfTimesOf() is never negative, nor more than the duration, and knows the ended spans alone', () => {
  fc.assert(
    fc.property(arbitraryStoredSpans(), (spans) => {
      const selfTimes = selfTimesOf(spans)
      const ended = Object.entries(spans).filter(([, span]) => span.end_us !== undefined)
      expect([...selfTimes.keys()].sort()).toEqual(ended.map(([id]) => id).sort())
      for (const [id, span] of ended) {
        expect(selfTimes.get(id)).toBeGreaterThanOrEqual(0)
        expect(selfTimes.get(id)).toBeLessThanOrEqual((span.end_us as number) - span.start_us)
      }
    }),
    { numRuns: 400 },
  )
})

test('selfTimesOf() agrees with counting every µs by itself, where one process tells', () => {
  fc.assert(
    fc.property(arbitraryStoredSpans({ spread_us: 40, processes: 1 }), (spans) => {
      const within = (span: StoredSpan, us: number): boolean => span.start_us <= us && us < (span.end_us ?? 0)
      for (const [id, us] of selfTimesOf(spans)) {
        const span = spans[id] as StoredSpan
        const children = Object.entries(spans).filter(([key, child]) => child.parent_span_id === id && key !== id)
        let alone = 0
        for (let at = span.start_us; at < (span.end_us as number); at += 1) {
          if (!children.some(([, child]) => within(child, at))) alone += 1
        }
        expect(us).toBe(alone)
      }
    }),
    { numRuns: 300 },
  )
})

test('breakdownOf() does not care for the order of spans', () => {
  const shuffled = arbitraryStoredSpans().chain((spans) => {
    const entries = Object.entries(spans)
    return fc.tuple(fc.constant(spans), fc.shuffledSubarray(entries, { minLength: entries.length }))
  })
  fc.assert(
    fc.property(shuffled, ([spans, entries]) => {
      expect(breakdownOf(Object.fromEntries(entries))).toEqual(breakdownOf(spans))
    }),
    { numRuns: 300 },
  )
})

/** A tree without overlap: cuts [start, end) at random and hangs each part under a span that covers it. */
function sequentialTree(start: number, end: number, cuts: readonly number[]): StoredSpans {
  const spans: { [id: string]: StoredSpan } = {}
  const layers = ['tool', 'provider', 'api', 'storage']
  const hang = (from: number, to: number, parent: string | null, left: readonly number[], depth: number): void => {
    const id = spanIdOf(Object.keys(spans).length)
    const layer = layers[Object.keys(spans).length % layers.length] as string
    const under = parent === null ? {} : { parent_span_id: parent }
    spans[id] = { layer, name: id, start_us: from, end_us: to, process: here, ...under }
    const [cut, ...rest] = left.filter((at) => from < at && at < to)
    if (cut === undefined || depth > 20) return
    hang(from, cut, id, rest, depth + 1)
    if (cut % 2 === 0) hang(cut, to, id, rest, depth + 1)
  }
  const middle = Math.floor((start + end) / 2)
  hang(start, middle, null, cuts, 0)
  hang(Math.min(end, middle + 3), end, null, cuts, 0)
  return spans
}

test('breakdownOf() of trees without overlap adds up, with unexplained, to the whole extent', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1_000 }), fc.nat(5_000), fc.array(fc.nat(6_000)), (start, length, cuts) => {
      const { layers } = breakdownOf(sequentialTree(start, start + length, cuts))
      const us = Object.values(layers).reduce((sum, ms) => sum + Math.round(ms * 1_000), 0)
      expect(us).toBe(length)
    }),
    { numRuns: 300 },
  )
})

test('isRoot() is a span without a parent among its spans', () => {
  const spans = spansOf({ a: [0, 1], b: [0, 1, 'a'], c: [0, 1, 'c'], d: [0, 1, 'constructor'] })
  expect(Object.keys(spans).filter((id) => isRoot(spans, id))).toEqual(['a', 'c', 'd'])
})

test('breakdownOf() takes 10,000 spans in well under a second, flat or deep', () => {
  const flat = (n: number): number => (n === 0 ? 0 : 1)
  for (const parentOf of [flat, (n: number) => n]) {
    const spans = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, n): [string, StoredSpan] => {
        const parent = parentOf(n)
        const under = parent === 0 ? {} : { parent_span_id: spanIdOf(parent - 1) }
        const start_us = (n * 7_919) % 10_000
        return [spanIdOf(n), { layer: 'tool', name: 'x', start_us, end_us: start_us + 500, process: here, ...under }]
      }),
    )
    expect(cpuMsOf(() => breakdownOf(spans))).toBeLessThan(250)
  }
})
