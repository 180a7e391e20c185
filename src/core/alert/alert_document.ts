import type { WhyAnswer } from '../why/why_answer.ts'
import type { AlertState, Expected, Place } from './alert_input.ts'
import type { AlertTopic, Severity } from './alert_rule.ts'

/** An alert as lists, pushes and notifications tell of it. Instants are µs since the epoch. */
export type AlertDocument = Place & {
  /** Null in a test of a destination, as are the rule and the topic. */
  readonly alert_id: string | null
  readonly rule_id: string | null
  /** The rule's name. */
  readonly rule: string
  readonly state: AlertState
  readonly severity: Severity
  readonly topic: AlertTopic | null
  /** What is wrong, in one sentence. */
  readonly title: string
  /** The series, error group, tool or permit; null where it is the whole service. */
  readonly subject: string | null
  readonly metric: string | null
  /** What was seen when it was last breached, and what was expected. */
  readonly value: number | null
  readonly expected: Expected | null
  readonly count: number | null
  /** What else is breached in the same group. */
  readonly others: readonly { readonly subject: string | null; readonly value: number | null }[]
  /** Calls that show it. */
  readonly trace_ids: readonly string[]
  /** The path of the dashboard's page about it. */
  readonly link: string | null
  /** Why; null where nobody has asked. */
  readonly verdict: WhyAnswer | null
  readonly started_us: number
  readonly fired_us: number | null
  readonly acknowledged_us: number | null
  readonly acknowledged_by: string | null
  readonly resolved_us: number | null
  readonly silenced: boolean
  readonly under: string | null
  readonly revision: number
}

/** What the open pages are told: all that fires or is acknowledged, absolute; the highest `rev` wins. */
export type AlertPush = {
  readonly rev: number
  readonly at_us: number
  /** How many there are; `alerts` lists the gravest. */
  readonly total: number
  readonly alerts: readonly AlertDocument[]
}

const filterNames = ['tool', 'provider', 'model', 'layer']
const marginUs = 600_000_000

/** The dashboard's page where an alert's trouble is seen: the error, or the calls of its series around its start. */
export function alertLinkOf({ service, environment }: Place, subject: string | null, started_us: number): string {
  if (subject !== null && /^v[0-9]+:/.test(subject)) return `/errors/${encodeURIComponent(subject)}`
  const query = new URLSearchParams()
  query.set('from', String(Math.max(0, started_us - marginUs)))
  query.set('to', String(started_us + marginUs))
  const [kind = '', ...name] = (subject ?? '').split(':')
  if (name.length > 0 && filterNames.includes(kind)) query.set(kind, name.join(':'))
  query.set('environment', environment)
  query.set('service', service)
  return `/traces?${query}`
}
