import type { Reporter, SpanHandle } from '../reporter/reporter.ts'
import type { ExaiLatency } from '../wire/exai_frame.ts'

// Shorter waits are the cost of asking, not of waiting.
const waitMsMin = 1
// What sending and reading an answer may add to what the daemon measured before it is plainly of another call.
const slackMs = 250
// A reporter inside the daemon records the same; where there is one, these do not count.
const derived = { 'telltale.derived': true }

/** Whether the metrics may be of a call that ran from `turnAt` to `at` (ms): a replay tells of one that took longer. */
export function fitsInto(latency: ExaiLatency, turnAt: number, at: number): boolean {
  return latency.totalMs <= at - turnAt + slackMs
}

/**
 * Turns what the daemon measured of a call into wait and work spans within it. The daemon says how long, not when: they
 * end where the answer came, and begin no earlier than `turnAt`, when the call's turn on its connection came. In ms.
 */
export function recordLatency(
  reporter: Reporter,
  span: SpanHandle,
  latency: ExaiLatency,
  tool: string | null,
  turnAt: number,
  at: number,
): void {
  let cursor = Math.max(turnAt, at - latency.totalMs)
  const step = (ms: number) => {
    const from = cursor
    cursor = Math.min(at, cursor + ms)
    return from
  }
  const wait = (name: string, ms: number) => {
    const from = step(ms)
    if (ms >= waitMsMin) reporter.wait(span, { name, at: from, attributes: derived }).end('ok', {}, cursor)
  }
  wait('permit global_sem', latency.globalWaitMs)
  wait(
    latency.provider === null ? 'permit provider_sem' : `permit provider_sem ${latency.provider}`,
    latency.providerWaitMs,
  )
  if (latency.processingMs <= 0) return
  const from = step(latency.processingMs)
  const name = tool === null ? 'run tool' : `run ${tool}`
  reporter.span(span, { name, layer: 'tool', tool, at: from, attributes: derived }).end('ok', {}, cursor)
}
