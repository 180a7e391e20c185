import { randomUUID } from 'node:crypto'
import {
  type Attributes,
  type ConnectionEvent,
  type Json,
  type Message,
  messageFields,
  type Span,
} from '../core/record.ts'
import { RecordedSpan, type SpanHandle } from './recorded_span.ts'
import type { EventFields, MessageFields } from './reporter_surface.ts'
import { parentOf } from './span_kin.ts'

// What a message of any kind may say. A time and a mode are those of an answer: what was asked has none.
const answerFields: ReadonlySet<string> = new Set(['response_time_ms', 'thinking_mode'])
const askingRoles: ReadonlySet<unknown> = new Set(['user', 'system', 'developer'])

/**
 * A message, with what it leaves out (or gives as null) taken from what is known of its span, then of the spans around
 * it, then of the last provider call of its trace. `metadata.missing` lists the fields that stay null all the same.
 * `nowUs`: µs since the epoch.
 */
export function messageOf(message: MessageFields, span: SpanHandle | null, nowUs: number): Message {
  const asked = askingRoles.has(message.role)
  const known = { ...knownOf(span, nowUs, asked), ...given(message) }
  const fields = {
    trace_id: span?.traceId || null,
    span_id: span?.spanId || null,
    conversation_id: null,
    role: null,
    model_used: null,
    provider_used: null,
    response_time_ms: null,
    tool_name: null,
    thinking_mode: null,
    token_usage: null,
    ...known,
  }
  const missing = messageFields.filter((name) => fields[name] === null && !(asked && answerFields.has(name)))
  const metadata: Attributes = { ...message.metadata, ...(missing.length > 0 ? { missing } : {}) }
  return { ...fields, metadata, type: 'message', message_id: randomUUID(), at_us: nowUs }
}

/** An event with every field; `undefined` is null. `nowUs`: µs since the epoch, where the event names no time. */
export function eventOf(event: EventFields, span: SpanHandle | null, nowUs: number): ConnectionEvent {
  const { connection_type, direction } = event
  return {
    at_us: nowUs,
    event_id: randomUUID(),
    trace_id: span?.traceId || null,
    span_id: span?.spanId || null,
    script_name: null,
    function_name: null,
    data_size_bytes: null,
    response_time_ms: null,
    error: null,
    error_type: null,
    error_traceback: null,
    metadata: {},
    ...given(event),
    connection_type,
    direction,
    type: 'event',
  }
}

/** Without the fields that say nothing. */
function given<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null && value !== ''),
  ) as Partial<T>
}

type Known = { -readonly [field in keyof Message]?: Message[field] }

function knownOf(span: SpanHandle | null, nowUs: number, asked: boolean): Known {
  const known: Known = {}
  if (!(span instanceof RecordedSpan)) return known
  let root = span
  for (let at: RecordedSpan | null = span; at; at = parentOf(at)) {
    complete(known, spanOf(at))
    root = at
  }
  const call = root.providerCall
  if (call) complete(known, spanOf(call))
  if (asked) return known
  // How long the answer took is how long the model was called; without such a call, how long the message's span lasts.
  const { start_us, end_us } = spanOf(call ?? span)
  known.response_time_ms = ((end_us ?? nowUs) - start_us) / 1_000
  return known
}

/** The span as it would be recorded now. */
function spanOf(span: RecordedSpan): Span {
  return JSON.parse(span.json()) as Span
}

function complete(known: Known, span: Span): void {
  const { attributes } = span
  known.conversation_id ??= span.session?.key ?? null
  known.tool_name ??= span.tool
  known.provider_used ??= span.provider
  known.model_used ??= span.model
  known.thinking_mode ??= textOf(attributes.thinking_mode ?? attributes['telltale.thinking_mode'])
  known.token_usage ??= tokensOf(span)
}

function tokensOf({ tokens_in, tokens_out }: Span): Json {
  if (tokens_in === null && tokens_out === null) return null
  return {
    ...(tokens_in === null ? {} : { prompt_tokens: tokens_in }),
    ...(tokens_out === null ? {} : { completion_tokens: tokens_out }),
    ...(tokens_in === null || tokens_out === null ? {} : { total_tokens: tokens_in + tokens_out }),
  }
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null
}
