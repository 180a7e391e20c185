import type { Json, RunningCall, TelltaleRecord } from '../core/record.ts'
import { redacted, withoutSecrets } from '../core/secret_form.ts'
import { bareRecord, bareRunning } from './bare_record.ts'
import { isSecret, type Redactor, redactJson, redactText, rotation } from './redact_json.ts'

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
      session: call.session === null ? null : redactText(call.session, redactor),
    }
  } catch {
    return bareRunning(call)
  }
}

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
  if (typeof value === 'string') return redactText(value, redactor)
  return redactJson(value, redactor, rotates)
}
