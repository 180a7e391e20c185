import { isObject } from '../core/json_object.ts'
import { layerOf } from '../core/layer.ts'
import {
  idBytesMax,
  labelsMax,
  messageBytesMax,
  nameBytesMax,
  recordAgeDaysMax,
  recordAheadDaysMax,
  stackBytesMax,
  traceHoursMax,
} from '../core/limit.ts'
import type { ConnectionEvent, ErrorRecord, Gauge, Message, RunningCall, Span, TelltaleRecord } from '../core/record.ts'
import { recordTypes } from '../core/record.ts'
import { err, ok, type Result } from '../core/result.ts'
import { withoutSecrets } from '../core/secret_form.ts'
import { fieldsWanted, isError, isEvent, isGauge, isMessage, isRunning, isSpan } from './batch_check_generated.ts'
import type { WireError, WireEvent, WireGauge, WireMessage, WireSpan } from './batch_schema.ts'
import { explainRefusal, kindOf } from './explain_refusal.ts'
import { attributesOf, boundedJson } from './wire_attributes.ts'
import { cleanText, cutText, isWithin } from './wire_text.ts'

const dayUs = 86_400_000_000
const spanUsMax = traceHoursMax * 3_600_000_000
const anyKind = recordTypes.join(', ')

const knownFields = (type: string): ReadonlySet<string> => new Set(Object.keys(fieldsWanted[type] ?? {}))
const known = {
  span: knownFields('span'),
  error: knownFields('error'),
  message: knownFields('message'),
  event: knownFields('event'),
}

/** One record as the core takes it, or why it is refused. The reason names fields and kinds, never a value's text. */
export function parseRecord(value: unknown, nowUs: number): Result<TelltaleRecord> {
  if (!isObject(value)) return err(`Cannot take record: it is ${kindOf(value)}, wanted an object`)
  switch (value.type) {
    case 'span':
      return isSpan(value) ? timely(value.type, value.start_us, nowUs, () => spanOf(value, nowUs)) : refusal(value)
    case 'error':
      return isError(value) ? timely(value.type, value.at_us, nowUs, () => errorOf(value)) : refusal(value)
    case 'message':
      return isMessage(value) ? timely(value.type, value.at_us, nowUs, () => messageOf(value)) : refusal(value)
    case 'event':
      return isEvent(value) ? timely(value.type, value.at_us, nowUs, () => eventOf(value)) : refusal(value)
    case 'gauge':
      return isGauge(value) ? timely(value.type, value.at_us, nowUs, () => gaugeOf(value)) : refusal(value)
    default:
      return err(`Cannot take record: type is ${kindOf(value.type)}, wanted one of ${anyKind}`)
  }
}

/** A running call, or null: a wrong one costs its place in the live list and nothing else. */
export function parseRunning(value: unknown, nowUs: number): RunningCall | null {
  if (!isRunning(value) || ageReason('running', value.start_us, nowUs) !== null) return null
  const cuts: string[] = []
  return {
    trace_id: value.trace_id.toLowerCase(),
    span_id: value.span_id.toLowerCase(),
    layer: boundedLayer(value.layer, cuts),
    name: bounded(value.name, nameBytesMax, 'name', cuts),
    tool: optional(value.tool, nameBytesMax, 'tool', cuts),
    session: optional(value.session, idBytesMax, 'session', cuts),
    start_us: value.start_us,
  }
}

function refusal(value: { readonly type?: unknown }): Result<never> {
  return err(explainRefusal(value.type as TelltaleRecord['type'], value))
}

function timely(type: string, at: number, nowUs: number, make: () => Result<TelltaleRecord>): Result<TelltaleRecord> {
  const reason = ageReason(type, at, nowUs)
  return reason === null ? make() : err(reason)
}

function ageReason(type: string, at: number, nowUs: number): string | null {
  const field = type === 'span' || type === 'running' ? 'start_us' : 'at_us'
  if (at < nowUs - recordAgeDaysMax * dayUs) {
    return `Cannot take ${type}: ${field} is ${at}, more than ${recordAgeDaysMax} days ago`
  }
  if (at > nowUs + recordAheadDaysMax * dayUs) {
    return `Cannot take ${type}: ${field} is ${at}, more than ${recordAheadDaysMax} day ahead`
  }
  return null
}

function spanOf(wire: WireSpan, nowUs: number): Result<Span> {
  const end_us = wire.end_us ?? null
  if (end_us !== null && end_us < wire.start_us) {
    return err(`Cannot take span: end_us is ${end_us}, before its start_us ${wire.start_us}`)
  }
  if (end_us !== null && end_us - wire.start_us > spanUsMax) {
    return err(`Cannot take span: end_us is ${end_us}, more than ${traceHoursMax} hours after its start_us`)
  }
  if (end_us !== null && end_us > nowUs + recordAheadDaysMax * dayUs) {
    return err(`Cannot take span: end_us is ${end_us}, more than ${recordAheadDaysMax} day ahead`)
  }
  const cuts: string[] = []
  const span = {
    type: 'span' as const,
    trace_id: wire.trace_id.toLowerCase(),
    span_id: wire.span_id.toLowerCase(),
    parent_span_id: lowerOrNull(wire.parent_span_id),
    layer: boundedLayer(wire.layer, cuts),
    kind: wire.kind ?? 'work',
    name: bounded(wire.name, nameBytesMax, 'name', cuts),
    start_us: wire.start_us,
    end_us,
    // A span that still runs has no outcome yet.
    outcome: end_us === null ? null : (wire.outcome ?? null),
    entry: wire.entry ?? false,
    request_id: optional(wire.request_id, idBytesMax, 'request_id', cuts),
    session:
      wire.session === undefined || wire.session === null
        ? null
        : { key: bounded(wire.session.key, idBytesMax, 'session', cuts), rule: wire.session.rule },
    call_number: wire.call_number ?? null,
    tool: optional(wire.tool, nameBytesMax, 'tool', cuts),
    provider: optional(wire.provider, nameBytesMax, 'provider', cuts),
    model: optional(wire.model, nameBytesMax, 'model', cuts),
    bytes_in: wire.bytes_in ?? null,
    bytes_out: wire.bytes_out ?? null,
    tokens_in: wire.tokens_in ?? null,
    tokens_out: wire.tokens_out ?? null,
    holder: optional(wire.holder, nameBytesMax, 'holder', cuts),
  }
  return ok({ ...span, attributes: attributesOf(wire.attributes, wire, known.span, cuts) })
}

function errorOf(wire: WireError): Result<ErrorRecord> {
  const cuts: string[] = []
  return ok({
    type: 'error',
    error_id: wire.error_id.toLowerCase(),
    at_us: wire.at_us,
    trace_id: lowerOrNull(wire.trace_id),
    span_id: lowerOrNull(wire.span_id),
    error_type: bounded(wire.error_type, nameBytesMax, 'error_type', cuts),
    message: bounded(wire.message, messageBytesMax, 'message', cuts),
    traceback: textOrNull(wire.traceback, stackBytesMax, 'traceback', cuts),
    context: attributesOf(wire.context, wire, known.error, cuts),
  })
}

function messageOf(wire: WireMessage): Result<Message> {
  const cuts: string[] = []
  const usage = boundedJson(wire.token_usage)
  if (usage.cut) cuts.push('token_usage')
  return ok({
    type: 'message',
    message_id: wire.message_id.toLowerCase(),
    at_us: wire.at_us,
    trace_id: lowerOrNull(wire.trace_id),
    span_id: lowerOrNull(wire.span_id),
    conversation_id: optional(wire.conversation_id, idBytesMax, 'conversation_id', cuts),
    role: optional(wire.role, nameBytesMax, 'role', cuts),
    model_used: optional(wire.model_used, nameBytesMax, 'model_used', cuts),
    provider_used: optional(wire.provider_used, nameBytesMax, 'provider_used', cuts),
    response_time_ms: wire.response_time_ms ?? null,
    tool_name: optional(wire.tool_name, nameBytesMax, 'tool_name', cuts),
    thinking_mode: optional(wire.thinking_mode, nameBytesMax, 'thinking_mode', cuts),
    token_usage: usage.json,
    metadata: attributesOf(wire.metadata, wire, known.message, cuts),
  })
}

function eventOf(wire: WireEvent): Result<ConnectionEvent> {
  const cuts: string[] = []
  return ok({
    type: 'event',
    event_id: wire.event_id.toLowerCase(),
    at_us: wire.at_us,
    trace_id: lowerOrNull(wire.trace_id),
    span_id: lowerOrNull(wire.span_id),
    connection_type: bounded(wire.connection_type, nameBytesMax, 'connection_type', cuts),
    direction: bounded(wire.direction, nameBytesMax, 'direction', cuts),
    script_name: optional(wire.script_name, nameBytesMax, 'script_name', cuts),
    function_name: optional(wire.function_name, nameBytesMax, 'function_name', cuts),
    data_size_bytes: wire.data_size_bytes ?? null,
    response_time_ms: wire.response_time_ms ?? null,
    error: textOrNull(wire.error, messageBytesMax, 'error', cuts),
    error_type: optional(wire.error_type, nameBytesMax, 'error_type', cuts),
    error_traceback: textOrNull(wire.error_traceback, stackBytesMax, 'error_traceback', cuts),
    metadata: attributesOf(wire.metadata, wire, known.event, cuts),
  })
}

/** A gauge is its name and labels, so they are never cut: a cut name could be another gauge's. */
function gaugeOf(wire: WireGauge): Result<Gauge> {
  const name = cleanText(wire.name)
  if (!isWithin(name, nameBytesMax)) return err(`Cannot take gauge: name is over ${nameBytesMax} bytes long`)
  const entries = Object.entries(wire.labels ?? {}).filter(([key]) => key !== '__proto__')
  if (entries.length > labelsMax)
    return err(`Cannot take gauge: labels are ${entries.length}, wanted ${labelsMax} at most`)
  const labels: { [key: string]: string } = {}
  for (const [key, label] of entries) {
    if (!isWithin(key, nameBytesMax) || !isWithin(label, nameBytesMax)) {
      return err(`Cannot take gauge: a label is over ${nameBytesMax} bytes long`)
    }
    labels[cleanText(key)] = cleanText(label)
  }
  return ok({ type: 'gauge', name, at_us: wire.at_us, value: wire.value, labels })
}

function bounded(text: string, bytesMax: number, field: string, cuts: string[]): string {
  const clean = cleanText(text)
  const cut = cutText(clean, bytesMax)
  if (cut.length !== clean.length || cut !== clean) cuts.push(field)
  return cut
}

function textOrNull(text: string | null | undefined, bytesMax: number, field: string, cuts: string[]): string | null {
  return text === null || text === undefined ? null : bounded(text, bytesMax, field, cuts)
}

/** A name or id that is empty says as little as one that is missing. */
function optional(text: string | null | undefined, bytesMax: number, field: string, cuts: string[]): string | null {
  return text === null || text === undefined || text === '' ? null : bounded(text, bytesMax, field, cuts)
}

/** A secret is taken out before its letters become small ones, by which it would not be known any more. */
function boundedLayer(name: string, cuts: string[]): string {
  return bounded(layerOf(withoutSecrets(name)), nameBytesMax, 'layer', cuts)
}

function lowerOrNull(id: string | null | undefined): string | null {
  return id === null || id === undefined ? null : id.toLowerCase()
}
