import type { Outcome } from '../src/core/outcome.ts'
import type { Batch, Span } from '../src/core/record.ts'
import { chanceOf } from '../src/demo/chance.ts'
import { aBatch, aSpan, minuteUs } from './rows_fixture.ts'

/** A batch on its way: the edge sees it at `atUs`; the same may come more than once. */
export type Arrival = { readonly atUs: number; readonly batch: Batch }

export type DayShape = {
  /** Start of the day, in µs. */
  readonly startUs: number
  /** How many requests each daemon serves in the day. */
  readonly requests: readonly number[]
  /** How often each sends. */
  readonly batchMinutes: number
  readonly seed: number
}

/**
 * A day of daemons, each at a rate of its own with more to do at noon than at night, and what becomes of their batches: a
 * tenth comes twice, some out of order, some hours late.
 */
export function simulatedDay({ startUs, requests, batchMinutes, seed }: DayShape): {
  readonly batches: readonly Batch[]
  readonly arrivals: readonly Arrival[]
} {
  const chance = chanceOf(seed)
  const batches = requests.flatMap((count, daemon) => daemonDay(daemon, count, startUs, batchMinutes, chance))
  const arrivals = batches.flatMap((batch): Arrival[] => {
    const late = chance() < 0.04 ? chance() * 300 * minuteUs : chance() * 20 * minuteUs
    const atUs = batch.made_at_us + Math.floor(late)
    const again = chance() < 0.1 ? [{ atUs: atUs + Math.floor(chance() * 180 * minuteUs), batch }] : []
    return [{ atUs, batch }, ...again]
  })
  return { batches, arrivals: arrivals.sort((a, b) => a.atUs - b.atUs) }
}

/** How a request ends, of a draw in [0, 1). */
function outcomeOf(draw: number): Outcome {
  if (draw < 0.02) return 'tool_error'
  return draw < 0.03 ? 'timeout' : draw < 0.04 ? 'cancelled' : 'ok'
}

function daemonDay(
  daemon: number,
  count: number,
  startUs: number,
  batchMinutes: number,
  chance: () => number,
): Batch[] {
  const pieces = Math.floor((24 * 60) / batchMinutes)
  const records: Span[][] = Array.from({ length: pieces }, () => [])
  for (let n = 0; n < count; n += 1) {
    // The mean of two: more at noon.
    const piece = Math.floor(((chance() + chance()) / 2) * pieces)
    const endUs = startUs + piece * batchMinutes * minuteUs + Math.floor(chance() * batchMinutes * minuteUs)
    records[piece]?.push(...requestOf(daemon * 100_000 + n, endUs, chance))
  }
  const process = `018f0000-0000-7000-8000-0000000000${daemon.toString(16).padStart(2, '0')}`
  return records.map((spans, piece) =>
    aBatch(spans, {
      batch_id: `018f0000-0000-7000-8000-${daemon.toString(16).padStart(4, '0')}${piece.toString(16).padStart(8, '0')}`,
      made_at_us: startUs + (piece + 1) * batchMinutes * minuteUs,
      source: { service: `daemon_${daemon % 4}`, instance: `i${daemon}`, environment: 'test', version: null },
      process: { id: process, started_at_us: startUs, host: null, pid: null, sdk: 'x' },
      seq: piece + 1,
      counters: { recorded: spans.length, dropped: {} },
    }),
  )
}

/** A call of a tool, and what its model took of it: from a millisecond to minutes. */
function requestOf(n: number, endUs: number, chance: () => number): Span[] {
  const us = Math.floor(1_000 * Math.exp(chance() * 5 + chance() * 5))
  const outcome = outcomeOf(chance())
  const trace_id = (n + 1).toString(16).padStart(32, 'd')
  const times = { start_us: endUs - us, end_us: endUs }
  const tool = `tool_${Math.floor(chance() * chance() * 12)}`
  const provider = chance() < 0.6 ? 'glm' : 'kimi'
  const call = aSpan({
    trace_id,
    ...times,
    outcome,
    tool,
    call_number: 1 + Math.floor(chance() * 8),
    bytes_in: n % 997,
  })
  const model = { provider, model: `${provider}-4`, tokens_in: n % 31, tokens_out: n % 89 }
  const inner = { span_id: '00000000000000b2', parent_span_id: call.span_id, entry: false, layer: 'api', tool: null }
  return [call, aSpan({ trace_id, ...inner, ...model, ...times, end_us: endUs - Math.floor(us / 9), outcome: 'ok' })]
}
