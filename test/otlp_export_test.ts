import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stackClientOf } from '../src/cli/stack_client.ts'
import { type Stack, startStack } from '../src/local/stack.ts'
import { aBatch, anError, aSpan, nowUs, traceId } from './rows_fixture.ts'
import { createDataDir, postBatch, runTelltale } from './stack_fixture.ts'

// What one stack has stored, sent on to another: the same traces, errors, messages and gauges.

let stacks: Stack[] = []
const dirs = [createDataDir(), createDataDir()]
const outDir = mkdtempSync(join(tmpdir(), 'telltale-export-'))
const ids = { message: '018f0000-0000-7000-8000-0000000000d1', event: '018f0000-0000-7000-8000-0000000000c1' }

beforeAll(async () => {
  stacks = await Promise.all(dirs.map(({ dir }) => startStack({ dataDir: dir, port: 0, log: () => {} })))
  const times = { start_us: nowUs - 9_000, end_us: nowUs }
  const attributes = {
    'http.route': '/x',
    ratio: 0.5,
    list: [1, null, 'a'],
    deep: { a: { b: true } },
    none: null,
    'gen_ai.request.model': 'asked',
  }
  const records = [
    aSpan({
      ...times,
      model: 'k2',
      provider: 'kimi',
      tokens_in: 5,
      attributes,
      session: { key: 's', rule: 'mcp' },
      call_number: 3,
      request_id: 'r',
    }),
    aSpan({
      ...times,
      span_id: '00000000000000a2',
      parent_span_id: '00000000000000a1',
      entry: false,
      layer: 'storage',
      kind: 'wait',
      holder: 'h',
      outcome: 'timeout',
      tool: null,
    }),
    aSpan({ ...times, trace_id: traceId(2), end_us: null, outcome: null }),
    anError({ at_us: nowUs, context: { at: 'x', n: [1] } }),
    {
      type: 'event',
      event_id: ids.event,
      at_us: nowUs,
      trace_id: null,
      span_id: null,
      connection_type: 'redis',
      direction: 'error',
      script_name: 'a.py',
      function_name: 'f',
      data_size_bytes: 9,
      response_time_ms: 1.5,
      error: 'gone',
      error_type: 'ConnectionError',
      error_traceback: null,
      metadata: { a: 1 },
    },
    {
      type: 'message',
      message_id: ids.message,
      at_us: nowUs,
      trace_id: traceId(1),
      span_id: null,
      conversation_id: 'c',
      role: 'user',
      model_used: 'k2',
      provider_used: 'kimi',
      response_time_ms: 2.25,
      tool_name: 'chat',
      thinking_mode: null,
      token_usage: { total: 4 },
      metadata: { x: 'y' },
    },
    { type: 'gauge', name: 'redis_memory_mb', at_us: nowUs, value: 12, labels: { db: '0' } },
  ]
  const batch = { ...aBatch(), records }
  const answer = await postBatch(stacks[0]?.env ?? {}, { batchId: '', traceId: '', body: JSON.stringify(batch) })
  expect(await answer?.json()).toMatchObject({ status: 'stored', rejected: [] })
}, 60_000)

afterAll(async () => {
  await Promise.all(stacks.map((stack) => stack.close()))
  for (const dir of dirs) dir.remove()
  rmSync(outDir, { recursive: true, force: true })
})

const envOf = (stack: number) => ({ ...(stacks[stack]?.env ?? {}) })

async function contentOf(stack: number) {
  const client = stackClientOf(envOf(stack))
  const trace = async (n: number) => {
    const { trace, ...rest } = (await client.rpc('trace', { trace_id: traceId(n) })) as {
      trace: Record<string, unknown>
    }
    return {
      ...rest,
      trace: {
        ...trace,
        revision: 0,
        spans: (trace.spans as object[]).map((span) => ({ ...span, clock_offset_us: 0 })),
      },
    }
  }
  const page = (kind: string) => client.rpc('export_page', { kind })
  return {
    traces: [await trace(1), await trace(2)],
    pages: [await page('traces'), await page('errors'), await page('messages'), await page('gauges')],
  }
}

test.each(['http/protobuf', 'http/json'])(
  'export --otlp gives a second stack the same records (%s)',
  async (protocol) => {
    const { TELLTALE_INGEST_URL: url, TELLTALE_INGEST_KEY: key } = envOf(1)
    const args = [
      'export',
      '--otlp',
      `${url}`,
      '--header',
      `Authorization=Bearer ${key}`,
      '--protocol',
      protocol,
      '--json',
    ]
    const { code, printed, errors } = await runTelltale(args, envOf(0))
    expect([code, errors]).toEqual([0, ''])
    expect(JSON.parse(printed)).toMatchObject({
      traces: 2,
      spans: 3,
      errors: 1,
      events: 1,
      messages: 1,
      gauges: 1,
      refused: 0,
      orphans: 0,
    })
    expect(await contentOf(1)).toEqual(await contentOf(0))
  },
  60_000,
)

test('export writes one line a record, each with where it came from', async () => {
  const out = join(outDir, 'all.jsonl')
  const { code, printed } = await runTelltale(['export', '--out', out, '--from', '2020-01-01'], envOf(0))
  expect(code).toBe(0)
  expect(printed).toMatch(/^exported 2 traces \(3 spans\), 2 errors, 1 messages, 1 gauges in /)
  const lines = readFileSync(out, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const kinds = ['error', 'event', 'gauge', 'message', 'span', 'span', 'span']
  expect(lines.map(({ record }) => record.type).sort()).toEqual(kinds)
  for (const { telltale } of lines) expect(telltale).toBe(1)
  for (const { source, process } of lines)
    expect([source.service, process.id]).toEqual([aBatch().source.service, aBatch().process.id])
  // Lines are batches' records as they were sent.
  const batch = {
    ...aBatch(),
    ...{ batch_id: '018f0000-0000-7000-8000-0000000000bb', records: lines.map(({ record }) => record) },
  }
  const answer = await postBatch(envOf(0), { batchId: '', traceId: '', body: JSON.stringify(batch) })
  expect(await answer?.json()).toMatchObject({ status: 'stored', rejected: [] })
}, 60_000)

test('export with a filter of traces leaves out all else', async () => {
  const { printed, errors } = await runTelltale(['export', '--tool', 'none'], envOf(0))
  expect(printed).toBe('')
  expect(errors).toMatch(/^exported 0 traces/)
})

test('export says why it cannot', async () => {
  const { code, errors } = await runTelltale(['export', '--otlp', 'nowhere'], envOf(0))
  expect([code, errors]).toEqual([1, 'telltale: Cannot export: --otlp is not an http address\n'])
  const { TELLTALE_INGEST_URL: url } = envOf(1)
  const refused = await runTelltale(['export', '--otlp', `${url}/v1/traces`], envOf(0))
  expect([refused.code, refused.errors]).toEqual([1, `telltale: Cannot send to ${url}: it answers 401\n`])
}, 60_000)
