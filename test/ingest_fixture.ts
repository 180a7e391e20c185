import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { gunzipSync } from 'node:zlib'
import type { Batch, ErrorRecord, Span } from '../src/core/record.ts'

/** What the far end does with one attempt, in place of storing and answering. */
export type Fault =
  | { readonly kind: 'none' }
  /** Answers this status without storing. */
  | { readonly kind: 'status'; readonly status: number; readonly headers?: { readonly [name: string]: string } }
  /** Stores, then closes the connection before the answer. */
  | { readonly kind: 'lose_answer' }
  /** Closes the connection without storing. */
  | { readonly kind: 'reset' }
  /** Never answers; `stored` says whether it kept the batch. */
  | { readonly kind: 'hang'; readonly stored: boolean }
  /** Answers 200 with something that is no ack, without storing. */
  | { readonly kind: 'strange' }
  /** Stores all but the first record and says so. */
  | { readonly kind: 'reject_first' }

export type IngestFixture = {
  readonly url: string
  readonly key: string
  /** Every attempt: the batch's id and the bytes as they came, compressed or not. */
  readonly attempts: {
    readonly batchId: string
    readonly bytes: string
    readonly sentAt: string | undefined
    readonly at: number
  }[]
  /** Stored batches in the order of their arrival, each once. */
  readonly batches: Batch[]
  readonly rejected: Map<string, number>
  fault: (batch: Batch) => Fault
  flushAfterMs: number
  recordsMax: number
  /** What each ack says of fields that were not known. */
  missing?: { readonly [field: string]: unknown }
  /** Batches larger than this, decompressed, answer 413. */
  bytesMax: number
  readonly spans: () => Span[]
  readonly errors: () => ErrorRecord[]
  readonly close: () => Promise<void>
}

/** A far end of our own that speaks the ingest contract on a free port, stores batches in memory and can be told to fail. */
export async function startIngest(): Promise<IngestFixture> {
  const sockets = new Set<Socket>()
  const fixture: Omit<IngestFixture, 'url' | 'close'> = {
    key: 'tt_fixture00000_secret',
    attempts: [],
    batches: [],
    rejected: new Map(),
    fault: () => ({ kind: 'none' }),
    flushAfterMs: 20,
    recordsMax: 500,
    bytesMax: 1024 * 1024,
    spans: () => fixture.batches.flatMap((batch) => batch.records.filter((record) => record.type === 'span')),
    errors: () => fixture.batches.flatMap((batch) => batch.records.filter((record) => record.type === 'error')),
  }
  const server = createServer((request, response) => void receive(fixture, request, response))
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/functions/v1/ingest`
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      for (const socket of sockets) socket.destroy()
    })
  return Object.assign(fixture, { url, close })
}

async function receive(
  fixture: Omit<IngestFixture, 'url' | 'close'>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of request) chunks.push(chunk)
  } catch {
    // Whoever sends was killed while he did: it is no batch, and he gets no answer.
    return
  }
  const raw = Buffer.concat(chunks)
  if (request.headers.authorization !== `Bearer ${fixture.key}`) return answer(response, 401, {})
  const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw).toString() : raw.toString()
  const batch = JSON.parse(text) as Batch
  const sentAt = request.headers['telltale-sent-at'] as string | undefined
  fixture.attempts.push({ batchId: batch.batch_id, bytes: raw.toString('base64'), sentAt, at: performance.now() })
  const fault = fixture.fault(batch)
  if (fault.kind === 'status') return answer(response, fault.status, {}, fault.headers)
  if (fault.kind === 'strange') return answer(response, 200, { hello: 'world' })
  if (fault.kind === 'reset') return void request.socket.destroy()
  if (text.length > fixture.bytesMax) return answer(response, 413, {})
  if (fault.kind === 'hang' && !fault.stored) return
  const repeated = fixture.batches.some((stored) => stored.batch_id === batch.batch_id)
  const rejected = fault.kind === 'reject_first' && batch.records.length > 0 ? 1 : 0
  if (!repeated) {
    fixture.batches.push(batch)
    fixture.rejected.set(batch.batch_id, rejected)
  }
  if (fault.kind === 'lose_answer') return void request.socket.destroy()
  if (fault.kind === 'hang') return
  answer(response, 200, {
    batch_id: batch.batch_id,
    status: repeated ? 'repeated' : 'stored',
    accepted: {},
    rejected: Array.from({ length: fixture.rejected.get(batch.batch_id) ?? 0 }, (_, index) => ({
      index,
      reason: 'no',
    })),
    flush_after_ms: fixture.flushAfterMs,
    watched: false,
    records_max: fixture.recordsMax,
    ...(fixture.missing ? { missing: fixture.missing } : {}),
  })
}

function answer(
  response: ServerResponse,
  status: number,
  body: object,
  headers: { readonly [name: string]: string } = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
}

/** Waits until `condition` holds, at most `withinMs`. */
export async function eventually(condition: () => boolean, withinMs = 5_000): Promise<void> {
  const until = performance.now() + withinMs
  while (!condition()) {
    if (performance.now() > until) throw new Error(`Cannot wait any longer: nothing changed within ${withinMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
