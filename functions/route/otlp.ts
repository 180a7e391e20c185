import { type Context, Hono } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { otlpBytesMax, retryAfterSeconds } from '../../src/core/limit.ts'
import { otlpAnswerOf, otlpMediaTypes, otlpStatusOf } from '../../src/wire/otlp_answer.ts'
import { otlpBatchesOf } from '../../src/wire/otlp_batch.ts'
import { type OtlpEncoding, type OtlpSignal, otlpSignals } from '../../src/wire/otlp_request.ts'
import type { OtlpRules } from '../../src/wire/otlp_rule.ts'
import type { Arrival } from '../action/accept_batch.ts'
import { acceptOtlp, type OtlpAcceptance } from '../action/accept_otlp.ts'
import type { KeyCheck } from '../action/check_key.ts'
import { type BatchStore, StoreError } from '../store/port.ts'
import { type BodyForm, isJson, readBody } from './read_body.ts'

/** What the door of OTLP shares with that of batches. */
export type OtlpDoor = {
  readonly store: BatchStore
  readonly clock: () => number
  readonly flushMs: number
  readonly rules: OtlpRules
  readonly checkKey: KeyCheck
  /** Counts the request among those in flight; null when there are too many. */
  readonly begin: () => (() => void) | null
  /** Waits for a turn; null when there was none in time. */
  readonly enter: () => Promise<(() => void) | null>
  /** Told what was stored. Must not throw. */
  readonly settle: (acceptance: OtlpAcceptance, requestId: string) => void
  readonly warn: (requestId: string, error: Error) => void
}

type Env = { Variables: { requestId: string } }
type Status = 400 | 401 | 403 | 405 | 413 | 415 | 429 | 500 | 503

/** gRPC's codes (https://grpc.io/docs/guides/status-codes/) for the answers here. */
const rpcCodes: { readonly [status in Status]: number } = {
  400: 3,
  401: 16,
  403: 7,
  405: 12,
  413: 8,
  415: 3,
  429: 8,
  500: 13,
  503: 14,
}

const otlpForm: BodyForm = {
  accepts: (contentType) => isJson(contentType) || isProtobuf(contentType),
  wanted: 'application/x-protobuf or application/json',
  bytesMax: otlpBytesMax,
  compressedBytesMax: otlpBytesMax,
}

/**
 * `POST /v1/traces`, `/v1/metrics` and `/v1/logs` as OTLP/HTTP has them (https://opentelemetry.io/docs/specs/otlp/), in
 * protobuf or JSON. Every refusal is a google.rpc.Status in the encoding of its request.
 */
export function otlpApp(door: OtlpDoor): Hono<Env> {
  const app = new Hono<Env>({ strict: false })
  for (const signal of otlpSignals) {
    app.post(`/${signal}`, (c) => answer(c, door, signal))
    app.all(`/${signal}`, (c) => refuse(c, 405, `Cannot ${c.req.method} here: it is sent by POST`, { Allow: 'POST' }))
  }
  app.onError((error, c) => {
    door.warn(c.get('requestId') ?? '', error)
    if (error instanceof StoreError) return refuse(c, 503, 'Cannot take request: the store is unavailable')
    return refuse(c, 500, 'Cannot take request: the edge failed')
  })
  return app
}

async function answer(c: Context<Env>, door: OtlpDoor, signal: OtlpSignal): Promise<Response> {
  const receivedAtUs = door.clock()
  const end = door.begin()
  if (end === null) return refuse(c, 429, 'Cannot take request: too many are being taken')
  try {
    const key = await door.checkKey(c.req.header('authorization') ?? null)
    if (!key.ok && key.error === 'revoked') return refuse(c, 403, 'Cannot take request: its ingest key is revoked')
    if (!key.ok) {
      return refuse(c, 401, 'Cannot take request: its ingest key is unknown', { 'WWW-Authenticate': 'Bearer' })
    }
    const body = await readBody(c.req.raw, undefined, otlpForm)
    // Senders of OTLP come again after 503, not after 408.
    if (!body.ok) return refuse(c, body.error.status === 408 ? 503 : body.error.status, body.error.detail)
    const leave = await door.enter()
    if (leave === null) return refuse(c, 429, 'Cannot take request: too many are being taken')
    try {
      return await accept(c, door, signal, body.value, { keyId: key.value, receivedAtUs })
    } finally {
      leave()
    }
  } finally {
    end()
  }
}

async function accept(
  c: Context<Env>,
  door: OtlpDoor,
  signal: OtlpSignal,
  body: Uint8Array,
  from: Pick<Arrival, 'keyId' | 'receivedAtUs'>,
): Promise<Response> {
  const encoding = encodingOf(c)
  const batches = otlpBatchesOf(signal, encoding, body, door.rules)
  if (!batches.ok) return refuse(c, batches.error.status, batches.error.detail)
  const arrival = { ...from, sentAtUs: null, flushMs: door.flushMs }
  const acceptance = await acceptOtlp({ signal, body, batches: batches.value }, arrival, door.store)
  door.settle(acceptance, c.get('requestId'))
  const { rejected, message } = acceptance
  return c.body(otlpAnswerOf(signal, encoding, rejected, message), 200, { 'Content-Type': otlpMediaTypes[encoding] })
}

function encodingOf(c: Context<Env>): OtlpEncoding {
  return isProtobuf(c.req.header('content-type') ?? null) ? 'protobuf' : 'json'
}

function isProtobuf(contentType: string | null): boolean {
  const [type = ''] = (contentType ?? '').toLowerCase().split(';')
  return type.trim() === 'application/x-protobuf' || type.trim() === 'application/protobuf'
}

function refuse(c: Context<Env>, status: Status, detail: string, headers: Record<string, string> = {}): Response {
  const encoding = encodingOf(c)
  const again: Record<string, string> =
    status === 429 || status === 503 ? { 'Retry-After': String(retryAfterSeconds) } : {}
  return c.body(otlpStatusOf(encoding, rpcCodes[status], detail), status as ContentfulStatusCode, {
    ...again,
    ...headers,
    'Content-Type': otlpMediaTypes[encoding],
  })
}
