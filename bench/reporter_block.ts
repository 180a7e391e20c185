// The longest time for which the event loop is held while 10,000 spans are sent, beside OpenTelemetry's
// BatchSpanProcessor with its OTLP exporters' serializers in the same run. A far end in this very process would be
// measured too, so it is a worker. A chain of immediates looks at how long this thread has run, to the ns where the
// kernel says so (Linux, schedstat), so that what else runs on the machine is not measured: the most between two looks is
// the block. What the look itself costs, and what it does not see through (a virtual machine that loses its
// processor), is in "nothing" too.
// Usage: node bench/reporter_block.ts [rounds]
import { existsSync, openSync, readSync } from 'node:fs'
import { loadavg } from 'node:os'
import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'
import { createReporter } from '../src/reporter/reporter.ts'
import { startAckingWorker } from './acking_worker.ts'

const spans = 10_000
const rounds = Number(process.argv[2] ?? 15)

const farEnd = await startAckingWorker()
const { ingestUrl } = farEnd
const address = { ingestUrl, ingestKey: 'k', env: {}, outboxDir: 'none', selfMetrics: false }
const reporter = createReporter({ ...address, flushOnExit: false })

const ranMs = threadClock()

function threadClock(): () => number {
  const path = `/proc/self/task/${process.pid}/schedstat`
  if (!existsSync(path)) return () => performance.now()
  const file = openSync(path, 'r')
  const bytes = Buffer.alloc(64)
  const cell = new Int32Array(new SharedArrayBuffer(4))
  return () => {
    // The kernel brings the count of a thread up to date when it sleeps, else only every 4 ms.
    Atomics.wait(cell, 0, 0, 0.001)
    readSync(file, bytes, 0, bytes.length, 0)
    return Number(bytes.toString('latin1', 0, bytes.indexOf(' '))) / 1e6
  }
}

/** Every turn of the round under way, in ms. */
let turns: number[] = []

/** The most that one turn of the event loop takes while `work` is under way, in ms. */
async function longestBlock(work: () => Promise<void>): Promise<number> {
  turns = []
  let ended = false
  let last = ranMs()
  const look = () => {
    const now = ranMs()
    turns.push(now - last)
    last = now
    if (!ended) setImmediate(look)
  }
  setImmediate(look)
  await work()
  ended = true
  return Math.max(...turns)
}

function exporterBy(serialize: (spans: ReadableSpan[]) => Uint8Array | undefined): SpanExporter {
  return {
    export(exported, done) {
      const body = serialize(exported) as Uint8Array<ArrayBuffer>
      fetch(ingestUrl, { method: 'POST', body }).then(
        async (response) => {
          await response.text()
          done({ code: 0 })
        },
        () => done({ code: 1 }),
      )
    },
    shutdown: async () => undefined,
  }
}

function tracing(exporter: SpanExporter) {
  const processor = new BatchSpanProcessor({ exporter, maxQueueSize: 2 * spans, maxExportBatchSize: 512 })
  return { processor, tracer: new TracerProvider({ spanProcessors: [processor] }).getTracer('bench') }
}

const asProtobuf = tracing(exporterBy((exported) => ProtobufTraceSerializer.serializeRequest(exported)))
const asJson = tracing(exporterBy((exported) => JsonTraceSerializer.serializeRequest(exported)))

async function ours(): Promise<number> {
  for (let i = 0; i < spans; i++) {
    const span = reporter.startTrace({ name: 'tools/call echo', layer: 'tool', tool: 'echo', requestId: String(i) })
    span.end('ok', { bytesIn: 100, bytesOut: 200, attributes: { 'mcp.method.name': 'tools/call' } })
  }
  await new Promise((resolve) => setImmediate(resolve))
  return await longestBlock(() => reporter.flush(30_000))
}

async function theirs({ processor, tracer }: ReturnType<typeof tracing>): Promise<number> {
  for (let i = 0; i < spans; i++) {
    const span = tracer.startSpan('tools/call echo')
    span.setAttributes({ layer: 'tool', 'gen_ai.tool.name': 'echo', 'jsonrpc.request.id': String(i) })
    span.setAttributes({ 'mcp.method.name': 'tools/call', bytes_in: 100, bytes_out: 200 })
    span.end()
  }
  await new Promise((resolve) => setImmediate(resolve))
  return await longestBlock(() => processor.forceFlush())
}

const at = (values: readonly number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0
const blocks = {
  'nothing, 100 ms': [] as number[],
  reporter: [] as number[],
  'OpenTelemetry as protobuf': [] as number[],
  'OpenTelemetry as JSON': [] as number[],
}
const allTurns: number[] = []
for (let round = 0; round < rounds; round++) {
  blocks['nothing, 100 ms'].push(await longestBlock(() => new Promise((resolve) => setTimeout(resolve, 100))))
  blocks.reporter.push(await ours())
  allTurns.push(...turns)
  blocks['OpenTelemetry as protobuf'].push(await theirs(asProtobuf))
  blocks['OpenTelemetry as JSON'].push(await theirs(asJson))
}
console.log('longest block of the event loop, ms      median of rounds   least  a quarter   worst')
for (const [what, values] of Object.entries(blocks)) {
  const shown = [0.5, 0, 0.25, 1].map((share) => at(values, share).toFixed(2).padStart(10))
  console.log(`${what.padEnd(40)}${shown.join('')}`)
}
const worked = allTurns.filter((ms) => ms > 0.1)
const [half, most, nearlyAll] = [0.5, 0.99, 0.999].map((share) => at(worked, share).toFixed(2))
console.log(
  `${worked.length} turns with work of the reporter: half below ${half} ms, 99% below ${most}, 99.9% below ${nearlyAll}`,
)
console.log(`load ${loadavg()[0]?.toFixed(1)}`)
console.log(`sent: ${reporter.status().stored} of ${reporter.status().recorded}`)
await reporter.close()
await farEnd.close()
process.exit(0)
