import { alertAfterSeconds, alertGroupSeconds, alertOpenMax, alertRefreshSeconds } from '../limit.ts'
import { alertLinkOf } from './alert_document.ts'
import type { AlertInputs, GapMark, OpenAlert, Place } from './alert_input.ts'
import { type GroupReading, groupReadings } from './alert_reading.ts'
import { type AlertRule, type AlertTopic, isKin, type Severity, topicOf } from './alert_rule.ts'
import { isSilenced } from './alert_silence.ts'
import { nextStep, type Step } from './alert_state.ts'

/** What a pass wants to be stored: absolute values, judged from `revision`. */
export type AlertOutcome = {
  readonly revision: number
  readonly now_us: number
  readonly changes: readonly AlertChange[]
  readonly marks: readonly GapMark[]
}

/** A row as it is to be; without an id it is a new one. Only what is shown to people counts as `visible`. */
export type AlertChange = Place & {
  readonly alert_id: string | null
  readonly rule_id: string
  readonly group_key: string
  readonly state: 'pending' | 'firing' | 'acknowledged' | 'resolved' | 'dropped'
  readonly severity: Severity
  readonly topic: AlertTopic
  readonly started_us: number
  readonly fired_us: number | null
  readonly resolved_us: number | null
  readonly clear_us: number | null
  readonly silenced: boolean
  readonly under: string | null
  /** Who is to be told what, in the transaction that stores it. */
  readonly notify: 'firing' | 'resolved' | null
  readonly visible: boolean
  /** What was seen; null where nothing of it is there any more, and what was seen last stays. */
  readonly seen: AlertSeen | null
}

export type AlertSeen = {
  readonly title: string
  readonly subject: string | null
  readonly metric: string
  readonly value: number | null
  readonly expected: { readonly low: number | null; readonly mid: number | null; readonly high: number | null }
  readonly count: number
  readonly others: readonly { readonly subject: string | null; readonly value: number | null }[]
  readonly trace_ids: readonly string[]
  readonly link: string
  /** Which calls may stand for it, where the reading named none. */
  readonly wanted: 'slow' | 'failed' | null
}

/** One pass over all rules. Pure: whoever repeats it with the same inputs comes to the same. */
export function passOver(inputs: AlertInputs): AlertOutcome {
  const { now_us, revision, rules, open } = inputs
  const known = new Map(open.map((alert) => [keyOf(alert), alert] as const))
  const changes: AlertChange[] = []
  const marks: GapMark[] = []
  let room = alertOpenMax - open.length
  for (const rule of rules) {
    const seen = groupReadings(rule, inputs, inputs.marks, now_us)
    marks.push(...seen.marks)
    for (const [group_key, reading] of seen.groups) {
      const alert = known.get(keyOf({ rule_id: rule.rule_id, group_key })) ?? null
      known.delete(keyOf({ rule_id: rule.rule_id, group_key }))
      const step = nextStep(rule, alert, reading, now_us)
      if (alert === null && step.to !== 'none' && room-- <= 0) continue
      changes.push(...changeOf(inputs, rule, group_key, alert, reading, step))
    }
  }
  // What is left has nothing to be seen of any more, or no rule.
  const ruleOf = new Map(rules.map((rule) => [rule.rule_id, rule] as const))
  for (const alert of known.values()) {
    const rule = ruleOf.get(alert.rule_id)
    const step: Step =
      rule !== undefined
        ? nextStep(rule, alert, null, now_us)
        : alert.state === 'pending'
          ? { to: 'dropped' }
          : { to: 'resolved', resolved_us: now_us }
    changes.push(...changeOf(inputs, rule ?? null, alert.group_key, alert, null, step))
  }
  const before = new Map(open.map((alert) => [alert.alert_id, alert] as const))
  const news = grouped(changes, open, now_us).filter((change) =>
    isNews(change, before.get(change.alert_id ?? '') ?? null, now_us),
  )
  return { revision, now_us, changes: news, marks }
}

function changeOf(
  { silences, now_us }: AlertInputs,
  rule: AlertRule | null,
  group_key: string,
  alert: OpenAlert | null,
  reading: GroupReading | null,
  step: Step,
): AlertChange[] {
  if (step.to === 'none') return []
  const place: Place = reading ?? alert ?? { service: '', environment: '' }
  const rule_id = rule?.rule_id ?? alert?.rule_id ?? ''
  const silenced = isSilenced(silences, rule_id, place, now_us)
  const state = step.to === 'same' ? (alert?.state ?? 'firing') : step.to
  const started_us = 'started_us' in step ? step.started_us : (alert?.started_us ?? now_us)
  return [
    {
      service: place.service,
      environment: place.environment,
      alert_id: alert?.alert_id ?? null,
      rule_id,
      group_key,
      state,
      severity: alert?.severity ?? rule?.severity ?? 'warning',
      topic: alert?.topic ?? (rule === null ? 'traffic' : topicOf(rule)),
      started_us,
      fired_us: step.to === 'firing' ? step.fired_us : (alert?.fired_us ?? null),
      resolved_us: step.to === 'resolved' ? step.resolved_us : null,
      clear_us: step.to === 'same' ? step.clear_us : null,
      silenced,
      under: alert?.under ?? null,
      notify: step.to === 'resolved' && alert?.notified === true ? 'resolved' : null,
      visible: isVisible(alert, state, silenced),
      seen: rule === null || reading === null || !reading.breached ? null : seenOf(rule, reading, started_us),
    },
  ]
}

/** Pending alerts are nobody's business yet. */
function isVisible(alert: OpenAlert | null, state: AlertChange['state'], silenced: boolean): boolean {
  if (state === 'pending' || state === 'dropped') return false
  return alert === null || alert.state !== state || alert.silenced !== silenced
}

/** Whether there is anything to store: what stays as it is is written now and then, to say that it was looked at. */
function isNews(change: AlertChange, before: OpenAlert | null, now_us: number): boolean {
  return (
    before === null ||
    change.notify !== null ||
    change.state !== before.state ||
    change.started_us !== before.started_us ||
    change.clear_us !== before.clear_us ||
    change.silenced !== before.silenced ||
    change.under !== before.under ||
    Math.abs(now_us - before.seen_us) >= alertRefreshSeconds * 1_000_000
  )
}

function seenOf(rule: AlertRule, reading: GroupReading, started_us: number): AlertSeen {
  const { what, subject, metric, value, expected, count, others, trace_ids } = reading
  return {
    title: what,
    subject,
    metric,
    value,
    expected,
    count,
    others,
    trace_ids,
    link: alertLinkOf(reading, subject, started_us),
    wanted: trace_ids.length > 0 ? null : wantedOf(rule, metric),
  }
}

function wantedOf(rule: AlertRule, metric: string): AlertSeen['wanted'] {
  if (metric.endsWith('_ms') || rule.metric === 'slow_rate' || rule.kind === 'anomaly') return 'slow'
  return topicOf(rule) === 'errors' ? 'failed' : null
}

/**
 * Who is told: of an alert that fires and is not silenced, once; but of one that fires while another of its service and
 * topic does, of which people were told shortly before, nobody: the first stands for it as long as it lasts.
 */
function grouped(changes: readonly AlertChange[], open: readonly OpenAlert[], now_us: number): AlertChange[] {
  const openOf = new Map(open.map((alert) => [alert.alert_id, alert] as const))
  const ending = new Set(changes.filter(({ resolved_us }) => resolved_us !== null).map(({ alert_id }) => alert_id))
  type Leader = Place & { readonly topic: AlertTopic; readonly id: string; readonly us: number }
  const leaders: Leader[] = open
    .filter(({ alert_id, notified, fired_us }) => notified && fired_us !== null && !ending.has(alert_id))
    .map(({ alert_id: id, fired_us, service, environment, topic }) => ({
      id,
      us: fired_us ?? 0,
      service,
      environment,
      topic,
    }))
  const worst = [...changes].sort((a, b) => rankOf(b) - rankOf(a))
  const said = new Map<AlertChange, AlertChange>()
  for (const change of worst) {
    const before = change.alert_id === null ? null : (openOf.get(change.alert_id) ?? null)
    if (change.state !== 'firing' || change.silenced || before?.notified === true) continue
    if (before !== null && isEnding(change, before, now_us)) continue
    const leader = leaders.find(
      (each) =>
        each.service === change.service &&
        each.environment === change.environment &&
        isKin(each.topic, change.topic) &&
        each.id !== change.alert_id &&
        (change.fired_us ?? now_us) - each.us <= (alertGroupSeconds[change.topic] ?? 0) * 1_000_000,
    )
    if (leader !== undefined) {
      const under = leader.id
      said.set(change, { ...change, under, visible: change.visible || before?.under !== under })
      continue
    }
    said.set(change, { ...change, under: null, notify: 'firing', visible: true })
    leaders.push({ ...change, id: change.alert_id ?? keyOf(change), us: change.fired_us ?? now_us })
  }
  return changes.map((change) => said.get(change) ?? change)
}

/** Whether it is about to be over by itself, after the one that stood for it. */
function isEnding({ clear_us }: AlertChange, { under_resolved_us }: OpenAlert, now_us: number): boolean {
  return clear_us !== null || (under_resolved_us !== null && now_us - under_resolved_us < alertAfterSeconds * 1_000_000)
}

const ranks: { readonly [severity in Severity]: number } = { info: 0, warning: 1, critical: 2 }

/** The gravest leads; of alike ones that of the rule which compares with what is usual, for it says what is wrong. */
function rankOf({ severity, seen }: AlertChange): number {
  return ranks[severity] * 2 + Number(seen?.expected.mid !== null)
}

function keyOf({ rule_id, group_key }: { readonly rule_id: string; readonly group_key: string }): string {
  return `${rule_id} ${group_key}`
}
