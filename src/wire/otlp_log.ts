import { isObject } from '../core/json_object.ts'
import { messageBytesMax } from '../core/limit.ts'
import type { Attributes, Json } from '../core/record.ts'
import { withoutContent } from './otlp_content.ts'
import { errorOfException } from './otlp_exception.ts'
import { contentIdOf, uuidForm } from './otlp_id.ts'
import { messageOfEvent, type Speaker } from './otlp_message.ts'
import { createPicker } from './otlp_picker.ts'
import type { LogRecord } from './otlp_proto_generated.ts'
import type { OtlpScene, WireRecord } from './otlp_span.ts'
import { attributesOfPairs, hexOf, jsonOfValue, usOf } from './otlp_value.ts'
import { cutText, utf8Bytes } from './wire_text.ts'

/** SeverityNumber from which a record tells of a failure: ERROR. */
const errorSeverity = 17
const severities = ['unspecified', 'trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const

/**
 * A log record as the one record that it means. With an exception, or from severity ERROR on, it is an error; by the
 * names of the GenAI conventions a message; what `telltale export` wrote is what it was; anything else is an event on the
 * connection `log`, which is counted and seen live, and of whose text only the size is kept.
 */
export function recordOfLog(log: LogRecord, scene: OtlpScene): WireRecord {
  const at = usOf(log.timeUnixNano === 0n ? log.observedTimeUnixNano : log.timeUnixNano)
  const all = attributesOfPairs(log.attributes)
  const body = jsonOfValue(log.body)
  const place = { processId: scene.processId, trace_id: idOf(log.traceId), span_id: idOf(log.spanId) }
  const name = log.eventName !== '' ? log.eventName : typeof all['event.name'] === 'string' ? all['event.name'] : ''
  if (name === exported.message) return exportedMessage(all, at, place)
  if (name === exported.event) return exportedEvent(all, at, place)
  if (name === exported.error) return errorOfException(all, at, place)
  const attributes = withoutContent(all)
  const speaker: Speaker = {
    ...{ ...place, conversation: null, model: null, provider: null, tool: null },
    ...{ ms: null, tokens: { input: null, output: null } },
  }
  const message = messageOfEvent(name, withRole(attributes, body), at, 0, speaker)
  if (message !== null) return message
  const isFailure = all['exception.type'] !== undefined || all['exception.message'] !== undefined
  if (!isFailure && log.severityNumber < errorSeverity)
    return eventOf(log, attributes, body, at, { place, name, scene })
  const logged = typeof body === 'string' ? body : body === null ? '' : JSON.stringify(body)
  const logger: Attributes = scene.scope === '' ? {} : { logger: scene.scope }
  const said: Attributes =
    all['exception.message'] === undefined ? {} : { log_message: cutText(logged, messageBytesMax) }
  const extra: Attributes = logged === '' || logged === all['exception.message'] ? {} : said
  const otherwise = { type: log.severityText.trim() === '' ? severityOf(log) : log.severityText, message: logged }
  return errorOfException({ ...logger, ...extra, ...attributes }, at, place, otherwise)
}

/** The names under which `telltale export` writes what OTLP has no form for. */
export const exported = {
  message: 'telltale.message',
  event: 'telltale.event',
  error: 'telltale.error',
} as const

type Place = { readonly processId: string; readonly trace_id: string | null; readonly span_id: string | null }

function idOf(bytes: Uint8Array): string | null {
  const hex = hexOf(bytes)
  return /^0*$/.test(hex) ? null : hex
}

function severityOf(log: LogRecord): string {
  return severities[Math.min(6, Math.ceil(Math.max(0, log.severityNumber) / 4))] as string
}

/** Messages say whose they are in their body. */
function withRole(attributes: Attributes, body: Json): Attributes {
  const role = isObject(body) ? body.role : undefined
  return typeof role === 'string' ? { ...attributes, role } : attributes
}

function eventOf(
  log: LogRecord,
  attributes: Attributes,
  body: Json,
  at: number,
  { place, name, scene }: { readonly place: Place; readonly name: string; readonly scene: OtlpScene },
): WireRecord {
  const { processId, trace_id, span_id } = place
  const picker = createPicker(attributes)
  const level = severityOf(log)
  const size = body === null ? null : utf8Bytes(typeof body === 'string' ? body : JSON.stringify(body))
  return {
    type: 'event',
    event_id: contentIdOf('event', [processId, trace_id, span_id, at, scene.scope, name, level, body, attributes]),
    at_us: at,
    trace_id,
    span_id,
    connection_type: 'log',
    direction: level,
    script_name: scene.scope === '' ? null : scene.scope,
    function_name: picker.text('code.function.name', 'code.function') ?? (name === '' ? null : name),
    data_size_bytes: size,
    metadata: picker.rest(),
  }
}

/** The members under a prefix, as `telltale export` wrote them. */
function membersOf(attributes: Attributes, prefix: string): { readonly [field: string]: Json } {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([key, value]) =>
      key.startsWith(prefix) ? [[key.slice(prefix.length), value]] : [],
    ),
  )
}

function exportedMessage(attributes: Attributes, at: number, place: Place): WireRecord {
  const fields = membersOf(attributes, `${exported.message}.`)
  return { ...fields, ...typedAs('message', 'message_id', fields.message_id, attributes, at, place) }
}

function exportedEvent(attributes: Attributes, at: number, place: Place): WireRecord {
  const fields = membersOf(attributes, `${exported.event}.`)
  return { ...fields, ...typedAs('event', 'event_id', fields.event_id, attributes, at, place) }
}

function typedAs(
  type: 'message' | 'event',
  idName: string,
  id: Json | undefined,
  attributes: Attributes,
  at: number,
  { processId, trace_id, span_id }: Place,
): WireRecord {
  const known = typeof id === 'string' && uuidForm.test(id) ? id : contentIdOf(type, [processId, at, attributes])
  return { type, [idName]: known, at_us: at, trace_id, span_id }
}
