import type { StoredSpans } from '../trace.ts'
import type { WhyData, WhyTrace } from './why_data.ts'

// Recorders' clocks and counters may say anything. What cannot be is left out here, so that nothing behind has to ask again.

/** The last moment that is a whole number: in the year 2255. */
const lastUs = Number.MAX_SAFE_INTEGER
/** In ms: a hundred years. */
const longestMs = 3_155_760_000_000
const greatestWeight = 1_000_000_000

/** Without the calls that have no possible start or duration, and of the others without what is impossible. */
export function soundOf(data: WhyData): WhyData {
  const { question, processes } = data
  const traces = data.traces.filter(({ started_us, duration_ms }) => isMoment(started_us) && isLength(duration_ms))
  const matched = Number.isSafeInteger(data.matched) ? Math.max(data.matched, traces.length) : traces.length
  return { question, processes, matched, traces: traces.map(soundTraceOf) }
}

function isMoment(us: number): boolean {
  return us >= 0 && us <= lastUs
}

function isLength(ms: number): boolean {
  return ms >= 0 && ms <= longestMs
}

const amounts = ['call_number', 'bytes_in', 'bytes_out', 'tokens_in', 'tokens_out'] as const

function soundTraceOf(trace: WhyTrace): WhyTrace {
  const { running, weight, spans } = trace
  const impossible = amounts.filter((name) => trace[name] !== null && !isAmount(trace[name]))
  const kept = soundSpansOf(spans)
  const isWeight = weight > 0 && weight <= greatestWeight
  if (kept === spans && impossible.length === 0 && isWeight && isAmount(running)) return trace
  return {
    ...trace,
    ...Object.fromEntries(impossible.map((name) => [name, null])),
    running: isAmount(running) ? running : 0,
    weight: isWeight ? weight : 1,
    spans: kept,
  }
}

function isAmount(value: number): boolean {
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER
}

function soundSpansOf(spans: StoredSpans): StoredSpans {
  const isSound = (id: string): boolean => {
    const { start_us = Number.NaN, end_us } = spans[id] ?? {}
    return (
      isMoment(start_us) &&
      (end_us === undefined || (isMoment(end_us) && isLength(Math.max(0, end_us - start_us) / 1_000)))
    )
  }
  let kept: { [id: string]: StoredSpans[string] } | null = null
  for (const id in spans) {
    if (isSound(id)) continue
    kept ??= { ...spans }
    delete kept[id]
  }
  return kept ?? spans
}
