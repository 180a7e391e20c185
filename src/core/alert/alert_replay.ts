import { mergeSeries, type Series } from '../window.ts'
import { burnAges } from './alert_burn.ts'
import type {
  AnomalySign,
  ErrorSign,
  GaugeSign,
  HeardService,
  LongCall,
  LongWait,
  MinuteSeries,
  OpenAlert,
  Place,
  Signals,
} from './alert_input.ts'
import { groupedBy } from './alert_metric.ts'
import { groupReadings } from './alert_reading.ts'
import type { AlertRule } from './alert_rule.ts'
import { nextStep } from './alert_state.ts'

/** What is kept of a time for one rule, as `telltale.alert_history` answers it; parts of it add up. */
export type AlertHistory = {
  readonly rule: AlertRule
  readonly minutes: readonly MinuteSeries[]
  /** `seen`: the minutes, in s since the epoch, in which there was one. */
  readonly errors: readonly (ErrorSign & { readonly seen: readonly number[] })[]
  readonly waits: readonly LongWait[]
  readonly calls: readonly (LongCall & { readonly end_us: number | null })[]
  readonly heard: readonly (Place & { readonly minute: number })[]
  readonly gauges: readonly GaugeSign[]
  readonly anomalies: readonly AnomalySign[]
}

/** When a rule would have fired, to the minute. `resolved_us` null: it fired to the end. */
export type WouldFire = {
  readonly group_key: string
  readonly fired_us: number
  resolved_us: number | null
  readonly title: string
  readonly value: number | null
}

const minuteUs = 60_000_000
const refreshMinutes = 5

/** How far back before the first minute that is judged the rule looks, in s. */
export function replayReachOf({ kind, condition, window_s, baseline_s }: AlertRule): number {
  if (kind === 'slo') return 259_200
  return condition === 'above_baseline' ? baseline_s + 600 : window_s + 3_600
}

/**
 * Plays a rule over the past, at the end of every minute from `from_us` to `to_us` and at `to_us`, by the same readings and the same
 * states as the pass does. Gaps cannot be played: when something was lost is not kept.
 */
export function replayRule(history: AlertHistory, from_us: number, to_us: number): WouldFire[] {
  const { rule } = history
  const past = new Past(history)
  const open = new Map<string, OpenState>()
  const fired: WouldFire[] = []
  for (let us = Math.floor(from_us / minuteUs) * minuteUs; us < to_us; us += minuteUs) {
    const now_us = Math.min(us + minuteUs, to_us) - 1
    const { groups } = groupReadings(rule, past.signalsAt(now_us), [], now_us)
    for (const group_key of new Set([...groups.keys(), ...open.keys()])) {
      const reading = groups.get(group_key) ?? null
      const alert = open.get(group_key) ?? null
      const step = nextStep(rule, alert, reading, now_us)
      if (step.to === 'firing') {
        fired.push({
          group_key,
          fired_us: now_us + 1,
          resolved_us: null,
          title: reading?.what ?? '',
          value: reading?.value ?? null,
        })
      }
      const last = fired.findLast((each) => each.group_key === group_key)
      if (step.to === 'resolved' && last !== undefined) last.resolved_us = now_us + 1
      if (step.to === 'pending' || step.to === 'firing') {
        open.set(group_key, { state: step.to, started_us: step.started_us, seen_us: now_us, clear_us: null })
      } else if (step.to === 'same' && alert !== null) {
        open.set(group_key, { ...alert, seen_us: now_us, clear_us: step.clear_us })
      } else open.delete(group_key)
    }
  }
  return fired
}

type OpenState = Pick<OpenAlert, 'state' | 'started_us' | 'seen_us' | 'clear_us'>

/** A history, as the pass would have seen it at an instant. */
class Past {
  readonly #history: AlertHistory
  readonly #minutes: readonly MinuteSeries[]
  #usual: Signals['baselines'] = []
  #burnt: Signals['burns'] = []
  #addedAt = Number.NEGATIVE_INFINITY

  constructor(history: AlertHistory) {
    this.#history = history
    this.#minutes = [...history.minutes].sort((a, b) => a.minute - b.minute)
  }

  signalsAt(now_us: number): Signals {
    const { rule, errors, waits, calls, gauges, anomalies } = this.#history
    this.#refresh(now_us)
    const minute = now_us / 1_000_000
    return {
      minutes: this.#between(minute - rule.window_s - 60, minute),
      baselines: this.#usual,
      burns: rule.kind === 'slo' ? [...this.#burnt, ...this.#burnsAt(minute, burnAges.slice(0, 3))] : [],
      services: this.#heardBy(minute),
      losses: [],
      calls: calls.filter(
        ({ start_us, end_us }) => start_us <= now_us && (end_us ?? Number.POSITIVE_INFINITY) > now_us,
      ),
      waits: waits.filter(({ end_us }) => end_us !== null && end_us <= now_us),
      errors: errors.flatMap(({ seen, ...error }) => {
        const last = seen.findLast((each) => each <= minute)
        return last === undefined
          ? []
          : [{ ...error, last_us: Math.max(last * 1_000_000, Math.min(error.first_us, now_us)) }]
      }),
      gauges: latestOf(gauges, now_us),
      anomalies,
    }
  }

  /** What changes slowly is added up every five minutes, as the pass does. */
  #refresh(now_us: number): void {
    const { rule } = this.#history
    if (now_us - this.#addedAt < refreshMinutes * minuteUs) return
    this.#addedAt = now_us
    const minute = now_us / 1_000_000
    if (rule.condition === 'above_baseline') {
      this.#usual = addedUp(this.#between(minute - rule.baseline_s, minute - 600))
    }
    if (rule.kind === 'slo') this.#burnt = this.#burnsAt(minute, burnAges.slice(3))
  }

  #burnsAt(minute: number, ages: readonly number[]): Signals['burns'] {
    return ages.flatMap((age_s) => {
      const next = burnAges.findLast((age) => age < age_s) ?? 0
      return addedUp(this.#between(minute - age_s, minute - next)).map((each) => ({ ...each, age_s }))
    })
  }

  #between(since: number, till: number): readonly MinuteSeries[] {
    return this.#minutes.slice(this.#placeOf(since), this.#placeOf(till))
  }

  /** The first minute that starts later than that, by bisection. */
  #placeOf(second: number): number {
    let [low, high] = [0, this.#minutes.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#minutes[middle]?.minute ?? 0) > second) high = middle
      else low = middle + 1
    }
    return low
  }

  #heardBy(minute: number): HeardService[] {
    const known = this.#history.heard.filter((each) => each.minute <= minute && each.minute > minute - 86_400)
    return [...groupedBy(known, ({ service, environment }) => JSON.stringify([service, environment])).values()].map(
      (group) => {
        const minutes = group.map((each) => each.minute)
        const [first, last] = [Math.min(...minutes), Math.max(...minutes)]
        const { service = '', environment = '' } = group[0] ?? {}
        return { service, environment, heard_us: (last + 60) * 1_000_000, steady_s: last - first }
      },
    )
  }
}

function addedUp(minutes: readonly MinuteSeries[]): (Place & { readonly series: Series })[] {
  const groups = groupedBy(minutes, ({ service, environment }) => JSON.stringify([service, environment]))
  return [...groups.values()].map((group) => ({
    service: group[0]?.service ?? '',
    environment: group[0]?.environment ?? '',
    series: group.reduce<Series>((sum, { series }) => mergeSeries(sum, series), {}),
  }))
}

const gaugeUs = 600_000_000

function latestOf(gauges: readonly GaugeSign[], now_us: number): GaugeSign[] {
  const latest = new Map<string, GaugeSign>()
  for (const gauge of gauges) {
    if (gauge.at_us > now_us || gauge.at_us < now_us - gaugeUs) continue
    const key = JSON.stringify([gauge.service, gauge.environment, gauge.name, gauge.labels])
    if ((latest.get(key)?.at_us ?? 0) <= gauge.at_us) latest.set(key, gauge)
  }
  return [...latest.values()]
}
