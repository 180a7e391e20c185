import { isObject } from '../core/json_object.ts'
import type { ProcessInfo, Source, TelltaleRecord } from '../core/record.ts'
import { recordTypes } from '../core/record.ts'
import { err, ok, type Result } from '../core/result.ts'
import { parseClientLine } from './client_log.ts'
import type { LogEntry } from './log_entry.ts'
import { parseMetricLine } from './metric_log.ts'
import { parseToolLine } from './tool_log.ts'

/**
 * One line of any log that can be imported: shapes may mix in one file, so each line is judged by itself. An error says
 * why it is refused, in words that many lines share.
 */
export function parseLogLine(text: string): Result<LogEntry> {
  const line = text.trim()
  if (line === '') return ok({ kind: 'prose' })
  if (!line.startsWith('{')) {
    const entry = parseClientLine(line)
    return entry === null ? err('it is neither JSON nor a line of an MCP client') : ok(entry)
  }
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return err('it is damaged: no JSON')
  }
  if (!isObject(value)) return err('it is no JSON object')
  if ('telltale' in value) return exportedOf(value)
  return parseToolLine(value) ?? parseMetricLine(value) ?? err('its shape is unknown')
}

/** A line of Telltale's own export; the edge checks the record itself. */
function exportedOf({ telltale, source, process, record }: { readonly [name: string]: unknown }): Result<LogEntry> {
  if (telltale !== 1) return err('it was exported by a version that is unknown here')
  if (!isObject(source) || !isObject(process) || !isObject(record))
    return err('it is damaged: source, process or record is missing')
  if (!recordTypes.some((type) => type === record.type)) return err('its record is of an unknown type')
  return ok({
    kind: 'exported',
    source: source as unknown as Source,
    process: process as unknown as ProcessInfo,
    record: record as unknown as TelltaleRecord,
  })
}
