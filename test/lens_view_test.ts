import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { criticalPathOf } from '../src/core/critical_path.ts'
import type { SpanRow } from '../web/view/answer.ts'
import { criticalOf, noPath } from '../web/view/critical_path_view.ts'
import { sampleText, shadeOf, shadesMax } from '../web/view/heat_shade.ts'
import { callsIn, heatGridOf, heatmaps, heatTableOf, placeOfRegion, regionText } from '../web/view/heatmap_view.ts'
import { holderLinesOf, holdersText } from '../web/view/holder_view.ts'
import type { Heatmap, Holders, TimeTree, TreeNode } from '../web/view/lens_answer.ts'
import { pathOf, placeOf } from '../web/view/place.ts'
import { emptiedText, foldedAtFirst, seenLinesOf, treeLinesOf } from '../web/view/time_tree_view.ts'
import { waterfallOf } from '../web/view/waterfall_view.ts'
import { arbitraryStoredSpans } from './span_fixture.ts'

const nowUs = 1_796_000_000_000_000
const place = placeOf(new URL('http://127.0.0.1/where?environment=test'))
const read = { from_us: nowUs - 3_600e6, to_us: nowUs, matched: 10, read: 10 }
/** No-break spaces as plain ones. */
const plain = (text: string | undefined) => text?.replaceAll('\u00a0', ' ')

test('shadeOf() grows with the value, and shows whatever there is', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (most, part) => {
        const shade = shadeOf(most * part, most)
        expect(shade).toBeGreaterThanOrEqual(most * part > 0 ? 1 : 0)
        expect(shade).toBeLessThanOrEqual(shadesMax)
        expect(shadeOf((most * part) / 2, most)).toBeLessThanOrEqual(shade)
      },
    ),
  )
  expect([shadeOf(0, 0), shadeOf(3, 0), shadeOf(5, 5)]).toEqual([0, 0, shadesMax])
})

test('sampleText() says so when not everything was read, and nothing else', () => {
  expect(sampleText({ matched: 5, read: 5 })).toBe('')
  expect(sampleText({ matched: 25_000, read: 10_000 })).toBe('A sample: 10,000 of 25,000 calls.')
})

describe('the tree of time', () => {
  const node = (path: string[], total_ms: number, self_ms: number, more: Partial<TreeNode> = {}): TreeNode => ({
    path: path.map((name) => ['work', 'tool', name] as const),
    ...{
      n: 3,
      spans: 3,
      folded: 0,
      total_ms,
      share: total_ms / 1_000,
      self_ms,
      wait_ms: 0,
      work_ms: total_ms,
      rest_ms: 0,
      p50_ms: 1,
      p95_ms: 2,
    },
    ...more,
  })
  const tree: TimeTree = {
    ...read,
    emptied: 0,
    total_ms: 1_000,
    unexplained: { total_ms: 100, share: 0.1, n: 2 },
    nodes: [
      ...[
        node(['b'], 288, 288),
        node(['a'], 600, 100, { rest_ms: 50 }),
        node(['a', 'x'], 450, 440),
        node(['a', 'x', 'y'], 10, 10),
      ],
      ...[node(['p'], 4, 4), node(['q'], 4, 3), node(['q', 'z'], 1, 1), node(['r'], 4, 4)],
    ],
  }

  test('treeLinesOf() lists the longest first, small ones together, and unexplained time last, each inside what it hangs on', () => {
    const lines = treeLinesOf(tree)
    expect(lines.map(({ name, depth }) => `${depth} ${name}`)).toEqual([
      ...[
        '0 a',
        '1 x',
        '2 y',
        '1 shorter ones, not listed',
        '0 b',
        '0 3 shorter ones',
        '1 p',
        '1 q',
        '2 z',
        '1 r',
        '0 unexplained',
      ],
    ])
    expect(lines.filter(({ depth }) => depth === 0).reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 2)
    for (const line of lines) {
      const parent = lines.find(({ id }) => id === line.parent)
      if (parent === undefined) continue
      expect(line.bar.x).toBeGreaterThanOrEqual(parent.bar.x - 0.2)
      expect(line.bar.x + line.bar.width).toBeLessThanOrEqual(parent.bar.x + parent.bar.width + 0.2)
    }
    expect(new Set(lines.map(({ id }) => id)).size).toBe(lines.length)
  })

  test('emptiedText() says so when some calls kept no spans', () => {
    expect(emptiedText(tree)).toBe('')
    expect(plain(emptiedText({ emptied: 1 }))).toMatch(/^1 call kept no spans/)
  })

  test('seenLinesOf() hides what hangs below folded lines, at first below those that matter little', () => {
    const lines = treeLinesOf(tree)
    expect(seenLinesOf(lines, foldedAtFirst(lines)).map(({ name }) => name)).toEqual([
      'a',
      'x',
      'y',
      'shorter ones, not listed',
      'b',
      '3 shorter ones',
      'unexplained',
    ])
    expect(seenLinesOf(lines, new Set())).toEqual(lines)
  })
})

describe('a heatmap', () => {
  const column = (i: number) => ({
    key: null,
    n: 5,
    total_ms: 500,
    filter: { from: nowUs + i * 60e6, to: nowUs + (i + 1) * 60e6 },
  })
  const latency: Heatmap = {
    ...{ ...read, x: 'time', y: 'latency', columns: [0, 1, 2].map(column) },
    rows: [
      { key: null, min_ms: null, max_ms: 1, filter: { max_duration_ms: 1 } },
      { key: null, min_ms: 1, max_ms: 1.5, filter: { min_duration_ms: 1, max_duration_ms: 1.5 } },
      { key: null, min_ms: 1.5, max_ms: 2, filter: { min_duration_ms: 1.5, max_duration_ms: 2 } },
    ],
    cells: [
      { x: 0, y: 0, n: 4, errors: 0 },
      { x: 1, y: 2, n: 2, errors: 2 },
    ],
  }
  const layers: Heatmap = {
    ...{ ...latency, y: 'layer' },
    rows: ['unexplained', 'api', 'shim'].map((key) => ({ key, min_ms: null, max_ms: null, filter: { layer: key } })),
    cells: [{ x: 1, y: 1, n: 2, self_ms: 250, p50_ms: 10, p95_ms: 90 }],
  }

  test('heatGridOf() has the slowest on top, or the outermost layer', () => {
    const grid = heatGridOf(latency, nowUs)
    expect(grid.rows.map(({ name }) => plain(name))).toEqual(['1.5 ms', '1 ms', '0 ms'])
    expect(grid.cells).toEqual([
      { x: 0, y: 2, shade: shadesMax, failed: false },
      { x: 1, y: 0, shade: 7, failed: true },
    ])
    expect(heatGridOf(layers, nowUs).rows.map(({ layer }) => layer)).toEqual(['shim', 'api', 'unexplained'])
  })

  test.each([
    ['one cell', latency, { x0: 1, x1: 1, y0: 0, y1: 0 }, 2, { min_duration_ms: '1.5', max_duration_ms: '2' }],
    ['several', latency, { x0: 0, x1: 2, y0: 1, y1: 2 }, 4, { max_duration_ms: '1.5' }],
    ['one layer', layers, { x0: 1, x1: 1, y0: 1, y1: 1 }, 2, { layer: 'api' }],
    ['two layers, which no filter names', layers, { x0: 1, x1: 1, y0: 0, y1: 1 }, 2, {}],
  ] as const)('placeOfRegion() of %s is a filter, and an address', (_, heat, region, calls, filter) => {
    const shown = placeOfRegion(heat, region, place)
    expect(callsIn(heat, region)).toBe(calls)
    expect(shown.filter).toEqual({ environment: 'test', ...filter })
    expect([shown.from_us, shown.to_us]).toEqual([nowUs + region.x0 * 60e6, nowUs + (region.x1 + 1) * 60e6])
    expect(placeOf(new URL(pathOf(shown), 'http://127.0.0.1'))).toEqual(shown)
  })

  test('placeOfRegion() narrows what was filtered already, and never widens it', () => {
    const before = { ...place, filter: { min_duration_ms: '1.7', max_duration_ms: '1.8' } }
    expect(placeOfRegion(latency, { x0: 0, x1: 0, y0: 0, y1: 2 }, before).filter).toEqual(before.filter)
  })

  test('regionText() says what a part holds', () => {
    expect(plain(regionText(latency, { x0: 0, x1: 1, y0: 0, y1: 2 }, nowUs))).toMatch(
      / to .*, below 2 ms: 6 calls, 2 failed$/,
    )
    expect(plain(regionText(layers, { x0: 1, x1: 1, y0: 1, y1: 1 }, nowUs))).toMatch(/, api: 250 ms \(50 %\)$/)
  })

  test('heatTableOf() names what no filter finds, and leads nowhere from there', () => {
    const heat: Heatmap = {
      ...{ ...layers, x: 'tool' },
      columns: [
        { key: 'chat', n: 5, total_ms: 500, filter: { tool: 'chat' } },
        { key: 'other', n: 5, total_ms: 500, filter: null },
        { key: 'unknown', n: 5, total_ms: 500, filter: null },
      ],
    }
    const { noun, rows } = heatTableOf(heat, heatmaps[3], place)
    expect(noun).toBe('Tool')
    expect(rows.map(({ name, path }) => [name, path])).toEqual([
      ['chat', '/traces?tool=chat&environment=test'],
      ['All others', null],
      ['None named', null],
    ])
    expect(rows[1]?.cells.map((cell) => cell && [plain(cell.text), plain(cell.note), cell.path])).toEqual([
      null,
      ['50 ms', 'p95 90 ms', null],
      null,
    ])
  })
})

test('holderLinesOf() and holdersText() say who held what, and how much of the time that was', () => {
  const holders: Holders = {
    ...{ ...read, total_ms: 1_000, wait_ms: 500, rest: { n: 2, total_ms: 10 } },
    rows: [
      {
        ...{
          name: 'permit',
          layer: 'tool',
          holder: null,
          n: 3,
          traces: 3,
          total_ms: 490,
          share: 0.98,
          p50_ms: 1,
          p95_ms: 2,
          max_ms: 3,
        },
        ...{ longest_trace_id: 'ab', tools: [{ tool: null, n: 3, total_ms: 490 }] },
      },
    ],
  }
  expect(holderLinesOf(holders, place)).toMatchObject([
    { holder: '', width: 98, longestPath: '/traces/ab?environment=test', tools: [{ path: null }] },
  ])
  expect(plain(holdersText(holders))).toBe(
    "500 ms of waiting in all (50 % of the calls' time). 2 more waits of 10 ms are not listed.",
  )
})

test('criticalOf() draws the critical path within the lines of the waterfall', () => {
  fc.assert(
    fc.property(arbitraryStoredSpans(), (spans) => {
      const rows = Object.entries(spans).map(
        ([span_id, span]) =>
          ({
            ...{
              parent_span_id: null,
              end_us: null,
              kind: 'work',
              self_ms: null,
              service: null,
              instance: null,
              clock_offset_us: null,
            },
            ...{ ...span, span_id },
          }) as SpanRow,
      )
      const waterfall = waterfallOf(rows, nowUs)
      const path = criticalOf(rows, waterfall)
      const parts = criticalPathOf(spans)
      expect(path === noPath).toBe(parts.length === 0)
      for (const [id, stretches] of path.stretches) {
        const node = waterfall.nodes.find((each) => each.id === id)
        for (const { start, end } of stretches) {
          expect(start).toBeGreaterThanOrEqual(node?.start ?? Number.NaN)
          expect(end).toBeLessThanOrEqual(node?.end ?? Number.NaN)
        }
      }
      const covered = [...path.stretches.values()].flat().reduce((sum, { start, end }) => sum + end - start, 0)
      expect(covered).toBe(
        parts.filter(({ span_id }) => span_id !== null).reduce((sum, { start, end }) => sum + end - start, 0),
      )
    }),
    { numRuns: 300 },
  )
})
