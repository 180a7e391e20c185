// What each tap adds to an echo call: the same client and server with nothing between and through the tap, in turns, with
// a far end that takes every batch; then how many calls and bytes a second get through, many calls at once and large ones.
// Usage: node bench/tap_latency.ts [stdio|http]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { LineSplitter } from '../src/tap/line_splitter.ts'
import { startIngest } from '../test/ingest_fixture.ts'

const warmUp = 300
const calls = 2_000
// Enough for the code of both to be compiled.
const pipelined = { stdio: 40_000, http: 8_000 }
const atOnce = 32
const largeBytes = 1024 * 1024
const largeCalls = 40

/** Sends one JSON-RPC request and waits for its answer. */
type Ask = (id: number, padding: string) => Promise<void>
type Way = { readonly ask: Ask; readonly close: () => Promise<void> }

const root = fileURLToPath(new URL('..', import.meta.url))
const far = await startIngest()
far.flushAfterMs = 250
const env = { ...process.env, TELLTALE_INGEST_URL: far.url, TELLTALE_INGEST_KEY: far.key, TELLTALE_OUTBOX_DIR: 'none' }
const messageOf = (id: number, padding: string) =>
  JSON.stringify({
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: { name: 'echo', arguments: { message: padding } },
  })

// As little as a server can be, so that what is measured is the way to it.
const lineServer = `
  let rest = ''
  process.stdin.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + text).split('\\n'); rest = lines.pop()
    for (const line of lines) {
      const { id, params } = JSON.parse(line)
      process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: params.arguments.message }] } }) + '\\n')
    }
  })`
const httpServer = `
  const server = require('node:http').createServer((request, response) => {
    const parts = []
    request.on('data', (part) => parts.push(part)).on('end', () => {
      const { id, params } = JSON.parse(Buffer.concat(parts))
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end('event: message\\ndata: ' + JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: params.arguments.message }] } }) + '\\n\\n')
    })
  }).listen(0, '127.0.0.1', () => console.log(JSON.stringify({ listening: 'http://127.0.0.1:' + server.address().port })))`

function started(args: readonly string[]): { stdin: Writable; stdout: Readable; stop: () => Promise<void> } {
  const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
  const stop = async () => {
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    await gone
  }
  return { stdin: child.stdin, stdout: child.stdout, stop }
}

function overPipes(tapped: boolean): Way {
  const server = ['-e', lineServer]
  const { stdin, stdout, stop } = started(
    tapped ? [`${root}test/wrap_fixture.ts`, 'wrap', '--', process.execPath, ...server] : server,
  )
  const waiting = new Map<number, () => void>()
  const splitter = new LineSplitter(({ text }) => {
    const { id } = JSON.parse(text ?? '{}') as { id: number }
    waiting.get(id)?.()
    waiting.delete(id)
  })
  stdout.on('data', (chunk: Buffer) => splitter.push(chunk))
  const ask: Ask = (id, padding) =>
    new Promise((resolve) => {
      waiting.set(id, resolve)
      stdin.write(`${messageOf(id, padding)}\n`)
    })
  return { ask, close: stop }
}

async function listeningOf(stdout: Readable): Promise<URL> {
  const [line] = (await once(stdout, 'data')) as [Buffer]
  return new URL((JSON.parse(line.toString()) as { listening: string }).listening)
}

async function overHttp(tapped: boolean): Promise<Way> {
  const server = started(['-e', httpServer])
  const target = await listeningOf(server.stdout)
  const tapArgs = ['tap', '--json', '--listen', '127.0.0.1:0', '--target', target.href]
  const tap = tapped ? started([`${root}test/wrap_fixture.ts`, ...tapArgs]) : null
  const url = tap ? await listeningOf(tap.stdout) : target
  const agent = new Agent({ keepAlive: true, maxSockets: atOnce })
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const ask: Ask = (id, padding) =>
    new Promise((resolve, reject) => {
      const outgoing = request(url, { method: 'POST', agent, headers }, (response) => {
        response.resume().on('end', () => resolve())
      })
      outgoing.on('error', reject).end(messageOf(id, padding))
    })
  const close = async () => {
    agent.destroy()
    await tap?.stop()
    await server.stop()
  }
  return { ask, close }
}

async function msOf(act: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await act()
  return performance.now() - began
}

/** Sends `count` requests, `atOnce` of them in flight. */
async function flood(way: Way, count: number, padding: string): Promise<void> {
  let next = 1_000_000
  const end = next + count
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < end) await way.ask(next++, padding)
    }),
  )
}

const quantile = (values: readonly number[], q: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * q)] ?? 0

async function measure(name: keyof typeof pipelined, bare: Way, tapped: Way): Promise<void> {
  const times: { readonly bare: number[]; readonly tapped: number[] } = { bare: [], tapped: [] }
  for (let id = 0; id < warmUp + calls; id++) {
    const pair = [await msOf(() => bare.ask(id, 'hello')), await msOf(() => tapped.ask(id, 'hello'))] as const
    if (id < warmUp) continue
    times.bare.push(pair[0])
    times.tapped.push(pair[1])
  }
  for (const q of [0.5, 0.99]) {
    const [without, with_] = [quantile(times.bare, q), quantile(times.tapped, q)]
    console.log(
      `${name.padEnd(5)}  p${q * 100}  bare ${without.toFixed(3)} ms  tapped ${with_.toFixed(3)} ms  added ${(with_ - without).toFixed(3)} ms`,
    )
  }
  const large = 'x'.repeat(largeBytes)
  for (const [what, count, padding] of [
    ['small', pipelined[name], 'hello'],
    ['1 MiB', largeCalls, large],
  ] as const) {
    const rates: number[] = []
    for (const way of [bare, tapped]) {
      await flood(way, Math.ceil(count / 4), padding)
      rates.push((count / (await msOf(() => flood(way, count, padding)))) * 1_000)
    }
    const [without = 0, with_ = 0] = rates
    const share = ((100 * with_) / without).toFixed(0)
    console.log(
      `${name.padEnd(5)}  ${atOnce} ${what} calls at once  bare ${without.toFixed(0)}/s  tapped ${with_.toFixed(0)}/s  (${share} %)`,
    )
  }
  await Promise.all([bare.close(), tapped.close()])
}

const only = process.argv[2]
if (only !== 'http') await measure('stdio', overPipes(false), overPipes(true))
if (only !== 'stdio') await measure('http', await overHttp(false), await overHttp(true))
await far.close()
