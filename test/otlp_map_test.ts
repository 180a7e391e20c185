import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type MappedRecord, otlpBatchesOf } from '../src/wire/otlp_batch.ts'
import { otlpBytesOf } from '../src/wire/otlp_encode.ts'
import { type OtlpEncoding, type OtlpSignal, otlpSignals } from '../src/wire/otlp_request.ts'
import { originOf } from '../src/wire/otlp_resource.ts'
import { noOtlpRules, type OtlpRules, parseOtlpRules } from '../src/wire/otlp_rule.ts'
import { parseRecord } from '../src/wire/parse_record.ts'
import { nowUs } from './batch_fixture.ts'
import { logRequest, metricRequest, nanosAt, otlpSpan, otlpTraceId, pairsOf, traceRequest } from './otlp_fixture.ts'

type Bag = Record<string, unknown>

function mapped(signal: OtlpSignal, request: Bag, rules: OtlpRules = noOtlpRules, encoding: OtlpEncoding = 'json') {
  const batches = otlpBatchesOf(signal, encoding, otlpBytesOf(signal, encoding, request), rules)
  if (!batches.ok) throw new Error(batches.error.detail)
  return batches.value.parts.flatMap(({ records }) => records.map(({ record }: MappedRecord) => record))
}

const [client, server, internal, producer, consumer] = [3, 2, 1, 4, 5]
const spanOf = (attributes: Bag, changes: Bag = {}, more: Parameters<typeof traceRequest>[1] = {}, rules?: OtlpRules) =>
  mapped('traces', traceRequest([otlpSpan(attributes, changes)], more), rules)[0] as Bag & { attributes: Bag }

const layersWanted: [string, Bag, number, string][] = [
  ['an MCP server', { 'mcp.method.name': 'tools/call' }, server, 'tool'],
  ['an MCP client', { 'mcp.method.name': 'tools/call', 'mcp.session.id': 's' }, client, 'shim'],
  ['a tool that an agent runs', { 'gen_ai.operation.name': 'execute_tool' }, internal, 'tool'],
  ['an agent', { 'gen_ai.operation.name': 'invoke_agent' }, internal, 'tool'],
  ['a model', { 'gen_ai.operation.name': 'chat' }, client, 'api'],
  ['a model by an older name', { 'gen_ai.system': 'openai' }, internal, 'api'],
  ['OpenInference LLM', { 'openinference.span.kind': 'LLM' }, internal, 'api'],
  ['OpenInference TOOL', { 'openinference.span.kind': 'TOOL' }, internal, 'tool'],
  ['OpenInference CHAIN', { 'openinference.span.kind': 'CHAIN' }, internal, 'tool'],
  ['OpenInference RETRIEVER', { 'openinference.span.kind': 'RETRIEVER' }, internal, 'storage'],
  ['OpenLLMetry', { 'traceloop.span.kind': 'workflow' }, internal, 'tool'],
  ['a database', { 'db.system.name': 'postgresql' }, client, 'storage'],
  ['a database by an older name', { 'db.system': 'redis' }, client, 'storage'],
  ['a queue that is filled', { 'messaging.system': 'kafka' }, producer, 'storage'],
  ['a queue that is emptied', { 'messaging.system': 'kafka' }, consumer, 'tool'],
  ['a procedure that is served', { 'rpc.system': 'grpc' }, server, 'tool'],
  ['a procedure that is called', { 'rpc.system': 'grpc' }, client, 'api'],
  ['HTTP that is served', { 'http.request.method': 'GET' }, server, 'tool'],
  ['HTTP that is called', { 'http.method': 'GET' }, client, 'api'],
  ['Supabase over HTTP', { 'http.request.method': 'GET', 'server.address': 'x.supabase.co' }, client, 'storage'],
  ['Upstash over HTTP', { 'url.full': 'https://a-b.upstash.io/get' }, client, 'storage'],
  ['a WebSocket', { 'url.scheme': 'wss', 'http.request.method': 'GET' }, server, 'websocket'],
  ['anything that calls elsewhere', {}, client, 'api'],
  ['anything else', {}, internal, 'tool'],
  ['what says it outright', { 'telltale.layer': 'AI API Layer', 'db.system': 'redis' }, client, 'AI API Layer'],
]

test.each(layersWanted)('recordsOfSpan() finds the layer of %s', (_, attributes, kind, layer) => {
  expect(spanOf(attributes, { kind }).layer).toBe(layer)
})

test('recordsOfSpan() knows services and libraries that have the name of a layer', () => {
  const inner = { kind: internal }
  expect(spanOf({}, inner, { resource: { 'service.name': 'kimi' } }).layer).toBe('api')
  expect(spanOf({}, inner, { resource: { 'service.name': 'daemon' } }).layer).toBe('websocket')
  expect(spanOf({}, inner, { scope: '@opentelemetry/instrumentation-pg' }).layer).toBe('storage')
  expect(spanOf({}, inner, { scope: 'supabase' }).layer).toBe('storage')
})

test('recordsOfSpan() takes fields from whichever convention names them, and leaves the rest as attributes', () => {
  const span = spanOf(
    {
      ...{ 'gen_ai.operation.name': 'chat', 'gen_ai.system': 'kimi', 'gen_ai.provider.name': 'kimi' },
      ...{ 'gen_ai.request.model': 'k2', 'gen_ai.response.model': 'k2-0905', 'gen_ai.conversation.id': 'c1' },
      ...{ 'gen_ai.usage.prompt_tokens': 5, 'gen_ai.usage.output_tokens': '7', 'http.response.body.size': 9 },
      ...{ 'gen_ai.input.messages': 'said', 'db.query.text': "select 'x' where a = 12 and b = $1", other: true },
    },
    { kind: client },
  )
  expect(span).toMatchObject({ provider: 'kimi', model: 'k2-0905', tokens_in: 5, tokens_out: 7, bytes_in: 9 })
  expect(span.session).toEqual({ key: 'c1', rule: 'conversation' })
  expect(span.attributes).toEqual({
    ...{ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'k2', other: true },
    ...{ 'db.query.text': 'select ? where a = ? and b = $1', 'telltale.content_bytes': { 'gen_ai.input.messages': 4 } },
    ...{ 'otel.span.kind': 'client', 'otel.scope.name': 'lib' },
  })
})

test('recordsOfSpan() believes what a span says outright', () => {
  const said = {
    'telltale.layer': 'storage',
    'telltale.span_kind': 'wait',
    'telltale.session_key': 's',
    'telltale.call_number': 3,
  }
  const span = spanOf({
    ...said,
    'telltale.outcome': 'empty',
    'telltale.holder': 'other',
    'gen_ai.conversation.id': 'c',
  })
  expect(span).toMatchObject({
    layer: 'storage',
    kind: 'wait',
    session: { key: 's', rule: 'explicit' },
    call_number: 3,
    outcome: 'empty',
    holder: 'other',
  })
})

const outcomesWanted: [string, Bag, Bag, string][] = [
  ['ok', {}, {}, 'ok'],
  ['an error', {}, { status: { code: 2 } }, 'server_fault'],
  ['a status by name', {}, { status: { code: 'STATUS_CODE_ERROR' } }, 'server_fault'],
  ['a timeout', { 'error.type': 'TimeoutError' }, { status: { code: 2 } }, 'timeout'],
  ['a deadline', {}, { status: { code: 2, message: 'DEADLINE_EXCEEDED' } }, 'timeout'],
  ['a gateway that waited', { 'http.response.status_code': 504 }, { status: { code: 2 } }, 'timeout'],
  ['what was called off', { 'error.type': 'CancelledError' }, { status: { code: 2 } }, 'cancelled'],
  [
    'a tool that failed',
    { 'error.type': 'tool_error', 'mcp.method.name': 'tools/call' },
    { status: { code: 2 } },
    'tool_error',
  ],
  [
    'a wrong call',
    { 'mcp.method.name': 'x', 'rpc.response.status_code': '-32602' },
    { status: { code: 2 } },
    'caller_fault',
  ],
  ['a caller at fault', { 'http.response.status_code': 404 }, {}, 'caller_fault'],
  [
    'a 404 that a client saw and minded',
    { 'http.response.status_code': 404 },
    { kind: 3, status: { code: 2 } },
    'server_fault',
  ],
  ['an answer cut short', { 'gen_ai.response.finish_reasons': ['length'] }, {}, 'truncated'],
]

test.each(outcomesWanted)('recordsOfSpan() tells %s', (_, attributes, changes, outcome) => {
  expect(spanOf(attributes, changes).outcome).toBe(outcome)
})

const parent = '00f067aa0ba902b7'
const entriesWanted: [string, Bag, boolean][] = [
  ['a root', {}, true],
  ['a root whose parent is all zero', { parentSpanId: '0'.repeat(16) }, true],
  ['a span whose parent is remote', { parentSpanId: parent, flags: 0x301 }, true],
  [
    'a span whose parent is remote and recorded',
    { parentSpanId: parent, flags: 0x301, traceState: `a=b,telltale=${parent}` },
    false,
  ],
  ['a span whose parent is local and not sent yet', { parentSpanId: parent, flags: 0x101, kind: server }, false],
  ['a server span of an old SDK', { parentSpanId: parent, kind: server }, true],
  ['an inner span of an old SDK', { parentSpanId: parent, kind: internal }, false],
]

test.each(entriesWanted)('recordsOfSpan() marks where a request came in: %s', (_, changes, entry) => {
  expect(spanOf({}, changes).entry).toBe(entry)
})

test('recordsOfSpan() marks no span whose parent came along', () => {
  const inner = otlpSpan({}, { spanId: parent, parentSpanId: 'b7ad6b7169203331', flags: 0x300 })
  expect(mapped('traces', traceRequest([inner, otlpSpan()])).map(({ entry }) => entry)).toEqual([false, true])
})

test('recordsOfSpan() makes errors and messages of events, the same ones each time', () => {
  const at = nanosAt(nowUs)
  const exception = {
    name: 'exception',
    timeUnixNano: at,
    attributes: pairsOf({ 'exception.type': 'E', 'exception.message': 'm', 'exception.stacktrace': 't' }),
  }
  const choice = { name: 'gen_ai.choice', timeUnixNano: at, attributes: pairsOf({ content: 'x' }) }
  const token = { name: 'gen_ai.first_token', timeUnixNano: nanosAt(nowUs - 2_000), attributes: [] }
  const span = otlpSpan(
    { 'gen_ai.request.model': 'k2', 'gen_ai.usage.output_tokens': 2 },
    {
      events: [exception, choice, token, { name: 'other', timeUnixNano: at }],
      links: [{ traceId: otlpTraceId, spanId: parent }],
    },
  )
  const records = mapped('traces', traceRequest([span]))
  expect(records).toMatchObject([
    {
      type: 'span',
      attributes: {
        'telltale.first_chunk_ms': 3,
        'otel.events': [{ name: 'other', after_ms: 5 }],
        'otel.links': [`${otlpTraceId}-${parent}`],
      },
    },
    { type: 'error', error_type: 'E', message: 'm', traceback: 't', context: { operation: 'GET /chat' } },
    { type: 'message', role: 'assistant', model_used: 'k2', token_usage: { output_tokens: 2 }, response_time_ms: 5 },
  ])
  expect(mapped('traces', traceRequest([span]))).toEqual(records)
  for (const record of records) expect(parseRecord(record, nowUs)).toMatchObject({ ok: true })
})

test('recordsOfSpan() keeps to the rules of the operator, the first that fits', () => {
  const rules = parseOtlpRules(
    JSON.stringify([
      { when: { name: 'lock *' }, kind: 'wait' },
      { when: { attribute: 'peer=redis*', service: 'shop' }, layer: 'storage' },
      { when: { attribute: 'peer' }, layer: 'cache', content: true },
    ]),
  )
  if (!rules.ok) throw new Error(rules.error)
  const span = (attributes: Bag, changes: Bag = {}) => spanOf(attributes, changes, {}, rules.value)
  expect(span({ peer: 'redis-1' }).layer).toBe('storage')
  expect(span({ peer: 'x', 'input.value': 'kept' })).toMatchObject({
    layer: 'cache',
    attributes: { 'input.value': 'kept' },
  })
  expect(span({ peer: 'x', 'telltale.layer': 'tool' }).layer).toBe('tool')
  expect(span({}, { name: 'lock a' }).kind).toBe('wait')
})

test.each([
  ['{', 'Cannot read OTLP rules: they are not JSON'],
  ['{}', 'Cannot read OTLP rules: they are not an array of rules'],
  ['[1]', 'Cannot read OTLP rule 1: it is not an object'],
  ['[{"when": {"name": "a"}}]', 'Cannot read OTLP rule 1: it says none of layer, kind and content'],
  ['[{"when": {}, "layer": "x"}]', 'Cannot read OTLP rule 1: when names none of service, scope, name, attribute'],
  ['[{"when": {"who": "a"}, "layer": "x"}]', 'Cannot read OTLP rule 1: when has a member "who"'],
  ['[{"when": {"name": 1}, "layer": "x"}]', 'Cannot read OTLP rule 1: when.name is not text'],
  ['[{"when": {"name": "a"}, "kind": "rest"}]', 'Cannot read OTLP rule 1: kind is neither work nor wait'],
  ['[{"when": {"name": "a"}, "layer": "x", "lair": 1}]', 'Cannot read OTLP rule 1: it has a member "lair"'],
])('parseOtlpRules() says what is wrong with %s', (text, error) => {
  expect(parseOtlpRules(text)).toEqual({ ok: false, error })
})

test('originOf() names one process the same each time, and two apart', () => {
  const base = { 'service.name': 'a', 'host.name': 'h', 'process.pid': 1 }
  expect(originOf(base)).toEqual(originOf({ ...base }))
  for (const change of [
    { 'process.pid': 2 },
    { 'host.name': 'i' },
    { 'service.name': 'b' },
    { 'service.instance.id': 'x' },
  ]) {
    expect(originOf({ ...base, ...change }).process.id).not.toBe(originOf(base).process.id)
  }
})

test('samplesOfMetric() makes gauges of every kind of metric', () => {
  const point = { timeUnixNano: nanosAt(nowUs), attributes: pairsOf({ a: 'b', n: 1 }) }
  const metrics = [
    { name: 'g', gauge: { dataPoints: [{ ...point, asDouble: 1.5 }] } },
    {
      name: 's',
      sum: {
        dataPoints: [
          { ...point, asInt: '2' },
          { ...point, flags: 1 },
        ],
      },
    },
    { name: 'h', histogram: { dataPoints: [{ ...point, count: '3', sum: 4 }] } },
    { name: 'e', exponentialHistogram: { dataPoints: [{ ...point, count: '5' }] } },
    {
      name: 'q',
      summary: { dataPoints: [{ ...point, count: '6', sum: 7, quantileValues: [{ quantile: 0.5, value: 8 }] }] },
    },
  ]
  const records = mapped('metrics', metricRequest(metrics))
  expect(records.map(({ name, value }) => [name, value])).toEqual([
    ...[
      ['g', 1.5],
      ['s', 2],
      ['h.count', 3],
      ['h.sum', 4],
      ['e.count', 5],
      ['q.count', 6],
      ['q.sum', 7],
      ['q', 8],
    ],
  ])
  expect(records.at(-1)).toMatchObject({ labels: { a: 'b', n: '1', quantile: '0.5' }, at_us: nowUs })
})

test('recordOfLog() makes an error of exceptions and of what is severe, a message of what was said, an event of the rest', () => {
  const at = { timeUnixNano: nanosAt(nowUs), traceId: otlpTraceId, spanId: parent }
  const logs = [
    {
      ...at,
      severityNumber: 9,
      attributes: pairsOf({ 'exception.type': 'E', 'exception.message': 'm' }),
      body: { stringValue: 'while x' },
    },
    { ...at, severityNumber: 17, body: { stringValue: 'broke' } },
    {
      ...at,
      eventName: 'gen_ai.user.message',
      attributes: pairsOf({ 'gen_ai.system': 'kimi' }),
      body: { stringValue: 'said' },
    },
    {
      observedTimeUnixNano: nanosAt(nowUs),
      severityNumber: 13,
      body: { stringValue: 'said' },
      attributes: pairsOf({ 'code.function.name': 'f' }),
    },
  ]
  const records = mapped('logs', logRequest(logs))
  expect(records).toMatchObject([
    {
      type: 'error',
      error_type: 'E',
      message: 'm',
      trace_id: otlpTraceId,
      context: { log_message: 'while x', logger: 'lib' },
    },
    { type: 'error', error_type: 'error', message: 'broke' },
    { type: 'message', role: 'user', provider_used: 'kimi' },
    {
      type: 'event',
      connection_type: 'log',
      direction: 'warn',
      data_size_bytes: 4,
      function_name: 'f',
      trace_id: null,
    },
  ])
  expect(JSON.stringify(records)).not.toContain('"said"')
  for (const record of records) expect(parseRecord(record, nowUs)).toMatchObject({ ok: true })
})

// Laws.

const signals = fc.constantFrom(...otlpSignals)
const encodings = fc.constantFrom<OtlpEncoding>('json', 'protobuf')

test('otlpBatchesOf() throws for no bytes at all', () => {
  fc.assert(
    fc.property(signals, encodings, fc.uint8Array({ maxLength: 200 }), (signal, encoding, bytes) => {
      const answer = otlpBatchesOf(signal, encoding, bytes, noOtlpRules)
      if (!answer.ok) expect([400, 413]).toContain(answer.error.status)
    }),
    { numRuns: 2_000 },
  )
})

test('otlpBatchesOf() throws for no request with some bytes changed, and for no JSON of the right frame', () => {
  const good = otlpBytesOf(
    'traces',
    'protobuf',
    traceRequest([otlpSpan({ a: { b: [1, 'x'] } }, { events: [{ name: 'exception', timeUnixNano: '1' }] })]),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 5 }), (changes) => {
      const bytes = Uint8Array.from(good)
      for (const [at, byte] of changes) bytes[at] = byte
      otlpBatchesOf('traces', 'protobuf', bytes, noOtlpRules)
    }),
    { numRuns: 1_000 },
  )
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { maxLength: 4 }), (items) => {
      const answer = otlpBatchesOf(
        'traces',
        'json',
        new TextEncoder().encode(JSON.stringify(traceRequest(items))),
        noOtlpRules,
      )
      expect(answer.ok && answer.value.items).toBe(items.length)
    }),
    { numRuns: 500 },
  )
})

test('otlpBatchesOf() makes the same of JSON and of protobuf', () => {
  const value = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Object.is(n, -0)),
    fc.array(fc.string()),
  )
  const span = fc.record({
    spanId: fc.integer({ min: 1, max: 2 ** 48 }).map((n) => n.toString(16).padStart(16, '0')),
    name: fc.string({ unit: 'grapheme' }),
    kind: fc.nat(5),
    flags: fc.constantFrom(0, 0x100, 0x300),
    parentSpanId: fc.constantFrom('', parent),
    attributes: fc
      .dictionary(
        fc.constantFrom('db.system', 'gen_ai.system', 'telltale.layer', 'http.response.status_code', 'a', 'error.type'),
        value,
      )
      .map(pairsOf),
    status: fc.record({ code: fc.nat(2), message: fc.string() }),
  })
  fc.assert(
    fc.property(fc.array(span, { maxLength: 5 }), (spans) => {
      const request = traceRequest(spans.map((changes) => otlpSpan({}, changes)))
      expect(mapped('traces', request, noOtlpRules, 'protobuf')).toEqual(mapped('traces', request))
    }),
    { numRuns: 300 },
  )
})
