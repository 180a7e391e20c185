import { layers } from '../../src/core/layer.ts'
import type { Attributes, Batch, Json, RunningCall, TelltaleRecord } from '../../src/core/record.ts'
import { cutText, utf8Bytes } from '../../src/wire/wire_text.ts'
import { isSecretName, redacted, withoutSecrets } from './secret_form.ts'

/** The tool whose arguments `old` and `new` are tokens, though their names do not say so. */
const rotation = 'rotate_token'

/** Stands in for the content of a record whose redaction failed. */
export const unredactable = '[dropped: redaction failed]'

type Redactor = (text: string) => string

/**
 * The batch without known secrets: by the names they stand under and by their own form, in every text that a record
 * carries. Where redaction itself fails, the record loses its content and keeps its timing.
 */
export function redactBatch(batch: Batch, redactor: Redactor = withoutSecrets): Batch {
  return {
    ...batch,
    running: batch.running.map((call) =>
      safely(
        () => redactRunning(call, redactor),
        () => bareRunning(call),
      ),
    ),
    records: batch.records.map((record) =>
      safely(
        () => redactRecord(record, redactor),
        () => bareRecord(record),
      ),
    ),
  }
}

function safely<T>(redact: () => T, bare: () => T): T {
  try {
    return redact()
  } catch {
    return bare()
  }
}

/** Texts that identify a trace or are checked against a closed list; they hold no secret. */
const plain: ReadonlySet<string> = new Set([
  'type',
  'trace_id',
  'span_id',
  'parent_span_id',
  'kind',
  'outcome',
  'error_id',
  'message_id',
  'event_id',
])
/** Free-form fields, in which names count. */
const free: ReadonlySet<string> = new Set(['attributes', 'context', 'metadata', 'labels', 'token_usage'])

function redactRecord(record: TelltaleRecord, redactor: Redactor): TelltaleRecord {
  const fields = record as unknown as { readonly [field: string]: Json }
  const rotates = fields.tool === rotation || fields.name === rotation || fields.function_name === rotation
  let clean: { [field: string]: Json } | null = null
  for (const field in fields) {
    if (plain.has(field)) continue
    const before = fields[field] as Json
    const after = free.has(field) ? redactJson(before, redactor, rotates) : redactField(before, redactor)
    if (after === before) continue
    clean ??= { ...fields }
    clean[field] = after
  }
  return clean === null ? record : (clean as unknown as TelltaleRecord)
}

/** A typed field: a text, or the session, whose key is a text. */
function redactField(value: Json, redactor: Redactor): Json {
  if (typeof value === 'string') return redactText(value, redactor)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const session = value as { readonly key: string; readonly rule: string }
  const key = redactText(session.key, redactor)
  return key === session.key ? value : { key, rule: session.rule }
}

/** Keeps the text within the bytes that it had, so that no limit is broken by what stands in for a secret. */
function redactText(text: string, redactor: Redactor): string {
  const clean = redactor(text)
  return clean.length > text.length ? cutText(clean, Math.max(utf8Bytes(text), redacted.length)) : clean
}

/** Any JSON value; the same value when nothing in it is secret. `rotates`: `old` and `new` are tokens here. */
function redactJson(value: Json, redactor: Redactor, rotates: boolean): Json {
  if (typeof value === 'string') return redactText(value, redactor)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    const items = value as readonly Json[]
    const clean = items.map((item) => redactJson(item, redactor, rotates))
    return clean.some((item, index) => item !== items[index]) ? clean : value
  }
  const bag = value as Attributes
  const rotating = rotates || Object.values(bag).includes(rotation)
  let clean: { [key: string]: Json } | null = null
  for (const [name, before] of Object.entries(bag)) {
    const key = redactText(name, redactor)
    const after = isSecret(name, before, rotating)
      ? redacted
      : redactJson(before, redactor, rotating || name === rotation)
    if (after === before && key === name) continue
    clean ??= { ...bag }
    if (key !== name) delete clean[name]
    clean[key] = after
  }
  return clean ?? value
}

/** A flag or an absence is no secret (`has_password: true`), nor is a number under a token's name (`max_token: 4096`). */
function isSecret(name: string, value: Json, rotating: boolean): boolean {
  if (value === null || typeof value === 'boolean' || value === '') return false
  if (rotating && (name === 'old' || name === 'new')) return true
  return isSecretName(name) && !(typeof value === 'number' && /token/i.test(name))
}

function redactRunning(call: RunningCall, redactor: Redactor): RunningCall {
  return {
    ...call,
    layer: redactText(call.layer, redactor),
    name: redactText(call.name, redactor),
    tool: call.tool === null ? null : redactText(call.tool, redactor),
    session: call.session === null ? null : redactText(call.session, redactor),
  }
}

function bareRunning(call: RunningCall): RunningCall {
  return { ...call, layer: 'unknown', name: unredactable, tool: null, session: null }
}

/** Ids, times, sizes and outcome; of the texts only that they are gone. */
function bareRecord(record: TelltaleRecord): TelltaleRecord {
  switch (record.type) {
    case 'span': {
      const layer = layers.some((known) => known === record.layer) ? record.layer : 'unknown'
      const bare = { layer, name: unredactable, request_id: null, session: null, tool: null }
      return { ...record, ...bare, provider: null, model: null, holder: null, attributes: {} }
    }
    case 'error':
      return { ...record, error_type: unredactable, message: unredactable, traceback: null, context: {} }
    case 'message': {
      const bare = { conversation_id: null, role: null, model_used: null, provider_used: null, tool_name: null }
      return { ...record, ...bare, thinking_mode: null, token_usage: null, metadata: {} }
    }
    case 'event': {
      const failed = record.error === null ? null : unredactable
      const bare = { connection_type: 'unknown', direction: 'unknown', script_name: null, function_name: null }
      return { ...record, ...bare, error: failed, error_type: null, error_traceback: null, metadata: {} }
    }
    case 'gauge':
      return { ...record, name: unredactable, labels: {} }
  }
}
