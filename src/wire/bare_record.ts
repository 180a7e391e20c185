import { layers } from '../core/layer.ts'
import { outcomes } from '../core/outcome.ts'
import { type Json, type RunningCall, spanKinds, type TelltaleRecord } from '../core/record.ts'

/** Stands in for the content of a record whose redaction failed. */
export const unredactable = '[dropped: redaction failed]'

/** Ids, times, sizes and ends, by the type of the record. */
const kept: { readonly [type in TelltaleRecord['type']]: readonly string[] } = {
  span: [
    ...['trace_id', 'span_id', 'parent_span_id', 'layer', 'kind', 'start_us', 'end_us', 'outcome', 'entry'],
    ...['call_number', 'bytes_in', 'bytes_out', 'tokens_in', 'tokens_out'],
  ],
  error: ['error_id', 'at_us', 'trace_id', 'span_id'],
  message: ['message_id', 'at_us', 'trace_id', 'span_id', 'response_time_ms'],
  event: ['event_id', 'at_us', 'trace_id', 'span_id', 'data_size_bytes', 'response_time_ms'],
  gauge: ['at_us', 'value'],
}

const closed: ReadonlySet<string> = new Set([...layers, ...outcomes, ...spanKinds])
const idForm = /^[0-9a-f-]{16,36}$/i

/** The record without any text of its own: what was said is gone, when and how long and how large is still told. */
export function bareRecord(record: TelltaleRecord): TelltaleRecord {
  const fields = record as unknown as { readonly [field: string]: Json }
  const told = kept[record.type].filter((field) => isBare(fields[field]))
  return { ...emptyOf(record), ...Object.fromEntries(told.map((field) => [field, fields[field]])) } as TelltaleRecord
}

export function bareRunning({ trace_id, span_id, start_us }: RunningCall): RunningCall {
  return { trace_id, span_id, layer: 'unknown', name: unredactable, tool: null, session: null, start_us }
}

function isBare(value: Json | undefined): boolean {
  if (typeof value === 'string') return closed.has(value) || idForm.test(value)
  return value === null || typeof value === 'number' || typeof value === 'boolean'
}

function emptyOf(record: TelltaleRecord): { readonly [field: string]: Json } {
  switch (record.type) {
    case 'span': {
      const names = { layer: 'unknown', name: unredactable, tool: null, provider: null, model: null, holder: null }
      return { type: 'span', ...names, parent_span_id: null, request_id: null, session: null, attributes: {} }
    }
    case 'error':
      return { type: 'error', error_type: unredactable, message: unredactable, traceback: null, context: {} }
    case 'message': {
      const names = { conversation_id: null, role: null, model_used: null, provider_used: null, tool_name: null }
      return { type: 'message', ...names, thinking_mode: null, token_usage: null, metadata: {} }
    }
    case 'event': {
      const failure = { error: record.error === null ? null : unredactable, error_type: null, error_traceback: null }
      const names = { connection_type: 'unknown', direction: 'unknown', script_name: null, function_name: null }
      return { type: 'event', ...names, ...failure, metadata: {} }
    }
    case 'gauge':
      return { type: 'gauge', name: unredactable, labels: {} }
  }
}
