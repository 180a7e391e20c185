import type { Cause, WhyAnswer } from '../../src/core/why/why_answer.ts'
import { countText, durationText, percentText, timeText } from './number_text.ts'
import { type FilterKey, fromOf, type Place } from './place.ts'

// A verdict as the page shows it.

/** What of a place's filter says among which calls, or which of them are the slow ones. */
const narrowing = [
  'tool',
  'provider',
  'model',
  'session',
  'service',
  'environment',
] as const satisfies readonly FilterKey[]

/** Calls of a part of the time and of the latencies: instants in µs, those before `to` and below `max_ms`. */
export type WhyRegion = {
  readonly from: number
  readonly to: number
  readonly min_ms?: number
  readonly max_ms?: number
}

/** What is asked about beside what the place shows: one call, or a part of it; null: all of it. */
export type WhySubject = { readonly traceId: string } | { readonly region: WhyRegion } | null

/** The filter of `telltale.why_data`: of one trace, else of what the place shows; a call number or a least duration in it names the slow calls. */
export function whyFilterOf(place: Place, nowUs: number, subject: WhySubject): Record<string, unknown> {
  if (subject !== null && 'traceId' in subject) return { trace_id: subject.traceId }
  const filter: Record<string, unknown> = { from: fromOf(place, nowUs) }
  if (place.to_us !== null) filter.to = place.to_us
  for (const key of narrowing) if (place.filter[key] !== undefined) filter[key] = place.filter[key]
  if (subject !== null) return { ...filter, region: subject.region }
  const { call_number, min_duration_ms } = place.filter
  if (call_number !== undefined) filter.call_number = Number(call_number)
  else if (min_duration_ms !== undefined) filter.above_ms = Number(min_duration_ms)
  return filter
}

const causeNames: { readonly [cause in Cause]: string } = {
  layer_slow: 'A layer is slower',
  waiting: 'Waiting',
  grows_with: 'Grows with an amount',
  attribute_value: 'Calls of one kind',
  fixed_timeout: 'A timeout',
  retries: 'Retries',
  previous_call: 'The call before',
  uniform_overhead: 'The same for every tool',
  first_chunk: 'Time to the first chunk',
  changed_at: 'Since a moment',
}

export type WhyFact = { readonly name: string; readonly value: string }

/** What a verdict rests on, each with its name; what does not apply is absent. */
export function factsOfVerdict({ verdict }: WhyAnswer, nowUs: number): WhyFact[] {
  if (verdict === null) return []
  const { cause, layer, attribute, value, since, share, confidence } = verdict
  const facts: [string, string | null][] = [
    ['Cause', causeNames[cause]],
    ['Layer', layer],
    [cause === 'waiting' ? 'Waits for' : 'Attribute', textOf(attribute)],
    [cause === 'waiting' ? 'Held by' : 'Value', textOf(value)],
    ['Since', since === null ? null : timeText(since, nowUs)],
    ['Explains', `${percentText(share)} of the extra time`],
    ['Confidence', percentText(confidence)],
  ]
  return facts.flatMap(([name, text]) => (text === null ? [] : [{ name, value: text }]))
}

export type CohortLine = {
  readonly name: string
  readonly calls: string
  readonly p50: string
  readonly p95: string
  /** Of the longer p95, 0..1: to the median, and to the 95th percentile. */
  readonly middle: number
  readonly end: number
}

/** The slow calls and the others, on one scale. */
export function cohortLinesOf({ slow, baseline }: WhyAnswer): CohortLine[] {
  const longest = Math.max(slow.p95_ms ?? 0, baseline.p95_ms ?? 0, Number.MIN_VALUE)
  return [['Slow calls', slow] as const, ['Other calls', baseline] as const].map(([name, { n, p50_ms, p95_ms }]) => ({
    name,
    calls: countText(n),
    p50: durationText(p50_ms),
    p95: durationText(p95_ms),
    middle: (p50_ms ?? 0) / longest,
    end: (p95_ms ?? 0) / longest,
  }))
}

function textOf(value: string | number | null | readonly (string | number)[]): string | null {
  if (value === null) return null
  return Array.isArray(value) ? value.join(' with ') : String(value)
}
