// What telltale.py costs its host, next to OpenTelemetry's SDK for Python, in one run: ns a span on the hot path (CPU of
// the host's thread), CPU a span with encoding and sending, the longest time that the host's thread stood still while
// 10,000 spans were sent (at Python's switch interval of 5 ms), and bytes that a span holds until it is sent.
// Usage: node bench/python_cost.ts (needs python3 and PyPI)
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { pythonWith, runPython } from '../test/python_fixture.ts'

type Pair = readonly [ours: number, theirs: number]
type Figures = { hot: Pair; cpu: Pair; block: Pair; bytes: Pair; disabled: number; python: string }

const { python, reason } = await pythonWith('sdk')
if (python === null) {
  console.log(`skipped: ${reason}`)
  process.exit(0)
}

const server = createServer(async (request, response) => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  if (request.url !== '/ingest') return void response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end()
  const raw = Buffer.concat(chunks)
  const text = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw).toString()
  const batchId = /"batch_id":"([^"]+)"/.exec(text)?.[1]
  const ack = {
    batch_id: batchId,
    status: 'stored',
    accepted: {},
    rejected: [],
    flush_after_ms: 15_000,
    records_max: 500,
  }
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(ack))
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const script = fileURLToPath(new URL('./python_cost.py', import.meta.url))
const { code, out, err } = await runPython([script, `${address}/ingest`, `${address}/v1/traces`], {
  python,
  msMax: 120_000,
})
server.close()
server.closeAllConnections()
if (code !== 0) throw new Error(`Cannot measure: ${err}`)

const figures = JSON.parse(out) as Figures
const line = (what: string, [ours, theirs]: Pair, digits: number) =>
  console.log(
    `${what.padEnd(34)}${ours.toFixed(digits).padStart(12)}${theirs.toFixed(digits).padStart(15)}${(ours / theirs).toFixed(2).padStart(8)}`,
  )
console.log(`${`Python ${figures.python}`.padEnd(34)}telltale.py  OpenTelemetry   ratio`)
line('hot path, ns a span', figures.hot, 0)
line('CPU with sending, µs a span', figures.cpu, 1)
line('longest stop while sending, ms', figures.block, 1)
line('retained until sent, bytes a span', figures.bytes, 0)
console.log(`switched off: ${figures.disabled.toFixed(0)} ns a call`)
