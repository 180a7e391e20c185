import type { SessionCall } from './lens_answer.ts'
import { nameText } from './name_text.ts'
import { durationText, nothing, timeText } from './number_text.ts'
import { gapText } from './session_lens_view.ts'
import { layerSharesOf } from './trace_layer_view.ts'

// The calls of one session on one axis. Idle time is cut short: between calls a person thinks, and that may be an hour.

/** A stretch of the axis, in percent. */
type Stretch = { readonly x: number; readonly width: number }

export type SessionLine = {
  readonly traceId: string
  readonly name: string
  readonly started: string
  readonly duration: string
  readonly waited: string
  readonly outcome: string | null
  readonly running: boolean
  /** When it began as the call before it stands: `1.2 s after its end`. */
  readonly gap: string
  /** Whether the call before it still ran when it began. */
  readonly overlaps: boolean
  readonly bar: Stretch
  /** The bar by layer, in percent of the axis. */
  readonly parts: readonly (Stretch & { readonly layer: string })[]
  /** Where the call before it ran beside it, as a part of the axis; null where it did not. */
  readonly beside: Stretch | null
  /** Whether idle time before it is drawn shorter than it was. */
  readonly cut: boolean
}

/** An idle stretch is drawn as no more than this part of all busy time. */
const idleShareMax = 0.05
/** Thinner than this a bar could not be seen, in percent. */
const widthMin = 0.4

/** One line a call, in order. What runs reaches to now. */
export function sessionLinesOf(calls: readonly SessionCall[], nowUs: number): readonly SessionLine[] {
  const spans = calls.map((call) => ({ start: call.started_at_us, end: endOf(call, nowUs) }))
  const { xOf, isCut } = axisOf(spans)
  return calls.map((call, i) => {
    const { start, end } = spans[i] as { start: number; end: number }
    const bar = stretchOf(xOf(start), xOf(end))
    const overlapUs = (call.overlap_ms ?? (call.previous?.running ? (end - start) / 1_000 : 0)) * 1_000
    return {
      traceId: call.trace_id,
      name: nameText(call.tool ?? call.name),
      started: timeText(call.started_at_us, nowUs),
      duration:
        call.duration_ms === null ? `${durationText((end - start) / 1_000)} so far` : durationText(call.duration_ms),
      waited: call.wait_ms > 0 ? durationText(call.wait_ms) : nothing,
      outcome: call.outcome,
      running: call.duration_ms === null,
      gap: previousGapText(call),
      overlaps: call.previous?.running ?? false,
      bar,
      // Of what still runs nobody knows yet where it will have been.
      parts: (call.duration_ms === null ? [] : layerSharesOf(call.layers)).map(({ layer, x, width }) => ({
        layer,
        x: round(bar.x + (x / 100) * bar.width),
        width: round((width / 100) * bar.width),
      })),
      beside: overlapUs > 0 ? stretchOf(xOf(start), xOf(Math.min(end, start + overlapUs))) : null,
      cut: isCut[i] ?? false,
    }
  })
}

function endOf(call: SessionCall, nowUs: number): number {
  const end = call.duration_ms === null ? nowUs : (call.ended_at_us ?? call.started_at_us)
  return Math.max(call.started_at_us, end)
}

function previousGapText({ previous }: SessionCall): string {
  if (previous === null) return nothing
  if (previous.gap_ms === null) return 'while it still ran'
  return gapText(previous.gap_ms)
}

/** Where instants stand on an axis whose idle stretches are cut, in percent, and before which calls one is. */
function axisOf(spans: readonly { readonly start: number; readonly end: number }[]): {
  readonly xOf: (us: number) => number
  readonly isCut: readonly boolean[]
} {
  const busyUs = busyOf(spans)
  const idleUsMax = Math.max(1_000, busyUs * idleShareMax)
  // Where the axis bends: an instant, and how much was cut up to it.
  const bends: { readonly us: number; readonly cut: number }[] = []
  const isCut: boolean[] = []
  let reached = spans[0]?.start ?? 0
  let cut = 0
  for (const { start, end } of spans) {
    const over = Math.max(0, start - reached - idleUsMax)
    isCut.push(over > 0)
    if (over > 0) {
      cut += over
      bends.push({ us: start, cut })
    }
    reached = Math.max(reached, end)
  }
  const first = spans[0]?.start ?? 0
  const length = Math.max(1, reached - first - cut)
  const xOf = (us: number): number => {
    const bend = bends.findLast((each) => each.us <= us)
    return Math.min(100, Math.max(0, ((us - first - (bend?.cut ?? 0)) / length) * 100))
  }
  return { xOf, isCut }
}

/** How long any of them ran. They are in order of their starts. */
function busyOf(spans: readonly { readonly start: number; readonly end: number }[]): number {
  let busy = 0
  let reached = Number.NEGATIVE_INFINITY
  for (const { start, end } of spans) {
    busy += Math.max(0, end - Math.max(start, reached))
    reached = Math.max(reached, end)
  }
  return busy
}

function stretchOf(from: number, to: number): Stretch {
  const width = Math.min(100, Math.max(widthMin, to - from))
  return { x: round(Math.min(from, 100 - width)), width: round(width) }
}

function round(percent: number): number {
  return Math.floor(percent * 100) / 100
}
