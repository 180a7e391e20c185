import type { AlertInputs, OpenAlert } from '../src/core/alert/alert_input.ts'
import type { AlertChange, AlertOutcome } from '../src/core/alert/alert_pass.ts'
import type { AlertRule } from '../src/core/alert/alert_rule.ts'
import { histogramOf } from '../src/core/histogram.ts'
import type { Cell, Series } from '../src/core/window.ts'

export const secondUs = 1_000_000
/** A whole minute, in µs. */
export const passUs = 1_800_000_000 * secondUs
export const place = { service: 'exai', environment: 'prod' }

export function aRule(changes: Partial<AlertRule> = {}): AlertRule {
  return {
    rule_id: 'a_rule',
    name: 'A rule',
    enabled: true,
    kind: 'metric',
    metric: 'error_rate',
    filter: {},
    condition: 'above',
    threshold: 0.2,
    clear_threshold: 0.1,
    min_count: 10,
    window_s: 120,
    for_s: 0,
    clear_for_s: 0,
    baseline_s: 21_600,
    severity: 'warning',
    group_by: ['service', 'environment'],
    objective: null,
    ...changes,
  }
}

export function aCell(latenciesMs: readonly number[], errors = 0): Cell {
  const nothing = { bytes_in: 0, bytes_out: 0, tokens_in: 0, tokens_out: 0 }
  const { histogram } = histogramOf(latenciesMs.map((ms) => Math.round(ms * 1_000)))
  return { count: latenciesMs.length, errors, ...nothing, latency: histogram }
}

export const times = <T>(n: number, of: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => of(i))

/** The minute that runs, and those before it. */
export function minutesOf(...series: readonly Series[]): AlertInputs['minutes'] {
  return series.map((each, back) => ({ ...place, minute: passUs / secondUs - 60 * back, series: each }))
}

/** Half a minute into a minute. */
export function inputsOf(changes: Partial<AlertInputs> = {}): AlertInputs {
  return {
    now_us: passUs + 30 * secondUs,
    revision: 1,
    rules: [aRule()],
    open: [],
    silences: [],
    marks: [],
    minutes: [],
    baselines: [],
    burns: [],
    services: [],
    losses: [],
    calls: [],
    waits: [],
    errors: [],
    gauges: [],
    anomalies: [],
    ...changes,
  }
}

let made = 0

/** What the database has after it stored an outcome. */
export function stored(inputs: AlertInputs, outcome: AlertOutcome): AlertInputs {
  const rows = new Map(inputs.open.map((alert) => [alert.alert_id, alert] as const))
  const ids = new Map<string, string>()
  for (const change of outcome.changes) {
    const id = change.alert_id ?? `00000000-0000-4000-8000-${String(made++).padStart(12, '0')}`
    ids.set(`${change.rule_id} ${change.group_key}`, id)
    if (change.state === 'dropped' || change.state === 'resolved') rows.delete(id)
    else rows.set(id, rowOf(id, change, rows.get(id) ?? null, outcome.now_us))
  }
  const marks = new Map(inputs.marks.map((mark) => [`${mark.rule_id} ${mark.process}`, mark] as const))
  for (const mark of outcome.marks) marks.set(`${mark.rule_id} ${mark.process}`, mark)
  const open = [...rows.values()].map((row) => ({ ...row, under: ids.get(row.under ?? '') ?? row.under }))
  return { ...inputs, revision: inputs.revision + 1, open, marks: [...marks.values()] }
}

function rowOf(alert_id: string, change: AlertChange, before: OpenAlert | null, now_us: number): OpenAlert {
  const { rule_id, group_key, severity, topic, service, environment, started_us, fired_us, clear_us, silenced, under } =
    change
  return {
    ...{
      alert_id,
      rule_id,
      group_key,
      severity,
      topic,
      service,
      environment,
      started_us,
      fired_us,
      clear_us,
      silenced,
      under,
    },
    state: change.state as OpenAlert['state'],
    seen_us: now_us,
    notified: before?.notified === true || change.notify === 'firing',
    under_resolved_us: null,
  }
}
