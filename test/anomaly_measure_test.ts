import { expect, test } from 'vitest'
import { type DetectorState, observe } from '../src/core/anomaly/detector.ts'
import { judgementOf, lookAbove, type Metric, type Minute, pointOf } from '../src/core/anomaly/measure.ts'
import { anomalyAlertScore, anomalyScoreMin } from '../src/core/limit.ts'
import { chanceOf } from '../src/demo/chance.ts'

const start = 1_800_057_600

/** The state of a metric after minutes with so many calls of about 500 ms, of which one in a hundred fails. */
function stateOf(metric: Metric, minutes: number, countOf: (minute: number) => number): DetectorState {
  const chance = chanceOf(7)
  let state: DetectorState | null = null
  for (let m = 0; m < minutes; m += 1) {
    const count = countOf(m)
    const errors = Array.from({ length: count }, chance).filter((value) => value < 0.01).length
    const p95_ms = count === 0 ? null : 500 * (0.9 + 0.2 * chance()) * (count < 5 ? 0.6 + 0.8 * chance() : 1)
    const point = pointOf(metric, { at: start + m * 60, count, errors, p95_ms }, state)
    if (point !== null) state = observe(state, point)
  }
  return state as DetectorState
}

const scoreAt = (
  metric: Metric,
  state: DetectorState,
  minute: { count: number; errors?: number; p95_ms?: number | null },
) => judgementOf(metric, { at: state.at + 60, errors: 0, p95_ms: 500, ...minute }, state)?.score

test('judgementOf() waits for enough calls before it believes that they are slow', () => {
  const rare = stateOf('p95_ms', 1_000, (m) => (m % 4 === 0 ? 1 : 0))
  const busy = stateOf('p95_ms', 400, () => 60)
  const rows: [DetectorState, number, number, 'none' | 'anomaly' | 'alert'][] = [
    [rare, 1, 2_000, 'none'],
    [rare, 1, 10_000, 'none'],
    [busy, 3, 2_000, 'none'],
    [busy, 14, 2_000, 'anomaly'],
    [busy, 30, 2_000, 'alert'],
    [busy, 60, 1_500, 'alert'],
    [busy, 60, 600, 'none'],
    [busy, 60, 50, 'none'],
  ]
  for (const [state, count, p95_ms, wanted] of rows) {
    const score = scoreAt('p95_ms', state, { count, p95_ms }) ?? 1
    const is = score >= anomalyAlertScore ? 'alert' : score >= anomalyScoreMin ? 'anomaly' : 'none'
    expect([count, p95_ms, is === 'alert' && wanted === 'anomaly' ? 'anomaly' : is]).toEqual([count, p95_ms, wanted])
  }
})

test('judgementOf() takes no few failures for an error rate, and no small rate for none', () => {
  const rare = stateOf('error_rate', 1_000, (m) => (m % 4 === 0 ? 1 : 0))
  const busy = stateOf('error_rate', 400, () => 60)
  const quiet = stateOf('error_rate', 400, () => 20)
  const rows: [DetectorState, number, number, boolean][] = [
    [rare, 1, 1, false],
    [rare, 2, 2, false],
    [rare, 10, 10, true],
    [busy, 60, 1, false],
    [busy, 60, 3, false],
    [busy, 60, 25, true],
    [busy, 60, 0, false],
    [quiet, 20, 2, false],
    [quiet, 20, 16, true],
  ]
  for (const [state, count, errors, wanted] of rows) {
    const score = scoreAt('error_rate', state, { count, errors }) ?? 1
    expect([count, errors, score >= anomalyScoreMin]).toEqual([count, errors, wanted])
  }
  const judged = judgementOf('error_rate', { at: busy.at + 60, count: 60, errors: 25, p95_ms: 1 }, busy)
  expect(judged?.seen).toBeCloseTo(25 / 60)
  expect(judged?.expected.mid).toBeLessThan(0.05)
})

test('judgementOf() takes no traffic that stays away for abnormal before a day was seen, nor where it does every day', () => {
  const day = 1_440
  const office = (m: number) => (m % day >= 480 && m % day < 1_080 ? 60 : 0)
  expect(
    scoreAt(
      'throughput',
      stateOf('throughput', 700, () => 60),
      { count: 0 },
    ),
  ).toBe(0)
  const evening = stateOf('throughput', 2 * day + 1_081, office)
  expect(scoreAt('throughput', evening, { count: 0 })).toBeLessThan(anomalyScoreMin)
  expect(
    scoreAt(
      'throughput',
      stateOf('throughput', 2 * day, () => 60),
      { count: 0 },
    ),
  ).toBeGreaterThan(anomalyScoreMin)
})

test('judgementOf() sees a gauge that rises, and lets one be that wavers as counts do', () => {
  const gauge = (at: number, value: number): Minute => ({ at, gauge: value })
  let memory: DetectorState | null = null
  let clients: DetectorState | null = null
  for (let m = 0; m < 300; m += 1) {
    const at = start + m * 60
    memory = observe(memory, pointOf('gauge', gauge(at, 800 + (m % 7)), memory) as never)
    clients = observe(clients, pointOf('gauge', gauge(at, 1), clients) as never)
  }
  const at = start + 301 * 60
  expect(judgementOf('gauge', gauge(at, 1_600), memory)?.score).toBeGreaterThan(anomalyAlertScore)
  expect(judgementOf('gauge', gauge(at, 860), memory)?.score).toBeLessThan(anomalyScoreMin)
  expect(judgementOf('gauge', gauge(at, 100), memory)?.score).toBeLessThan(anomalyScoreMin)
  for (const value of [0, 2, 3])
    expect(judgementOf('gauge', gauge(at, value), clients)?.score).toBeLessThan(anomalyScoreMin)
})

test('judgementOf() has nothing to say of a minute without what the metric measures', () => {
  const none: Minute = { at: start, count: 0, errors: 0, p95_ms: null }
  for (const metric of ['p95_ms', 'error_rate', 'gauge'] as const) expect(judgementOf(metric, none, null)).toBe(null)
  for (const metric of ['p95_ms', 'error_rate', 'throughput'] as const) {
    expect(judgementOf(metric, { at: start, gauge: 1 }, null)).toBe(null)
  }
})

test('lookAbove() lets no running minute pass that would be an anomaly', () => {
  for (const metric of ['p95_ms', 'error_rate'] as const) {
    const state = stateOf(metric, 400, () => 60)
    const above = lookAbove(metric, state) as number
    expect(above).toBeGreaterThan(metric === 'p95_ms' ? 550 : 0.02)
    for (const count of [5, 20, 60, 400]) {
      for (let part = 0; part <= 1; part += 0.01) {
        const minute = { count, errors: Math.floor(count * part), p95_ms: 5_000 * part }
        const value = metric === 'p95_ms' ? minute.p95_ms : minute.errors / count
        if (value < above) expect(scoreAt(metric, state, minute)).toBeLessThan(anomalyScoreMin)
      }
    }
  }
  expect(lookAbove('p95_ms', null)).toBe(null)
  expect(
    lookAbove(
      'throughput',
      stateOf('throughput', 100, () => 5),
    ),
  ).toBe(null)
})
