import { bucketOf, quantileOf } from '../histogram.ts'
import { alertBaselineCountMin, alertEvidenceNatsMin, alertExceedingMin } from '../limit.ts'
import { type Cell, mergeCells, type Series } from '../window.ts'
import type { Expected, MinuteSeries, Place, Reading, Signals } from './alert_input.ts'
import { type AlertMetric, type AlertRule, isKeyOf, isWatched } from './alert_rule.ts'
import { keyWords, metricWords, placeWords, valueWords } from './alert_text.ts'

// A number of some minutes against a bound, or against what it was in the hours before.

const nothing: Expected = { low: null, mid: null, high: null }

type Stretch = { readonly cell: Cell; readonly seconds: number }

/** One reading for each service, environment and series that the rule is about. */
export function metricReadings(rule: AlertRule, signals: Signals, now_us: number): Reading[] {
  if (rule.metric === 'gauge') return gaugeReadings(rule, signals)
  const since = now_us / 1_000_000 - rule.window_s
  const inWindow = signals.minutes.filter(
    ({ minute, service, environment }) =>
      minute + 60 > since && minute * 1_000_000 <= now_us && isWatched(rule, service, environment),
  )
  const places = groupedBy(inWindow, ({ service, environment }) => JSON.stringify([service, environment]))
  return [...places.values()].flatMap((minutes) => {
    const place = minutes[0] as Place
    return keysIn(rule, minutes).map((key) => {
      const parts = minutes
        .filter(({ series }) => series[key] !== undefined)
        .map(({ minute, series }) => ({ minute, cell: series[key] as Cell }))
        .sort((a, b) => b.minute - a.minute)
      return readingOf(rule, place, key, parts, signals, now_us)
    })
  })
}

function readingOf(
  rule: AlertRule,
  place: Place,
  key: string,
  parts: readonly { readonly minute: number; readonly cell: Cell }[],
  signals: Signals,
  now_us: number,
): Reading {
  const stretches = stretchesOf(parts, now_us)
  const whole = stretches.at(-1) as Stretch
  if (rule.condition === 'above_baseline') {
    return againstBaseline(rule, place, key, stretches, baselineOf(place, key, signals))
  }
  const metric = rule.metric as AlertMetric
  const value = whole.cell.count < rule.min_count ? null : metricOf(metric, whole)
  return againstBound(rule, place, key, metric, value, whole.cell.count)
}

/** What was counted since the start of each minute, the shortest stretch first. */
function stretchesOf(parts: readonly { readonly minute: number; readonly cell: Cell }[], now_us: number): Stretch[] {
  const stretches: Stretch[] = []
  for (const { minute, cell } of parts) {
    const before = stretches.at(-1)
    stretches.push({
      cell: before === undefined ? cell : mergeCells(before.cell, cell),
      seconds: Math.max(1, now_us / 1_000_000 - minute),
    })
  }
  return stretches
}

function againstBound(
  rule: AlertRule,
  place: Place,
  key: string,
  metric: AlertMetric,
  value: number | null,
  count: number,
): Reading {
  const bound = rule.threshold ?? 0
  const clearBound = rule.clear_threshold ?? bound
  const isBelow = rule.condition === 'below'
  const beyond = (limit: number) => value !== null && (isBelow ? value < limit : value > limit)
  const name = metric === 'gauge' ? key : `${metricWords(metric)} of ${keyWords(key)}`
  const said = `${name} is ${valueWords(metric, value)}, ${isBelow ? 'less' : 'more'} than ${valueWords(metric, bound)}`
  return {
    ...place,
    subject: key,
    value,
    metric,
    expected: isBelow ? { ...nothing, low: bound } : { ...nothing, high: bound },
    count,
    breached: beyond(bound),
    cleared: !beyond(clearBound) && !beyond(bound),
    excess: value === null ? 0 : isBelow ? bound / Math.max(value, Number.MIN_VALUE) : value / Math.max(bound, 1e-9),
    what: `${capital(said)} in ${placeWords(place)}`,
    trace_ids: [],
  }
}

/**
 * The stretch that is worst beyond its bound. A slowdown that has just begun shows in the running minute long before it
 * moves a longer window; so that few calls conclude nothing by chance, what is beyond the bound must be more than the same
 * series usually has there, by far. It is over as soon as the newest stretch that tells anything is within bounds.
 */
function againstBaseline(
  rule: AlertRule,
  place: Place,
  key: string,
  stretches: readonly Stretch[],
  baseline: Cell | undefined,
): Reading {
  const metric = rule.metric as AlertMetric
  const isKnown = baseline !== undefined && baseline.count >= alertBaselineCountMin
  const usual = isKnown ? metricOf(metric, { cell: baseline, seconds: rule.baseline_s }) : null
  const factor = rule.threshold ?? 2
  const judged = stretches
    .filter(({ cell }) => cell.count >= rule.min_count)
    .map((stretch) => ({ ...stretch, value: metricOf(metric, stretch) ?? 0 }))
  const beyond = ({ cell, value }: { readonly cell: Cell; readonly value: number }, times: number) =>
    isKnown && usual !== null && usual > 0 && value > usual * times && isMore(metric, cell, baseline, usual * times)
  const newest = judged[0]
  const over = newest === undefined || !beyond(newest, rule.clear_threshold ?? factor)
  const worst = over ? undefined : judged.filter((each) => beyond(each, factor)).sort((a, b) => b.value - a.value)[0]
  const shown = worst ?? newest ?? null
  const value = shown?.value ?? null
  return {
    ...place,
    subject: key,
    value,
    metric,
    expected: usual === null ? nothing : { low: null, mid: usual, high: usual * factor },
    count: shown?.cell.count ?? 0,
    breached: worst !== undefined,
    cleared: over,
    excess: value === null || usual === null || usual === 0 ? 0 : value / (usual * factor),
    what: `${capital(metricWords(metric))} of ${keyWords(key)} is ${valueWords(metric, value)} where ${valueWords(metric, usual)} is usual, in ${placeWords(place)}`,
    trace_ids: [],
  }
}

/**
 * Whether more of a stretch lies above a latency than chance gives: Chernoff's bound on the binomial tail, with the share
 * that the baseline has there. Numbers that are no latency are taken as they are.
 */
function isMore(metric: AlertMetric, cell: Cell, baseline: Cell, ms: number): boolean {
  if (!metric.endsWith('_ms')) return true
  const above = countAbove(cell, ms)
  if (above < alertExceedingMin) return false
  const share = above / cell.count
  const usually = Math.min(1, (countAbove(baseline, ms) + 1) / (baseline.count + 1))
  if (share <= usually) return false
  const rest = share === 1 ? 0 : (1 - share) * Math.log((1 - share) / (1 - usually))
  return cell.count * (share * Math.log(share / usually) + rest) >= alertEvidenceNatsMin
}

function baselineOf(place: Place, key: string, { baselines }: Signals): Cell | undefined {
  return baselines.find(({ service, environment }) => service === place.service && environment === place.environment)
    ?.series[key]
}

/** Null where there is nothing to tell of. */
function metricOf(metric: AlertMetric, { cell, seconds }: Stretch): number | null {
  switch (metric) {
    case 'error_rate':
      return cell.count === 0 ? null : cell.errors / cell.count
    case 'errors_per_minute':
      return (cell.errors * 60) / seconds
    case 'calls_per_minute':
      return (cell.count * 60) / seconds
    case 'bytes_per_second':
      return (cell.bytes_in + cell.bytes_out) / seconds
    case 'tokens_per_minute':
      return ((cell.tokens_in + cell.tokens_out) * 60) / seconds
    case 'mean_ms':
      return cell.count === 0 ? null : cell.latency.sum / cell.count / 1_000
    case 'p50_ms':
      return msOf(quantileOf(cell.latency, 0.5))
    case 'p95_ms':
      return msOf(quantileOf(cell.latency, 0.95))
    case 'p99_ms':
      return msOf(quantileOf(cell.latency, 0.99))
    default:
      return null
  }
}

/** How many took longer than `ms`, to within the bucket that it lies in. */
export function countAbove({ latency }: Pick<Cell, 'latency'>, ms: number): number {
  const limit = bucketOf(Math.max(1, ms * 1_000))
  let count = 0
  for (const index in latency.b) if (Number(index) > limit) count += latency.b[index] as number
  return count
}

function msOf(us: number | null): number | null {
  return us === null ? null : us / 1_000
}

function gaugeReadings(rule: AlertRule, { gauges }: Signals): Reading[] {
  return gauges
    .filter(({ name, service, environment }) => name === rule.filter.gauge && isWatched(rule, service, environment))
    .map(({ name, labels, value, service, environment }) =>
      againstBound(rule, { service, environment }, labels === '' ? name : `${name} ${labels}`, 'gauge', value, 1),
    )
}

/** The series that the rule names, as far as they were counted. */
function keysIn(rule: AlertRule, minutes: readonly MinuteSeries[]): string[] {
  const patterns = rule.filter.keys ?? ['all']
  const keys = new Set(minutes.flatMap(({ series }: { series: Series }) => Object.keys(series)))
  return [...keys].filter((key) => patterns.some((pattern) => isKeyOf(pattern, key))).sort()
}

export function groupedBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
