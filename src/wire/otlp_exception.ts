import type { Attributes, Json } from '../core/record.ts'
import { contentIdOf, uuidForm } from './otlp_id.ts'
import { createPicker } from './otlp_picker.ts'

/** In which process, trace and span something failed, and at what. */
export type ErrorPlace = {
  readonly processId: string
  readonly trace_id: string | null
  readonly span_id: string | null
  /** Name of the span, when it is known. */
  readonly operation?: string
}

/**
 * An exception as OTLP tells of it (https://opentelemetry.io/docs/specs/semconv/exceptions/) as an error. Its id comes
 * from where, when and what, so that the same exception sent again is the same error. `otherwise` is what it says of
 * itself where the attributes do not.
 */
export function errorOfException(
  attributes: Attributes,
  at: number,
  { processId, trace_id, span_id, operation }: ErrorPlace,
  otherwise: { readonly type?: string | null; readonly message?: string | null } = {},
) {
  const picker = createPicker(attributes)
  const type = picker.text('exception.type', 'error.type') ?? otherwise.type ?? 'Error'
  const message = picker.text('exception.message', 'error.message') ?? otherwise.message ?? ''
  const traceback = picker.text('exception.stacktrace', 'error.stack')
  const id = picker.text('telltale.error_id')
  const context: { [key: string]: Json } = { ...picker.rest() }
  if (operation !== undefined && operation !== '') context.operation ??= operation
  return {
    type: 'error',
    error_id:
      id !== null && uuidForm.test(id)
        ? id
        : contentIdOf('error', [processId, trace_id, span_id, at, type, message, traceback]),
    at_us: at,
    trace_id,
    span_id,
    error_type: type,
    message,
    traceback,
    context,
  }
}

/** A span that failed without an exception: an error when it says anything of it, null when the outcome says it all. */
export function errorOfStatus(message: string, attributes: Attributes, at: number, place: ErrorPlace) {
  const type = attributes['error.type']
  const named = typeof type === 'string' && type.trim() !== '' ? type : null
  if (message.trim() === '' && named === null) return null
  const status = attributes['http.response.status_code'] ?? attributes['http.status_code']
  const said = message.trim() === '' ? `${place.operation ?? 'span'} failed` : message
  const context: Attributes = status === undefined ? {} : { 'http.response.status_code': status }
  return errorOfException(context, at, place, { type: named, message: said })
}
