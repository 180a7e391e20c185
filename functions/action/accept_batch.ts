import { culpritOf, fingerprintOf } from '../../src/core/fingerprint.ts'
import type { HotSource } from '../../src/core/hot_batch.ts'
import { batchRecordsMax, nameBytesMax, watchedFlushMs } from '../../src/core/limit.ts'
import type { Ack, Batch, ConnectionEvent, ErrorRecord, Gauge, Message, Missing, Span } from '../../src/core/record.ts'
import { importSdk, messageFields } from '../../src/core/record.ts'
import { traceRowOf } from '../../src/core/trace.ts'
import { minutePartsOf } from '../../src/core/window.ts'
import type { ParsedBatch } from '../../src/wire/parse_batch.ts'
import { cutText } from '../../src/wire/wire_text.ts'
import { type BatchRows, type BatchStore, type ErrorRow, type IngestReply, StoreError } from '../store/port.ts'
import { redactBatch } from './redact_batch.ts'

/** How a batch came in. Times are µs since the epoch. */
export type Arrival = {
  readonly keyId: string
  /** `Telltale-Sent-At`, null without it. */
  readonly sentAtUs: number | null
  readonly receivedAtUs: number
  /** The pace of a reporter that nobody watches, in ms. */
  readonly flushMs: number
}

export type Acceptance = {
  readonly ack: Ack
  readonly tickDue: boolean
  /** What the live view is to know of the batch; null of one that was stored before. */
  readonly hot: HotSource | null
}

/**
 * Stores a parsed batch and answers its ack; when this returns, the batch is committed. Days without a partition are
 * made and the batch is tried once more.
 * @throws StoreError
 */
export async function acceptBatch(parsed: ParsedBatch, arrival: Arrival, store: BatchStore): Promise<Acceptance> {
  const batch = redactBatch(parsed.batch)
  const rows = rowsOf(batch, parsed, arrival, await uncounted(batch, store))
  const reply = await ingest(rows, store)
  const ack: Ack = {
    batch_id: rows.batch_id,
    status: reply.status,
    accepted: reply.accepted,
    rejected: reply.rejected,
    flush_after_ms: reply.watched ? Math.min(arrival.flushMs, watchedFlushMs) : arrival.flushMs,
    watched: reply.watched,
    records_max: batchRecordsMax,
    ...missingIn(rows.messages),
  }
  return { ack, tickDue: reply.tick_due, hot: reply.status === 'stored' ? hotSourceOf(batch, rows, reply) : null }
}

/** Which fields of the messages are null, so that whoever reports sees what it could still tell. */
function missingIn(messages: readonly Message[]): { readonly missing?: Missing } {
  const missing: { [field: string]: number } = {}
  for (const message of messages) {
    for (const field of messageFields) if (message[field] === null) missing[field] = (missing[field] ?? 0) + 1
  }
  return Object.keys(missing).length > 0 ? { missing } : {}
}

function hotSourceOf(batch: Batch, rows: BatchRows, reply: IngestReply): HotSource {
  return {
    batch,
    traces: rows.traces,
    errors: rows.errors,
    records: Object.values(reply.accepted).reduce((sum, n) => sum + n, 0),
    renamed: reply.renamed,
    receivedAtUs: rows.received_at_us,
    sentAtUs: rows.sent_at_us,
    flushMs: rows.flush_ms,
  }
}

async function ingest(rows: BatchRows, store: BatchStore): Promise<IngestReply> {
  try {
    return await store.ingestBatch(rows)
  } catch (error) {
    if (!(error instanceof StoreError) || error.reason !== 'missing_partition') throw error
    await store.makePartitions(error.days)
    return await store.ingestBatch(rows)
  }
}

/** What the store keeps of a batch: redacted, its spans gathered into traces, its metrics into minutes. */
export function batchRowsOf(parsed: ParsedBatch, arrival: Arrival): BatchRows {
  const batch = redactBatch(parsed.batch)
  return rowsOf(batch, parsed, arrival, batch)
}

/**
 * What of a batch is to be counted. A reporter sends each end once, and batch ids make sending safe. An import may bring
 * what another one brought, or what was exported from here, in batches of its own: what has ended already counts no more.
 */
async function uncounted(batch: Batch, store: BatchStore): Promise<Pick<Batch, 'records'>> {
  if (!batch.process.sdk.startsWith(importSdk)) return batch
  const traces = new Set(batch.records.flatMap((record) => (record.type === 'span' ? [record.trace_id] : [])))
  const ended = traces.size === 0 ? {} : await store.endedSpans([...traces])
  const known = new Map(Object.entries(ended).map(([traceId, spanIds]) => [traceId, new Set(spanIds)]))
  const records = batch.records.filter(
    (record) => record.type !== 'span' || !known.get(record.trace_id)?.has(record.span_id),
  )
  return { records }
}

function rowsOf(
  batch: Batch,
  parsed: Pick<ParsedBatch, 'accepted' | 'rejected'>,
  arrival: Arrival,
  counted: Pick<Batch, 'records'>,
): BatchRows {
  const byType = sorted(batch)
  return {
    batch_id: batch.batch_id,
    key_id: arrival.keyId,
    made_at_us: batch.made_at_us,
    sent_at_us: arrival.sentAtUs,
    received_at_us: arrival.receivedAtUs,
    flush_ms: arrival.flushMs,
    source: batch.source,
    process: batch.process,
    seq: batch.seq,
    piece: batch.piece,
    counters: batch.counters,
    running: batch.running,
    running_total: batch.running_total,
    accepted: parsed.accepted,
    rejected: parsed.rejected,
    traces: tracesOf(byType.spans, batch.process.id),
    errors: errorRowsOf(byType.errors, byType.events),
    messages: byType.messages,
    gauges: byType.gauges,
    parts: minutePartsOf(counted),
  }
}

function sorted(batch: Batch) {
  const spans: Span[] = []
  const errors: ErrorRecord[] = []
  const messages: Message[] = []
  const events: ConnectionEvent[] = []
  const gauges: Gauge[] = []
  for (const record of batch.records) {
    if (record.type === 'span') spans.push(record)
    else if (record.type === 'error') errors.push(record)
    else if (record.type === 'message') messages.push(record)
    else if (record.type === 'event') events.push(record)
    else gauges.push(record)
  }
  return { spans, errors, messages, events, gauges }
}

function tracesOf(spans: readonly Span[], process: string): BatchRows['traces'] {
  const byTrace = new Map<string, Span[]>()
  for (const span of spans) {
    const trace = byTrace.get(span.trace_id)
    if (trace === undefined) byTrace.set(span.trace_id, [span])
    else trace.push(span)
  }
  // Sorted, so that two batches that touch the same traces lock them in one order.
  return [...byTrace.keys()].sort().map((id) => traceRowOf(id, byTrace.get(id) as Span[], process))
}

/** Errors and the events that carry one; where both claim an id, the record of type error has it. */
function errorRowsOf(errors: readonly ErrorRecord[], events: readonly ConnectionEvent[]): ErrorRow[] {
  const taken = new Set(errors.map((error) => error.error_id))
  const rows = errors.map(rowOfError)
  for (const event of events) if (event.error !== null && !taken.has(event.event_id)) rows.push(rowOfEvent(event))
  return rows
}

function rowOfError(error: ErrorRecord): ErrorRow {
  const { type: _, context, ...fields } = error
  return {
    ...fields,
    fingerprint: fingerprintOf(error),
    culprit: culpritOf(error),
    context,
    connection_type: null,
    direction: null,
    script_name: null,
    function_name: null,
    data_size_bytes: null,
    response_time_ms: null,
    metadata: null,
  }
}

function rowOfEvent(event: ConnectionEvent): ErrorRow {
  const failure = {
    error_type: event.error_type ?? cutText(`${event.connection_type} error`, nameBytesMax),
    message: event.error ?? '',
    traceback: event.error_traceback,
  }
  return {
    error_id: event.event_id,
    at_us: event.at_us,
    trace_id: event.trace_id,
    span_id: event.span_id,
    ...failure,
    fingerprint: fingerprintOf(failure),
    culprit: culpritOf(failure),
    context: {},
    connection_type: event.connection_type,
    direction: event.direction,
    script_name: event.script_name,
    function_name: event.function_name,
    data_size_bytes: event.data_size_bytes,
    response_time_ms: event.response_time_ms,
    metadata: event.metadata,
  }
}
