import type { Batch, Json, RunningCall, TelltaleRecord } from '../core/record.ts'
import { redacted, withoutSecrets } from '../core/secret_form.ts'
import { bareRecord, bareRunning, unredactable } from './bare_record.ts'
import { isSecret, type Redactor, redactId, redactJson, redactText, rotation } from './redact_json.ts'

/**
 * The record without known secrets: by the names they stand under and by their own form, in every text that it
 * carries; the same record where there are none. Where redaction itself fails, it loses its content and keeps its
 * timing. Never throws.
 */
export function redactRecord(record: TelltaleRecord, redactor: Redactor = withoutSecrets): TelltaleRecord {
  try {
    return redactFields(record, redactor)
  } catch {
    return bareRecord(record)
  }
}

/** The same for an entry of the running list. */
export function redactRunning(call: RunningCall, redactor: Redactor = withoutSecrets): RunningCall {
  try {
    return {
      ...call,
      layer: redactText(call.layer, redactor),
      name: redactText(call.name, redactor),
      tool: call.tool === null ? null : redactText(call.tool, redactor),
      session: call.session === null ? null : redactId(call.session, redactor),
    }
  } catch {
    return bareRunning(call)
  }
}

/** Where a batch comes from and what it counts, likewise. Never throws. */
export function redactOrigin<T extends Pick<Batch, 'source' | 'process' | 'counters'>>(
  { source, process, counters }: T,
  redactor: Redactor = withoutSecrets,
): Pick<Batch, 'source' | 'process' | 'counters'> {
  const clean = (text: string): string => {
    try {
      return redactId(text, redactor)
    } catch {
      return unredactable
    }
  }
  const cleanOrNull = (text: string | null): string | null => (text === null ? null : clean(text))
  const { service, instance, environment, version } = source
  const dropped: { [reason: string]: number } = {}
  for (const [reason, count] of Object.entries(counters.dropped)) dropped[clean(reason)] = count
  return {
    source: {
      service: clean(service),
      instance: clean(instance),
      environment: clean(environment),
      version: cleanOrNull(version),
    },
    process: { ...process, host: cleanOrNull(process.host), sdk: clean(process.sdk) },
    counters: { ...counters, dropped },
  }
}

/** Fields that tell one thing from another. */
const idFields: ReadonlySet<string> = new Set(['request_id', 'conversation_id'])

function redactFields(record: TelltaleRecord, redactor: Redactor): TelltaleRecord {
  const fields = record as unknown as { readonly [field: string]: Json }
  const rotates = fields.tool === rotation || fields.name === rotation || fields.function_name === rotation
  let clean: { [field: string]: Json } | null = null
  for (const field in fields) {
    if (field === 'type') continue
    const before = fields[field] as Json
    const after = redactField(field, before, redactor, rotates)
    if (after === before) continue
    clean ??= { ...fields }
    clean[field] = after
  }
  return clean === null ? record : (clean as unknown as TelltaleRecord)
}

/** A host may add fields of its own, in which names count as they do in attributes. */
function redactField(field: string, value: Json, redactor: Redactor, rotates: boolean): Json {
  if (isSecret(field, value)) return redacted
  if (typeof value === 'string') return idFields.has(field) ? redactId(value, redactor) : redactText(value, redactor)
  if (field === 'session' && isSession(value)) {
    const key = redactId(value.key, redactor)
    return key === value.key ? value : { ...value, key }
  }
  return redactJson(value, redactor, rotates)
}

function isSession(value: Json): value is { readonly key: string; readonly rule: string } {
  return typeof value === 'object' && value !== null && 'key' in value && typeof value.key === 'string'
}
