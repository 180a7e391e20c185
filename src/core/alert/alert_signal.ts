import type { Expected, GapMark, Loss, Place, Reading, Signals } from './alert_input.ts'
import { groupedBy } from './alert_metric.ts'
import { type AlertRule, isKeyOf, isWatched } from './alert_rule.ts'
import { durationWords, keyWords, metricWords, placeWords, valueWords } from './alert_text.ts'

// What is told of by its being there: a silence, a loss, a call that hangs, a group of errors, an anomaly.

const traceIdsMax = 5

type Sign = Place & {
  readonly subject: string | null
  readonly value: number
  readonly metric: Reading['metric']
  readonly bound: number
  readonly count: number
  readonly breached: boolean
  readonly what: string
  readonly trace_ids?: readonly (string | null)[]
}

function readingOfSign({ bound, breached, trace_ids = [], ...sign }: Sign): Reading {
  return {
    ...sign,
    breached,
    cleared: !breached,
    // Of what should not be there at all nothing is expected.
    expected: { low: null, mid: null, high: bound === 0 ? null : bound },
    excess: bound === 0 ? sign.value : sign.value / bound,
    trace_ids: [...new Set(trace_ids.filter((id) => id !== null))].slice(0, traceIdsMax),
  }
}

/** A service that went on for long, and sends no more. One that only came and went is none. */
export function silenceReadings(rule: AlertRule, { services }: Signals, now_us: number): Reading[] {
  const bound = rule.threshold ?? 300
  return services
    .filter(({ service, environment, steady_s }) => steady_s >= rule.window_s && isWatched(rule, service, environment))
    .map(({ service, environment, heard_us }) => {
      const value = Math.max(0, (now_us - heard_us) / 1_000_000)
      return readingOfSign({
        service,
        environment,
        subject: null,
        value,
        metric: 'silent_s',
        bound,
        count: 1,
        breached: value > bound,
        what: `Nothing was heard of ${placeWords({ service, environment })} for ${durationWords(value * 1_000)}`,
      })
    })
}

/** A process that lost more than the rule has seen so far. The marks are what it will have seen then. */
export function gapReadings(
  rule: AlertRule,
  { losses }: Signals,
  marks: readonly GapMark[],
  now_us: number,
): { readonly readings: Reading[]; readonly marks: GapMark[] } {
  const known = new Map(
    marks.filter(({ rule_id }) => rule_id === rule.rule_id).map((mark) => [mark.process, mark] as const),
  )
  const changed: GapMark[] = []
  const watched = losses.filter(({ service, environment }) => isWatched(rule, service, environment))
  const readings = watched.map((loss) => {
    const before = known.get(loss.process)
    const grew = loss.lost > (before?.lost ?? 0)
    const mark = { rule_id: rule.rule_id, process: loss.process, lost: loss.lost, grew_us: now_us }
    // What was filled by a late batch is no loss any more; what is lost after that is new.
    if (before === undefined ? grew : loss.lost !== before.lost)
      changed.push(grew ? mark : { ...mark, grew_us: before?.grew_us ?? now_us })
    const grew_us = grew ? now_us : (before?.grew_us ?? 0)
    return gapReading(rule, loss, loss.lost > 0 && now_us - grew_us < rule.window_s * 1_000_000)
  })
  return { readings, marks: changed }
}

function gapReading(rule: AlertRule, { service, environment, process, lost }: Loss, breached: boolean): Reading {
  return readingOfSign({
    service,
    environment,
    subject: `process ${process.slice(0, 8)}`,
    value: lost,
    metric: 'lost',
    bound: rule.threshold ?? 0,
    count: lost,
    breached: breached && lost > (rule.threshold ?? 0),
    what: `${lost} ${lost === 1 ? 'batch or record' : 'batches or records'} of ${placeWords({ service, environment })} did not arrive`,
  })
}

/** Calls that have run for longer than the threshold, in s, by tool. */
export function stuckReadings(rule: AlertRule, { calls }: Signals, now_us: number): Reading[] {
  const bound = rule.threshold ?? 300
  const watched = calls.filter(
    ({ service, environment, tool }) =>
      isWatched(rule, service, environment) && (rule.filter.tool?.includes(tool ?? '') ?? true),
  )
  return [
    ...groupedBy(watched, (call) => JSON.stringify([call.service, call.environment, call.tool])).values(),
  ].flatMap((group) => {
    const hanging = group
      .filter(({ start_us }) => now_us - start_us > bound * 1_000_000)
      .sort((a, b) => a.start_us - b.start_us)
    const [oldest] = hanging
    if (oldest === undefined) return []
    const { service, environment, tool } = oldest
    const value = (now_us - oldest.start_us) / 1_000_000
    const calls = hanging.length === 1 ? 'A call' : `${hanging.length} calls`
    return [
      readingOfSign({
        service,
        environment,
        subject: tool === null ? null : `tool:${tool}`,
        value,
        metric: 'age_s',
        bound,
        count: hanging.length,
        breached: hanging.length >= Math.max(1, rule.min_count),
        what: `${calls} of ${tool ?? 'no tool'} in ${placeWords({ service, environment })} ${hanging.length === 1 ? 'has' : 'have'} not ended, the oldest for ${durationWords(value * 1_000)}`,
        trace_ids: hanging.map(({ trace_id }) => trace_id),
      }),
    ]
  })
}

/** Calls that wait for one permit for longer than the threshold, in ms, now or in the window. */
export function starvationReadings(rule: AlertRule, { waits }: Signals, now_us: number): Reading[] {
  const bound = rule.threshold ?? 10_000
  const long = waits
    .filter(({ service, environment }) => isWatched(rule, service, environment))
    .filter(({ end_us }) => end_us === null || end_us > now_us - rule.window_s * 1_000_000)
    .map((wait) => ({ ...wait, ms: ((wait.end_us ?? now_us) - wait.start_us) / 1_000 }))
    .filter(({ ms }) => ms > bound)
    .sort((a, b) => b.ms - a.ms)
  return [...groupedBy(long, (wait) => JSON.stringify([wait.service, wait.environment, wait.permit])).values()].map(
    (group) => {
      const { service, environment, permit, ms } = group[0] as (typeof long)[number]
      const holder = group.find(({ holder }) => holder !== null)?.holder
      const traces = new Set(group.map(({ trace_id }) => trace_id))
      return readingOfSign({
        service,
        environment,
        subject: permit,
        value: ms,
        metric: 'wait_ms',
        bound,
        count: traces.size,
        breached: traces.size >= Math.max(1, rule.min_count),
        what: `${traces.size} ${traces.size === 1 ? 'call' : 'calls'} of ${placeWords({ service, environment })} waited for ${permit} for up to ${durationWords(ms)}${holder == null ? '' : `, held by ${holder}`}`,
        trace_ids: [...traces],
      })
    },
  )
}

/** Groups of errors that are new, or came back, within the window. */
export function errorReadings(rule: AlertRule, { errors }: Signals, now_us: number): Reading[] {
  const since = now_us - rule.window_s * 1_000_000
  return errors
    .filter(({ ignored, error_type, service, environment }) => {
      const isNamed = rule.filter.error_type?.includes(error_type) ?? true
      return !ignored && isNamed && isWatched(rule, service, environment)
    })
    .map((error) => {
      const { service, environment, fingerprint, error_type, message, count, first_us, reopened_us, trace_id } = error
      const cameBack = reopened_us !== null && reopened_us > since
      const isNew = first_us > since && first_us <= now_us
      return readingOfSign({
        service,
        environment,
        subject: fingerprint,
        value: count,
        metric: 'count',
        bound: 0,
        count,
        breached: isNew || cameBack,
        what: `${cameBack ? 'An error came back' : 'A new error'} in ${placeWords({ service, environment })}: ${error_type}: ${firstLine(message)}`,
        trace_ids: [trace_id],
      })
    })
}

/** Permits that were given back while they were held, as errors of these types tell. */
export function leakReadings(rule: AlertRule, { errors }: Signals, now_us: number): Reading[] {
  const types = rule.filter.error_type ?? ['PermitReleasedWhileHeld']
  const since = now_us - rule.window_s * 1_000_000
  return errors
    .filter(
      ({ error_type, service, environment }) => types.includes(error_type) && isWatched(rule, service, environment),
    )
    .map(({ service, environment, fingerprint, message, count, last_us, trace_id }) =>
      readingOfSign({
        service,
        environment,
        subject: fingerprint,
        value: count,
        metric: 'count',
        bound: 0,
        count,
        breached: last_us > since && last_us <= now_us,
        what: `A permit of ${placeWords({ service, environment })} was released while it was held: ${firstLine(message)}`,
        trace_ids: [trace_id],
      }),
    )
}

/** What the detector found, as long as it goes on. */
export function anomalyReadings(rule: AlertRule, { anomalies }: Signals, now_us: number): Reading[] {
  const bound = rule.threshold ?? 0.5
  return anomalies
    .filter(({ metric, series_key, service, environment }) => {
      const isNamed = rule.filter.keys?.some((pattern) => isKeyOf(pattern, series_key)) ?? true
      return (rule.metric === null || rule.metric === metric) && isNamed && isWatched(rule, service, environment)
    })
    .map((anomaly): Reading => {
      const { service, environment, series_key, metric, score, expected, seen } = anomaly
      const lasts = anomaly.started_us <= now_us && (anomaly.ended_us === null || anomaly.ended_us > now_us)
      return {
        service,
        environment,
        subject: series_key,
        value: seen,
        metric: 'score',
        expected: expected satisfies Expected,
        count: 1,
        breached: lasts && score >= bound,
        cleared: !lasts || score < (rule.clear_threshold ?? bound),
        excess: score / Math.max(bound, 1e-9),
        what: `${capital(metricWords(metric))} of ${keyWords(series_key)} is ${valueWords(metric, seen)} where ${valueWords(metric, expected.mid)} was expected, in ${placeWords({ service, environment })}`,
        trace_ids: [],
      }
    })
}

function firstLine(message: string): string {
  return (
    message
      .trimStart()
      .split(/[\r\n]/, 1)[0]
      ?.slice(0, 200) ?? ''
  )
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}
