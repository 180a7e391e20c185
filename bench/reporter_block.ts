// The longest time for which the event loop is held while 10,000 spans are sent, beside OpenTelemetry's
// BatchSpanProcessor with its OTLP exporters' serializers in the same run. A far end in this very process would be
// measured too, so it is a worker. A chain of immediates looks at the CPU time of this thread, so that what else runs on
// the machine is not measured: the longest gap is the block.
// Usage: node bench/reporter_block.ts [--time]
import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'
import { createReporter } from '../src/reporter/reporter.ts'
import { startAckingWorker } from './acking_worker.ts'

const spans = 10_000
const rounds = 7

const farEnd = await startAckingWorker()
const { ingestUrl } = farEnd
const address = { ingestUrl, ingestKey: 'k', env: {}, outboxDir: 'none', selfMetrics: false }
const reporter = createReporter({ ...address, flushOnExit: false })

// On a busy machine `time` measures the others too; `cpu` does not, but some kernels count it in steps of 4 ms.
let clock: () => number = threadMs

function threadMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

/** The most that one turn of the event loop takes while `work` is under way, in ms. */
async function longestBlock(work: () => Promise<void>): Promise<number> {
  const read = clock
  let longest = 0
  let ended = false
  let last = read()
  const look = () => {
    const now = read()
    longest = Math.max(longest, now - last)
    last = now
    if (!ended) setImmediate(look)
  }
  setImmediate(look)
  await work()
  ended = true
  return longest
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

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
const blocks = { reporter: [] as number[], protobuf: [] as number[], json: [] as number[], nothing: [] as number[] }
for (let round = 0; round < rounds; round++) {
  clock = process.argv.includes('--time') ? () => performance.now() : threadMs
  blocks.reporter.push(await ours())
  blocks.protobuf.push(await theirs(asProtobuf))
  blocks.json.push(await theirs(asJson))
  blocks.nothing.push(await longestBlock(() => new Promise((resolve) => setTimeout(resolve, 200))))
}
console.log('longest block of the event loop, ms      median of rounds   least   worst')
for (const [what, values] of Object.entries(blocks)) {
  const shown = [median(values), Math.min(...values), Math.max(...values)].map((ms) => ms.toFixed(2).padStart(9))
  console.log(`${what.padEnd(40)}${shown.join('')}`)
}
console.log(`sent: ${reporter.status().stored} of ${reporter.status().recorded}`)
await reporter.close()
await farEnd.close()
process.exit(0)
