import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Span } from '../src/core/record.ts'
import { connectExai, type ExaiClient } from './exai_client_fixture.ts'
import { type ExaiDaemon, type ExaiShim, startExaiDaemon, startExaiShim } from './exai_daemon_fixture.ts'
import { eventually, type IngestFixture, startIngest } from './ingest_fixture.ts'
import { pythonWith } from './python_fixture.ts'
import { type RunningTap, startTapCommand } from './tap_command_fixture.ts'

// The daemon and the shim of the tests, unmodified, with `telltale tap` between them.

const { python, reason } = await pythonWith('sdk')
const tapped = test.skipIf(reason !== null)

let far: IngestFixture
let daemon: ExaiDaemon | null = null
let tap: RunningTap | null = null
let shim: ExaiShim | null = null
const clients: ExaiClient[] = []

beforeEach(async () => {
  far = await startIngest()
})

afterEach(async () => {
  await shim?.close()
  await Promise.all(clients.splice(0).map((client) => client.close()))
  await tap?.close()
  await daemon?.close()
  shim = tap = daemon = null
  await far.close()
})

async function start(env: { readonly [name: string]: string } = {}): Promise<void> {
  daemon = await startExaiDaemon({ python: python ?? '', env })
  tap = await startTapCommand(daemon.url, { TELLTALE_INGEST_URL: far.url, TELLTALE_INGEST_KEY: far.key })
}

async function client(more: { readonly [name: string]: unknown } = {}): Promise<ExaiClient> {
  const connected = await connectExai(`ws://127.0.0.1:${tap?.port}`, more)
  clients.push(connected)
  return connected
}

const ended = () => far.spans().filter(({ end_us }) => end_us !== null)
const callsOf = (tool: string) => ended().filter((span) => span.tool === tool && span.name.startsWith('tools/call'))

async function call(tool: string, count = 1): Promise<Span> {
  await eventually(() => callsOf(tool).length >= count)
  return callsOf(tool)[count - 1] as Span
}

const childrenOf = ({ span_id }: Span) => ended().filter(({ parent_span_id }) => parent_span_id === span_id)
const msOf = ({ start_us, end_us }: Span) => ((end_us ?? 0) - start_us) / 1_000

tapped('a tap shows how each call of the daemon ended, and why', async () => {
  await start()
  const { call: ask } = await client({ session_id: 'window-1' })
  await ask('fast')
  await ask('failing')
  await ask('empty')
  await ask('nowhere')
  await ask('streaming_EXAI-WS', { ms: 20 })
  await ask('raising')
  await call('raising')
  const outcomes = ['fast', 'failing', 'empty', 'nowhere', 'streaming', 'raising'].map((tool) => {
    const [span] = callsOf(tool)
    return [tool, span?.outcome, span?.call_number, span?.session?.key]
  })
  expect(outcomes).toEqual([
    ['fast', 'ok', 1, 'session_window-1'],
    ['failing', 'tool_error', 2, 'session_window-1'],
    ['empty', 'empty', 3, 'session_window-1'],
    ['nowhere', 'caller_fault', 4, 'session_window-1'],
    ['streaming', 'ok', 5, 'session_window-1'],
    ['raising', 'tool_error', 6, 'session_window-1'],
  ])
  expect(far.errors().map(({ message }) => message)).toEqual([
    'Cannot read the file: it is not there',
    expect.stringContaining('nowhere'),
    'Tool execution failed: raising',
  ])
  expect((await call('streaming')).attributes).toMatchObject({ 'telltale.chunk_count': 3 })
})

tapped('a tap shows what a call waited for: its permit, and the frame before it', async () => {
  await start({ EXAI_KIMI_MAX: '1', EXAI_API_MS: '5' })
  const [one, other] = [await client(), await client()]
  const first = one.call('kimi_chat', { ms: 1_000 }, { request_id: 'a' })
  await eventually(() => far.batches.some(({ running_total }) => running_total === 1))
  await Promise.all([first, other.call('kimi_chat', { ms: 1 }, { request_id: 'b' })])
  const second = await call('kimi_chat', 2)
  const permit = childrenOf(second).find(({ name }) => name === 'permit provider_sem KIMI')
  expect(permit?.kind).toBe('wait')
  expect(msOf(permit as Span)).toBeGreaterThan(100)
  expect(msOf(permit as Span)).toBeLessThan(msOf(second))
  expect(childrenOf(second).some(({ name, kind }) => name === 'run kimi_chat' && kind === 'work')).toBe(true)
  one.send({ op: 'call_tool', name: 'slow', arguments: { ms: 150 } })
  await one.call('fast')
  await one.call('fast', { text: 'again' })
  const behind = childrenOf(await call('fast'))[0]
  expect(behind).toMatchObject({ name: 'frame before it', kind: 'wait', holder: 'slow' })
  expect(msOf(behind as Span)).toBeGreaterThan(100)
})

tapped('a tap takes no replayed metrics for new ones, and flags an answer that is another call’s', async () => {
  await start()
  const [one, other] = [await client(), await client()]
  await one.call('slow', { ms: 120 })
  await one.call('slow', { ms: 120 })
  const cached = await call('slow', 2)
  expect(cached.attributes['telltale.from_cache']).toBe(true)
  expect(childrenOf(cached)).toEqual([])
  await one.call('chat', { prompt: 'p', ms: 1 }, { request_id: 'c1' })
  await one.call('chat', { prompt: 'p', ms: 2 }, { request_id: 'c2' })
  const meant = await call('chat', 2)
  expect(meant.attributes['telltale.from_cache']).toBe(true)
  expect(childrenOf(meant)).toEqual([])
  const first = one.call('slow', { ms: 250 })
  await eventually(() => far.batches.at(-1)?.running_total === 1)
  await Promise.all([first, other.call('fast')])
  const foreign = await call('fast')
  expect(foreign.attributes).toMatchObject({
    'telltale.from_inflight': true,
    'telltale.fault': 'foreign_inflight_answer',
  })
  await eventually(() => far.errors().some(({ error_type }) => error_type === 'ForeignAnswer'))
})

tapped('a tap tells of connections that were refused and frames that were turned away', async () => {
  await start({ EXAI_WS_TOKEN: 'right-token', EXAI_CALLS_PER_SECOND_MAX: '1' })
  // Which the daemon closes itself.
  await connectExai(`ws://127.0.0.1:${tap?.port}`, { token: 'wrong-token' })
  await eventually(() => refusals().length > 0)
  expect(refusals()).toMatchObject([
    { error: 'Cannot connect: the daemon answered unauthorized', error_type: 'ConnectionRejected' },
  ])
  const { call: ask } = await client({ token: 'right-token' })
  for (let turn = 0; turn < 3; turn++) await ask('fast', { text: `${turn}` })
  await eventually(() => far.errors().some(({ error_type }) => error_type === 'RateLimited'))
  expect(callsOf('fast').some(({ attributes }) => attributes['telltale.fault'] === 'rate_limited')).toBe(true)
  expect(JSON.stringify(far.batches)).not.toMatch(/right-token|wrong-token/)
})

const refusals = () =>
  far.batches.flatMap(({ records }) =>
    records.filter((record) => record.type === 'event' && record.direction === 'reject'),
  )

tapped(
  'a tap sees what the shim makes of the daemon: it takes progress for the answer, and the answer for the next',
  async () => {
    await start({ EXAI_PROGRESS_INTERVAL: '0.05' })
    shim = startExaiShim({ python: python ?? '', port: tap?.port ?? 0 })
    await shim.ask('initialize', { protocolVersion: '2024-11-05' })
    await shim.ask('tools/call', { name: 'slow', arguments: { ms: 300 } })
    await shim.ask('tools/call', { name: 'fast', arguments: {} })
    const astray = await call('fast')
    expect(astray.attributes['telltale.fault']).toBe('foreign_frame')
    expect(childrenOf(astray)[0]).toMatchObject({ name: 'frame before it', holder: 'slow' })
    await eventually(() => far.errors().some(({ error_type }) => error_type === 'ForeignFrame'))
  },
)
