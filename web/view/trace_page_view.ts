import type { SessionRule } from '../../src/core/record.ts'
import type { MessageRow, TraceDetail, TraceRow } from './answer.ts'
import type { LiveView } from './live_view.ts'
import { bytesText, countText, durationText, nothing, percentText, timeText } from './number_text.ts'
import { type Place, type Range, rangeSeconds, withPlace } from './place.ts'
import { type Fact, jsonText } from './span_view.ts'
import { layerSharesOf, unexplainedLayer } from './trace_layer_view.ts'
import type { WaterfallNode } from './waterfall_view.ts'

// The page of one trace: when it is read again, and what its head says.

/** How long after its end spans of other processes may still come, and how long one just linked to may be on its way. */
export const settleMs = 20_000
const quietUs = 60_000_000

/** In how many ms a trace is to be read again; null: it is done, and only a push is a reason. */
export function rereadMsOf(detail: TraceDetail, nowUs: number, changedUs: number): number | null {
  // A trace in which nothing happens for a minute is given time.
  if (isOpen(detail)) return nowUs - changedUs > quietUs ? 10_000 : 2_000
  const ended = detail.trace.ended_at_us ?? 0
  return Math.abs(nowUs - ended) < settleMs * 1_000 ? 3_000 : null
}

/** Whether a span of it still runs. */
export function isOpen({ trace }: TraceDetail): boolean {
  return trace.duration_ms === null || (trace.spans ?? []).some(({ end_us }) => end_us === null)
}

/** What the live view says of a trace, as one text: another text means that something happened. */
export function liveMarkOf(live: Pick<LiveView, 'running' | 'ended' | 'errors'> | null, id: string): string {
  const running = live?.running.find(({ trace_id }) => trace_id === id)
  const ended = live?.ended.some(({ trace_id }) => trace_id === id) ?? false
  const errors = live?.errors.filter(({ trace_id }) => trace_id === id).length ?? 0
  return `${running === undefined ? '' : `${running.span_id}:${running.start_us}`} ${ended} ${errors}`
}

/** The facts in the head of the page that link nowhere; what is not known is left out. */
export function factsOfTrace(trace: TraceRow, nowUs: number): readonly Fact[] {
  const facts: (Fact | null)[] = [
    { term: 'Started', text: timeText(trace.started_at_us, nowUs) },
    { term: 'Waited', text: durationText(trace.wait_ms) },
    modelFact(trace),
    pairFact('Tokens', countText, trace.tokens_in, trace.tokens_out),
    pairFact('Bytes', bytesText, trace.bytes_in, trace.bytes_out),
    trace.request_id === null ? null : { term: 'Request id', text: trace.request_id, mono: true },
    { term: 'Service', text: [trace.service, trace.instance].filter((name) => name !== null).join(', ') || nothing },
    { term: 'Environment', text: trace.environment ?? nothing },
    trace.process === null ? null : { term: 'Process', text: trace.process, mono: true },
    { term: 'Trace id', text: trace.trace_id, mono: true },
  ]
  return facts.filter((fact) => fact !== null)
}

function modelFact({ provider, model }: TraceRow): Fact | null {
  const names = [provider, model].filter((name) => name !== null)
  return names.length === 0 ? null : { term: 'Provider, model', text: names.join(' / ') }
}

function pairFact(
  term: string,
  textOf: (value: number | null) => string,
  first: number | null,
  second: number | null,
): Fact | null {
  return first === null && second === null ? null : { term, text: `${textOf(first)} in, ${textOf(second)} out` }
}

/** One line of the table beside the breakdown. */
export type LayerLine = {
  readonly layer: string
  readonly self: string
  readonly share: string
  readonly waited: string
  /** What the layer means where its name does not say it. */
  readonly note: string
}

/** Self time by layer, the waits in it apart. `waits` is self time of wait spans in µs by layer. */
export function layerLinesOf(trace: TraceRow, waits: ReadonlyMap<string, number>): readonly LayerLine[] {
  return layerSharesOf(trace.layers).map(({ layer, ms, share }) => {
    const waited = waits.get(layer) ?? 0
    return {
      layer,
      self: durationText(ms),
      share: percentText(share),
      waited: waited === 0 ? nothing : durationText(waited / 1_000),
      note: layer === unexplainedLayer ? 'between spans: nobody recorded what happened' : '',
    }
  })
}

/** One message's metadata, as a row of texts. */
export type MessageLine = { readonly role: string; readonly cells: readonly string[] }

export const messageColumns = ['When', 'Tool', 'Provider', 'Model', 'Took', 'Thinking', 'Tokens'] as const

export function messageLineOf(message: MessageRow, nowUs: number): MessageLine {
  const usage = message.token_usage
  return {
    role: message.role ?? nothing,
    cells: [
      timeText(Date.parse(message.at) * 1_000, nowUs),
      message.tool_name ?? nothing,
      message.provider_used ?? nothing,
      message.model_used ?? nothing,
      durationText(message.response_time_ms),
      message.thinking_mode ?? nothing,
      usage === null ? nothing : jsonText(usage).replace(/[{}"]/g, '').replaceAll(',', ', '),
    ],
  }
}

/** The other calls of a trace's session: a list whose range reaches back to it. */
export function sessionPlaceOf(place: Place, trace: TraceRow, nowUs: number): Place {
  const age = (nowUs - trace.started_at_us) / 1e6
  const ranges = Object.entries(rangeSeconds) as [Range, number][]
  // Half of the range at most, so that the calls before it are in it too.
  const range = ranges.find(([, seconds]) => age < seconds / 2)?.[0] ?? '30d'
  const filter = { session: trace.session_key ?? '' }
  return withPlace(place, { page: 'traces', id: null, range, from_us: null, to_us: null, filter })
}

/** The self time of wait spans by layer, in µs. */
export function waitsByLayer(nodes: readonly WaterfallNode[]): ReadonlyMap<string, number> {
  const waits = new Map<string, number>()
  for (const { span, selfUs } of nodes) {
    if (span?.kind === 'wait' && span.end_us !== null) waits.set(span.layer, (waits.get(span.layer) ?? 0) + selfUs)
  }
  return waits
}

const ruleNames: { readonly [rule in SessionRule]: string } = {
  continuation: 'its continuation id',
  conversation: 'its conversation id',
  explicit: 'a handle that the caller passed',
  mcp: 'its MCP session id',
  connection: 'its connection',
}

/** By what a session was known, in words; a rule that is not known stays as it is. */
export function sessionRuleText(rule: string | null): string {
  return ruleNames[rule as SessionRule] ?? rule ?? 'a key'
}
