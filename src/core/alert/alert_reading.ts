import { alertSeriesListedMax } from '../limit.ts'
import { burnReadings } from './alert_burn.ts'
import type { GapMark, Reading, Signals } from './alert_input.ts'
import { groupedBy, metricReadings } from './alert_metric.ts'
import type { AlertRule, GroupDimension } from './alert_rule.ts'
import {
  anomalyReadings,
  errorReadings,
  gapReadings,
  leakReadings,
  silenceReadings,
  starvationReadings,
  stuckReadings,
} from './alert_signal.ts'

/** What one group of a rule comes to: its worst reading, and what else was seen of it. */
export type GroupReading = Reading & {
  readonly group_key: string
  /** The breached ones, the worst first. */
  readonly others: readonly { readonly subject: string | null; readonly value: number | null }[]
}

/** What a rule sees at an instant, by group. `marks` are those that change. Pure: the same for the same arguments. */
export function groupReadings(
  rule: AlertRule,
  signals: Signals,
  marks: readonly GapMark[],
  now_us: number,
): { readonly groups: Map<string, GroupReading>; readonly marks: readonly GapMark[] } {
  const gaps = rule.kind === 'gap' ? gapReadings(rule, signals, marks, now_us) : null
  const readings = gaps?.readings ?? readingsOf(rule, signals, now_us)
  const groups = new Map<string, GroupReading>()
  for (const [group_key, members] of groupedBy(readings, (reading) => groupKeyOf(rule.group_by, reading))) {
    groups.set(group_key, worstOf(group_key, members))
  }
  return { groups, marks: gaps?.marks ?? [] }
}

/** What tells one alert of a rule from another, as JSON. */
function groupKeyOf(dimensions: readonly GroupDimension[], reading: Reading): string {
  return JSON.stringify(Object.fromEntries([...dimensions].sort().map((dimension) => [dimension, reading[dimension]])))
}

function readingsOf(rule: AlertRule, signals: Signals, now_us: number): Reading[] {
  switch (rule.kind) {
    case 'metric':
      return metricReadings(rule, signals, now_us)
    case 'slo':
      return burnReadings(rule, signals)
    case 'anomaly':
      return anomalyReadings(rule, signals, now_us)
    case 'errors':
      return errorReadings(rule, signals, now_us)
    case 'no_data':
      return silenceReadings(rule, signals, now_us)
    case 'stuck':
      return stuckReadings(rule, signals, now_us)
    case 'starvation':
      return starvationReadings(rule, signals, now_us)
    case 'leak':
      return leakReadings(rule, signals, now_us)
    case 'gap':
      return []
  }
}

function worstOf(group_key: string, members: readonly Reading[]): GroupReading {
  const ranked = [...members].sort(byTrouble)
  const worst = ranked[0] as Reading
  const breached = ranked.filter((reading) => reading.breached)
  return {
    ...worst,
    // A group is over when all of it is.
    cleared: breached.length === 0 && members.every(({ cleared }) => cleared),
    group_key,
    others: breached.slice(1, 1 + alertSeriesListedMax).map(({ subject, value }) => ({ subject, value })),
    trace_ids: [...new Set(breached.flatMap(({ trace_ids }) => trace_ids))].slice(0, alertSeriesListedMax),
  }
}

/** The kinds of series from the innermost out: what is slow inside makes all around it slow. */
const kindsInside = ['provider', 'model', 'layer', 'tool', 'call']

function depthOf(subject: string | null): number {
  const depth = kindsInside.indexOf(subject?.split(':', 1)[0] ?? '')
  return depth < 0 ? kindsInside.length : depth
}

/** What is breached first, of that the innermost, then what is further beyond. */
function byTrouble(a: Reading, b: Reading): number {
  return (
    Number(b.breached) - Number(a.breached) ||
    depthOf(a.subject) - depthOf(b.subject) ||
    b.excess - a.excess ||
    ((a.subject ?? '') < (b.subject ?? '') ? -1 : 1)
  )
}
