import type { Attributes, Json } from '../core/record.ts'
import { type SessionRule, sessionRules } from '../core/record.ts'
import { withoutContent } from './otlp_content.ts'
import { errorOfException, errorOfStatus } from './otlp_exception.ts'
import { derivedKey, recordOfExportedSpan } from './otlp_exported_span.ts'
import { type LayerSubject, otlpKind, providerByHost, tableKindOf, tableLayerOf } from './otlp_layer.ts'
import { messageOfEvent, type Speaker } from './otlp_message.ts'
import { otlpStatus, outcomeOfSpan } from './otlp_outcome.ts'
import { createPicker, type Picker } from './otlp_picker.ts'
import type { Span, Span_Event } from './otlp_proto_generated.ts'
import type { OtlpRules } from './otlp_rule.ts'
import { attributesOfPairs, hexOf, usOf } from './otlp_value.ts'

/** A record as the parser of batches takes it: nothing in it has been checked. */
export type WireRecord = { readonly [field: string]: unknown }

/** Around a record: the library and the process that recorded it, and what the operator says of it. */
export type OtlpScene = {
  readonly service: string
  readonly scope: string
  readonly processId: string
  readonly rules: OtlpRules
  /** Ids of all spans of the request, each `<trace id> <span id>`. */
  readonly known: ReadonlySet<string>
}

const linksMax = 16
const eventsMax = 16
const contextHasRemote = 0x100
const contextIsRemote = 0x200
const kindNames = ['', '', 'server', 'client', 'producer', 'consumer'] as const

/** A span of OTLP as the records it means: itself first, then its errors and the messages that its events tell of. */
export function recordsOfSpan(span: Span, scene: OtlpScene): readonly WireRecord[] {
  const all = attributesOfPairs(span.attributes)
  if (all[derivedKey] !== undefined) return [recordOfExportedSpan(span, all)]
  const subject: LayerSubject = { ...scene, name: span.name, kind: span.kind, attributes: all }
  const ruled = verdictOf(subject, scene.rules)
  const picker = createPicker(ruled.content ? all : withoutContent(all))
  const layer = picker.text('telltale.layer') ?? ruled.layer ?? tableLayerOf(subject)
  const ids = { trace_id: hexOf(span.traceId), span_id: hexOf(span.spanId) }
  const kind = picker.text('telltale.span_kind') ?? ruled.kind ?? tableKindOf(subject)
  const end = span.endTimeUnixNano === 0n ? null : usOf(span.endTimeUnixNano)
  const outcome = outcomeOfSpan({
    ...{ attributes: all, kind: span.kind, layer },
    ...{ status: span.status?.code ?? otlpStatus.unset, statusMessage: span.status?.message ?? '' },
  })
  picker.text('telltale.outcome')
  const fields = {
    type: 'span',
    ...ids,
    parent_span_id: parentOf(span),
    layer,
    kind: kind === 'wait' ? 'wait' : 'work',
    name: span.name.trim() === '' ? layer : span.name,
    start_us: usOf(span.startTimeUnixNano),
    end_us: end,
    outcome,
    entry: entryOf(span, picker, scene.known),
    ...namedFields(picker, all, subject),
  }
  const speaker: Speaker = {
    ...ids,
    processId: scene.processId,
    conversation: fields.session?.rule === 'conversation' ? fields.session.key : null,
    model: fields.model,
    provider: fields.provider,
    tool: fields.tool,
    ms: end === null ? null : (end - fields.start_us) / 1_000,
    tokens: { input: fields.tokens_in, output: fields.tokens_out },
  }
  const told = eventsOf(span, speaker, fields.start_us, scene)
  const attributes = { ...picker.rest(), ...asides(span, scene, picker.rest(), told.others), ...told.first }
  return [{ ...fields, attributes }, ...told.records]
}

function verdictOf(subject: LayerSubject, rules: OtlpRules) {
  const fitting = rules.filter((rule) => rule.fits(subject))
  return {
    layer: fitting.find(({ layer }) => layer !== null)?.layer ?? null,
    kind: fitting.find(({ kind }) => kind !== null)?.kind ?? null,
    content: fitting.some(({ content }) => content),
  }
}

function parentOf(span: Span): string | null {
  const parent = hexOf(span.parentSpanId)
  return /^0*$/.test(parent) ? null : parent
}

/**
 * Whether the span is where its request came in. A span without parent is. One whose parent is in another process is
 * too, unless that process is seen here as well, or its context said that a Telltale recorder is further out; a parent
 * that is merely not sent yet is in the same process, and senders that do not say so are judged by the span's kind.
 */
function entryOf(span: Span, picker: Picker, known: ReadonlySet<string>): boolean {
  const said = picker.any('telltale.entry')
  if (typeof said === 'boolean') return said
  const parent = parentOf(span)
  if (parent === null) return true
  if (known.has(`${hexOf(span.traceId)} ${parent}`)) return false
  const tells = (span.flags & contextHasRemote) !== 0
  const serves = span.kind === otlpKind.server || span.kind === otlpKind.consumer
  const isRemote = tells ? (span.flags & contextIsRemote) !== 0 : serves
  return isRemote && !/(^|,)\s*telltale=/.test(span.traceState)
}

/** The fields that attributes name, whichever convention they keep; older names come after newer ones. */
function namedFields(picker: Picker, all: Attributes, { name, kind }: LayerSubject) {
  const method = all['mcp.method.name']
  const called = method === 'tools/call' && name.startsWith('tools/call ') ? name.slice('tools/call '.length) : null
  const [received, sent] = bytesOf(picker, kind)
  return {
    request_id: picker.text('telltale.request_id', 'jsonrpc.request.id', 'rpc.jsonrpc.request_id', 'mcp.request.id'),
    session: sessionOf(picker),
    call_number: picker.count('telltale.call_number'),
    tool: picker.text('telltale.tool', 'gen_ai.tool.name', 'mcp.tool.name', 'tool.name', 'ai.toolCall.name') ?? called,
    provider:
      picker.text('telltale.provider', 'gen_ai.provider.name', 'gen_ai.system', 'llm.provider', 'llm.system') ??
      picker.text('ai.model.provider', 'llm.vendor') ??
      providerByHost(all),
    model: picker.text(
      ...['telltale.model', 'gen_ai.response.model', 'gen_ai.request.model', 'llm.response.model', 'llm.request.model'],
      ...['llm.model_name', 'embedding.model_name', 'reranker.model_name', 'ai.response.model', 'ai.model.id'],
    ),
    bytes_in: received,
    bytes_out: sent,
    tokens_in: picker.count(
      ...['telltale.tokens_in', 'gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens', 'llm.token_count.prompt'],
      ...['llm.usage.prompt_tokens', 'ai.usage.inputTokens', 'ai.usage.promptTokens', 'ai.usage.tokens'],
    ),
    tokens_out: picker.count(
      ...['telltale.tokens_out', 'gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens'],
      ...['llm.token_count.completion', 'llm.usage.completion_tokens', 'ai.usage.outputTokens'],
      'ai.usage.completionTokens',
    ),
    holder: picker.text('telltale.holder'),
  }
}

/** In the order in which they count; `session.id` is what a host was told by hand. */
const sessionKeys: readonly (readonly [SessionRule, string])[] = [
  ['continuation', 'telltale.continuation_id'],
  ['conversation', 'gen_ai.conversation.id'],
  ['explicit', 'session.id'],
  ['mcp', 'mcp.session.id'],
  ['connection', 'telltale.connection_id'],
]

function sessionOf(picker: Picker): { key: string; rule: SessionRule } | null {
  const said = picker.text('telltale.session_key')
  const ruled = picker.text('telltale.session_rule')
  if (said !== null) return { key: said, rule: sessionRules.find((rule) => rule === ruled) ?? 'explicit' }
  for (const [rule, name] of sessionKeys) {
    const key = picker.text(name)
    if (key !== null) return { key, rule }
  }
  return null
}

/** Bytes received and sent: a server receives the request, a client the answer. */
function bytesOf(picker: Picker, kind: number): readonly [number | null, number | null] {
  const [receivedOutright, sentOutright] = [picker.count('telltale.bytes_in'), picker.count('telltale.bytes_out')]
  if (receivedOutright !== null || sentOutright !== null) return [receivedOutright, sentOutright]
  const request = picker.count('http.request.body.size', 'http.request_content_length', 'messaging.message.body.size')
  const response = picker.count('http.response.body.size', 'http.response_content_length')
  return kind === otlpKind.client || kind === otlpKind.producer ? [response, request] : [request, response]
}

const firstOutput = /first[ _.-]?(token|chunk)/i

/** The errors and messages that a span's events tell of, when its first output came, and the names of the others. */
function eventsOf(span: Span, speaker: Speaker, startUs: number, scene: OtlpScene) {
  const records: WireRecord[] = []
  const others: Json[] = []
  const first: { 'telltale.first_chunk_ms'?: number } = {}
  const place = { trace_id: speaker.trace_id, span_id: speaker.span_id, processId: scene.processId }
  for (const [index, event] of span.events.entries()) {
    const at = usOf(event.timeUnixNano)
    const attributes = withoutContent(attributesOfPairs(event.attributes))
    const message = messageOfEvent(event.name, attributes, at, index, speaker)
    if (event.name === 'exception') records.push(errorOfException(attributes, at, { ...place, operation: span.name }))
    else if (message !== null) records.push(message)
    else if (firstOutput.test(event.name)) first['telltale.first_chunk_ms'] = (at - startUs) / 1_000
    else if (others.length < eventsMax) others.push(asideOf(event, at - startUs))
  }
  const failed = span.status?.code === otlpStatus.error
  if (failed && !records.some(({ type }) => type === 'error')) {
    const at = usOf(span.endTimeUnixNano === 0n ? span.startTimeUnixNano : span.endTimeUnixNano)
    const error = errorOfStatus(span.status?.message ?? '', attributesOfPairs(span.attributes), at, {
      ...place,
      operation: span.name,
    })
    if (error !== null) records.push(error)
  }
  return { records, others, first }
}

function asideOf(event: Span_Event, afterUs: number): Json {
  return { name: event.name, after_ms: afterUs / 1_000 }
}

/** What OTLP tells of a span beside its attributes, unless it was told before. */
function asides(span: Span, scene: OtlpScene, told: Attributes, events: readonly Json[]): Attributes {
  const links = span.links.slice(0, linksMax).map(({ traceId, spanId }) => `${hexOf(traceId)}-${hexOf(spanId)}`)
  const kind = kindNames[span.kind] ?? ''
  const more: { [key: string]: Json } = {}
  if (kind !== '') more['otel.span.kind'] = kind
  if (scene.scope !== '') more['otel.scope.name'] = scene.scope
  if (links.length > 0) more['otel.links'] = links
  if (events.length > 0) more['otel.events'] = events
  return Object.fromEntries(Object.entries(more).filter(([key]) => !Object.hasOwn(told, key)))
}

/** The scope of what `telltale export` writes: it is no library that recorded anything. */
export const ownScope = 'telltale'
