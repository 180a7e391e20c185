// What the tap adds to a call of the daemon's protocol: the same client and server directly, through a bare relay of
// `ws`, and through `telltale tap`, in turns, with a far end that takes every batch. Then the messages a second, 64 in
// flight. The relay and the tap are processes of their own. Usage: node bench/ws_tap_latency.ts
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { startIngest } from '../test/ingest_fixture.ts'
import { opened, startFarServer } from '../test/ws_tap_fixture.ts'

const warmUp = 500
const calls = 3_000
const flooded = 20_000
const inFlight = 64
const [tapScript, relayScript] = ['../test/tap_fixture.ts', './ws_bare_relay.ts'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
)

const metrics = { latency_ms: 0.2, global_sem_wait_ms: 0, provider_sem_wait_ms: 0, processing_ms: 0.2 }
const outputs = [
  { type: 'text', text: '{"status":"success","content":"hello"}', metadata: { latency_metrics: metrics } },
]
const answer = JSON.stringify({ op: 'call_tool_res', request_id: 'unknown', outputs })
const question = JSON.stringify({ op: 'call_tool', id: 'call_1', name: 'chat', arguments: { prompt: 'hello', n: 1 } })

const ingest = await startIngest()
ingest.flushAfterMs = 250
const far = await startFarServer((socket) => socket.on('message', () => socket.send(answer)))

/** Starts a script that prints where it listens, as the last word of a URL with a port. */
async function started(script: string | undefined, args: readonly string[]) {
  const env = {
    ...process.env,
    TELLTALE_INGEST_URL: ingest.url,
    TELLTALE_INGEST_KEY: ingest.key,
    TELLTALE_OUTBOX_DIR: 'none',
  }
  const child = spawn(process.execPath, [script ?? '', ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const port = await new Promise<number>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      const found = /ws:\/\/127\.0\.0\.1:(\d+)/.exec(chunk.toString())
      if (found) resolve(Number(found[1]))
    })
  })
  return { child, port }
}

const tap = await started(tapScript, ['tap', '--listen', '127.0.0.1:0', '--target', far.url.href])
const quiet = await started(tapScript, ['tap', '--listen', '127.0.0.1:0', '--target', far.url.href, '--no-context'])
const relay = await started(relayScript, [far.url.href])
const ways: { readonly [name: string]: WebSocket } = {
  direct: await dialled(far.port),
  'bare relay': await dialled(relay.port),
  tap: await dialled(tap.port),
  'tap --no-context': await dialled(quiet.port),
}

async function dialled(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false })
  await opened(socket)
  return socket
}

function msOf(socket: WebSocket): Promise<number> {
  const began = performance.now()
  return new Promise((resolve) => {
    socket.once('message', () => resolve(performance.now() - began))
    socket.send(question)
  })
}

/** Answers a second, `inFlight` questions being under way at any time. */
function rateOf(socket: WebSocket): Promise<number> {
  const began = performance.now()
  return new Promise((resolve) => {
    let [asked, answered] = [0, 0]
    const askMore = () => {
      for (; asked < flooded && asked - answered < inFlight; asked++) socket.send(question)
    }
    const heard = () => {
      if (++answered < flooded) return askMore()
      socket.off('message', heard)
      resolve(flooded / ((performance.now() - began) / 1_000))
    }
    socket.on('message', heard)
    askMore()
  })
}

const times = new Map(Object.keys(ways).map((name) => [name, [] as number[]]))
for (let call = 0; call < warmUp + calls; call++) {
  for (const [name, socket] of Object.entries(ways)) {
    const ms = await msOf(socket)
    if (call >= warmUp) times.get(name)?.push(ms)
  }
}

const quantile = (values: readonly number[], q: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * q)] ?? 0
console.log(
  `${'way'.padEnd(18)}${'p50 ms'.padStart(9)}${'p99 ms'.padStart(9)}${'added p50'.padStart(11)}${'added p99'.padStart(11)}${'calls/s'.padStart(10)}`,
)
for (const [name, socket] of Object.entries(ways)) {
  const [own, direct] = [times.get(name) ?? [], times.get('direct') ?? []]
  const [p50, p99] = [quantile(own, 0.5), quantile(own, 0.99)]
  const added = [p50 - quantile(direct, 0.5), p99 - quantile(direct, 0.99)].map((ms) => ms.toFixed(3).padStart(11))
  const rate = Math.round(await rateOf(socket))
  console.log(
    `${name.padEnd(18)}${p50.toFixed(3).padStart(9)}${p99.toFixed(3).padStart(9)}${added.join('')}${String(rate).padStart(10)}`,
  )
}
for (const socket of Object.values(ways)) socket.close()
for (const { child } of [tap, quiet, relay]) child.kill('SIGTERM')
await far.close()
await ingest.close()
