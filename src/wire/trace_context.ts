import { err, ok, type Result } from '../core/result.ts'

/** A W3C trace context as it arrived (https://www.w3.org/TR/trace-context/). */
export type TraceContext = {
  readonly traceId: string
  readonly parentSpanId: string
  readonly sampled: boolean
  /** A Telltale recorder further out has already recorded this request: tracestate has the member `telltale`. */
  readonly recorded: boolean
  /** The members of tracestate that belong to others, in order, ready to be sent on. */
  readonly others: readonly string[]
}

/** The two headers of a trace context, as they travel in HTTP headers or in `params._meta`. */
export type TraceHeaders = { readonly traceparent: string; readonly tracestate?: string }

const traceparentForm = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const membersMax = 32
const stateBytesMax = 512
const ownMember = 'telltale'

/** Parses what a caller sent. An invalid tracestate is ignored, as the recommendation asks; an invalid traceparent is an error. */
export function parseTraceContext(traceparent: unknown, tracestate?: unknown): Result<TraceContext> {
  if (typeof traceparent !== 'string') return err(`Cannot read traceparent: it is ${typeof traceparent}`)
  const found = traceparentForm.exec(traceparent.trim())
  const [, version, traceId, parentSpanId, flags, more] = found ?? []
  if (!version || !traceId || !parentSpanId || !flags) return err('Cannot read traceparent: its form is not W3C')
  if (version === 'ff' || (version === '00' && more)) return err(`Cannot read traceparent: its version is ${version}`)
  if (/^0+$/.test(traceId) || /^0+$/.test(parentSpanId)) return err('Cannot read traceparent: an id is all zero')
  const members = typeof tracestate === 'string' ? membersOf(tracestate) : []
  const others = members.filter((member) => !member.startsWith(`${ownMember}=`))
  return ok({
    traceId,
    parentSpanId,
    sampled: (Number.parseInt(flags, 16) & 1) === 1,
    recorded: others.length < members.length,
    others,
  })
}

/** The context to send on from a span: always sampled, and marked so that the next recorder knows it is not the first. */
export function headersOf(traceId: string, spanId: string, others: readonly string[] = []): Required<TraceHeaders> {
  let tracestate = `${ownMember}=${spanId}`
  for (const member of others.slice(0, membersMax - 1)) {
    if (tracestate.length + 1 + member.length > stateBytesMax) break
    tracestate += `,${member}`
  }
  return { traceparent: `00-${traceId}-${spanId}-01`, tracestate }
}

function membersOf(tracestate: string): readonly string[] {
  const members = tracestate
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '')
  const wellFormed =
    members.length <= membersMax && members.every((member) => /^[^=]{1,256}=[\x20-\x7e]{1,256}$/.test(member))
  return wellFormed ? members : []
}
