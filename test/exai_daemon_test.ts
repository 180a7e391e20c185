import { afterEach, expect, test } from 'vitest'
import { connectExai, type ExaiClient } from './exai_client_fixture.ts'
import {
  type ExaiDaemon,
  type ExaiOptions,
  type ExaiShim,
  startExaiDaemon,
  startExaiShim,
} from './exai_daemon_fixture.ts'
import { pythonWith } from './python_fixture.ts'

// The faults that the daemon and the shim of the tests have on purpose. What is tested against them rests on these.

const { python, reason } = await pythonWith('sdk')
const faulty = test.skipIf(reason !== null)

let daemon: ExaiDaemon | null = null
let shim: ExaiShim | null = null
const clients: ExaiClient[] = []

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()))
  await shim?.close()
  shim = null
  await daemon?.close()
  daemon = null
})

async function start(env: ExaiOptions['env'] = {}): Promise<void> {
  daemon = await startExaiDaemon({ python: python ?? '', env })
}

async function client(more: { readonly [name: string]: unknown } = {}): Promise<ExaiClient> {
  const connected = await connectExai(daemon?.url ?? '', more)
  clients.push(connected)
  return connected
}

const opsOf = ({ frames }: ExaiClient) => frames.map(({ op, error }) => op ?? (error ? 'bare error' : null))

faulty('the daemon answers every call as unknown, in order, with chunks and progress on the way', async () => {
  await start({ EXAI_PROGRESS_INTERVAL: '0.05' })
  const caller = await client({ session_id: 'mine' })
  expect(caller.frames[0]).toEqual({ op: 'hello_ack', ok: true, session_id: 'mine' })
  caller.send({ op: 'call_tool', id: 'call_1', name: 'slow', arguments: { ms: 400 } })
  caller.send({ op: 'ping', id: 'call_1' })
  const last = await caller.call('streaming_EXAI-WS', {}, { id: 'call_1' })
  await expect.poll(() => opsOf(caller), { timeout: 10_000 }).toContain('stream_chunk')
  const answers = caller.frames.filter(({ op }) => op === 'call_tool_res')
  expect(answers.map(({ request_id }) => request_id)).toEqual(answers.map(() => 'unknown'))
  expect(opsOf(caller).filter((op) => op === 'progress').length).toBeGreaterThanOrEqual(2)
  expect(opsOf(caller).indexOf('pong')).toBeGreaterThan(opsOf(caller).indexOf('call_tool_res'))
  const [output] = last.outputs as { metadata: { latency_metrics: { [name: string]: number } } }[]
  expect(output?.metadata.latency_metrics).toMatchObject({ global_sem_wait_ms: expect.any(Number) })
})

faulty('the daemon hangs the next call after a tool that raised, whoever makes it, but not a cached one', async () => {
  await start()
  const [one, other] = [await client(), await client()]
  await one.call('fast')
  expect(await one.call('raising')).toEqual({
    error: {
      code: 'TOOL_EXECUTION_ERROR',
      message: 'Tool execution failed: raising',
      details: { original_error: "'bottom'" },
    },
  })
  expect(await other.call('fast')).toMatchObject({ from_cache: true })
  const hung = other.call('empty').then(() => 'answered')
  expect(await one.call('empty', {}, { request_id: 'own' })).toMatchObject({ request_id: 'own', outputs: [] })
  expect(await Promise.race([hung, one.call('fast').then(() => 'still waiting')])).toBe('still waiting')
})

faulty('the daemon refuses hellos, connections, frames and too many of them, and rotates its token', async () => {
  await start({ EXAI_WS_TOKEN: 'old-token', EXAI_CALLS_PER_SECOND_MAX: '1', EXAI_CONNECTIONS_MAX: '1' })
  const stranger = await connectExai(daemon?.url ?? '', { token: 'wrong' })
  expect(stranger.frames).toEqual([{ op: 'hello_ack', ok: false, error: 'unauthorized' }])
  await stranger.close()
  const caller = await client({ token: 'old-token' })
  caller.send({ op: 'rotate_token', old: 'old-token', new: 'new-token' })
  caller.send({ no: 'op' })
  for (let n = 0; n < 3; n++) caller.send({ op: 'ping' })
  await expect.poll(() => caller.frames.length, { timeout: 10_000 }).toBe(6)
  expect(caller.frames).toContainEqual({ op: 'rotate_token_ack', ok: true })
  expect(caller.frames).toContainEqual({ op: 'error', error: { code: 'INVALID_REQUEST', message: 'Missing op' } })
  expect(caller.frames).toContainEqual({
    op: 'error',
    error: { code: 'OVER_CAPACITY', message: 'Rate limit exceeded' },
  })
  const third = new WebSocket(daemon?.url ?? '')
  const code = await new Promise((resolve) => third.addEventListener('close', (event) => resolve(event.code)))
  expect(code).toBe(1008)
})

faulty('the daemon speaks JSON-RPC on the same port to whoever begins with initialize', async () => {
  await start()
  const socket = new WebSocket(daemon?.url ?? '')
  const said: string[] = []
  socket.addEventListener('message', ({ data }) => void said.push(String(data)))
  await new Promise((resolve) => socket.addEventListener('open', resolve))
  socket.send(
    JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18' } }),
  )
  socket.send(JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'mock' } }))
  await expect.poll(() => said.length, { timeout: 10_000 }).toBe(2)
  expect(JSON.parse(said[1] ?? '')).toEqual({
    jsonrpc: '2.0',
    id: 2,
    result: { content: [{ type: 'text', text: 'mock of mock' }] },
  })
  socket.close()
})

faulty('the shim reads one frame a call, so it has no content, and is off by one from then on', async () => {
  await start()
  shim = startExaiShim({ python: python ?? '', port: daemon?.port ?? 0 })
  const ask = (name: string) => shim?.ask('tools/call', { name, arguments: {} })
  expect(await ask('nowhere')).toMatchObject({
    result: { content: [{ text: expect.stringContaining('Error executing tool nowhere') }] },
  })
  expect(await ask('fast')).toMatchObject({ result: { content: [] } })
  // What it reads now is the answer to `fast`; that to `nowhere` again comes a call later.
  expect(await ask('nowhere')).toMatchObject({ result: { content: [] } })
  const late = await ask('fast')
  expect(late).toMatchObject({ result: { content: [{ text: expect.stringContaining('TOOL_NOT_FOUND') }] } })
})
