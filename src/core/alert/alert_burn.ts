import { type Cell, mergeCells } from '../window.ts'
import type { Place, Reading, Signals } from './alert_input.ts'
import { countAbove, groupedBy } from './alert_metric.ts'
import { type AlertRule, isKeyOf, isWatched } from './alert_rule.ts'
import { keyWords, placeWords } from './alert_text.ts'

// How fast an objective's error budget burns: 1 uses up just what the objective allows. A short and a long window must
// both burn, the long one so that a blip is none, the short one so that it ends when the trouble does. Windows and rates
// are those of the SRE workbook, chapter 5 (https://sre.google/workbook/alerting-on-slos/), for a budget of 30 days.

export const burnAges = [300, 1_800, 3_600, 21_600, 259_200] as const

const burnPairs: readonly { readonly short: number; readonly long: number; readonly rate: number }[] = [
  { short: 300, long: 3_600, rate: 14.4 },
  { short: 1_800, long: 21_600, rate: 6 },
  { short: 21_600, long: 259_200, rate: 1 },
]

/** One reading for each service, environment and series: the pair that burns worst. */
export function burnReadings(rule: AlertRule, { burns }: Signals): Reading[] {
  const watched = burns.filter(({ service, environment }) => isWatched(rule, service, environment))
  const places = groupedBy(watched, ({ service, environment }) => JSON.stringify([service, environment]))
  return [...places.values()].flatMap((segments) => {
    const place: Place = { service: segments[0]?.service ?? '', environment: segments[0]?.environment ?? '' }
    const patterns = rule.filter.keys ?? ['all']
    const keys = new Set(segments.flatMap(({ series }) => Object.keys(series)))
    return [...keys]
      .filter((key) => patterns.some((pattern) => isKeyOf(pattern, key)))
      .sort()
      .map((key) => {
        const upTo = (age: number) =>
          segments
            .filter(({ age_s, series }) => age_s <= age && series[key] !== undefined)
            .map(({ series }) => series[key] as Cell)
        return burnReading(rule, place, key, upTo)
      })
  })
}

function burnReading(rule: AlertRule, place: Place, key: string, upTo: (age: number) => readonly Cell[]): Reading {
  const budget = Math.max(1e-9, 1 - (rule.objective ?? 0.99))
  const pairs = burnPairs.map(({ short, long, rate }) => {
    const [near, far] = [sharesOf(rule, upTo(short)), sharesOf(rule, upTo(long))]
    const [nearRate, farRate] = [near.share / budget, far.share / budget]
    const enough = far.count >= rule.min_count
    return { short, long, rate, burn: Math.min(nearRate, farRate), nearRate, count: far.count, enough }
  })
  const breaching = pairs.filter(({ burn, rate, enough }) => enough && burn > rate)
  const worst = [...(breaching.length > 0 ? breaching : pairs)].sort((a, b) => b.burn / b.rate - a.burn / a.rate)[0]
  const burn = worst?.burn ?? 0
  const rate = worst?.rate ?? 1
  return {
    ...place,
    subject: key,
    value: burn,
    metric: 'burn_rate',
    expected: { low: null, mid: 1, high: rate },
    count: worst?.count ?? 0,
    breached: breaching.length > 0,
    cleared: breaching.length === 0,
    excess: burn / rate,
    what: `${keyWords(key)} of ${placeWords(place)} use up the error budget of ${percent(rule.objective ?? 0.99)} ${Number(burn.toPrecision(3))} times as fast as allowed, over ${hours(worst?.long ?? 0)} and still over the last ${hours(worst?.short ?? 0)}`,
    trace_ids: [],
  }
}

function sharesOf(rule: AlertRule, cells: readonly Cell[]): { readonly count: number; readonly share: number } {
  const [first, ...others] = cells
  if (first === undefined) return { count: 0, share: 0 }
  const cell = others.reduce(mergeCells, first)
  if (cell.count === 0) return { count: 0, share: 0 }
  const bad = rule.metric === 'slow_rate' ? countAbove(cell, rule.threshold ?? 0) : cell.errors
  return { count: cell.count, share: bad / cell.count }
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(5))} %`
}

function hours(seconds: number): string {
  if (seconds < 3_600) return `${seconds / 60} min`
  return seconds < 86_400 ? `${seconds / 3_600} h` : `${seconds / 86_400} days`
}
