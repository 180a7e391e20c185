// Numbers as a sentence has them.

/** 0 is 0, and three digits are enough. */
function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return 'unknown'
  return String(Number(value.toPrecision(3)))
}

export function durationWords(ms: number): string {
  if (ms < 1_000) return `${shortNumber(ms)} ms`
  if (ms < 60_000) return `${shortNumber(ms / 1_000)} s`
  if (ms < 3_600_000) return `${shortNumber(ms / 60_000)} min`
  return `${shortNumber(ms / 3_600_000)} h`
}

/** A value with its unit, as the end of the metric's name says it. */
export function valueWords(metric: string, value: number | null): string {
  if (value === null) return 'nothing'
  if (metric.endsWith('_ms')) return durationWords(value)
  if (metric.endsWith('_s')) return durationWords(value * 1_000)
  if (metric.endsWith('_rate') && metric !== 'burn_rate') return `${shortNumber(value * 100)} %`
  if (metric === 'burn_rate') return `${shortNumber(value)} times the budget`
  if (metric.endsWith('_per_minute')) return `${shortNumber(value)} a minute`
  if (metric === 'bytes_per_second') return `${shortNumber(value)} bytes a second`
  return shortNumber(value)
}

const metricNames: { readonly [metric: string]: string } = {
  error_rate: 'error rate',
  errors_per_minute: 'errors',
  calls_per_minute: 'throughput',
  throughput: 'throughput',
  mean_ms: 'mean latency',
  p50_ms: 'p50 latency',
  p95_ms: 'p95 latency',
  p99_ms: 'p99 latency',
  bytes_per_second: 'traffic',
  tokens_per_minute: 'tokens',
}

export function metricWords(metric: string): string {
  return metricNames[metric] ?? metric
}

/** What a series key is of: `provider:kimi` is provider kimi, `all` all calls. */
export function keyWords(key: string): string {
  const [kind = '', ...name] = key.split(':')
  return name.length === 0 ? 'all calls' : `${kind} ${name.join(':')}`
}

export function placeWords({
  service,
  environment,
}: {
  readonly service: string
  readonly environment: string
}): string {
  return `${service} (${environment})`
}
