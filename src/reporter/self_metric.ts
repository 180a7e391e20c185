import { selfMetricMs } from '../core/limit.ts'
import type { Gauge } from '../core/record.ts'
import type { Outbox } from './delivery/outbox.ts'

/** What a reporter knows of itself. */
export type SelfKnowledge = {
  readonly outbox: Outbox
  /** Monotonic ms. */
  readonly instant: () => number
  readonly nowUs: () => number
  /** Spans ever begun, and those that run. */
  readonly started: () => number
  readonly live: () => number
  /** Records that the far end stored; refused records; how long the last attempt took, in s, null before the first. */
  readonly exporter: () => { readonly stored: number; readonly rejected: number; readonly lastSeconds: number | null }
}

const processor = { 'otel.component.name': 'telltale/0', 'otel.component.type': 'telltale_outbox' }
const exporter = { 'otel.component.name': 'telltale/0', 'otel.component.type': 'telltale_http_json_exporter' }

/**
 * The reporter's own gauges, under the names of OpenTelemetry's SDK metrics (semantic conventions, "SDK metrics").
 * Answers what is to be called when a batch is about to be cut: once a minute it adds them, and only to what is sent
 * anyway, so that they never make an idle process send. They count as recorded like anything else.
 */
export function createSelfMetrics(known: SelfKnowledge): () => void {
  const { outbox, instant, nowUs, started, live } = known
  let toldAt = instant()
  return () => {
    if (outbox.loose === 0 || instant() - toldAt < selfMetricMs) return
    toldAt = instant()
    const atUs = nowUs()
    const tell = (name: string, value: number, labels: Gauge['labels']) =>
      outbox.put(JSON.stringify({ type: 'gauge', name, at_us: atUs, value, labels } satisfies Gauge))
    const { stored, rejected, lastSeconds } = known.exporter()
    const { dropped, unsaved, waiting, capacity } = outbox
    tell('otel.sdk.span.started', started(), {})
    tell('otel.sdk.span.live', live(), {})
    tell('otel.sdk.processor.span.queue.size', unsaved, processor)
    tell('otel.sdk.processor.span.queue.capacity', capacity, processor)
    for (const [reason, count] of Object.entries(dropped)) {
      tell('otel.sdk.processor.span.processed', count, { ...processor, 'error.type': reason })
    }
    tell('otel.sdk.exporter.span.inflight', waiting, exporter)
    tell('otel.sdk.exporter.span.exported', stored, exporter)
    if (rejected > 0) tell('otel.sdk.exporter.span.exported', rejected, { ...exporter, 'error.type': 'rejected' })
    if (lastSeconds !== null) tell('otel.sdk.exporter.operation.duration', lastSeconds, exporter)
  }
}
