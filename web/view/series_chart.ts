import type { ChartConfiguration, ChartDataset } from 'chart.js'
import { quantileOf } from '../../src/core/histogram.ts'
import { type Cell, mergeCells, type Window } from '../../src/core/window.ts'
import type { SeriesAnswer, SeriesPoint } from './answer.ts'
import { durationText, percentText, rateText, timeText } from './number_text.ts'

// What a chart shows, as a value: the points of a series, and the configuration that draws them.

/** The colours a chart is drawn in, as CSS takes them. */
export type Palette = {
  readonly text: string
  readonly grid: string
  readonly throughput: string
  /** What is under the throughput: nearly transparent. */
  readonly fill: string
  readonly error: string
  readonly p50: string
  readonly p95: string
  readonly p99: string
  /** Font family. */
  readonly font: string
}

export type SeriesChart = {
  readonly config: ChartConfiguration<'line', Dot[]>
  /** The same in words, for who cannot see it. */
  readonly text: string
}

/** x in ms since the epoch; y null where nothing was measured. */
export type Dot = { readonly x: number; readonly y: number | null }

type Plotted = Pick<SeriesAnswer, 'from_us' | 'to_us' | 'step_s' | 'points'>
type Line = { readonly label: string; readonly colour: string; readonly dots: Dot[]; readonly fill?: string }

const ticksMax = 8
// What a tick's text needs, with some room: `22:55:00`.
const tickWidth = 68

/** Requests and errors by the second. The last step counts by the part of it that has passed. */
export function throughputChart(series: Plotted, palette: Palette, nowUs: number): SeriesChart {
  const rate = (read: (point: SeriesPoint) => number): Dot[] =>
    series.points.map((point) => ({
      x: point.at_us / 1_000,
      y: read(point) / elapsedSeconds(point.at_us, series.step_s, nowUs),
    }))
  const requests = {
    label: 'Requests',
    colour: palette.throughput,
    dots: rate(({ count }) => count),
    fill: palette.fill,
  }
  const errors = { label: 'Errors', colour: palette.error, dots: rate((point) => point.errors) }
  const count = sumOf(series.points, (point) => point.count)
  const failed = sumOf(series.points, (point) => point.errors)
  const text =
    count === 0
      ? 'Throughput: no requests in this time.'
      : `Throughput: ${count} requests, at most ${rateText(mostOf(requests.dots))}; ${failed} errors, ${percentText(failed / count)}.`
  return { config: configOf(series, [requests, errors], palette, rateText), text }
}

/** The 50th, 95th and 99th percentile of the latency. */
export function latencyChart(series: Plotted, palette: Palette): SeriesChart {
  const line = (label: string, colour: string, read: (point: SeriesPoint) => number | null): Line => ({
    label,
    colour,
    dots: series.points.map((point) => ({ x: point.at_us / 1_000, y: read(point) })),
  })
  const lines = [
    line('p50', palette.p50, ({ p50_ms }) => p50_ms),
    line('p95', palette.p95, ({ p95_ms }) => p95_ms),
    line('p99', palette.p99, ({ p99_ms }) => p99_ms),
  ]
  const most = lines.map(({ label, dots }) => `${label} at most ${durationText(mostOf(dots))}`)
  const measured = series.points.some(({ count }) => count > 0)
  const text = measured ? `Latency: ${most.join(', ')}.` : 'Latency: no requests in this time.'
  return { config: configOf(series, lines, palette, durationText), text }
}

/** The points of one series with fresh ones in the place of those of the same time, and the new ones added. */
export function mergePoints(points: readonly SeriesPoint[], fresh: readonly SeriesPoint[]): SeriesPoint[] {
  const byTime = new Map(points.map((point) => [point.at_us, point]))
  for (const point of fresh) byTime.set(point.at_us, point)
  return [...byTime.values()].sort((a, b) => a.at_us - b.at_us)
}

/**
 * The last minute by the second: seconds in which nothing ended count nothing, and those before `since`, of which not all
 * is known, are left out.
 */
export function secondsSeries(windows: readonly Window[], nowUs: number, since = 0): Plotted {
  const last = Math.floor(nowUs / 1e6)
  const bySecond = new Map(windows.map((window) => [window.second, window]))
  const points = Array.from({ length: 60 }, (_, i) => {
    const second = last - 60 + i
    return pointOf(second, bySecond.get(second)?.series.all)
  })
  const known = points.filter(({ at_us }) => at_us >= since * 1e6)
  return { from_us: (last - 60) * 1e6, to_us: last * 1e6, step_s: 1, points: known }
}

/**
 * The series with the minute that is not over yet as the windows tell it, which they do sooner than its parts. A series of
 * longer steps, or one that does not reach to now, stays as it is.
 */
export function withLiveMinute<T extends Plotted>(series: T, windows: readonly Window[], nowUs: number): T {
  const minute = Math.floor(nowUs / 60e6) * 60
  if (series.step_s !== 60 || series.to_us < minute * 1e6) return series
  const recent = windows.filter(({ second }) => second >= minute && second < minute + 60)
  const cells = recent.flatMap(({ series: { all } }) => (all === undefined ? [] : [all]))
  const point = pointOf(minute, cells.length === 0 ? undefined : cells.reduce(mergeCells))
  // Windows that lost something to a restart of the hot store must not hide what the parts have.
  const stored = series.points.find(({ at_us }) => at_us === point.at_us)
  if (stored !== undefined && stored.count >= point.count) return series
  return { ...series, points: mergePoints(series.points, [point]) }
}

/** What the windows of the last minute add up to; null while those since `since` are too few to be one. */
export function lastMinuteOf(windows: readonly Window[], nowUs: number, since = 0): SeriesPoint | null {
  const second = Math.floor(nowUs / 1e6) - 60
  if (since > second + unknownSecondsMax) return null
  const recent = windows.filter((window) => window.second >= second && window.second < second + 60)
  const cells = recent.flatMap(({ series: { all } }) => (all === undefined ? [] : [all]))
  return pointOf(second, cells.length === 0 ? undefined : cells.reduce(mergeCells))
}

// Seconds without an end say nothing of how far back the others reach.
const unknownSecondsMax = 10

/** The series without the step that has only just begun: of so few requests it would show a cliff or a spike. */
export function settledSeries<T extends Plotted>(series: T, nowUs: number): T {
  const isSettled = ({ at_us }: SeriesPoint): boolean => nowUs - at_us >= Math.min(10, series.step_s) * 1e6
  return { ...series, points: series.points.filter(isSettled) }
}

function pointOf(second: number, cell: Cell | undefined): SeriesPoint {
  const latency = cell?.latency
  const quantile = (q: number): number | null => {
    const us = latency === undefined ? null : quantileOf(latency, q)
    return us === null ? null : us / 1_000
  }
  return {
    at_us: second * 1e6,
    count: cell?.count ?? 0,
    errors: cell?.errors ?? 0,
    mean_ms: cell === undefined || cell.count === 0 ? null : cell.latency.sum / cell.count / 1_000,
    p50_ms: quantile(0.5),
    p95_ms: quantile(0.95),
    p99_ms: quantile(0.99),
    bytes_in: cell?.bytes_in ?? 0,
    bytes_out: cell?.bytes_out ?? 0,
    tokens_in: cell?.tokens_in ?? 0,
    tokens_out: cell?.tokens_out ?? 0,
  }
}

/** Round times in ms between two, at most `max`, by the viewer's clock where they are hours or days. */
export function timeTicks(fromMs: number, toMs: number, max: number): number[] {
  const steps = [
    1, 5, 10, 15, 30, 60, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800,
  ]
  const span = Math.max(1, toMs - fromMs)
  const step =
    (steps.find((s) => span / (s * 1_000) <= max - 1) ?? Math.ceil(span / 86_400_000 / (max - 1)) * 86_400) * 1_000
  const shift = new Date(fromMs).getTimezoneOffset() * 60_000
  const first = Math.ceil((fromMs - shift) / step) * step + shift
  const ticks: number[] = []
  for (let at = first; at <= toMs && ticks.length < max; at += step) ticks.push(at)
  return ticks
}

/** What stands under a tick: seconds, minutes or a day, as the span needs. `zone` is for tests. */
export function tickText(ms: number, spanMs: number, zone?: string): string {
  const options: Intl.DateTimeFormatOptions =
    spanMs > 2 * 86_400_000
      ? { day: 'numeric', month: 'short' }
      : { hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...(spanMs <= 300_000 ? { second: '2-digit' } : {}) }
  return new Intl.DateTimeFormat('en-GB', zone === undefined ? options : { ...options, timeZone: zone }).format(ms)
}

function elapsedSeconds(atUs: number, stepS: number, nowUs: number): number {
  return Math.min(stepS, Math.max(1, (nowUs - atUs) / 1e6))
}

function configOf(
  series: Plotted,
  lines: readonly Line[],
  palette: Palette,
  unitText: (value: number, like?: number) => string,
): ChartConfiguration<'line', Dot[]> {
  const from = series.from_us / 1_000
  const to = series.to_us / 1_000
  const axis = { color: palette.text, font: { size: 11, family: palette.font } }
  return {
    type: 'line',
    data: { datasets: lines.map((line) => datasetOf(line)) },
    options: {
      animation: false,
      parsing: false,
      normalized: true,
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: 'index', intersect: false },
      scales: {
        x: {
          type: 'linear',
          min: from,
          max: to,
          grid: { color: palette.grid, drawTicks: false },
          border: { display: false },
          ticks: {
            ...axis,
            maxRotation: 0,
            autoSkip: true,
            callback: (value) => tickText(Number(value), to - from),
          },
          afterBuildTicks: (scale) => {
            const most = Math.max(2, Math.min(ticksMax, Math.floor(scale.chart.width / tickWidth)))
            // A text at the very left would lie on that of the other axis.
            const first = from + (to - from) * 0.04
            const ticks = timeTicks(from, to, most).filter((value) => value >= first)
            scale.ticks = ticks.map((value) => ({ value }))
          },
        },
        y: {
          beginAtZero: true,
          grid: { color: palette.grid, drawTicks: false },
          border: { display: false },
          ticks: {
            ...axis,
            maxTicksLimit: 5,
            padding: 6,
            callback: (value, _, ticks) => unitText(Number(value), ticks.at(-1)?.value),
          },
        },
      },
      plugins: {
        legend: {
          align: 'start',
          labels: {
            color: palette.text,
            boxWidth: 10,
            boxHeight: 2,
            font: { size: 12, family: palette.font },
            padding: 10,
          },
        },
        tooltip: {
          callbacks: {
            title: ([item]) => (item === undefined ? '' : timeText((item.parsed.x ?? 0) * 1_000, to * 1_000)),
            label: (item) => ` ${item.dataset.label ?? ''} ${unitText(item.parsed.y ?? Number.NaN)}`,
          },
        },
      },
    },
  }
}

function datasetOf({ label, colour, dots, fill }: Line): ChartDataset<'line', Dot[]> {
  return {
    label,
    data: dots,
    borderColor: colour,
    backgroundColor: fill ?? colour,
    fill: fill !== undefined,
    borderWidth: 1.6,
    tension: 0,
    spanGaps: false,
    pointRadius: dots.map((dot, i) => (isAlone(dots, dot, i) ? 2 : 0)),
    pointHoverRadius: 3,
    pointHitRadius: 6,
  }
}

/** Whether no line leads to a dot, so that only a point can show it. */
function isAlone(dots: readonly Dot[], { y }: Dot, i: number): boolean {
  return y !== null && (dots[i - 1]?.y ?? null) === null && (dots[i + 1]?.y ?? null) === null
}

function mostOf(dots: readonly Dot[]): number | null {
  return dots.reduce<number | null>((most, { y }) => (y === null ? most : Math.max(most ?? 0, y)), null)
}

function sumOf(points: readonly SeriesPoint[], read: (point: SeriesPoint) => number): number {
  return points.reduce((sum, point) => sum + read(point), 0)
}
