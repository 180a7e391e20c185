import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { StoreError } from '../functions/store/port.ts'
import { batchRecordsMax, otlpBytesMax, otlpRecordsMax, retryAfterSeconds } from '../src/core/limit.ts'
import { otlpBytesOf } from '../src/wire/otlp_encode.ts'
import type { OtlpEncoding } from '../src/wire/otlp_request.ts'
import { nowUs } from './batch_fixture.ts'
import {
  logRequest,
  metricRequest,
  nanosAt,
  openOtlpDoor,
  otlpKey,
  otlpSpan,
  otlpTraceId,
  pairsOf,
  partialOf,
  traceRequest,
} from './otlp_fixture.ts'

// The door of OTLP: which HTTP answer each request gets, and what reaches the store.

const encodings: OtlpEncoding[] = ['json', 'protobuf']

const spansOf = (n: number) =>
  Array.from({ length: n }, (_, i) => otlpSpan({}, { spanId: (i + 1).toString(16).padStart(16, '0') }))

test.each(encodings)('otlpApp() stores what %s brings and says nothing more', async (encoding) => {
  const { post, rows } = openOtlpDoor()
  const answer = await post('traces', encoding, traceRequest([otlpSpan({ 'http.request.method': 'GET' })]))
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe(encoding === 'json' ? 'application/json' : 'application/x-protobuf')
  expect(await answer.text()).toBe(encoding === 'json' ? '{}' : '')
  expect(rows).toHaveLength(1)
  expect(rows[0]).toMatchObject({
    seq: 1,
    running: [],
    source: { service: 'shop', environment: 'default', instance: 'box', version: null },
    process: { host: 'box', pid: 7, sdk: 'opentelemetry' },
    traces: [{ trace_id: otlpTraceId, name: 'GET /chat', outcome: 'ok', duration_ms: 5 }],
  })
  expect(rows[0]?.batch_id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(rows[0]?.process.id).toMatch(/^.{14}8/)
})

test('otlpApp() reads gzip, and maps JSON and protobuf alike', async () => {
  const request = traceRequest([otlpSpan({ 'gen_ai.usage.input_tokens': 3, nested: { a: [1, 'x', null] } })])
  const stored = []
  for (const encoding of encodings) {
    const { post, rows } = openOtlpDoor()
    const body = gzipSync(otlpBytesOf('traces', encoding, request))
    expect((await post('traces', encoding, body, { 'content-encoding': 'gzip' })).status).toBe(200)
    stored.push(rows.map(({ batch_id: _, ...rest }) => rest))
  }
  expect(stored[0]).toEqual(stored[1])
})

test.each(encodings)('otlpApp() changes nothing when %s is sent again', async (encoding) => {
  const { post, rows } = openOtlpDoor()
  const bad = otlpSpan({}, { spanId: '00', startTimeUnixNano: '1' })
  const request = traceRequest([otlpSpan(), ...(encoding === 'json' ? [bad] : [])])
  const answers = []
  for (let sent = 0; sent < 3; sent += 1) answers.push(await (await post('traces', encoding, request)).text())
  expect(rows).toHaveLength(1)
  expect(new Set(answers).size).toBe(1)
})

test.each(encodings)('otlpApp() refuses one span in %s and takes the others', async (encoding) => {
  const { post, rows } = openOtlpDoor()
  const old = otlpSpan({}, { spanId: 'b7ad6b7169203332', startTimeUnixNano: '1000000', endTimeUnixNano: '2000000' })
  const answer = await post('traces', encoding, traceRequest([otlpSpan(), old]))
  expect(answer.status).toBe(200)
  expect(await partialOf(answer)).toEqual({
    rejected: 1,
    message: 'Cannot take span: start_us is 1000, more than 29 days ago',
  })
  expect(rows[0]?.traces).toHaveLength(1)
})

test('otlpApp() takes what stands beside an item that cannot be read', async () => {
  const { post, rows } = openOtlpDoor()
  const items = [otlpSpan({}, { startTimeUnixNano: 'soon' }), 17, null, otlpSpan()]
  expect(await partialOf(await post('traces', 'json', traceRequest(items)))).toMatchObject({ rejected: 3 })
  expect(rows[0]?.traces).toHaveLength(1)
})

const refusals: [string, number, number, () => Parameters<ReturnType<typeof openOtlpDoor>['post']>][] = [
  ['no key', 401, 16, () => ['traces', 'json', {}, { authorization: '' }]],
  ['a wrong key', 401, 16, () => ['traces', 'protobuf', traceRequest([]), { authorization: `${otlpKey}` }]],
  ['what is no protobuf', 400, 3, () => ['traces', 'protobuf', Uint8Array.from([10, 200, 1])]],
  ['what is no JSON', 400, 3, () => ['logs', 'json', new TextEncoder().encode('{"resourceLogs"')]],
  ['JSON that is no object', 400, 3, () => ['metrics', 'json', new TextEncoder().encode('[]')]],
  ['another media type', 415, 3, () => ['traces', 'json', {}, { 'content-type': 'text/plain' }]],
  ['another encoding', 415, 3, () => ['traces', 'protobuf', traceRequest([]), { 'content-encoding': 'br' }]],
  ['a body that is too large', 413, 8, () => ['traces', 'json', new Uint8Array(otlpBytesMax + 1).fill(32)]],
  [
    'a body that unfolds too large',
    413,
    8,
    () => ['traces', 'protobuf', gzipSync(new Uint8Array(otlpBytesMax + 1)), { 'content-encoding': 'gzip' }],
  ],
  ['too many spans', 413, 8, () => ['traces', 'protobuf', traceRequest(spansOf(otlpRecordsMax + 1))]],
]

test.each(refusals)('otlpApp() answers %s with %i as google.rpc.Status', async (_, status, code, ask) => {
  const { post, rows } = openOtlpDoor()
  const answer = await post(...ask())
  expect(answer.status).toBe(status)
  const isJson = answer.headers.get('content-type') === 'application/json'
  if (isJson) expect(await answer.json()).toEqual({ code, message: expect.stringMatching(/^Cannot /) })
  else expect([...new Uint8Array(await answer.arrayBuffer())].slice(0, 3)).toEqual([8, code, 18])
  expect(rows).toEqual([])
})

test('otlpApp() refuses a revoked key', async () => {
  expect((await openOtlpDoor({ revoked: true }).post('logs', 'json', {})).status).toBe(403)
})

test('otlpApp() answers other methods with 405', async () => {
  const answer = await openOtlpDoor().app.request('/ingest/v1/traces')
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST'])
})

test.each(encodings)(
  'otlpApp() asks to come back when the store is away, and stores each part once (%s)',
  async (encoding) => {
    const away = new StoreError('unavailable', 'Cannot reach the store')
    const { post, rows, spans } = openOtlpDoor({ failures: [null, away] })
    const request = traceRequest(
      spansOf(batchRecordsMax + 1).map((span, i) => ({ ...span, traceId: (i + 1).toString(16).padStart(32, '0') })),
    )
    const answer = await post('traces', encoding, request)
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, String(retryAfterSeconds)])
    expect(rows).toHaveLength(1)
    expect((await post('traces', encoding, request)).status).toBe(200)
    expect(rows).toHaveLength(2)
    expect(new Set(spans().map(({ trace_id }) => trace_id)).size).toBe(batchRecordsMax + 1)
    expect(new Set(rows.map(({ batch_id }) => batch_id)).size).toBe(2)
  },
)

test('otlpApp() counts as refused what the store refuses, and keeps the rest', async () => {
  const refused = new StoreError('refused', 'Cannot store batch')
  const { post, rows } = openOtlpDoor({ failures: [refused] })
  const request = traceRequest(spansOf(batchRecordsMax + 1))
  expect(await partialOf(await post('traces', 'protobuf', request))).toEqual({
    rejected: batchRecordsMax,
    message: `Cannot take record: the store refuses its content (${batchRecordsMax} times)`,
  })
  expect(rows).toHaveLength(1)
})

test('otlpApp() takes as many spans as are allowed, in batches', async () => {
  const { post, rows } = openOtlpDoor()
  expect(await partialOf(await post('traces', 'protobuf', traceRequest(spansOf(otlpRecordsMax))))).toMatchObject({
    rejected: 0,
  })
  expect(rows).toHaveLength(otlpRecordsMax / batchRecordsMax)
  for (const { traces } of rows) expect(Object.keys(traces[0]?.spans ?? {})).toHaveLength(batchRecordsMax)
})

test('otlpApp() cuts parts by their size too', async () => {
  const { post, rows } = openOtlpDoor()
  const large = spansOf(100).map((span) => ({ ...span, attributes: pairsOf({ a: 'x'.repeat(30_000) }) }))
  expect((await post('traces', 'json', traceRequest(large))).status).toBe(200)
  expect(rows.length).toBeGreaterThanOrEqual(3)
})

test('otlpApp() takes metrics as gauges and logs as errors or events', async () => {
  const { post, rows } = openOtlpDoor()
  const at = nanosAt(nowUs)
  await post(
    'metrics',
    'protobuf',
    metricRequest([
      {
        name: 'db.client.connection.count',
        sum: { dataPoints: [{ timeUnixNano: at, asInt: '3', attributes: pairsOf({ state: 'idle' }) }] },
      },
    ]),
  )
  await post(
    'logs',
    'json',
    logRequest([
      {
        timeUnixNano: at,
        severityNumber: 17,
        severityText: 'ERROR',
        body: { stringValue: 'it broke' },
        attributes: [],
      },
      { timeUnixNano: at, severityNumber: 9, body: { stringValue: 'fine' }, attributes: [] },
    ]),
  )
  expect(rows[0]?.gauges).toMatchObject([
    { name: 'db.client.connection.count', value: 3, labels: { state: 'idle' }, at_us: nowUs },
  ])
  expect(rows[1]).toMatchObject({
    accepted: { error: 1, event: 1 },
    errors: [{ error_type: 'ERROR', message: 'it broke' }],
  })
  expect(JSON.stringify(rows)).not.toContain('fine')
})
