import { valueWords } from '../../src/core/alert/alert_text.ts'
import { isObject } from '../../src/core/json_object.ts'
import type { Notification } from './port.ts'

/** What a message to people says: a head, a few facts, and where to look. */
export type MessageText = {
  readonly head: string
  readonly facts: readonly { readonly term: string; readonly text: string }[]
  readonly url: string | null
}

const heads = { firing: 'Firing', resolved: 'Resolved', test: 'Test' } as const

export function messageTextOf({ event, alert }: Notification, pageUrl: string | null): MessageText {
  const { metric, value, expected, count, severity, service, environment, rule, trace_ids, verdict } = alert
  const name = metric ?? ''
  const facts = [
    { term: 'Rule', text: rule },
    { term: 'Severity', text: severity },
    { term: 'Where', text: `${service}, ${environment}` },
    ...(value === null || metric === null ? [] : [{ term: 'Seen', text: valueWords(name, value) }]),
    ...(expected == null || metric === null ? [] : expectedFact(name, expected)),
    ...(count === null || count === 0 ? [] : [{ term: 'Of', text: String(count) }]),
    ...(isObject(verdict?.verdict) ? [{ term: 'Why', text: String(verdict.verdict.sentence) }] : []),
    ...(trace_ids.length === 0 ? [] : [{ term: 'Traces', text: trace_ids.slice(0, 3).join(', ') }]),
  ]
  return { head: `${heads[event]}: ${alert.title}`, facts, url: pageLinkOf(alert.link, pageUrl) }
}

/** The dashboard's page with its whole address; null where nobody knows where the dashboard is. */
export function pageLinkOf(link: string | null, pageUrl: string | null): string | null {
  return link === null || pageUrl === null ? null : `${pageUrl.replace(/\/+$/, '')}${link}`
}

function expectedFact(metric: string, { low, mid, high }: NonNullable<Notification['alert']['expected']>) {
  const parts = [
    ...(low === null ? [] : [`at least ${valueWords(metric, low)}`]),
    ...(mid === null ? [] : [`about ${valueWords(metric, mid)}`]),
    ...(high === null ? [] : [`at most ${valueWords(metric, high)}`]),
  ]
  return parts.length === 0 ? [] : [{ term: 'Expected', text: parts.join(', ') }]
}
