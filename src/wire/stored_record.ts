import { isObject } from '../core/json_object.ts'
import type { ProcessInfo, Source, Span, TelltaleRecord } from '../core/record.ts'
import { sessionRules } from '../core/record.ts'
import type { StoredSpan, StoredSpans } from '../core/trace.ts'

export const exportKinds = ['traces', 'errors', 'messages', 'gauges'] as const
export type ExportKind = (typeof exportKinds)[number]

type From = { readonly source: Source; readonly process: ProcessInfo }

/** What `telltale.export_page` answers: rows as the tables have them, and every process that they name. */
export type ExportPage = {
  readonly rows: readonly { readonly [field: string]: unknown }[]
  readonly processes: { readonly [id: string]: From }
  readonly next: string | null
}

/** @throws Error when it is no page */
export function parseExportPage(answer: unknown): ExportPage {
  if (!isObject(answer) || !Array.isArray(answer.rows) || !isObject(answer.processes)) {
    throw new Error(`Cannot read the answer of export_page: it is ${typeof answer}`)
  }
  return answer as unknown as ExportPage
}

/**
 * The records of a page as they were recorded, each with where it came from; what names a process that is forgotten is
 * left out and counted. A call that the tick concluded is open again: its end was never recorded.
 */
export function recordsOfPage(kind: ExportKind, page: ExportPage) {
  const records: (From & { readonly record: TelltaleRecord })[] = []
  let orphans = 0
  const add = (process: unknown, record: TelltaleRecord): void => {
    const from = page.processes[String(process)]
    if (from === undefined) orphans += 1
    else records.push({ source: from.source, process: from.process, record })
  }
  for (const row of page.rows) {
    if (kind !== 'traces') {
      const { process_id, ...fields } = row
      add(process_id, recordOfRow(kind, fields))
      continue
    }
    for (const [spanId, stored] of Object.entries(row.spans as StoredSpans)) {
      add(stored.process, spanOf(row.trace_id as string, spanId, stored))
    }
  }
  return { records, orphans }
}

function spanOf(trace_id: string, span_id: string, stored: StoredSpan): Span {
  const { process: _, concluded, session_key, session_rule, ...fields } = stored
  const rule = sessionRules.find((known) => known === session_rule) ?? 'explicit'
  const open = concluded === true ? { end_us: null, outcome: null } : {}
  return {
    ...nullSpan,
    ...fields,
    ...open,
    ...{ type: 'span', trace_id, span_id },
    session: session_key === undefined ? null : { key: session_key, rule },
  } as Span
}

const nullSpan = {
  ...{ parent_span_id: null, kind: 'work', end_us: null, outcome: null, entry: false, request_id: null },
  ...{ call_number: null, tool: null, provider: null, model: null, bytes_in: null, bytes_out: null },
  ...{ tokens_in: null, tokens_out: null, holder: null, attributes: {} },
} as const

/** The columns of a row are the fields of its record; an error that came as an event becomes that event again. */
function recordOfRow(kind: Exclude<ExportKind, 'traces'>, row: { readonly [field: string]: unknown }): TelltaleRecord {
  if (kind === 'messages') return { type: 'message', ...row } as unknown as TelltaleRecord
  if (kind === 'gauges') return { type: 'gauge', ...row } as unknown as TelltaleRecord
  const { error_id, error_type, message, traceback, context, connection_type, ...rest } = row
  const { direction, script_name, function_name, data_size_bytes, response_time_ms, metadata, ...at } = rest
  if (connection_type === null) {
    return { type: 'error', error_id, ...at, error_type, message, traceback, context } as unknown as TelltaleRecord
  }
  const event = { connection_type, direction, script_name, function_name, data_size_bytes, response_time_ms }
  const failure = { error: message, error_type, error_traceback: traceback, metadata: metadata ?? {} }
  return { type: 'event', event_id: error_id, ...at, ...event, ...failure } as unknown as TelltaleRecord
}
