// What is watched, as the operator sets it: a row of telltale.alert_rules. Durations are seconds, latencies ms.

export const alertKinds = [
  'metric',
  'anomaly',
  'slo',
  'errors',
  'no_data',
  'gap',
  'stuck',
  'starvation',
  'leak',
] as const
export type AlertKind = (typeof alertKinds)[number]

/** `slow_rate` (the share of calls slower than `threshold`) is for objectives alone. */
export const alertMetrics = [
  'error_rate',
  'errors_per_minute',
  'calls_per_minute',
  'mean_ms',
  'p50_ms',
  'p95_ms',
  'p99_ms',
  'bytes_per_second',
  'tokens_per_minute',
  'gauge',
  'slow_rate',
] as const
export type AlertMetric = (typeof alertMetrics)[number]

/** `above_baseline`: above `threshold` times what the same series was in the `baseline_s` before. */
export const alertConditions = ['above', 'below', 'above_baseline'] as const
export type AlertCondition = (typeof alertConditions)[number]

export const severities = ['info', 'warning', 'critical'] as const
export type Severity = (typeof severities)[number]

/** What an alert is one for: everything that differs in none of these is one alert. `subject` is the series, the group ... */
export const groupDimensions = ['service', 'environment', 'subject'] as const
export type GroupDimension = (typeof groupDimensions)[number]

export type AlertFilter = {
  readonly service?: readonly string[]
  readonly environment?: readonly string[]
  readonly not_environment?: readonly string[]
  /** Series keys, such as `all` and `provider:kimi`; one that ends in `*` means all that begin so. */
  readonly keys?: readonly string[]
  readonly error_type?: readonly string[]
  readonly tool?: readonly string[]
  /** Of the metric `gauge`: its name. */
  readonly gauge?: string
}

export type AlertRule = {
  /** Lower case words joined by `_`. */
  readonly rule_id: string
  readonly name: string
  readonly enabled: boolean
  readonly kind: AlertKind
  readonly metric: AlertMetric | null
  readonly filter: AlertFilter
  readonly condition: AlertCondition | null
  /** In the unit of the metric; of `no_data`, `stuck` in s; of `starvation` in ms; of `anomaly` a score of 0..1. */
  readonly threshold: number | null
  /** Where it counts as over again; null: at the threshold. */
  readonly clear_threshold: number | null
  /** Of fewer calls nothing is concluded. */
  readonly min_count: number
  /** How far back is looked. */
  readonly window_s: number
  /** How long the condition must hold before the alert fires. */
  readonly for_s: number
  /** How long it must be over before the alert resolves. */
  readonly clear_for_s: number
  /** Of `above_baseline`. */
  readonly baseline_s: number
  readonly severity: Severity
  readonly group_by: readonly GroupDimension[]
  /** Of `slo`: the share of calls that has to be good, such as 0.99. */
  readonly objective: number | null
}

/** What alerts of one kind of trouble have in common: several at once are told of as one. */
export type AlertTopic = 'latency' | 'errors' | 'traffic' | 'unusual' | 'data' | 'permits' | 'stuck' | 'resource'

/** An anomaly may be any side of the same trouble: calls that are slow, that fail, or that do not come. */
export function isKin(a: AlertTopic, b: AlertTopic): boolean {
  const ofCalls = (topic: AlertTopic) => topic === 'latency' || topic === 'errors' || topic === 'traffic'
  return a === b || (a === 'unusual' && ofCalls(b)) || (b === 'unusual' && ofCalls(a))
}

export function topicOf({ kind, metric }: Pick<AlertRule, 'kind' | 'metric'>): AlertTopic {
  switch (kind) {
    case 'anomaly':
      return 'unusual'
    case 'errors':
      return 'errors'
    case 'no_data':
    case 'gap':
      return 'data'
    case 'stuck':
      return 'stuck'
    case 'starvation':
    case 'leak':
      return 'permits'
    default:
      return topicOfMetric(metric)
  }
}

function topicOfMetric(metric: AlertMetric | null): AlertTopic {
  switch (metric) {
    case 'error_rate':
    case 'errors_per_minute':
      return 'errors'
    case 'calls_per_minute':
    case 'bytes_per_second':
    case 'tokens_per_minute':
      return 'traffic'
    case 'gauge':
      return 'resource'
    default:
      return 'latency'
  }
}

/** Whether a filter's key, which may end in `*`, means a series. */
export function isKeyOf(pattern: string, key: string): boolean {
  return pattern.endsWith('*') ? key.startsWith(pattern.slice(0, -1)) : pattern === key
}

/** Whether a rule looks at a service of an environment. */
export function isWatched({ filter }: Pick<AlertRule, 'filter'>, service: string, environment: string): boolean {
  return (
    (filter.service?.includes(service) ?? true) &&
    (filter.environment?.includes(environment) ?? true) &&
    !(filter.not_environment?.includes(environment) ?? false)
  )
}
