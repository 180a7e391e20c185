// The cost of one span to the host, next to OpenTelemetry's BatchSpanProcessor with an exporter that does nothing; both
// in one run, in turns. Usage: node bench/reporter_cost.ts
import type { Tracer } from '@opentelemetry/api'
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base'
import { createReporter } from '../src/reporter/reporter.ts'

const spans = 20_000
const rounds = 15

const quiet = () => undefined
const reporter = createReporter({
  ingestUrl: 'http://127.0.0.1:9/',
  ingestKey: 'k',
  env: {},
  warn: quiet,
  flushOnExit: false,
})
const exporter: SpanExporter = { export: (_spans, done) => done({ code: 0 }), shutdown: async () => undefined }
// A queue as long as the outbox, so that neither drops more than the other.
const processor = new BatchSpanProcessor(exporter, { maxQueueSize: 50_000, maxExportBatchSize: 500 })
const tracer: Tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('bench')

function reporterRound(): void {
  for (let i = 0; i < spans; i++) {
    const span = reporter.startTrace({ name: 'tools/call echo', layer: 'tool', tool: 'echo', requestId: String(i) })
    span.end('ok', { bytesIn: 100, bytesOut: 200, attributes: { 'mcp.method.name': 'tools/call' } })
  }
}

function openTelemetryRound(): void {
  for (let i = 0; i < spans; i++) {
    const span = tracer.startSpan('tools/call echo')
    span.setAttributes({ 'gen_ai.tool.name': 'echo', 'jsonrpc.request.id': String(i), 'mcp.method.name': 'tools/call' })
    span.setAttributes({ bytes_in: 100, bytes_out: 200 })
    span.end()
  }
}

async function nsOf(round: () => void): Promise<number> {
  const began = performance.now()
  round()
  const ns = ((performance.now() - began) * 1e6) / spans
  await new Promise((resolve) => setTimeout(resolve, 20))
  return ns
}

const ours: number[] = []
const theirs: number[] = []
for (let round = 0; round < rounds; round++) {
  ours.push(await nsOf(reporterRound))
  theirs.push(await nsOf(openTelemetryRound))
}
const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
const [mine, other] = [median(ours), median(theirs)]
console.log(`reporter       ${mine.toFixed(0)} ns a span (as JSON in the outbox)`)
console.log(`OpenTelemetry  ${other.toFixed(0)} ns a span (as an object in the queue, not yet encoded)`)
console.log(`ratio          ${(mine / other).toFixed(2)}`)
process.exit(0)
