import type { Series } from '../window.ts'
import type { AlertMetric, AlertRule, AlertTopic, Severity } from './alert_rule.ts'

// What one pass over the rules is judged from: `telltale.alert_inputs()` gathers it, the pass asks nothing else. Instants
// named *_us are µs since the epoch.

export type AlertInputs = {
  readonly now_us: number
  /** Of everything that a pass may change; what was judged from an older one is not stored. */
  readonly revision: number
  /** The enabled ones. */
  readonly rules: readonly AlertRule[]
  /** Those that are not resolved. */
  readonly open: readonly OpenAlert[]
  readonly silences: readonly Silence[]
  readonly marks: readonly GapMark[]
} & Signals

/** What is known of a time; of the past the replay makes it from what is stored. */
export type Signals = {
  /** The minutes of the longest window, the one that runs included; of a service, all its instances. */
  readonly minutes: readonly MinuteSeries[]
  /** What a service was in the hours before, without the last minutes. */
  readonly baselines: readonly (Place & { readonly series: Series })[]
  /** What was counted up to `age_s` ago, from the next smaller age on: 300, 1,800, 3,600, 21,600 and 259,200. */
  readonly burns: readonly (Place & { readonly age_s: number; readonly series: Series })[]
  readonly services: readonly HeardService[]
  readonly losses: readonly Loss[]
  readonly calls: readonly LongCall[]
  readonly waits: readonly LongWait[]
  readonly errors: readonly ErrorSign[]
  readonly gauges: readonly GaugeSign[]
  readonly anomalies: readonly AnomalySign[]
}

export type Place = { readonly service: string; readonly environment: string }

/** `minute` is s since the epoch. */
export type MinuteSeries = Place & { readonly minute: number; readonly series: Series }

/** A service that was heard in the last day. */
export type HeardService = Place & {
  readonly heard_us: number
  /** How long the process that lived longest went on sending, in s. */
  readonly steady_s: number
}

/** What a process, heard within the hour, has lost so far: missing batches and records that it gave up. */
export type Loss = Place & { readonly process: string; readonly lost: number; readonly seen_us: number }

/** What a rule has seen of a process's losses, so that the same loss is told of once. */
export type GapMark = {
  readonly rule_id: string
  readonly process: string
  readonly lost: number
  readonly grew_us: number
}

/** A call that runs for long. */
export type LongCall = Place & { readonly tool: string | null; readonly trace_id: string; readonly start_us: number }

/** A call that waits for a permit, or, with `end_us`, did. */
export type LongWait = Place & {
  readonly permit: string
  readonly trace_id: string
  readonly start_us: number
  readonly end_us: number | null
  readonly holder: string | null
}

/** A group of errors that was seen lately. */
export type ErrorSign = Place & {
  readonly fingerprint: string
  readonly error_type: string
  readonly message: string
  readonly trace_id: string | null
  readonly first_us: number
  readonly last_us: number
  readonly count: number
  /** When it came back after it was resolved; null when it did not. */
  readonly reopened_us: number | null
  readonly ignored: boolean
}

/** The last value of a gauge. */
export type GaugeSign = Place & {
  readonly name: string
  readonly labels: string
  readonly value: number
  readonly at_us: number
}

export type AnomalySign = Place & {
  readonly anomaly_id: string
  readonly incident_id: string | null
  readonly series_key: string
  readonly metric: string
  /** 0..1. */
  readonly score: number
  readonly expected: Expected
  readonly seen: number | null
  readonly started_us: number
  readonly ended_us: number | null
}

/** The band in which a value was expected, in its unit; null where nothing was. */
export type Expected = { readonly low: number | null; readonly mid: number | null; readonly high: number | null }

export type AlertState = 'pending' | 'firing' | 'acknowledged' | 'resolved'

/** An alert as far as the pass needs it. */
export type OpenAlert = Place & {
  readonly alert_id: string
  readonly rule_id: string
  readonly group_key: string
  readonly state: Exclude<AlertState, 'resolved'>
  readonly severity: Severity
  readonly topic: AlertTopic
  readonly started_us: number
  readonly fired_us: number | null
  /** When a pass last looked at it. */
  readonly seen_us: number
  /** Since when the condition is over without a break; null while it is not. */
  readonly clear_us: number | null
  /** Whether anybody was told that it fires. */
  readonly notified: boolean
  readonly silenced: boolean
  /** The alert that it was told of with, and when that one resolved, if it did. */
  readonly under: string | null
  readonly under_resolved_us: number | null
}

/** Who is not told of what, and when; repeated every `repeat_s`, a maintenance window. */
export type Silence = {
  readonly silence_id: string
  readonly rule_id: string | null
  readonly service: string | null
  readonly environment: string | null
  readonly starts_us: number
  readonly ends_us: number
  readonly repeat_s: number | null
}

/** What of one rule and one group was seen. */
export type Reading = Place & {
  readonly subject: string | null
  readonly value: number | null
  readonly metric: AlertMetric | 'silent_s' | 'lost' | 'age_s' | 'wait_ms' | 'count' | 'burn_rate' | 'score'
  readonly expected: Expected
  /** Of so many calls, waits, errors. */
  readonly count: number
  readonly breached: boolean
  /** Over for certain; between the two thresholds it is neither. */
  readonly cleared: boolean
  /** How far it is beyond its bound, 1 at it: the greater, the worse. */
  readonly excess: number
  /** What is wrong, in one sentence. */
  readonly what: string
  readonly trace_ids: readonly string[]
}
