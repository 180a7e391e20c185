import type { Attributes } from '../core/record.ts'
import type { Span } from './otlp_proto_generated.ts'
import { hexOf, usOf } from './otlp_value.ts'

/** The attribute by which `telltale export` marks its spans: the names that it added for other readers. */
export const derivedKey = 'telltale.derived'

const fields = [
  ...['layer', 'outcome', 'entry', 'request_id', 'call_number', 'tool', 'provider', 'model', 'bytes_in', 'bytes_out'],
  ...['tokens_in', 'tokens_out', 'holder'],
]
const taken: ReadonlySet<string> = new Set([
  ...fields.map((field) => `telltale.${field}`),
  ...['telltale.span_kind', 'telltale.session_key', 'telltale.session_rule', derivedKey],
])

/** A span that `telltale export` wrote, as it was recorded: nothing is guessed. */
export function recordOfExportedSpan(span: Span, all: Attributes) {
  const derived = all[derivedKey]
  const added: ReadonlySet<unknown> = new Set(Array.isArray(derived) ? derived : [])
  const key = all['telltale.session_key']
  const parent = hexOf(span.parentSpanId)
  return {
    type: 'span',
    trace_id: hexOf(span.traceId),
    span_id: hexOf(span.spanId),
    parent_span_id: /^0*$/.test(parent) ? null : parent,
    name: span.name,
    start_us: usOf(span.startTimeUnixNano),
    end_us: span.endTimeUnixNano === 0n ? null : usOf(span.endTimeUnixNano),
    kind: all['telltale.span_kind'] === 'wait' ? 'wait' : 'work',
    ...Object.fromEntries(
      fields.flatMap((field) => {
        const value = all[`telltale.${field}`]
        return value === undefined ? [] : [[field, value]]
      }),
    ),
    session: key === undefined ? null : { key, rule: all['telltale.session_rule'] ?? 'explicit' },
    attributes: Object.fromEntries(Object.entries(all).filter(([name]) => !taken.has(name) && !added.has(name))),
  }
}
