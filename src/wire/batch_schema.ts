import Type, { type Static, type TProperties, type TSchema } from 'typebox'
import { batchRecordsMax, integerMax, piecesMax, runningMax } from '../core/limit.ts'
import { outcomes } from '../core/outcome.ts'
import type {
  Batch,
  ConnectionEvent,
  Counters,
  ErrorRecord,
  Gauge,
  Message,
  ProcessInfo,
  RunningCall,
  Session,
  Source,
  Span,
} from '../core/record.ts'
import { sessionRules, spanKinds } from '../core/record.ts'

// The one schema of a batch on the wire. From it come the types below, the checker that the edge runs
// (batch_check_generated.ts) and the served document (openapi.ts). Nothing that runs on the edge imports this file.
// `x-expected` completes the sentence "..., wanted <x-expected>" of a refusal.

/** PostgreSQL's integer. */
const int32Max = 2_147_483_647

const text = (description: string) => Type.String({ description, 'x-expected': 'text' })
const named = (description: string) =>
  Type.String({ description, pattern: '\\S', 'x-expected': 'text that is not blank' })
const count = (description: string, maximum = integerMax, minimum = 0) =>
  Type.Integer({ description, minimum, maximum, 'x-expected': `an integer from ${minimum} to ${maximum}` })
const instant = (description: string) => count(`${description}, integer µs since the epoch`)
const milliseconds = (description: string) =>
  Type.Number({
    description: `${description}, in ms`,
    minimum: 0,
    maximum: integerMax,
    'x-expected': 'a number from 0',
  })
const oneOf = <T extends string>(description: string, values: readonly T[]) =>
  Type.Enum(values as readonly [T, ...T[]], { description, 'x-expected': `one of ${values.join(', ')}` })
const uuid = (description: string) =>
  Type.String({
    description,
    pattern: '^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$',
    'x-expected': 'a UUID',
  })
const hex = (digits: number, description: string) =>
  Type.String({
    description: `${description}: ${digits} hex digits, not all zero (W3C trace context)`,
    pattern: `^(?!0+$)[0-9a-fA-F]{${digits}}$`,
    'x-expected': `${digits} hex digits, not all zero`,
  })

/** A field that may be null or left out; both mean null. */
function maybe<T extends TSchema>(schema: T) {
  const { description = '', 'x-expected': expected } = schema as { description?: string; 'x-expected'?: string }
  return Type.Optional(Type.Union([schema, Type.Null()], { description, 'x-expected': `${expected} or null` }))
}

const bag = (description: string) =>
  Type.Unsafe<Record<string, unknown>>(Type.Object({}, { description, 'x-expected': 'an object' }))

/** Any key, line breaks included: what the library makes of Type.String() would leave those unchecked. */
const anyKey = Type.String({ pattern: '^[\\s\\S]*$' })

const traceIds = {
  trace_id: maybe(hex(32, 'The trace that it belongs to')),
  span_id: maybe(hex(16, 'The span that it belongs to')),
}

const session = Type.Object(
  {
    key: named('What the calls of one conversation have in common'),
    rule: oneOf('The rule that found the key, strongest first', sessionRules),
  },
  { description: 'The session of the call', 'x-expected': 'an object with a key and a rule' },
)

const record = <T extends TProperties>(description: string, properties: T) => Type.Object(properties, { description })

const spanSchema = record('A stretch of time in one layer. Unknown fields become attributes.', {
  type: Type.Literal('span'),
  trace_id: hex(32, 'Trace id'),
  span_id: hex(16, 'Span id'),
  parent_span_id: maybe(hex(16, 'Span id of the parent')),
  layer: named('shim, websocket, tool, provider, api, storage, an alias of these, or a layer of your own'),
  kind: Type.Optional(oneOf('Whether the request worked (the default) or waited', spanKinds)),
  name: named('What was done'),
  start_us: instant('Start'),
  end_us: maybe(instant('End; null while the span still runs')),
  outcome: maybe(oneOf('How it ended', outcomes)),
  entry: Type.Optional(
    Type.Boolean({ description: 'The span of the outermost Telltale recorder', 'x-expected': 'true or false' }),
  ),
  request_id: maybe(text("The caller's own id of the request; need not be unique")),
  session: maybe(session),
  call_number: maybe(count('Position of the call in its session, from 1', int32Max, 1)),
  tool: maybe(text('Name of the tool')),
  provider: maybe(text('Name of the AI provider')),
  model: maybe(text('Name of the model')),
  bytes_in: maybe(count('Bytes received')),
  bytes_out: maybe(count('Bytes sent')),
  tokens_in: maybe(count('Tokens of the prompt')),
  tokens_out: maybe(count('Tokens of the answer')),
  holder: maybe(text('Of a wait: who held what it waited for')),
  attributes: maybe(bag('Anything else worth knowing')),
})

const errorSchema = record('One failure. Unknown fields join its context.', {
  type: Type.Literal('error'),
  error_id: uuid('Id of the failure; sending it again changes nothing'),
  at_us: instant('When it happened'),
  ...traceIds,
  error_type: named('Class or code of the error'),
  message: text('What the error says'),
  traceback: maybe(text('The stack trace as the language prints it')),
  context: maybe(bag('Anything else worth knowing')),
})

const messageSchema = record('What was said to or by a model, as metadata. Unknown fields join the metadata.', {
  type: Type.Literal('message'),
  message_id: uuid('Id of the message; sending it again changes nothing'),
  at_us: instant('When it was said'),
  ...traceIds,
  conversation_id: maybe(text('Id of the conversation')),
  role: maybe(text('user, assistant, system, tool')),
  model_used: maybe(text('Name of the model')),
  provider_used: maybe(text('Name of the AI provider')),
  response_time_ms: maybe(milliseconds('How long the answer took')),
  tool_name: maybe(text('Name of the tool')),
  thinking_mode: maybe(text('Thinking mode')),
  token_usage: Type.Optional(Type.Unknown({ description: 'Token counts as the provider gave them' })),
  metadata: maybe(bag('Anything else worth knowing')),
})

const eventSchema = record(
  'One thing on a connection. Unknown fields join the metadata. With an error it is stored as an error.',
  {
    type: Type.Literal('event'),
    event_id: uuid('Id of the event; sending it again changes nothing'),
    at_us: instant('When it happened'),
    ...traceIds,
    connection_type: named('websocket, redis, supabase, kimi, ...'),
    direction: named('send, receive, or what happened'),
    script_name: maybe(text('The script that did it')),
    function_name: maybe(text('The function that did it')),
    data_size_bytes: maybe(count('Size of the data, in bytes')),
    response_time_ms: maybe(milliseconds('How long it took')),
    error: maybe(text('What the error says')),
    error_type: maybe(text('Class or code of the error')),
    error_traceback: maybe(text('The stack trace')),
    metadata: maybe(bag('Anything else worth knowing')),
  },
)

const gaugeSchema = record('A sampled resource of one instance. One row for process, name, labels and at_us.', {
  type: Type.Literal('gauge'),
  name: named('Name of the resource with its unit, such as redis_memory_mb'),
  at_us: instant('When it was sampled'),
  value: Type.Number({ description: 'The sample, in the unit of the name', 'x-expected': 'a finite number' }),
  labels: maybe(
    Type.Record(anyKey, Type.String(), {
      description: 'What tells gauges of one name apart',
      'x-expected': 'an object of texts',
    }),
  ),
})

export const recordSchemas = {
  span: spanSchema,
  error: errorSchema,
  message: messageSchema,
  event: eventSchema,
  gauge: gaugeSchema,
}

export const runningSchema = record('A request that runs now: one entry a trace, its innermost open span.', {
  trace_id: hex(32, 'Trace id'),
  span_id: hex(16, 'Span id'),
  layer: named('Layer of the innermost open span'),
  name: named('Name of the innermost open span'),
  tool: maybe(text('Name of the tool')),
  session: maybe(text('Key of the session')),
  start_us: instant('Start of the innermost open span'),
})

const envelope = {
  batch_id: uuid('Id of the batch, frozen before it is first sent: v7 from reporters, v8 from a sha256'),
  made_at_us: instant('When the batch was made'),
  source: Type.Object(
    {
      service: named('Name of the service'),
      instance: named('Name of the instance'),
      environment: named('Name of the environment, such as production'),
      version: maybe(text('Version of the service')),
    },
    { description: 'Where it comes from', 'x-expected': 'an object with service, instance and environment' },
  ),
  process: Type.Object(
    {
      id: uuid('A UUID minted when the process starts, and again after fork'),
      started_at_us: instant('When the process started'),
      host: maybe(text('Name of the host')),
      pid: maybe(count('Process id', int32Max)),
      sdk: named('Name and version of the reporter, such as telltale-js/0.1.0'),
    },
    { description: 'Which process recorded it', 'x-expected': 'an object with id, started_at_us and sdk' },
  ),
  seq: count('Number of the batch in its process, from 1', integerMax, 1),
  piece: Type.Optional(
    Type.Tuple([count('This piece', piecesMax, 1), count('of so many', piecesMax, 1)], {
      description: '[i, n]: piece i of n of a batch that had to be cut; the pieces keep seq. Default [1, 1]',
      'x-expected': `[i, n] with 1 <= i <= n <= ${piecesMax}`,
    }),
  ),
  counters: Type.Object(
    {
      recorded: count('Records made by the process since it started'),
      dropped: Type.Record(anyKey, count('Records'), {
        description: 'Records given up since the process started, by reason',
        'x-expected': 'an object of counts',
      }),
    },
    { description: 'Cumulative for the process', 'x-expected': 'an object with recorded and dropped' },
  ),
  running_total: Type.Optional(count('How many requests run now, listed or not; by default as many as are listed')),
}

const recordsExpected = `an array of at most ${batchRecordsMax} records`
const runningExpected = `an array of at most ${runningMax} running requests`

/** What must hold before any record is looked at; records and running calls are checked one by one. */
export const envelopeSchema = Type.Object({
  ...envelope,
  running: Type.Optional(Type.Array(Type.Unknown(), { 'x-expected': runningExpected })),
  records: Type.Array(Type.Unknown(), { 'x-expected': recordsExpected }),
})

/** The whole batch, as documented and as typed. */
export const batchSchema = Type.Object(
  {
    ...envelope,
    running: Type.Optional(Type.Array(runningSchema, { description: 'The whole list of running requests' })),
    records: Type.Array(Type.Union([spanSchema, errorSchema, messageSchema, eventSchema, gaugeSchema]), {
      description: `At most ${batchRecordsMax} records`,
    }),
  },
  { description: 'What a reporter sends at once. Its id and its bytes are frozen before the first attempt.' },
)

export type WireEnvelope = Static<typeof envelopeSchema>
export type WireSpan = Static<typeof spanSchema>
export type WireError = Static<typeof errorSchema>
export type WireMessage = Static<typeof messageSchema>
export type WireEvent = Static<typeof eventSchema>
export type WireGauge = Static<typeof gaugeSchema>
export type WireRunning = Static<typeof runningSchema>
export type WireBatch = Static<typeof batchSchema>

// What is on the wire, once its optional fields are there, is what the core takes: the compiler proves it below.
// Free-form objects are left out: on the wire their values are unknown, in the core they are JSON.
type Free = 'attributes' | 'context' | 'metadata' | 'labels' | 'token_usage'
type Settled<T> = T extends object
  ? { [K in keyof T as K extends Free ? never : K]-?: Settled<Exclude<T[K], undefined>> }
  : T
type Plain<T> = T extends object ? { -readonly [K in keyof T as K extends Free ? never : K]: Plain<T[K]> } : T
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
type Same<A, B> = Equal<Settled<A>, Plain<B>>

/** One `true` for each type of the wire that agrees with its type in the core. */
export const wireAgrees: {
  span: Same<WireSpan, Span>
  error: Same<WireError, ErrorRecord>
  message: Same<WireMessage, Message>
  event: Same<WireEvent, ConnectionEvent>
  gauge: Same<WireGauge, Gauge>
  running: Same<WireRunning, RunningCall>
  session: Same<Static<typeof session>, Session>
  source: Same<WireBatch['source'], Source>
  process: Same<WireBatch['process'], ProcessInfo>
  counters: Same<WireBatch['counters'], Counters>
  keys: Equal<keyof WireBatch, keyof Batch>
} = {
  span: true,
  error: true,
  message: true,
  event: true,
  gauge: true,
  running: true,
  session: true,
  source: true,
  process: true,
  counters: true,
  keys: true,
}
