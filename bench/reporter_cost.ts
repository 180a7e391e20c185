// The cost of one span, next to OpenTelemetry's, in one run and in turns, garbage collection included:
// - recording: what the host's call waits for, start and end;
// - whole: the CPU of that and of all that follows until its bytes can be sent. Ours: JSON without secrets, joined into
//   batches of 500 (compression, in other threads, apart); theirs: OTLP as protobuf and as JSON by its own serializers,
//   in batches of 500, without looking for secrets;
// - retained: bytes of heap of a span that ended and waits.
// Usage: node --expose-gc bench/reporter_cost.ts
import { loadavg } from 'node:os'
import type { Tracer } from '@opentelemetry/api'
import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'
import { runAtOnce } from '../src/reporter/delivery/courier_slice.ts'
import { BatchCut } from '../src/reporter/delivery/frozen_batch.ts'
import { Outbox } from '../src/reporter/delivery/outbox.ts'
import { createEpochClock } from '../src/reporter/epoch_clock.ts'
import type { TraceStart } from '../src/reporter/recorded_span.ts'
import { Recorder } from '../src/reporter/recorder.ts'
import { createReporter } from '../src/reporter/reporter.ts'
import { startAckingWorker } from './acking_worker.ts'

const spans = 10_000
const rounds = 21
const batchRecords = 500

const quiet = () => undefined
const { ingestUrl, close } = await startAckingWorker()
const address = { ingestUrl, ingestKey: 'k', env: {}, outboxDir: 'none' }
const reporter = createReporter({ ...address, warn: quiet, flushOnExit: false })

let calls = 0
const startOf = (): TraceStart => ({
  name: 'tools/call echo',
  layer: 'tool',
  tool: 'echo',
  requestId: String(++calls),
})
const endingOf = () => ({ bytesIn: 100, bytesOut: 200, attributes: { 'mcp.method.name': 'tools/call' } })

function publicRound(): void {
  for (let i = 0; i < spans; i++) reporter.startTrace(startOf()).end('ok', endingOf())
}

let outbox = new Outbox({ bytesMax: Number.MAX_SAFE_INTEGER })
const recorderTo = (to: Outbox) => new Recorder({ clock: createEpochClock(), outbox: to, note: quiet, fail: quiet })
let recorder = recorderTo(outbox)
function recordRound(): void {
  for (let i = 0; i < spans; i++) recorder.startTrace(startOf()).end('ok', endingOf())
}

const source = { service: 's', instance: 'i', environment: 'e', version: null }
const process_ = { id: 'p', started_at_us: 1, host: null, pid: null, sdk: 's' }
const counters = { recorded: 0, dropped: {} }
const envelope = { made_at_us: 1, source, process: process_, seq: 1, counters, running: [], running_total: 0 }
let sentBytes = 0
let cuts: BatchCut[] = []
function cutRound(): void {
  cuts = []
  while (outbox.loose > 0) {
    const loose = outbox.loose
    const cut = new BatchCut(outbox, envelope, batchRecords, 1024 * 1024)
    runAtOnce(cut.steps())
    cuts.push(cut)
    // What it took, but for the bytes, of which there are enough.
    outbox.settle(loose - outbox.loose, 0)
    sentBytes++
  }
}

const compressRound = () => cuts.forEach((cut) => void cut.freezeAtOnce())

const silent: SpanExporter = { export: (_spans, done) => done({ code: 0 }), shutdown: async () => undefined }
const exporterBy = (serialize: (spans: ReadableSpan[]) => Uint8Array | undefined): SpanExporter => ({
  export(exported, done) {
    sentBytes += serialize(exported)?.length ?? 0
    done({ code: 0 })
  },
  shutdown: async () => undefined,
})

function tracing(exporter: SpanExporter) {
  // A queue as long as a round, so that nothing is dropped in place of being recorded.
  const processor = new BatchSpanProcessor({ exporter, maxQueueSize: 2 * spans, maxExportBatchSize: batchRecords })
  const tracer: Tracer = new TracerProvider({ spanProcessors: [processor] }).getTracer('bench')
  return {
    record(): void {
      for (let i = 0; i < spans; i++) {
        const span = tracer.startSpan('tools/call echo')
        span.setAttributes({ layer: 'tool', 'gen_ai.tool.name': 'echo', 'jsonrpc.request.id': String(++calls) })
        span.setAttributes({ 'mcp.method.name': 'tools/call', bytes_in: 100, bytes_out: 200 })
        span.end()
      }
    },
    flush: () => processor.forceFlush(),
  }
}

async function nsOf(round: () => void, after: () => Promise<void> | void = quiet): Promise<number> {
  // CPU rather than time: what else runs on the machine would be measured too.
  const began = process.cpuUsage()
  round()
  await after()
  const { user, system } = process.cpuUsage(began)
  return ((user + system) * 1e3) / spans
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const bare = tracing(silent)
const asProtobuf = tracing(exporterBy((exported) => ProtobufTraceSerializer.serializeRequest(exported)))
const asJson = tracing(exporterBy((exported) => JsonTraceSerializer.serializeRequest(exported)))

async function retainedBy(round: () => void): Promise<number> {
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  round()
  globalThis.gc?.()
  return (process.memoryUsage().heapUsed - before) / spans
}

const ours = { public: [] as number[], recording: [] as number[], cutting: [] as number[], compressing: [] as number[] }
const theirs = { recording: [] as number[], protobuf: [] as number[], json: [] as number[] }
for (let round = 0; round < rounds; round++) {
  ours.public.push(await nsOf(publicRound))
  await reporter.flush(30_000)
  ours.recording.push(await nsOf(recordRound))
  ours.cutting.push(await nsOf(cutRound))
  ours.compressing.push(await nsOf(compressRound))
  theirs.recording.push(await nsOf(bare.record))
  await bare.flush()
  theirs.protobuf.push(await nsOf(asProtobuf.record, asProtobuf.flush))
  theirs.json.push(await nsOf(asJson.record, asJson.flush))
  await new Promise((resolve) => setTimeout(resolve, 20))
}
outbox = new Outbox()
recorder = recorderTo(outbox)
const retained = await retainedBy(recordRound)
const theirRetained = await retainedBy(bare.record)

const least = (values: readonly number[]) => Math.min(...values)

/** `of`: the median of the rounds, or the least, which is what it takes while nothing else wants the machine. */
function show(what: string, mine: readonly number[], other: readonly number[]): void {
  const [now, calm] = [median, least].map((of) => {
    const [own, their] = [of(mine), of(other)]
    return `${own.toFixed(0).padStart(9)}${their.toFixed(0).padStart(15)}${(their / own).toFixed(1).padStart(8)}`
  })
  console.log(`${what.padEnd(42)}${now}   |${calm}`)
}

const whole = ours.public.map((ns, round) => ns + (ours.cutting[round] ?? 0))
console.log(`${' '.repeat(43)}the median of ${rounds} rounds             |  the least`)
console.log(`${' '.repeat(43)}reporter  OpenTelemetry   times   | reporter  OpenTelemetry   times`)
show('recording, ns a span', ours.public, theirs.recording)
show('recording without the public surface, ns', ours.recording, theirs.recording)
show('whole CPU, theirs as protobuf, ns a span', whole, theirs.protobuf)
show('whole CPU, theirs as JSON, ns a span', whole, theirs.json)
if (globalThis.gc) show('retained while it waits, bytes a span', [retained], [theirRetained])
const both = (values: readonly number[]) =>
  `${median(values).toFixed(0)} ns a span, the least ${least(values).toFixed(0)}`
console.log(`JSON without secrets, joined: ${both(ours.cutting)}`)
console.log(`compressing it, in another thread: ${both(ours.compressing)}; load ${loadavg()[0]?.toFixed(1)}`)
await close()
process.exit(sentBytes > 0 ? 0 : 1)
