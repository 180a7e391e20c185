import { createHash } from 'node:crypto'
import { fromBinary } from '@bufbuild/protobuf'
import { ingestApp } from '../functions/route/ingest.ts'
import type { BatchRows, BatchStore } from '../functions/store/port.ts'
import { hostedFlushMs } from '../src/core/limit.ts'
import { otlpBytesOf } from '../src/wire/otlp_encode.ts'
import { ExportTraceServiceResponseSchema } from '../src/wire/otlp_proto_generated.ts'
import type { OtlpEncoding, OtlpSignal } from '../src/wire/otlp_request.ts'
import type { OtlpRules } from '../src/wire/otlp_rule.ts'
import { nowUs } from './batch_fixture.ts'

// Requests as OpenTelemetry's SDKs write them, in JSON; protobuf of the same is made from that.

const keyId = 'abc123def456'
const secret = 'S3cr3t_'.repeat(7).slice(0, 43)
export const otlpKey = `tt_${keyId}_${secret}`

type Json = Record<string, unknown>
type Script = Partial<BatchStore> & { revoked?: boolean; failures?: unknown[]; rules?: OtlpRules }

/** The door alone, over a store that remembers batch ids as Postgres does. */
export function openOtlpDoor({ revoked = false, failures = [], rules = [], ...store }: Script = {}) {
  const rows: BatchRows[] = []
  const replies = new Map<string, BatchRows>()
  const app = ingestApp({
    store: {
      readKey: async (id) =>
        id === keyId ? { key_id: keyId, key_hash: createHash('sha256').update(otlpKey).digest('hex'), revoked } : null,
      ingestBatch: async (batch) => {
        const failure = failures.shift()
        if (failure !== undefined && failure !== null) throw failure
        const first = replies.get(batch.batch_id) ?? batch
        const status = replies.has(batch.batch_id) ? ('repeated' as const) : ('stored' as const)
        replies.set(batch.batch_id, first)
        if (status === 'stored') rows.push(batch)
        const { accepted, rejected } = first
        return { status, accepted, rejected, renamed: {}, watched: false, tick_due: false }
      },
      endedSpans: async () => ({}),
      makePartitions: async () => {},
      ...store,
    },
    clock: () => nowUs,
    flushMs: hostedFlushMs,
    otlpRules: rules,
    log: () => {},
  })
  async function post(
    signal: OtlpSignal,
    encoding: OtlpEncoding,
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const type = encoding === 'json' ? 'application/json' : 'application/x-protobuf'
    const bytes = body instanceof Uint8Array ? body : otlpBytesOf(signal, encoding, body as Json)
    return await app.request(`/ingest/v1/${signal}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${otlpKey}`, 'content-type': type, ...headers },
      body: bytes as Uint8Array<ArrayBuffer>,
    })
  }
  return { app, rows, post, spans: () => rows.flatMap(({ traces }) => traces) }
}

/** What an answer says was refused. */
export async function partialOf(answer: Response): Promise<{ rejected: number; message: string }> {
  if (answer.headers.get('content-type') === 'application/json') {
    const { partialSuccess = {} } = (await answer.json()) as {
      partialSuccess?: { rejectedSpans?: string; errorMessage?: string }
    }
    return { rejected: Number(partialSuccess.rejectedSpans ?? 0), message: partialSuccess.errorMessage ?? '' }
  }
  const { partialSuccess } = fromBinary(ExportTraceServiceResponseSchema, new Uint8Array(await answer.arrayBuffer()))
  return { rejected: Number(partialSuccess?.rejectedSpans ?? 0n), message: partialSuccess?.errorMessage ?? '' }
}

export const nanosAt = (us: number): string => `${us}000`

/** Attributes as OTLP's JSON has them. */
export function pairsOf(attributes: Json): Json[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: otlpValueOf(value) }))
}

function otlpValueOf(value: unknown): Json {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  if (typeof value === 'number')
    return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value }
  if (Array.isArray(value)) return { arrayValue: { values: value.map(otlpValueOf) } }
  if (value === null || value === undefined) return {}
  return { kvlistValue: { values: pairsOf(value as Json) } }
}

export const otlpTraceId = '0af7651916cd43dd8448eb211c80319c'

/** One server span of 5 ms, just ended. */
export function otlpSpan(attributes: Json = {}, changes: Json = {}): Json {
  return {
    traceId: otlpTraceId,
    spanId: 'b7ad6b7169203331',
    name: 'GET /chat',
    kind: 2,
    startTimeUnixNano: nanosAt(nowUs - 5_000),
    endTimeUnixNano: nanosAt(nowUs),
    attributes: pairsOf(attributes),
    status: {},
    ...changes,
  }
}

const resource = { 'service.name': 'shop', 'host.name': 'box', 'process.pid': 7 }

export function traceRequest(spans: readonly unknown[], more: { resource?: Json; scope?: string } = {}): Json {
  const scopeSpans = [{ scope: { name: more.scope ?? 'lib', version: '1' }, spans }]
  return { resourceSpans: [{ resource: { attributes: pairsOf(more.resource ?? resource) }, scopeSpans }] }
}

export function metricRequest(metrics: readonly unknown[]): Json {
  const scopeMetrics = [{ scope: { name: 'lib' }, metrics }]
  return { resourceMetrics: [{ resource: { attributes: pairsOf(resource) }, scopeMetrics }] }
}

export function logRequest(logRecords: readonly unknown[], scope = 'lib'): Json {
  const scopeLogs = [{ scope: { name: scope }, logRecords }]
  return { resourceLogs: [{ resource: { attributes: pairsOf(resource) }, scopeLogs }] }
}
