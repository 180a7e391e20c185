// The cost of one span, next to OpenTelemetry's: recording it (what the host's call waits for), and recording and
// encoding it. Our recorder encodes at the span's end, so what recording alone costs is that less the encoding, measured
// on the same spans; OpenTelemetry encodes in its exporter, which here does nothing, or JSON.stringify of what OTLP
// sends. All in one run, in turns, garbage collection included. Usage: node bench/reporter_cost.ts
import type { Tracer } from '@opentelemetry/api'
import { BasicTracerProvider, BatchSpanProcessor, type ReadableSpan, type SpanExporter } from '@opentelemetry/sdk-trace'
import { createEpochClock } from '../src/reporter/epoch_clock.ts'
import { Outbox } from '../src/reporter/outbox.ts'
import type { RecordedSpan, TraceStart } from '../src/reporter/recorded_span.ts'
import { Recorder } from '../src/reporter/recorder.ts'
import { redactJsonText } from '../src/reporter/redact_frozen.ts'
import { createReporter } from '../src/reporter/reporter.ts'

const spans = 10_000
const rounds = 21

const quiet = () => undefined
const address = { ingestUrl: 'http://127.0.0.1:9/', ingestKey: 'k', env: {} }
const reporter = createReporter({ ...address, warn: quiet, flushOnExit: false })

const startOf = (i: number): TraceStart => ({
  name: 'tools/call echo',
  layer: 'tool',
  tool: 'echo',
  requestId: String(i),
})
const ending = { bytesIn: 100, bytesOut: 200, attributes: { 'mcp.method.name': 'tools/call' } }

function reporterRound(): void {
  for (let i = 0; i < spans; i++) reporter.startTrace(startOf(i)).end('ok', ending)
}

// Spans that have ended, to encode once more.
const recorder = new Recorder({ clock: createEpochClock(), outbox: new Outbox(), note: quiet, fail: quiet })
const ended: RecordedSpan[] = Array.from({ length: spans }, (_, i) => recorder.startTrace(startOf(i)))
for (const span of ended) span.end('ok', ending)
let encodedBytes = 0
function encodingRound(): void {
  for (const span of ended) encodedBytes += Buffer.byteLength(span.json())
}
const texts = ended.map((span) => span.json())
function redactionRound(): void {
  for (const text of texts) encodedBytes += redactJsonText(text)?.length ?? 0
}

const silent: SpanExporter = { export: (_spans, done) => done({ code: 0 }), shutdown: async () => undefined }
const encoding: SpanExporter = {
  export(exported, done) {
    encodedBytes += Buffer.byteLength(JSON.stringify(exported.map(otlpOf)))
    done({ code: 0 })
  },
  shutdown: async () => undefined,
}

function otlpOf(span: ReadableSpan): object {
  const { traceId, spanId, traceState } = span.spanContext()
  return {
    traceId,
    spanId,
    traceState: traceState?.serialize(),
    parentSpanId: span.parentSpanContext?.spanId,
    name: span.name,
    kind: span.kind,
    startTimeUnixNano: span.startTime,
    endTimeUnixNano: span.endTime,
    attributes: span.attributes,
    droppedAttributesCount: span.droppedAttributesCount,
    events: span.events,
    links: span.links,
    status: span.status,
  }
}

function tracing(exporter: SpanExporter) {
  // A queue as long as a round, so that nothing is dropped in place of being recorded.
  const processor = new BatchSpanProcessor(exporter, { maxQueueSize: 2 * spans, maxExportBatchSize: 500 })
  const tracer: Tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer('bench')
  return {
    record(): void {
      for (let i = 0; i < spans; i++) {
        const span = tracer.startSpan('tools/call echo')
        span.setAttributes({ layer: 'tool', 'gen_ai.tool.name': 'echo', 'jsonrpc.request.id': String(i) })
        span.setAttributes({ 'mcp.method.name': 'tools/call', bytes_in: 100, bytes_out: 200 })
        span.end()
      }
    },
    flush: () => processor.forceFlush(),
  }
}

async function nsOf(round: () => void, after: () => Promise<void> = async () => undefined): Promise<number> {
  const began = performance.now()
  round()
  await after()
  return ((performance.now() - began) * 1e6) / spans
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const bare = tracing(silent)
const encoded = tracing(encoding)
const ns = { whole: [] as number[], json: [] as number[], redaction: [] as number[] }
const theirs = { recording: [] as number[], whole: [] as number[] }
for (let round = 0; round < rounds; round++) {
  ns.whole.push(await nsOf(reporterRound))
  theirs.recording.push(await nsOf(bare.record))
  await bare.flush()
  ns.json.push(await nsOf(encodingRound))
  theirs.whole.push(await nsOf(encoded.record, encoded.flush))
  ns.redaction.push(await nsOf(redactionRound))
  await new Promise((resolve) => setTimeout(resolve, 20))
}

const [whole, json, redaction] = [median(ns.whole), median(ns.json), median(ns.redaction)]
const [otherRecording, otherWhole] = [median(theirs.recording), median(theirs.whole)]
const line = (what: string, ours: number, other: number) =>
  console.log(
    `${what.padEnd(24)}${ours.toFixed(0).padStart(9)}${other.toFixed(0).padStart(15)}${(ours / other).toFixed(2).padStart(8)}`,
  )
console.log('ns a span                reporter  OpenTelemetry   ratio')
line('recording', whole - json, otherRecording)
line('recording and encoding', whole, otherWhole)
console.log(
  `of which encoding ${json.toFixed(0)}; later, when a batch is cut: looking for secrets ${redaction.toFixed(0)}`,
)
process.exit(encodedBytes > 0 ? 0 : 1)
