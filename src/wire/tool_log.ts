import { isObject } from '../core/json_object.ts'
import { err, ok, type Result } from '../core/result.ts'
import { type LogEntry, type LoggedCall, type LoggedRecord, microsOf } from './log_entry.ts'

type Line = { readonly [name: string]: unknown }

/**
 * One line of a daemon's `toolcalls.jsonl`, whoever of its writers wrote it: a whole call with `start_ts` and `end_ts`;
 * `tool_start`, `tool_progress`, `tool_complete`, `tool_error`; or a call that ended, with `duration_s` or `duration_secs`.
 * Null: it is no such line.
 */
export function parseToolLine(line: Line): Result<LogEntry> | null {
  const tool = textOf(line.tool_name) ?? textOf(line.tool)
  if (tool === null) return null
  const call = callOf(line, tool)
  if ('start_ts' in line || 'end_ts' in line) return wholeCallOf(line, call)
  const atUs = microsOf(line.timestamp)
  if (atUs === null) return err('its timestamp is no time')
  switch (line.event) {
    case 'tool_start':
      return ok({ kind: 'start', atUs, call })
    case 'tool_progress':
      return ok({ kind: 'progress', atUs, call })
    default:
      return endOf(line, atUs, call)
  }
}

function wholeCallOf(line: Line, call: LoggedCall): Result<LogEntry> {
  // A note beside a call that has a line of its own: as a call it would count that one twice, and as one of no time.
  if (line.provider === atTheDoor && isObject(line.args) && textOf(line.args.event) !== null)
    return noteOf(line, line.args, call)
  const startUs = microsOf(line.start_ts)
  const latencyUs = durationOf(line.latency_ms, 1_000)
  const endUs = microsOf(line.end_ts) ?? (startUs === null || latencyUs === null ? null : startUs + latencyUs)
  if (startUs === null) return err('its start_ts is no time')
  if (endUs === null) return err('it says neither when it ended nor how long it took')
  const error = textOf(line.error) ?? (line.ok === false ? 'Cannot say why the call failed: its line does not' : null)
  return ok({ kind: 'call', startUs, endUs: Math.max(startUs, endUs), error, call })
}

/** What a writer notes of a call that it logged before, such as TOOL_COMPLETED: an event. */
function noteOf(line: Line, args: Line, call: LoggedCall): Result<LogEntry> {
  const atUs = microsOf(line.end_ts) ?? microsOf(line.start_ts)
  if (atUs === null) return err('its start_ts is no time')
  const metadata = call.requestId === null ? {} : { request_id: call.requestId }
  const event: LoggedRecord = {
    type: 'event',
    at_us: atUs,
    trace_id: null,
    span_id: null,
    connection_type: 'tool',
    direction: noteNameOf(textOf(args.event) ?? ''),
    script_name: null,
    function_name: call.tool,
    data_size_bytes: null,
    response_time_ms: null,
    error: textOf(line.error),
    error_type: null,
    error_traceback: null,
    metadata,
  }
  return ok({ kind: 'record', records: [event] })
}

/** As others are named: of what is no such word nothing is changed, so that a secret in it is known by its form. */
function noteNameOf(event: string): string {
  return /^TOOL_[A-Z_]{1,32}$/.test(event) ? event.toLowerCase() : event
}

function endOf(line: Line, atUs: number, call: LoggedCall): Result<LogEntry> {
  const durationUs = durationOf(line.duration_secs ?? line.duration_s, 1e6)
  const error = textOf(line.error)
  if (line.event !== 'tool_complete' && line.event !== 'tool_error' && durationUs === null && error === null) {
    return err('it says neither how long the call took nor how it failed')
  }
  const failed = error ?? (line.event === 'tool_error' ? 'Cannot say why the call failed: its line does not' : null)
  return ok({ kind: 'end', atUs, durationUs, error: failed, call })
}

/** Who writes at the daemon's door calls itself so: no provider. */
const atTheDoor = 'boundary'

function callOf(line: Line, tool: string): LoggedCall {
  const given = isObject(line.args) ? line.args : isObject(line.params) ? line.params : null
  const provider = textOf(line.provider)
  // At the door only their number is known, and whose request it is.
  const counted = provider === atTheDoor && given !== null && typeof given.arg_count === 'number'
  const counts = ['result_preview_len', 'summary_words'].flatMap((name) =>
    typeof line[name] === 'number' ? [[`log.${name}`, line[name]] as const] : [],
  )
  return {
    tool,
    requestId: textOf(line.request_id) ?? textOf(given?.req_id),
    provider: provider === atTheDoor ? null : provider,
    args: counted ? null : given,
    attributes: {
      ...(counted ? { 'log.arg_count': given.arg_count as number } : {}),
      ...Object.fromEntries(counts),
      ...(Array.isArray(line.citations) ? { 'log.citations': line.citations.length } : {}),
    },
  }
}

function durationOf(value: unknown, factor: number): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? Math.round(value * factor) : null
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
