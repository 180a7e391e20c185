import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { shadesMax } from '../web/view/heat_shade.ts'
import type { LensCell, SessionCall, SessionLens } from '../web/view/lens_answer.ts'
import { placeOf } from '../web/view/place.ts'
import { callLinesOf, matrixOf, rulesText, stepText } from '../web/view/session_lens_view.ts'
import { sessionLinesOf } from '../web/view/session_timeline_view.ts'

const nowUs = 1_796_000_000_000_000
const place = placeOf(new URL('http://127.0.0.1/sessions?environment=test'))
const read = { from_us: nowUs - 3_600e6, to_us: nowUs, matched: 10, read: 10 }
/** No-break spaces as plain ones. */
const plain = (text: string | undefined) => text?.replaceAll('\u00a0', ' ')

describe('the session lens', () => {
  const cell = (call: string, layer: string, p50_ms: number, wait_p50_ms = 0): LensCell => ({
    ...{
      call,
      layer,
      n: 10,
      seen: 10,
      self_ms: 10 * p50_ms,
      work_ms: 10 * (p50_ms - wait_p50_ms),
      wait_ms: 10 * wait_p50_ms,
    },
    ...{ p50_ms, p95_ms: 2 * p50_ms, wait_p50_ms, wait_p95_ms: 2 * wait_p50_ms },
  })
  const call = (key: string, more: Partial<SessionLens['calls'][number]> = {}): SessionLens['calls'][number] => ({
    ...{ call: key, n: 10, errors: 0, total_ms: 1_000, p50_ms: 100, p95_ms: 200, wait_ms: 250, unexplained_ms: 0 },
    ...{ tools: [{ tool: 'chat', n: 10 }], step: null, previous: null },
    ...more,
  })
  const step = {
    changed: true,
    few: false,
    p: 1e-9,
    superiority: 0.95,
    change_ms: 900,
    layer: 'tool',
    layer_change_ms: 880,
    waiting: true,
  }
  const lens: SessionLens = {
    ...read,
    waits_unknown: 0,
    rules: [
      { rule: 'mcp', sessions: 3, n: 20 },
      { rule: null, sessions: 0, n: 1 },
    ],
    layers: ['unexplained', 'api', 'gpu', 'shim'],
    calls: [
      call('1'),
      call('2', {
        step,
        previous: {
          ...{ n: 10, running: 4, gap_p50_ms: -20 },
          list: [{ tool: 'chat', outcome: 'timeout', n: 4, running: 4, gap_p50_ms: -20, p50_ms: 1_000 }],
        },
      }),
      call('6+'),
      call('unknown'),
    ],
    cells: [cell('1', 'api', 100), cell('2', 'api', 1_000, 900), cell('6+', 'shim', 1)],
  }

  test('matrixOf() has layers from the outside in, waits apart, and leads to the calls of a cell', () => {
    const table = matrixOf(lens, 'p50', place)
    expect(table.columns.map(({ name }) => name)).toEqual(['shim', 'api', 'gpu', 'unexplained', 'Whole call'])
    expect(table.rows.map(({ name }) => name)).toEqual(['Call 1', 'Call 2', 'Call 6 and later', 'Not known'])
    const waited = table.rows[1]?.cells[1]
    expect([plain(waited?.text), plain(waited?.note), waited?.shade]).toEqual(['1 s', '900 ms waiting', shadesMax])
    expect(waited?.path).toBe('/traces?layer=api&call_number=2&environment=test')
    expect(table.rows[1]?.cells[0]).toBe(null)
    expect(table.rows[2]?.cells[0]?.path).toBe(null)
    expect(plain(matrixOf(lens, 'p95', place).rows[1]?.cells[1]?.note)).toBe('1.8 s waiting')
    expect(plain(matrixOf(lens, 'mean', place).rows[0]?.cells[4]?.text)).toBe('100 ms')
  })

  test('callLinesOf() marks the steps, and says what went before', () => {
    const lines = callLinesOf(lens, place)
    expect(lines.map((line) => line.step)).toEqual(['none', 'up', 'none', 'none'])
    expect(plain(lines[1]?.stepText)).toBe(
      '900 ms slower than call 1 at the median (p < 0.001), most of it waiting in tool',
    )
    expect(plain(lines[1]?.previous)).toBe('20 ms before its end, 4 of 10 while it still ran')
    expect(lines[1]?.predecessors).toMatchObject([{ name: 'chat, timeout', failed: true, count: '4' }])
    expect(lines[3]?.previous).toBe('In no session')
    expect(plain(rulesText(lens))).toBe('3 sessions by its MCP session id, 1 call in no session')
  })

  test.each([
    ['none before it', null, ''],
    ['too few', { ...step, few: true, changed: false }, 'Too few calls to compare'],
    ['no step', { ...step, changed: false, p: 0.21 }, 'No step from call 2 (p = 0.210)'],
    [
      'down, in no layer',
      { ...step, change_ms: -5, layer: null, waiting: null },
      '5 ms faster than call 2 at the median (p < 0.001)',
    ],
  ])('stepText() of %s', (_, given, text) => expect(plain(stepText(given, '2'))).toBe(text))
})

describe('a session', () => {
  const call = (at_ms: number, ms: number | null, more: Partial<SessionCall> = {}): SessionCall => ({
    ...{ trace_id: `t${at_ms}`, call_number: 1, session_rule: 'mcp', started_at_us: nowUs - 100e6 + at_ms * 1_000 },
    ...{
      ended_at_us: ms === null ? null : nowUs - 100e6 + (at_ms + ms) * 1_000,
      duration_ms: ms,
      wait_ms: 0,
      name: 'tools/call',
    },
    ...{
      tool: 'chat',
      provider: null,
      model: null,
      outcome: ms === null ? null : 'ok',
      layers: {},
      overlap_ms: 0,
      previous: null,
    },
    ...more,
  })

  test('sessionLinesOf() keeps every bar on the axis, in the order of the starts', () => {
    const calls = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 10_000_000 }), fc.integer({ min: 0, max: 50_000 }), fc.boolean()),
      { minLength: 1, maxLength: 20 },
    )
    fc.assert(
      fc.property(calls, (given) => {
        const ordered = given.toSorted(([a], [b]) => a - b)
        const lines = sessionLinesOf(
          ordered.map(([at, ms, runs]) => call(at - 9_000_000, runs ? null : ms, { layers: { api: 1, tool: 2 } })),
          nowUs,
        )
        let before = 0
        for (const { bar, parts } of lines) {
          expect(bar.x).toBeGreaterThanOrEqual(Math.min(before, 99.5))
          expect(bar.x + bar.width).toBeLessThanOrEqual(100.01)
          for (const part of parts) expect(part.x + part.width).toBeLessThanOrEqual(bar.x + bar.width + 0.05)
          before = bar.x - 0.5
        }
      }),
    )
  })

  test('sessionLinesOf() cuts idle time short, and shows what still ran beside a call', () => {
    const previous = { trace_id: 't0', tool: 'chat', outcome: 'ok', gap_ms: -50, running: true }
    const lines = sessionLinesOf([call(0, 100), call(50, 100, { previous, overlap_ms: 50 }), call(90_000, 100)], nowUs)
    expect(lines.map(({ cut }) => cut)).toEqual([false, false, true])
    expect(lines[2]?.bar.x).toBeLessThan(70)
    expect(lines[1]).toMatchObject({ overlaps: true, beside: { x: lines[1]?.bar.x } })
    expect(plain(lines[1]?.gap)).toBe('50 ms before its end')
    expect(lines[0]?.beside).toBe(null)
  })
})
