import { isObject } from '../core/json_object.ts'
import { err, ok, type Result } from '../core/result.ts'
import { type LogEntry, type LoggedCall, microsOf } from './log_entry.ts'

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
  const startUs = microsOf(line.start_ts)
  const latencyUs = durationOf(line.latency_ms, 1_000)
  const endUs = microsOf(line.end_ts) ?? (startUs === null || latencyUs === null ? null : startUs + latencyUs)
  if (startUs === null) return err('its start_ts is no time')
  if (endUs === null) return err('it says neither when it ended nor how long it took')
  const error = textOf(line.error) ?? (line.ok === false ? 'Cannot say why the call failed: its line does not' : null)
  return ok({ kind: 'call', startUs, endUs: Math.max(startUs, endUs), error, call })
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

function callOf(line: Line, tool: string): LoggedCall {
  const args = isObject(line.args) ? line.args : isObject(line.params) ? line.params : null
  const counts = ['result_preview_len', 'summary_words'].flatMap((name) =>
    typeof line[name] === 'number' ? [[`log.${name}`, line[name]] as const] : [],
  )
  return {
    tool,
    requestId: textOf(line.request_id),
    provider: textOf(line.provider),
    args,
    attributes: {
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
