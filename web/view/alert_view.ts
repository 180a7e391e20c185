import type { AlertDocument, AlertPush } from '../../src/core/alert/alert_document.ts'
import { keyWords, metricWords, valueWords } from '../../src/core/alert/alert_text.ts'
import type { DeliveryRow, SilenceRow } from './answer.ts'
import { agoText, durationText, pluralText, timeText } from './number_text.ts'
import type { Fact } from './span_view.ts'

// Alerts as values: what lists, banner and badge say.

export type AlertTone = 'error' | 'warn' | 'ok' | 'muted'

export type AlertLine = {
  readonly id: string
  readonly title: string
  readonly state: string
  readonly tone: AlertTone
  /** When it began and, if it did, ended; `startedUs` in full. */
  readonly when: string
  readonly startedUs: number
  readonly rule: string
  readonly ruleId: string
  readonly service: string
  readonly environment: string
  readonly facts: readonly Fact[]
  readonly traceIds: readonly string[]
  readonly link: string | null
  readonly isFiring: boolean
  readonly isOpen: boolean
}

/** Those that fire, stand for themselves, and that nobody has said to know of or wants to be silent. */
export function firingOf(push: AlertPush | null): readonly AlertDocument[] {
  return push?.alerts.filter(({ state, silenced, under }) => state === 'firing' && !silenced && under === null) ?? []
}

/** One sentence of what fires: the gravest, and how many more; null where nothing does. */
export function bannerOf(
  push: AlertPush | null,
): { readonly title: string; readonly more: string; readonly tone: AlertTone } | null {
  const firing = firingOf(push)
  const [first] = firing
  if (first === undefined) return null
  const more = firing.length === 1 ? '' : `and ${pluralText(firing.length - 1, 'more alert', 'more alerts')}`
  return { title: first.title, more, tone: first.severity === 'critical' ? 'error' : 'warn' }
}

/** Those that are pushed are newer than those that were read; what is resolved stays where it was read. */
export function alertLinesOf(
  rows: readonly AlertDocument[],
  push: AlertPush | null,
  nowUs: number,
): { readonly open: readonly AlertLine[]; readonly over: readonly AlertLine[] } {
  const newest = new Map<string, AlertDocument>()
  for (const alert of [...rows, ...(push?.alerts ?? [])]) {
    const known = newest.get(alert.alert_id ?? '')
    if (alert.alert_id !== null && (known === undefined || alert.revision >= known.revision))
      newest.set(alert.alert_id, alert)
  }
  const lines = [...newest.values()].sort((a, b) => b.started_us - a.started_us).map((alert) => lineOf(alert, nowUs))
  return { open: lines.filter(({ isOpen }) => isOpen), over: lines.filter(({ isOpen }) => !isOpen) }
}

const stateWords = { pending: 'Pending', firing: 'Firing', acknowledged: 'Acknowledged', resolved: 'Resolved' } as const

function lineOf(alert: AlertDocument, nowUs: number): AlertLine {
  const { state, severity, silenced, started_us: startedUs, resolved_us } = alert
  const lasted = resolved_us === null ? '' : `, lasted ${durationText((resolved_us - startedUs) / 1_000)}`
  return {
    id: alert.alert_id ?? '',
    title: alert.title,
    state: silenced && state !== 'resolved' ? `${stateWords[state]}, silenced` : stateWords[state],
    tone:
      state === 'resolved'
        ? 'ok'
        : state === 'pending' || silenced
          ? 'muted'
          : severity === 'critical'
            ? 'error'
            : 'warn',
    when: `${agoText(nowUs - startedUs)}${lasted}`,
    startedUs,
    rule: alert.rule,
    ruleId: alert.rule_id ?? '',
    service: alert.service,
    environment: alert.environment,
    facts: factsOf(alert, nowUs),
    traceIds: alert.trace_ids,
    link: alert.link,
    isFiring: state === 'firing',
    isOpen: state !== 'resolved',
  }
}

function factsOf(alert: AlertDocument, nowUs: number): readonly Fact[] {
  const { metric, value, expected, count, subject, others, acknowledged_by, acknowledged_us, verdict } = alert
  const name = metric ?? ''
  const facts: readonly [term: string, text: string | null][] = [
    ['Rule', alert.rule],
    ['Severity', alert.severity],
    ['Where', `${alert.service}, ${alert.environment}`],
    ['Of', subject === null || /^v\d+:/.test(subject) ? null : keyWords(subject)],
    ['Seen', value === null || metric === null ? null : `${metricWords(name)}: ${valueWords(name, value)}`],
    ['Expected', expected === null ? null : expectedText(name, expected)],
    ['Out of', count === null || count === 0 || name === 'count' || name === 'lost' ? null : String(count)],
    ['Also', others.length === 0 ? null : others.map((each) => keyWords(each.subject ?? 'all')).join(', ')],
    ['Why', verdict?.verdict?.sentence ?? null],
    [
      'Acknowledged',
      acknowledged_by === null || acknowledged_us === null
        ? null
        : `by ${acknowledged_by}, ${agoText(nowUs - acknowledged_us)}`,
    ],
  ]
  return facts.flatMap(([term, text]) => (text === null || text === '' ? [] : [{ term, text }]))
}

function expectedText(metric: string, { low, mid, high }: NonNullable<AlertDocument['expected']>): string | null {
  const parts = [
    ...(low === null ? [] : [`at least ${valueWords(metric, low)}`]),
    ...(mid === null ? [] : [`about ${valueWords(metric, mid)}`]),
    ...(high === null ? [] : [`at most ${valueWords(metric, high)}`]),
  ]
  return parts.length === 0 ? null : parts.join(', ')
}

/** What is silent, and until when. */
export function silenceText(
  { rule_id, service, environment, starts_us, ends_us, repeat_s, reason, made_by }: SilenceRow,
  nowUs: number,
): string {
  const what = [
    rule_id ?? 'every rule',
    ...(service === null ? [] : [`of ${service}`]),
    ...(environment === null ? [] : [`in ${environment}`]),
  ]
  const until =
    repeat_s === null
      ? starts_us > nowUs
        ? `from ${timeText(starts_us, nowUs)} until ${timeText(ends_us, nowUs)}`
        : `until ${timeText(ends_us, nowUs)}`
      : `for ${durationText((ends_us - starts_us) / 1_000)} from ${timeText(starts_us, nowUs)}, again every ${durationText(repeat_s * 1_000)}`
  return `${what.join(' ')} ${until}, by ${made_by}${reason === '' ? '' : `: ${reason}`}`
}

export type DeliveryLine = {
  readonly id: string
  readonly text: string
  readonly tone: AlertTone
  readonly detail: string
  readonly when: string
}

export function deliveryLineOf(row: DeliveryRow, nowUs: number): DeliveryLine {
  const { state, attempts, error, event, destination, kind, created_us, next_us, title } = row
  const tries = pluralText(attempts, 'attempt', 'attempts')
  const how = {
    sent: `Sent after ${tries}`,
    given_up: `Given up after ${tries}${error === null ? '' : `: ${error}`}`,
    waiting:
      attempts === 0
        ? 'Not tried yet'
        : `${error ?? 'Under way'} (${tries})${next_us === null ? '' : `, again ${next_us <= nowUs ? 'at once' : `in ${durationText((next_us - nowUs) / 1_000)}`}`}`,
  }[state]
  return {
    id: row.notification_id,
    text: `${destination} (${kind}), ${event}: ${title}`,
    tone: state === 'sent' ? 'ok' : state === 'given_up' ? 'error' : 'muted',
    detail: how,
    when: agoText(nowUs - created_us),
  }
}
