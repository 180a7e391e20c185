import { isObject } from '../../src/core/json_object.ts'
import { mcpRowsAsked, mcpRowsMax, mcpSpansMax, mcpTextCharactersMax } from '../../src/core/limit.ts'
import type { Ask } from '../store/caller_port.ts'
import { answerWhy } from './answer_why.ts'

/** A question that an agent may ask: read-only, bounded, answered with what the readers of the schema telltale say. */
export type McpTool = {
  readonly name: string
  readonly title: string
  readonly description: string
  /** JSON Schema of the arguments. */
  readonly inputSchema: JsonSchema
  readonly answer: (ask: Ask, args: Arguments) => Promise<Answer>
}

export type JsonSchema = { readonly [key: string]: unknown }
export type Arguments = { readonly [name: string]: unknown }
type Answer = { readonly [key: string]: unknown }
type Row = { readonly [key: string]: unknown }

const instant = { type: 'string', description: 'ISO 8601, such as 2026-11-23T18:00:00Z' }
const text = (description: string) => ({ type: 'string', description, maxLength: 512 })
const range = { from: instant, to: instant }
const names = {
  tool: text('a tool'),
  provider: text('a provider'),
  model: text('a model'),
  service: text('the service that was monitored'),
  environment: text('the environment'),
}
const paging = {
  cursor: text('`next` of the page before'),
  n: { type: 'integer', minimum: 1, maximum: mcpRowsMax, description: `rows, ${mcpRowsAsked} unless given` },
}
const traceId = { type: 'string', pattern: '^[0-9a-fA-F]{32}$', description: '32 hex digits' }

function object(properties: JsonSchema, required: readonly string[] = []): JsonSchema {
  return { type: 'object', properties, additionalProperties: false, ...(required.length > 0 ? { required } : {}) }
}

export const mcpTools: readonly McpTool[] = [
  {
    name: 'why_slow',
    title: 'Why calls are slow',
    description:
      'Names the cause of a slowdown with its evidence, or says that there is none. Say which calls are slow by one of ' +
      'call_number, after, above_ms and trace_id; with none of them they are found.',
    inputSchema: object({
      call_number: { type: 'integer', minimum: 1, description: 'position of the call in its session' },
      after: instant,
      above_ms: { type: 'number', minimum: 0, description: 'calls that took longer' },
      trace_id: traceId,
      ...range,
      ...names,
      session: text('a session key'),
    }),
    answer: async (ask, filter) => {
      const answer = await answerWhy(ask, filter)
      return { ...answer, factors: answer.factors.slice(0, 5), exemplars: answer.exemplars.slice(0, 5) }
    },
  },
  {
    name: 'recent_failures',
    title: 'Recent failures',
    description:
      'Errors by what they have in common, the last seen first: type, message, where, how often, since when.',
    inputSchema: object({
      ...range,
      service: names.service,
      environment: names.environment,
      text: text('words'),
      ...paging,
    }),
    // How often in each step of time is for a chart; `count` says how often in all.
    answer: (ask, args) => page(ask, 'error_groups', args, ({ counts: _, ...row }) => cutTexts(row)),
  },
  {
    name: 'error_detail',
    title: 'An error with its stack trace',
    description: 'The last errors of a group, with stack trace and context.',
    inputSchema: object({ fingerprint: text('`fingerprint` of a failure'), ...paging }, ['fingerprint']),
    answer: (ask, { fingerprint, cursor, n }) =>
      page(ask, 'errors', { fingerprint, cursor, n: Math.min(Number(n ?? 1), 5) }, (row) => row),
  },
  {
    name: 'find_traces',
    title: 'Find calls',
    description: 'Calls, newest first: tool, outcome, duration, and self time by layer in ms.',
    inputSchema: object({
      ...range,
      ...names,
      outcome: text('ok, tool_error, empty, timeout, server_fault ...'),
      session: text('a session key'),
      request_id: text("the caller's own id"),
      call_number: { type: 'integer', minimum: 1 },
      min_duration_ms: { type: 'number', minimum: 0 },
      text: text('words of names and errors'),
      ...paging,
    }),
    answer: (ask, args) => page(ask, 'traces', args, cutTexts),
  },
  {
    name: 'trace_detail',
    title: 'One call, span by span',
    description:
      'The path of one call: each span with its start after the first, duration and self time in ms, and errors.',
    inputSchema: object({ trace_id: traceId }, ['trace_id']),
    answer: async (ask, { trace_id }) => traceDetailOf(await ask('trace', { trace_id })),
  },
  {
    name: 'session_timeline',
    title: 'The calls of one session',
    description: 'The calls of a session in order: start, duration, layers, outcome, and the gap to the call before.',
    inputSchema: object({ session: text('a session key'), ...paging }, ['session']),
    answer: async (ask, { session, cursor, n }) =>
      cutTexts((await ask('session_timeline', { session, cursor: cursor ?? null, n: n ?? mcpRowsAsked })) as Row),
  },
  {
    name: 'compare',
    title: 'Compare two periods or filters',
    description:
      'Throughput, percentiles, error rate and tokens of two selections, in total and by layer, tool, provider, model and ' +
      'call number, each difference with whether it is more than noise.',
    inputSchema: object({ a: object({ ...range, ...names }), b: object({ ...range, ...names }) }, ['a', 'b']),
    answer: async (ask, { a, b }) => (await ask('compare', { a, b })) as Answer,
  },
  {
    name: 'live_now',
    title: 'What happens now',
    description: 'What runs now, active sessions, the last errors, and the requests of the last five minutes.',
    inputSchema: object({}),
    answer: async (ask) => liveNowOf(await ask('live_data', { viewer_id: null, minutes: 5 })),
  },
]

/** A page of a reader whose filter has the arguments' names. */
async function page(ask: Ask, name: string, args: Arguments, rowOf: (row: Row) => Row): Promise<Answer> {
  const { cursor = null, n = mcpRowsAsked, ...filter } = args
  const answer = (await ask(name, { filter, cursor, n })) as { readonly rows: readonly Row[]; readonly next: unknown }
  return { rows: answer.rows.map(rowOf), next: answer.next }
}

function traceDetailOf(answer: unknown): Answer {
  if (answer === null) return { trace: null, note: 'No trace has this id.' }
  const { trace, errors } = answer as {
    readonly trace: Row & { readonly spans: readonly Row[] }
    readonly errors: readonly Row[]
  }
  const { spans, ...summary } = trace
  const startedAt = Number(summary.started_at_us)
  return {
    trace: cutTexts(summary),
    spans: spans.slice(0, mcpSpansMax).map((span) =>
      cutTexts({
        span_id: span.span_id,
        parent_span_id: span.parent_span_id,
        layer: span.layer,
        kind: span.kind,
        name: span.name,
        at_ms: (Number(span.start_us) - startedAt) / 1_000,
        duration_ms: span.end_us === null ? null : (Number(span.end_us) - Number(span.start_us)) / 1_000,
        self_ms: span.self_ms ?? null,
        outcome: span.outcome ?? null,
        ...(span.holder === undefined ? {} : { holder: span.holder }),
        ...(span.attributes === undefined ? {} : { attributes: span.attributes }),
      }),
    ),
    spans_left_out: Math.max(0, spans.length - mcpSpansMax),
    errors: errors
      .slice(0, mcpRowsAsked)
      .map(({ error_id, fingerprint, at, error_type, message, culprit }) =>
        cutTexts({ error_id, fingerprint, at, error_type, message, culprit }),
      ),
  }
}

function liveNowOf(answer: unknown): Answer {
  const data = answer as { readonly [list: string]: readonly Row[] }
  const first = (list: readonly Row[] | undefined) => (list ?? []).slice(0, mcpRowsAsked).map(cutTexts)
  return {
    running: first((data.running ?? []).filter(({ total }) => Number(total) > 0)),
    sessions: first(data.sessions),
    errors: first(data.errors),
    minutes: (data.minutes ?? []).map(({ minute, series }) => {
      const all = isObject(series) && isObject(series.all) ? series.all : {}
      return { minute, requests: all.count ?? 0, errors: all.errors ?? 0 }
    }),
    last_received_at_us: data.last_received_at_us ?? null,
  }
}

/** Long texts, however deep, cut and marked. */
function cutTexts<T>(value: T): T {
  if (typeof value === 'string') {
    return (value.length > mcpTextCharactersMax ? `${value.slice(0, mcpTextCharactersMax)}…` : value) as T
  }
  if (Array.isArray(value)) return value.map(cutTexts) as T
  if (isObject(value)) return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, cutTexts(v)])) as T
  return value
}
