import type { WhyQuestion, WhyTrace } from '../src/core/why/why_data.ts'
import { median } from './incident_chance.ts'
import type { Ask } from './incident_plant.ts'
import type { World } from './incident_world.ts'

/**
 * What an operator asks who has seen that something is slow. Null: there is nothing that he could ask so. A call counts
 * as hit if what was planted added more than `leastMs`.
 */
export function questionOf(
  world: World,
  ask: Ask,
  traces: readonly WhyTrace[],
  extraMs: readonly number[],
  leastMs: number,
): WhyQuestion | null {
  const starts = traces.map(({ started_us }) => started_us)
  const question: WhyQuestion = {
    call_number: null,
    after_us: null,
    above_ms: null,
    trace_id: null,
    region: null,
    from_us: Math.min(...starts) - 1_000_000,
    to_us: Math.max(...starts) + 1_000_000,
  }
  if (ask.kind === 'call_number') return { ...question, call_number: ask.n }
  if (ask.kind === 'after') return { ...question, after_us: momentUs(world, ask.atPart) }
  if (ask.kind === 'none') return question
  const slow = traces.filter((_, index) => (extraMs[index] ?? 0) > leastMs)
  if (slow.length < 10) return null
  if (ask.kind === 'trace') {
    const middle = median(slow.map(({ duration_ms }) => duration_ms))
    const typical = slow.toSorted((a, b) => Math.abs(a.duration_ms - middle) - Math.abs(b.duration_ms - middle))
    return { ...question, trace_id: world.dice.one(typical.slice(0, 5)).trace_id }
  }
  const above_ms = boundOf(traces, new Set(slow))
  if (ask.kind === 'above') return { ...question, above_ms }
  const length = question.to_us - question.from_us
  const from_us = question.from_us + Math.round(length * world.dice.one([0, 0, 0.1]))
  const to_us = question.to_us - Math.round(length * world.dice.one([0, 0, 0.15]))
  const max_ms = world.dice.is(0.6) ? null : Math.ceil(Math.max(...traces.map(({ duration_ms }) => duration_ms)))
  return { ...question, region: { from_us, to_us, min_ms: above_ms, max_ms } }
}

/** µs since the epoch. */
export function momentUs({ beginUs, lengthMs }: World, atPart: number): number {
  return Math.round(beginUs + atPart * lengthMs * 1_000)
}

/** The round number of ms that parts the slow calls best from the others. */
function boundOf(traces: readonly WhyTrace[], slow: ReadonlySet<WhyTrace>): number {
  const sorted = traces.toSorted((a, b) => b.duration_ms - a.duration_ms)
  let best = { score: 0, ms: sorted[0]?.duration_ms ?? 0 }
  let hits = 0
  for (const [index, trace] of sorted.entries()) {
    if (slow.has(trace)) hits++
    const score = (2 * hits) / (index + 1 + slow.size)
    if (score > best.score) best = { score, ms: trace.duration_ms }
  }
  const step = 10 ** (Math.floor(Math.log10(best.ms)) - 1)
  return Math.max(1, Math.floor(best.ms / step) * step)
}
