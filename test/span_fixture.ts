import fc from 'fast-check'
import { outcomes } from '../src/core/outcome.ts'
import {
  type Attributes,
  type Batch,
  type ConnectionEvent,
  type ErrorRecord,
  type Gauge,
  type Message,
  type Span,
  sessionRules,
  type TelltaleRecord,
} from '../src/core/record.ts'
import { type StoredSpans, storedSpanOf } from '../src/core/trace.ts'

// Arbitraries for property tests. Everything they make passes the wire's checks when the clock stands near `base_us`.

/** 2026-09-14T13:46:40Z, in µs: where generated time begins unless a shape says otherwise. */
export const fixtureBaseUs = 1_789_393_600_000_000

/** Three processes, for traces that more than one recorder reports. */
export const fixtureProcesses = [
  '018f0000-0000-7000-8000-00000000000a',
  '018f0000-0000-7000-8000-00000000000b',
  '018f0000-0000-7000-8000-00000000000c',
] as const

/** The nth span id of a pool, from 0: 16 hex digits, never all zero. The pool sorts by n. */
export function spanIdOf(n: number): string {
  return (n + 1).toString(16).padStart(16, '0')
}

/** The nth trace id of a pool, from 0: 32 hex digits, never all zero. */
export function traceIdOf(n: number): string {
  return (n + 1).toString(16).padStart(32, 'a')
}

/** A span of which nothing is known but what every span has. It still runs. */
export const plainSpan: Span = {
  type: 'span',
  trace_id: traceIdOf(0),
  span_id: spanIdOf(0),
  parent_span_id: null,
  layer: 'tool',
  kind: 'work',
  name: 'call',
  start_us: fixtureBaseUs,
  end_us: null,
  outcome: null,
  entry: false,
  request_id: null,
  session: null,
  call_number: null,
  tool: null,
  provider: null,
  model: null,
  bytes_in: null,
  bytes_out: null,
  tokens_in: null,
  tokens_out: null,
  holder: null,
  attributes: {},
}

export type SpanShape = {
  /** How many trace ids to choose from. */
  readonly traceIds?: number
  /** How many span ids to choose from; few of them make repeats, orphans, self-parents and cycles. */
  readonly spanIds?: number
  /** Starts lie in [base_us, base_us + spread_us). */
  readonly base_us?: number
  readonly spread_us?: number
}

/** Names that break careless code: keys of Object.prototype, empty text, quotes, other planes. */
const names = ['read_file', 'chat', '__proto__', 'constructor', 'toString', 'a"b\\c', 'größe', '\u{1d4b3}\uffee', '42']

export const arbitraryName: fc.Arbitrary<string> = fc.constantFrom(...names)
const nameOrNull = fc.option(arbitraryName, { freq: 2 })
const layer = fc.constantFrom('shim', 'websocket', 'tool', 'provider', 'api', 'storage', 'gpu', '__proto__')
const size = fc.option(fc.nat(1_000_000), { freq: 2 })
const uuid = fc.uuid({ version: 4 })

/** Attributes of any JSON that survives Postgres: no NUL, no lone surrogate, numbers of every notation. */
export const arbitraryAttributes: fc.Arbitrary<Attributes> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Attributes>({}) },
  {
    weight: 1,
    arbitrary: fc.dictionary(
      fc.constantFrom('a', 'bb', 'é', 'zz', 'k"', '\u{1f600}', 'gen_ai.system'),
      fc.oneof(
        fc.constantFrom(null, true, false, 0, 1.5, -2.25e-7, 1e21, 1.5e300, 5e-324, '', 'x\ty\u0001"\\', '\u2028é'),
        fc.array(fc.constantFrom(1, 'two', null), { maxLength: 3 }),
        fc.constant({ b: 1, aa: { '': [] }, a: {} }),
      ),
      { maxKeys: 4, noNullPrototype: true },
    ) as fc.Arbitrary<Attributes>,
  },
)

const derivedAttributes = fc.constantFrom({ 'telltale.derived': true }, { 'telltale.derived': 1 })

/**
 * One span record. A third are pending; ends may equal starts, but never precede them. Its ids come from small pools,
 * so two spans may share an id and a parent may be missing, the span itself, or part of a circle.
 */
export function arbitrarySpan(shape: SpanShape = {}): fc.Arbitrary<Span> {
  const { traceIds = 3, spanIds = 8, base_us = fixtureBaseUs, spread_us = 200 } = shape
  const spanId = fc.nat(spanIds - 1).map(spanIdOf)
  return fc
    .record({
      type: fc.constant('span' as const),
      trace_id: fc.nat(traceIds - 1).map(traceIdOf),
      span_id: spanId,
      parent_span_id: fc.option(spanId, { freq: 3 }),
      layer,
      kind: fc.constantFrom('work' as const, 'work' as const, 'wait' as const),
      name: arbitraryName,
      start_us: fc.nat(spread_us - 1).map((n) => base_us + n),
      length_us: fc.option(fc.nat(spread_us), { freq: 2 }),
      outcome: fc.constantFrom(null, ...outcomes),
      entry: fc.boolean(),
      request_id: nameOrNull,
      session: fc.option(fc.record({ key: arbitraryName, rule: fc.constantFrom(...sessionRules) }), { freq: 2 }),
      call_number: fc.option(fc.integer({ min: 1, max: 9 }), { freq: 2 }),
      tool: nameOrNull,
      provider: nameOrNull,
      model: nameOrNull,
      bytes_in: size,
      bytes_out: size,
      tokens_in: size,
      tokens_out: size,
      holder: nameOrNull,
      attributes: fc.oneof({ weight: 4, arbitrary: arbitraryAttributes }, { weight: 1, arbitrary: derivedAttributes }),
    })
    .map(({ length_us, outcome, ...rest }) => ({
      ...rest,
      end_us: length_us === null ? null : rest.start_us + length_us,
      outcome: length_us === null ? null : outcome,
    }))
}

/** One trace as its recorders send it: pieces, each of one process, whose spans may repeat ids across and within. */
export type TracePieces = {
  readonly trace_id: string
  readonly pieces: readonly { readonly process: string; readonly spans: readonly Span[] }[]
}

/** One trace in 1 to `piecesMax` pieces of 1 to `spansMax` spans each; the pieces may be stored in any order. */
export function arbitraryTrace(
  shape: SpanShape & { readonly piecesMax?: number; readonly spansMax?: number } = {},
): fc.Arbitrary<TracePieces> {
  const { piecesMax = 3, spansMax = 8 } = shape
  const piece = fc.record({
    process: fc.constantFrom(...fixtureProcesses),
    spans: fc.array(arbitrarySpan({ ...shape, traceIds: 1 }), { minLength: 1, maxLength: spansMax }),
  })
  return fc.array(piece, { minLength: 1, maxLength: piecesMax }).map((pieces) => ({ trace_id: traceIdOf(0), pieces }))
}

/**
 * A trace's spans as they are stored, up to `spansMax`, of up to `processes` processes, whose clocks may be far apart
 * (each at most 2 * spread_us). Some ended ones were concluded by the tick. The keys are in no order.
 */
export function arbitraryStoredSpans(
  shape: SpanShape & { readonly spansMax?: number; readonly processes?: 1 | 2 | 3 } = {},
): fc.Arbitrary<StoredSpans> {
  const { spansMax = 8, spread_us = 200, processes = 3 } = shape
  const part = fc.record({
    span: arbitrarySpan({ ...shape, traceIds: 1 }),
    process: fc.nat(processes - 1),
    concluded: fc.constantFrom(false, false, false, true),
  })
  return fc
    .record({
      skews: fc.tuple(fc.constant(0), fc.nat(2 * spread_us), fc.nat(2 * spread_us)),
      parts: fc.array(part, { minLength: 1, maxLength: spansMax }),
    })
    .map(({ skews, parts }) =>
      Object.fromEntries(
        parts.map(({ span, process, concluded }) => {
          const skew = skews[process] as number
          const start_us = span.start_us + skew
          const end_us = span.end_us === null ? null : span.end_us + skew
          const stored = storedSpanOf({ ...span, start_us, end_us }, fixtureProcesses[process] as string)
          return [span.span_id, concluded && end_us !== null ? { ...stored, concluded: true as const } : stored]
        }),
      ),
    )
}

export type BatchShape = SpanShape & {
  readonly recordsMax?: number
  /** Which types of records; default all five. */
  readonly types?: readonly TelltaleRecord['type'][]
}

/** One record of any of the five types. Instants lie in [base_us, base_us + spread_us). */
export function arbitraryRecord(shape: BatchShape = {}): fc.Arbitrary<TelltaleRecord> {
  const { base_us = fixtureBaseUs, spread_us = 150_000_000, types } = shape
  const spans = { ...shape, base_us, spread_us }
  const at = fc.nat(spread_us - 1).map((n) => base_us + n)
  const ids = { at_us: at, trace_id: fc.option(fc.nat(2).map(traceIdOf)), span_id: fc.option(fc.nat(7).map(spanIdOf)) }
  const text = fc.option(fc.constantFrom('', 'boom', 'Traceback (most recent call last):\n  é\n'), { freq: 2 })
  const milliseconds = fc.option(fc.double({ min: 0, max: 90_000, noNaN: true }), { freq: 2 })
  const byType: { readonly [type in TelltaleRecord['type']]: fc.Arbitrary<TelltaleRecord> } = {
    span: arbitrarySpan(spans),
    error: fc.record<ErrorRecord>({
      ...ids,
      type: fc.constant('error'),
      error_id: uuid,
      error_type: arbitraryName,
      message: fc.constantFrom('boom', 'Cannot open file 17: ENOENT', ''),
      traceback: text,
      context: arbitraryAttributes,
    }),
    message: fc.record<Message>({
      ...ids,
      type: fc.constant('message'),
      message_id: uuid,
      conversation_id: nameOrNull,
      role: fc.constantFrom('user', 'assistant', null),
      model_used: nameOrNull,
      provider_used: nameOrNull,
      response_time_ms: milliseconds,
      tool_name: nameOrNull,
      thinking_mode: nameOrNull,
      token_usage: fc.constantFrom(null, { prompt_tokens: 12, completion_tokens: 3 }),
      metadata: arbitraryAttributes,
    }),
    event: fc.record<ConnectionEvent>({
      ...ids,
      type: fc.constant('event'),
      event_id: uuid,
      connection_type: fc.constantFrom('websocket', 'redis', 'supabase', '__proto__'),
      direction: fc.constantFrom('send', 'receive', 'error', 'duration_recorded', 'hit', 'miss'),
      script_name: nameOrNull,
      function_name: nameOrNull,
      data_size_bytes: size,
      response_time_ms: milliseconds,
      error: text,
      error_type: nameOrNull,
      error_traceback: text,
      metadata: arbitraryAttributes,
    }),
    gauge: fc.record<Gauge>({
      type: fc.constant('gauge'),
      name: fc.constantFrom('redis_memory_mb', 'websocket_connections'),
      at_us: at,
      value: fc.double({ min: 0, max: 1e9, noNaN: true }),
      labels: fc.constantFrom<Gauge['labels']>({}, { pool: 'a' }),
    }),
  }
  return fc.oneof(...(types ?? (Object.keys(byType) as TelltaleRecord['type'][])).map((type) => byType[type]))
}

/**
 * One batch, whole (piece [1, 1]), made when its records' time ends. Its records are spread over 150 s by default and
 * may repeat a span within one batch; ids of errors, messages and events do not repeat.
 */
export function arbitraryBatch(shape: BatchShape = {}): fc.Arbitrary<Batch> {
  const { base_us = fixtureBaseUs, spread_us = 150_000_000, recordsMax = 12 } = shape
  return fc
    .record({
      batch_id: uuid,
      source: fc.record({
        service: arbitraryName,
        instance: fc.constantFrom('a', 'b'),
        environment: fc.constantFrom('production', 'demo'),
        version: fc.option(fc.constant('1.2.3')),
      }),
      process: fc.constantFrom(...fixtureProcesses),
      seq: fc.integer({ min: 1, max: 50 }),
      records: fc.array(arbitraryRecord(shape), { maxLength: recordsMax }),
    })
    .map(({ process, ...rest }) => ({
      ...rest,
      made_at_us: base_us + spread_us,
      process: { id: process, started_at_us: base_us - 60_000_000, host: 'box', pid: 7, sdk: 'telltale-js/0.1.0' },
      piece: [1, 1] as const,
      counters: { recorded: rest.records.length, dropped: {} },
      running: [],
      running_total: 0,
    }))
}
