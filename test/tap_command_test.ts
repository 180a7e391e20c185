import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { Gauge } from '../src/core/record.ts'
import { eventually, type IngestFixture, startIngest } from './ingest_fixture.ts'
import { type RunningTap, startTapCommand } from './tap_command_fixture.ts'
import { endOf, type FarServer, nextMessages, opened, startFarServer } from './ws_tap_fixture.ts'

let ingest: IngestFixture
let far: FarServer
const taps: RunningTap[] = []

beforeEach(async () => {
  ingest = await startIngest()
  far = await startFarServer((socket) =>
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data))
      const answer =
        frame.op === 'hello'
          ? { op: 'hello_ack', ok: true, session_id: 'S' }
          : { op: 'call_tool_res', outputs: [{ text: 'x' }] }
      socket.send(JSON.stringify({ ...answer, saw: frame }))
    }),
  )
})

afterEach(async () => {
  await Promise.all(taps.splice(0).map((tap) => tap.close('SIGKILL')))
  await far.close()
  await ingest.close()
})

async function tapWith(env: { readonly [name: string]: string }, options: readonly string[] = []): Promise<RunningTap> {
  const tap = await startTapCommand(far.url.href, env, options)
  taps.push(tap)
  return tap
}

const reporting = () => ({ TELLTALE_INGEST_URL: ingest.url, TELLTALE_INGEST_KEY: ingest.key })
const unset = () => ({ TELLTALE_DATA_DIR: mkdtempSync(join(tmpdir(), 'tap-')) })

/** Says hello and calls `chat` once; answers what the server saw of the call. */
async function talkTo(
  tap: RunningTap,
): Promise<{ readonly socket: WebSocket; readonly saw: { [name: string]: unknown } }> {
  const socket = new WebSocket(`ws://127.0.0.1:${tap.port}`)
  await opened(socket)
  const welcome = nextMessages(socket, 1)
  socket.send('{"op":"hello"}')
  await welcome
  const heard = nextMessages(socket, 1)
  socket.send('{"op":"call_tool","name":"chat","arguments":{"prompt":"words"}}')
  const [answer] = await heard
  return { socket, saw: JSON.parse(String(answer?.data)).saw }
}

test('tap says where it listens, records what passes as its options say, and ends cleanly with all of it sent', async () => {
  const options = [
    '--service',
    'daemon',
    '--layer',
    'shim',
    '--environment',
    'test',
    '--instance',
    'i',
    '--inner',
    '--content',
    'tool=chat',
  ]
  const tap = await tapWith(reporting(), options)
  expect(tap.line).toMatch(
    new RegExp(`^telltale tap ws://127.0.0.1:\\d+ -> ${far.url.origin.replaceAll('.', '\\.')}\n$`),
  )
  const { socket, saw } = await talkTo(tap)
  expect(saw.traceparent).toMatch(/^00-/)
  const ended = endOf(socket)
  expect(await tap.close()).toEqual([0, null])
  expect((await ended)[0]).toBe(1001)
  expect(ingest.batches[0]?.source).toMatchObject({ service: 'daemon', environment: 'test', instance: 'i' })
  expect(ingest.spans().find(({ end_us }) => end_us !== null)).toMatchObject({
    name: 'tools/call chat',
    layer: 'shim',
    entry: false,
    session: { key: 'session_S', rule: 'mcp' },
    attributes: { 'telltale.arguments': '{"prompt":"words"}' },
  })
})

test('tap samples how many connections are open, and leaves every byte alone where it is told to', async () => {
  const tap = await tapWith(reporting(), ['--no-context', '--json'])
  expect(JSON.parse(tap.line)).toEqual({ listening: `ws://127.0.0.1:${tap.port}`, target: far.url.origin })
  const { saw, socket } = await talkTo(tap)
  expect(saw).toEqual({ op: 'call_tool', name: 'chat', arguments: { prompt: 'words' } })
  const samples = () =>
    ingest.batches
      .flatMap(({ records }) => records.filter((record): record is Gauge => record.type === 'gauge'))
      .filter(({ name }) => name === 'websocket_connections')
  await eventually(() => samples().at(-1)?.value === 1)
  socket.close()
  await eventually(() => samples().at(-1)?.value === 0)
})

test('tap passes traffic unread where nothing is set, and with telltale down as well', async () => {
  const blind = await tapWith(unset())
  expect((await talkTo(blind)).saw.traceparent).toBeUndefined()
  expect(blind.complaints()).toMatch(/traffic passes unread/)
  expect(await blind.close('SIGINT')).toEqual([0, null])
  const lonely = await tapWith({ TELLTALE_INGEST_URL: 'http://127.0.0.1:9/', TELLTALE_INGEST_KEY: 'tt_x_y' })
  for (let call = 0; call < 20; call++) (await talkTo(lonely)).socket.close()
  expect(await lonely.close()).toEqual([0, null])
})

test('tap refuses what it cannot listen on or stand in front of, in one sentence', async () => {
  const refusals: [string, string[], RegExp][] = [
    ['ftp://127.0.0.1', [], /Cannot tap ftp:\/\/127.0.0.1: it is no URL of ws, wss, http or https/],
    ['nonsense', [], /Cannot tap nonsense/],
    [far.url.href, ['--listen', 'here'], /Cannot listen on here: it is no HOST:PORT/],
    [far.url.href, ['--listen', '127.0.0.1:99999'], /Cannot listen on 127.0.0.1:99999/],
    [far.url.href, ['--listen', `127.0.0.1:${far.port}`], /Cannot listen on 127.0.0.1:\d+: .*EADDRINUSE/],
  ]
  for (const [target, options, why] of refusals) {
    await expect(startTapCommand(target, unset(), options)).rejects.toThrow(why)
  }
})

test('tap stands in front of a server on HTTP too', async () => {
  const tap = await startTapCommand(far.url.href.replace('ws:', 'http:'), reporting())
  taps.push(tap)
  expect(tap.line).toMatch(/^telltale tap http:\/\/127/)
  const health = await fetch(`http://127.0.0.1:${tap.port}/health`)
  expect(await health.text()).toBe('plain GET')
  expect(await tap.close()).toEqual([0, null])
})
