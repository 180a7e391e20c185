import { isObject } from '../core/json_object.ts'
import type { Attributes, ConnectionEvent, Json } from '../core/record.ts'
import { err, ok, type Result } from '../core/result.ts'
import { type LogEntry, type LoggedRecord, microsOf } from './log_entry.ts'

type Line = { readonly [name: string]: unknown }

const unplaced = { trace_id: null, span_id: null } as const

/**
 * One line of a daemon's `metrics.jsonl` (`token_usage`, `provider_error`, `file_count_delta`, `file_cache`), of
 * `routeplan/*.jsonl` or `telemetry/*.jsonl` (any object with an event and a time), or its `ws_daemon.health.json`.
 * Null: it is no such line.
 */
export function parseMetricLine(line: Line): Result<LogEntry> | null {
  const event = textOf(line.event) ?? textOf(line.type) ?? textOf(line.kind)
  const isHealth = event === null && 't' in line && ('global_inflight' in line || 'global_capacity' in line)
  if (event === null && !isHealth) return null
  const atUs = microsOf(line.t) ?? microsOf(line.ts) ?? microsOf(line.timestamp)
  if (atUs === null) return err('its time is none')
  const records = isHealth ? healthOf(line, atUs) : recordsOf(event ?? '', line, atUs)
  return records.length === 0 ? err('it has no value') : ok({ kind: 'record', records })
}

function recordsOf(event: string, line: Line, atUs: number): readonly LoggedRecord[] {
  const provider = textOf(line.provider)
  switch (event) {
    case 'token_usage':
      return [
        {
          type: 'message',
          at_us: atUs,
          ...unplaced,
          conversation_id: null,
          role: 'assistant',
          model_used: textOf(line.model),
          provider_used: provider,
          response_time_ms: null,
          tool_name: null,
          thinking_mode: null,
          token_usage: { input_tokens: countOf(line.input_tokens), output_tokens: countOf(line.output_tokens) },
          metadata: { 'log.event': event },
        },
      ]
    case 'provider_error': {
      const context = { provider, model: textOf(line.model) }
      const message = textOf(line.message) ?? 'Cannot say what failed: the line does not'
      const error_type = textOf(line.error_type) ?? 'ProviderError'
      return [{ type: 'error', at_us: atUs, ...unplaced, error_type, message, traceback: null, context }]
    }
    case 'file_count_delta':
      return gaugeOf('file_count_delta', line.delta, atUs, provider === null ? {} : { provider })
    case 'file_cache':
      return [eventOf(event, textOf(line.action) ?? event, line, atUs)]
    case 'route_plan':
      return [eventOf('router', event, line, atUs)]
    default:
      return [eventOf('telemetry', event, line, atUs)]
  }
}

/** `websocket_connections` as the daemon counts sessions, and its permits. */
function healthOf(line: Line, atUs: number): readonly LoggedRecord[] {
  return [
    ...gaugeOf('websocket_connections', line.sessions, atUs, {}),
    ...gaugeOf('permits_in_use', line.global_inflight, atUs, { name: 'global' }),
    ...gaugeOf('permits_max', line.global_capacity, atUs, { name: 'global' }),
    ...gaugeOf('tool_count', line.tool_count, atUs, {}),
  ]
}

function gaugeOf(
  name: string,
  value: unknown,
  atUs: number,
  labels: { readonly [name: string]: string },
): LoggedRecord[] {
  const number = Array.isArray(value) ? value.length : value
  if (typeof number !== 'number' || !Number.isFinite(number)) return []
  return [{ type: 'gauge', name, at_us: atUs, value: number, labels }]
}

function eventOf(connection: string, direction: string, line: Line, atUs: number): Omit<ConnectionEvent, 'event_id'> {
  const { t: _t, ts: _ts, timestamp: _timestamp, ...rest } = line
  return {
    type: 'event',
    at_us: atUs,
    ...unplaced,
    connection_type: connection,
    direction,
    script_name: null,
    function_name: null,
    data_size_bytes: null,
    response_time_ms: null,
    error: null,
    error_type: null,
    error_traceback: null,
    metadata: plainOf(rest),
  }
}

/** Names, numbers and what is short: telemetry may carry whole prompts. */
function plainOf(line: Line): Attributes {
  return Object.fromEntries(
    Object.entries(line).map(([name, value]): [string, Json] => {
      if (typeof value === 'string') return [name, value.length <= 256 ? value : `string(${value.length})`]
      if (Array.isArray(value)) return [name, `array(${value.length})`]
      if (isObject(value)) return [name, `object(${Object.keys(value).length})`]
      return [name, value as Json]
    }),
  )
}

function countOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}
