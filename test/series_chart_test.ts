import fc from 'fast-check'
import { expect, test } from 'vitest'
import { histogramOf } from '../src/core/histogram.ts'
import type { Cell } from '../src/core/window.ts'
import type { SeriesPoint } from '../web/view/answer.ts'
import {
  lastMinuteOf,
  latencyChart,
  mergePoints,
  type Palette,
  secondsSeries,
  settledSeries,
  throughputChart,
  tickText,
  timeTicks,
  withLiveMinute,
} from '../web/view/series_chart.ts'
import { cellOf } from './live_view_fixture.ts'

const palette: Palette = {
  text: '#000001',
  grid: '#000002',
  throughput: '#000004',
  fill: '#00000520',
  error: '#000006',
  p50: '#000007',
  p95: '#000008',
  p99: '#000009',
  font: 'serif',
}
const minuteUs = 60e6
const fromUs = 30_000_000 * minuteUs
const plain = (text: string): string => text.replaceAll('\u00a0', ' ')

function pointOf(at_us: number, count: number, errors = 0): SeriesPoint {
  const ms = count === 0 ? null : count
  const sums = { bytes_in: 0, bytes_out: 0, tokens_in: 0, tokens_out: 0 }
  return { at_us, count, errors, mean_ms: ms, p50_ms: ms, p95_ms: ms, p99_ms: ms, ...sums }
}

function seriesOf(...counts: number[]) {
  const points = counts.map((count, i) => pointOf(fromUs + i * minuteUs, count, Math.min(count, i)))
  return { from_us: fromUs, to_us: fromUs + counts.length * minuteUs, step_s: 60, points }
}

test('throughputChart() draws rates, the last step by the part of it that has passed', () => {
  const series = seriesOf(60, 120, 30)
  const { config, text } = throughputChart(series, palette, fromUs + 2 * minuteUs + 15e6)
  const [requests, errors] = config.data.datasets
  expect(requests?.data.map(({ y }) => y)).toEqual([1, 2, 2])
  expect(errors?.data.map(({ y }) => y)).toEqual([0, 1 / 60, 2 / 15])
  expect(requests?.data[0]?.x).toBe(fromUs / 1_000)
  expect([requests?.borderColor, errors?.borderColor]).toEqual([palette.throughput, palette.error])
  expect(plain(text)).toBe('Throughput: 210 requests, at most 2 req/s; 3 errors, 1.43 %.')
})

test('latencyChart() leaves a gap where nothing was measured, and a point where no line leads', () => {
  const { config, text } = latencyChart(seriesOf(5, 0, 7, 0, 9, 9), palette)
  const p95 = config.data.datasets[1]
  expect(p95?.data.map(({ y }) => y)).toEqual([5, null, 7, null, 9, 9])
  expect(p95?.pointRadius).toEqual([2, 0, 2, 0, 0, 0])
  expect(p95?.spanGaps).toBe(false)
  expect(plain(text)).toBe('Latency: p50 at most 9 ms, p95 at most 9 ms, p99 at most 9 ms.')
})

test('a chart of nothing says so in words', () => {
  expect(throughputChart(seriesOf(0, 0), palette, fromUs).text).toBe('Throughput: no requests in this time.')
  expect(latencyChart(seriesOf(), palette).text).toBe('Latency: no requests in this time.')
})

test('a chart never moves by itself', () => {
  expect(latencyChart(seriesOf(1), palette).config.options?.animation).toBe(false)
})

test('mergePoints() takes the fresh point of a time, whatever the order of the others', () => {
  const counts = fc.array(fc.nat(20), { maxLength: 20 })
  fc.assert(
    fc.property(counts, counts, fc.nat(20), (old, fresh, shift) => {
      const before = old.map((count, i) => pointOf(i, count))
      const after = fresh.map((count, i) => pointOf(i + shift, count))
      const merged = mergePoints(before, after)
      expect(merged.map(({ at_us }) => at_us)).toEqual(
        [...new Set(merged.map(({ at_us }) => at_us))].sort((a, b) => a - b),
      )
      expect(merged).toEqual(expect.arrayContaining(after))
      expect(mergePoints(merged, after)).toEqual(merged)
    }),
  )
})

test('secondsSeries() has every second of the last minute, empty ones too', () => {
  const second = 1_800_000_000
  const windows = [
    { second: second - 61, series: { all: cellOf(99) } },
    { second: second - 60, series: { all: cellOf(10) } },
    { second: second - 1, series: { all: cellOf(20) } },
    { second, series: { all: cellOf(98) } },
  ]
  const { points, from_us, to_us, step_s } = secondsSeries(windows, second * 1e6 + 5)
  expect([from_us, to_us, step_s]).toEqual([(second - 60) * 1e6, second * 1e6, 1])
  expect(points).toHaveLength(60)
  expect(points.map(({ count }) => count).filter((count) => count > 0)).toEqual([10, 20])
  expect(points[0]).toMatchObject({ at_us: (second - 60) * 1e6, count: 10, errors: 1 })
  expect(points[1]).toMatchObject({ count: 0, mean_ms: null, p95_ms: null })
})

test('lastMinuteOf() adds up what its seconds counted, and reads the percentiles of them all', () => {
  const second = 1_800_000_000
  const cell = (values: number[]): Cell => ({ ...cellOf(values.length), latency: histogramOf(values).histogram })
  const windows = [
    { second: second - 2, series: { all: cell([1_000, 1_000, 1_000]) } },
    { second: second - 1, series: { all: cell([100_000]) } },
  ]
  const minute = lastMinuteOf(windows, second * 1e6)
  expect(minute?.count).toBe(4)
  expect(minute?.p50_ms).toBeCloseTo(1, 1)
  expect(Math.abs((minute?.p99_ms ?? 0) / 100 - 1)).toBeLessThan(0.011)
  expect(lastMinuteOf([], second * 1e6)).toMatchObject({ count: 0, p50_ms: null })
  expect(lastMinuteOf(windows, second * 1e6, second - 30)).toBe(null)
  expect(secondsSeries(windows, second * 1e6, second - 30).points).toHaveLength(30)
})

test('settledSeries() leaves out a step that has only just begun', () => {
  const series = seriesOf(5, 6)
  const last = fromUs + minuteUs
  expect(settledSeries(series, last + 9e6).points.map(({ count }) => count)).toEqual([5])
  expect(settledSeries(series, last + 10e6)).toEqual(series)
})

test('withLiveMinute() moves only the minute that is not over, and never back', () => {
  const series = seriesOf(5, 6)
  const last = fromUs + minuteUs
  const windows = [
    { second: last / 1e6 - 1, series: { all: cellOf(50) } },
    { second: last / 1e6, series: { all: cellOf(4) } },
    { second: last / 1e6 + 1, series: { all: cellOf(4) } },
  ]
  const counts = (from: typeof series): number[] => from.points.map(({ count }) => count)
  expect(counts(withLiveMinute(series, windows, last + 2e6))).toEqual([5, 8])
  expect(counts(withLiveMinute(seriesOf(5, 9), windows, last + 2e6))).toEqual([5, 9])
  expect(withLiveMinute({ ...series, step_s: 300 }, windows, last + 2e6).points).toBe(series.points)
  expect(withLiveMinute(series, windows, last + 90 * minuteUs)).toBe(series)
})

test('timeTicks() are round, inside, and few', () => {
  const ms = fc.integer({ min: 1_500_000_000_000, max: 2_000_000_000_000 })
  fc.assert(
    fc.property(
      ms,
      fc.integer({ min: 1_000, max: 400 * 86_400_000 }),
      fc.integer({ min: 2, max: 12 }),
      (from, span, max) => {
        const ticks = timeTicks(from, from + span, max)
        expect(ticks.length).toBeLessThanOrEqual(max)
        for (const tick of ticks) expect(tick >= from && tick <= from + span && tick % 1_000 === 0).toBe(true)
        const gaps = new Set(ticks.slice(1).map((tick, i) => tick - (ticks[i] as number)))
        expect(gaps.size).toBeLessThanOrEqual(1)
      },
    ),
  )
})

test('tickText() says as much of the time as the span needs', () => {
  const at = Date.UTC(2026, 10, 23, 9, 5, 7)
  expect(tickText(at, 60_000, 'UTC')).toBe('09:05:07')
  expect(tickText(at, 3_600_000, 'UTC')).toBe('09:05')
  expect(tickText(at, 7 * 86_400_000, 'UTC')).toBe('23 Nov')
})
