import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ConnectionEvent, ErrorRecord, Gauge, Message, Span, TelltaleRecord } from '../src/core/record.ts'
import { parseBatch } from '../src/wire/parse_batch.ts'
import { connectExai, type ExaiClient } from './exai_client_fixture.ts'
import { type ExaiDaemon, startExaiDaemon } from './exai_daemon_fixture.ts'
import { type IngestFixture, startIngest } from './ingest_fixture.ts'
import { pythonWith, telltalePy } from './python_fixture.ts'

// The unmodified daemon under `python telltale.py scripts/ws/run_ws_daemon.py`. Nothing of it is imported or changed.

const { python, reason } = await pythonWith('sdk')
const hooked = test.skipIf(reason !== null)

let far: IngestFixture
let daemon: ExaiDaemon | null = null
const clients: ExaiClient[] = []

beforeEach(async () => {
  far = await startIngest()
})

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()))
  await daemon?.close()
  daemon = null
  await far.close()
})

async function start(env: { readonly [name: string]: string } = {}): Promise<ExaiDaemon> {
  const reporting = { TELLTALE_INGEST_URL: far.url, TELLTALE_INGEST_KEY: far.key, PYTHONHASHSEED: '1' }
  daemon = await startExaiDaemon({
    python: python ?? '',
    under: [telltalePy, '--service', 'exai'],
    env: { ...reporting, EXAI_API_MS: '5', ...env },
  })
  return daemon
}

async function client(more: { readonly [name: string]: unknown } = {}): Promise<ExaiClient> {
  const connected = await connectExai(daemon?.url ?? '', { session_id: 'window-1', ...more })
  clients.push(connected)
  return connected
}

/** Ends the daemon and answers what it reported, of which the ingest endpoint would refuse nothing. */
async function reported() {
  await Promise.all(clients.splice(0).map((client) => client.close()))
  expect(await daemon?.close()).toBe(0)
  for (const batch of far.batches) {
    const parsed = parseBatch(JSON.stringify(batch), Date.now() * 1_000)
    expect(parsed).toMatchObject({ ok: true, value: { rejected: [] } })
  }
  const records = far.batches.flatMap(({ records }) => records)
  const of = <T extends TelltaleRecord>(type: T['type']) => records.filter((record) => record.type === type) as T[]
  const spans = of<Span>('span').filter(({ end_us }) => end_us !== null)
  const entries = spans.filter(({ entry }) => entry)
  return {
    spans,
    entries,
    errors: of<ErrorRecord>('error'),
    messages: of<Message>('message').toSorted((a, b) => a.at_us - b.at_us),
    events: of<ConnectionEvent>('event'),
    gauges: of<Gauge>('gauge'),
    below: (parent: Span | undefined) => spans.filter((span) => span.parent_span_id === parent?.span_id),
  }
}

hooked('install() shows a call of the unmodified daemon in every layer that it passes, in one trace', async () => {
  await start()
  const shim = await client()
  const answer = await shim.call('chat_EXAI-WS', { prompt: 'hello', thinking_mode: 'high' }, { id: 'call_7' })
  expect(answer.outputs).toHaveLength(1)
  const { spans, entries, below } = await reported()
  const [entry] = entries
  expect(entries).toHaveLength(1)
  expect(entry).toMatchObject({
    layer: 'websocket',
    name: 'tools/call chat',
    tool: 'chat',
    outcome: 'ok',
    request_id: 'call_7',
    session: { key: 'session_window-1', rule: 'mcp' },
    call_number: 1,
    attributes: { 'telltale.argument_shape': { prompt: 'string(5)', thinking_mode: 'string(4)' } },
  })
  const [tool] = below(entry)
  expect(tool).toMatchObject({ layer: 'tool', tool: 'chat', outcome: 'ok' })
  const parts = below(tool).map(({ layer, name, provider, model }) => ({ layer, name, provider, model }))
  const glm = { provider: 'GLM', model: 'glm-4.5-flash' }
  expect(parts).toEqual([
    { layer: 'storage', name: 'save_message', provider: null, model: null },
    { layer: 'provider', name: 'choose_model', ...glm },
    { layer: 'api', name: 'chat glm-4.5-flash', ...glm },
    { layer: 'storage', name: 'save_message', provider: null, model: null },
  ])
  const api = spans.find(({ layer, kind }) => layer === 'api' && kind === 'work')
  expect(api).toMatchObject({ tokens_in: 5, tokens_out: 7, bytes_in: 5, attributes: { 'telltale.chunk_count': 3 } })
  const firstMs = Number(api?.attributes['telltale.first_chunk_ms'])
  expect(firstMs).toBeGreaterThanOrEqual(4)
  const [first, ...others] = below(api)
  expect(others).toEqual([])
  expect(first).toMatchObject({ name: 'first chunk', kind: 'wait', layer: 'api' })
  expect((first?.start_us ?? 0) - (api?.start_us ?? 0)).toBeLessThan(1_000)
  expect(Math.abs(((first?.end_us ?? 0) - (first?.start_us ?? 0)) / 1_000 - firstMs)).toBeLessThan(2)
  expect(new Set(spans.map(({ trace_id }) => trace_id)).size).toBe(1)
})

hooked('install() continues the trace that a tap put into the frame, and is not the entry then', async () => {
  await start()
  const shim = await client()
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  await shim.call('fast', {}, { traceparent, tracestate: 'telltale=b7ad6b7169203331' })
  await shim.call('fast', { text: 'other' }, { traceparent })
  const { spans } = await reported()
  const calls = spans.filter(({ layer }) => layer === 'websocket')
  expect(calls.map(({ trace_id }) => trace_id)).toEqual(Array(2).fill('0af7651916cd43dd8448eb211c80319c'))
  expect(calls.map(({ parent_span_id, entry }) => [parent_span_id, entry])).toEqual([
    ['b7ad6b7169203331', false],
    ['b7ad6b7169203331', true],
  ])
})

hooked('install() tells the storage that the daemon calls by HTTP which span called it, and nobody else', async () => {
  const told: (string | undefined)[] = []
  const storage = createServer((request, response) => {
    told.push(String(request.headers.traceparent))
    request.resume().once('end', () => response.writeHead(201).end())
  })
  await new Promise<void>((resolve) => storage.listen(0, '127.0.0.1', resolve))
  try {
    await start({ SUPABASE_URL: `http://127.0.0.1:${(storage.address() as AddressInfo).port}` })
    const shim = await client()
    await shim.call('chat', { prompt: 'hello' })
    const { spans } = await reported()
    const saves = spans.filter(({ name }) => name === 'save_message')
    expect(saves.length).toBe(2)
    expect(told).toEqual(saves.map(({ trace_id, span_id }) => `00-${trace_id}-${span_id}-01`))
  } finally {
    storage.close()
  }
})

hooked('install() fills the nulls of a saved message, in what is recorded and in what the daemon stores', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'telltale-exai-'))
  try {
    await start({ EXAI_MESSAGES_FILE: join(folder, 'messages.jsonl') })
    const shim = await client()
    await shim.call('chat', { prompt: 'hello', continuation_id: 'talk-1', thinking_mode: 'high' })
    const { messages, entries } = await reported()
    const known = { conversation_id: 'talk-1', model_used: 'glm-4.5-flash', provider_used: 'GLM', tool_name: 'chat' }
    const usage = { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 }
    expect(messages).toMatchObject([
      { role: 'user', ...known, thinking_mode: 'high', token_usage: usage },
      { role: 'assistant', ...known, thinking_mode: 'high', token_usage: usage },
    ])
    for (const message of messages) {
      expect(Object.entries(message).filter(([, value]) => value === null)).toEqual([])
      expect(message.response_time_ms).toBeGreaterThan(0)
      expect(message.trace_id).toBe(entries[0]?.trace_id)
    }
    expect(entries[0]?.session).toEqual({ key: 'talk-1', rule: 'continuation' })
    const stored = readFileSync(join(folder, 'messages.jsonl'), 'utf8').trim().split('\n')
    const { metadata } = JSON.parse(stored[1] ?? '') as { metadata: { [name: string]: unknown } }
    expect(metadata).toMatchObject({ model_used: 'glm-4.5-flash', provider_used: 'GLM', token_usage: usage })
    expect(Object.values(metadata)).not.toContain(null)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

hooked(
  'install() tells the true cause of a tool that raised, with its traceback, where the wire says none',
  async () => {
    await start()
    const shim = await client()
    const answer = await shim.call('raising', { drawer: 'middle' }, { request_id: 'r1' })
    expect(answer.error).toMatchObject({ message: 'Tool execution failed: raising' })
    await shim.call('kimi_chat', { prompt: 'fail' }, { request_id: 'r2' })
    await shim.call('failing', {}, { request_id: 'r3' })
    await shim.call('nowhere', {}, { request_id: 'r4' })
    const { errors, entries, spans } = await reported()
    expect(entries.map(({ tool, outcome }) => [tool, outcome])).toEqual([
      ['raising', 'tool_error'],
      ['kimi_chat', 'tool_error'],
      ['failing', 'tool_error'],
      ['nowhere', 'caller_fault'],
    ])
    expect(errors.map(({ error_type, message }) => [error_type, message])).toEqual([
      ['KeyError', "'middle'"],
      ['ConnectionError', 'Cannot reach the AI API: kimi-k2 answered 503'],
      ['ToolError', 'Cannot read the file: it is not there'],
      ['ToolNotFoundError', 'Tool not found: nowhere'],
    ])
    expect(errors[0]?.traceback).toMatch(/in open_the_drawer\n/)
    expect(errors[0]?.context).toEqual({ raised_as: ['ToolExecutionError: Tool execution failed: raising'] })
    expect(errors[1]?.traceback).toMatch(/in call_api\n/)
    expect(errors.map(({ traceback }) => traceback ?? '').join('')).not.toContain('telltale.py')
    expect(spans.find(({ span_id }) => span_id === errors[1]?.span_id)?.layer).toBe('api')
  },
)

hooked('install() shows who waited for a permit, how long, and which tool held it', async () => {
  await start({ EXAI_KIMI_MAX: '1', EXAI_HEALTH_INTERVAL: '60' })
  const [first, second] = [await client(), await client({ session_id: 'window-2' })]
  await Promise.all([
    first.call('kimi_chat', { ms: 150 }, { request_id: 'a' }),
    second.call('kimi_chat', { ms: 1 }, { request_id: 'b' }),
  ])
  const { spans, errors, gauges } = await reported()
  const waits = spans.filter(({ kind }) => kind === 'wait')
  expect(waits).toMatchObject([{ name: 'permit provider_sem KIMI', holder: 'kimi_chat', layer: 'tool', outcome: 'ok' }])
  const [wait] = waits
  expect(((wait?.end_us ?? 0) - (wait?.start_us ?? 0)) / 1_000).toBeGreaterThan(100)
  expect(gauges.filter(({ name }) => name === 'permits_in_use').map(({ labels }) => labels.name)).toContain(
    'provider_sem KIMI',
  )
  expect(errors).toEqual([])
})

hooked('install() flags permits that the health check releases while they are held', async () => {
  await start({ EXAI_GLOBAL_MAX: '2', EXAI_HEALTH_INTERVAL: '0.05' })
  const shim = await client()
  await shim.call('slow', { ms: 300 })
  const { errors, spans } = await reported()
  expect(errors).toMatchObject([
    {
      error_type: 'PermitReleasedWhileHeld',
      context: { permit: 'global_sem', held: 1, free: 2, limit: 2, tool: 'slow' },
    },
  ])
  const faulty = spans.filter(({ attributes }) => attributes['telltale.fault'] === 'permit_released_while_held')
  expect(faulty).toMatchObject([{ layer: 'tool', tool: 'slow' }])
})

hooked('install() says when an answer is from a cache, and when it is another call’s in flight', async () => {
  await start()
  const [first, second] = [await client(), await client({ session_id: 'window-2' })]
  await first.call('fast')
  await first.call('fast')
  const slow = first.call('slow', { ms: 1_000 })
  await expect
    .poll(() => far.batches.flatMap(({ running }) => running).some(({ tool }) => tool === 'slow'), { timeout: 10_000 })
    .toBe(true)
  const stolen = await second.call('chat', { prompt: 'mine' })
  expect(stolen).toMatchObject({ from_inflight: true })
  await slow
  const { entries, below } = await reported()
  const [fresh, cached] = entries.filter(({ tool }) => tool === 'fast')
  expect(fresh).toMatchObject({ outcome: 'ok', attributes: { 'telltale.from_cache': false } })
  expect(cached).toMatchObject({ outcome: 'ok', attributes: { 'telltale.from_cache': true } })
  expect(below(cached)).toEqual([])
  const foreign = entries.find(({ tool }) => tool === 'chat')
  expect(foreign?.attributes).toMatchObject({
    'telltale.from_inflight': true,
    'telltale.fault': 'foreign_inflight_answer',
  })
  expect(below(foreign)).toMatchObject([{ kind: 'wait', name: 'queue inflight', holder: 'slow' }])
})

hooked('install() keeps a call that hangs among the running ones', async () => {
  await start()
  const shim = await client()
  await shim.call('raising')
  shim.send({ op: 'call_tool', name: 'fast', arguments: { text: 'hangs' } })
  await expect
    .poll(() => far.batches.at(-1)?.running.map(({ tool, name }) => [tool, name]), { timeout: 10_000 })
    .toEqual([[null, 'queue inflight']])
})

hooked('install() records events of the daemon’s monitor as detail: they are no requests', async () => {
  await start({ PYTHONHASHSEED: '0' })
  const shim = await client()
  await shim.call('kimi_chat', { prompt: 'fail' })
  const { events, entries, errors } = await reported()
  expect(entries).toHaveLength(1)
  expect(errors).toHaveLength(1)
  expect(events.map(({ connection_type, direction }) => `${connection_type} ${direction}`)).toEqual(
    expect.arrayContaining(['websocket connect', 'websocket receive', 'kimi error']),
  )
  const failed = events.find(({ direction }) => direction === 'error')
  expect(failed).toMatchObject({
    script_name: 'kimi_chat.py',
    function_name: 'kimi.generate_content',
    error: null,
    metadata: { error_message: 'Cannot reach the AI API: kimi-k2 answered 503', 'telltale.sampled': true },
  })
})

hooked('install() records what a call says only of the tools that the operator named, without secrets', async () => {
  await start({ TELLTALE_CONTENT: 'tool=fa*' })
  const caller = await client()
  await caller.call('fast', { text: 'hello', password: 'hunter2' })
  await caller.call('chat', { prompt: 'a private thing' })
  const { spans } = await reported()
  const [fast] = spans.filter(({ tool, entry }) => entry && tool === 'fast')
  expect(fast?.attributes['telltale.arguments']).toBe('{"text":"hello","password":"[redacted]"}')
  const results = spans.filter(({ attributes }) => 'telltale.result' in attributes)
  expect(results.map(({ tool, layer }) => [tool, layer])).toEqual([['fast', 'tool']])
  const sent = JSON.stringify(far.batches)
  expect(sent).toContain('hello')
  expect(sent).not.toMatch(/private thing|hunter2/)
})

hooked('install() hooks nothing while reporting is turned off', async () => {
  await start({ TELLTALE_DISABLED: '1' })
  const shim = await client()
  expect(await shim.call('fast')).toMatchObject({ outputs: [{ type: 'text' }] })
  const { entries } = await reported()
  expect(entries).toEqual([])
  expect(far.attempts).toEqual([])
})
