import { criticalPathOf, pathTimesOf } from '../../src/core/critical_path.ts'
import type { StoredSpan, StoredSpans } from '../../src/core/trace.ts'
import type { SpanRow } from './answer.ts'
import { nameText } from './name_text.ts'
import { durationText, percentText } from './number_text.ts'
import { waitText } from './span_view.ts'
import { barOf, type Stretch } from './waterfall_axis_view.ts'
import type { Waterfall } from './waterfall_view.ts'

/** Half-open, in µs. */
type Interval = { readonly start: number; readonly end: number }

/** The critical path as a waterfall shows it. */
export type CriticalPath = {
  /** When each span was on it, by the id of its line, as that line stands. */
  readonly stretches: ReadonlyMap<string, readonly Interval[]>
  /** What the end waited for most, as a sentence; empty where there is no path. */
  readonly text: string
}

export const noPath: CriticalPath = { stretches: new Map(), text: '' }

const namedMax = 3

export function criticalOf(spans: readonly SpanRow[], waterfall: Waterfall): CriticalPath {
  const path = criticalPathOf(storedSpansOf(spans))
  if (path.length === 0) return noPath
  const shifts = new Map(
    waterfall.nodes.flatMap(({ span, start }) =>
      span === null ? [] : [[span.span_id, start - span.start_us] as const],
    ),
  )
  const stretches = new Map<string, Interval[]>()
  for (const { span_id, start, end, moved_us } of path) {
    if (span_id === null) continue
    // By its own clock, and from there to where its line stands.
    const by = (shifts.get(span_id) ?? 0) - moved_us
    const listed = stretches.get(span_id)
    if (listed === undefined) stretches.set(span_id, [{ start: start + by, end: end + by }])
    else listed.push({ start: start + by, end: end + by })
  }
  return { stretches, text: textOf(spans, path) }
}

/** The parts of a line's bar that are on the path, in percent of the axis. */
export function pathBarsOf(
  axis: Pick<Waterfall, 'start' | 'end'>,
  stretches: readonly Interval[] | undefined,
): readonly Stretch[] {
  return (stretches ?? []).map((stretch) => barOf(axis, stretch))
}

function textOf(spans: readonly SpanRow[], path: ReturnType<typeof criticalPathOf>): string {
  const byId = new Map(spans.map((span) => [span.span_id, span]))
  const times = [...pathTimesOf(path)].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
  const whole = (path.at(-1)?.end ?? 0) - (path[0]?.start ?? 0)
  const named = times.slice(0, namedMax).flatMap(([id, us]) => {
    const span = byId.get(id)
    return span === undefined ? [] : [`${stepText(span)} ${durationText(us / 1_000)} (${percentText(us / whole)})`]
  })
  const unexplained = whole - times.reduce((sum, [, us]) => sum + us, 0)
  const gap =
    unexplained > 0 ? [`unexplained ${durationText(unexplained / 1_000)} (${percentText(unexplained / whole)})`] : []
  return `Critical path, what the end waited for: ${[...named, ...gap].join(', ')}`
}

function stepText(span: SpanRow): string {
  return `${span.layer} “${waitText(span, false) ?? nameText(span.name)}”`
}

/** As the core has spans: what is null is absent. */
function storedSpansOf(spans: readonly SpanRow[]): StoredSpans {
  return Object.fromEntries(
    spans.map(({ parent_span_id, end_us, kind, ...span }): [string, StoredSpan] => [
      span.span_id,
      {
        ...(span as unknown as StoredSpan),
        ...(parent_span_id === null ? {} : { parent_span_id }),
        ...(end_us === null ? {} : { end_us }),
        ...(kind === 'wait' ? { kind } : {}),
      },
    ]),
  )
}
