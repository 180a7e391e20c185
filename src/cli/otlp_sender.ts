import { setTimeout as wait } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import {
  exportAttemptsMax,
  exportRequestBytesMax,
  exportRequestRecordsMax,
  exportSendMsMax,
  retryAfterMsMax,
  retryBaseMs,
  retryMsMax,
} from '../core/limit.ts'
import { otlpMediaTypes, rejectedOf } from '../wire/otlp_answer.ts'
import { otlpBytesOf } from '../wire/otlp_encode.ts'
import { type ExportedRecord, type OtlpThing, requestOf, thingOf } from '../wire/otlp_export.ts'
import { type OtlpEncoding, type OtlpSignal, otlpSignals } from '../wire/otlp_request.ts'

export type OtlpTarget = {
  /** As OTEL_EXPORTER_OTLP_ENDPOINT: the paths of the signals are added. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly encoding: OtlpEncoding
}

/** What the receiver said of the requests so far. */
export type SendTotals = { readonly requests: number; readonly refused: number; readonly reasons: readonly string[] }

type Waiting = { readonly from: Omit<ExportedRecord, 'record'>; readonly item: OtlpThing['item'] }

const passing: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504])
const reasonsTold = 5

/**
 * Sends records on as OTLP, each signal in requests of its own, one at a time, so that no more than one request of each
 * is in memory. A failure that may pass is tried again.
 */
export class OtlpSender {
  readonly #target: OtlpTarget
  readonly #signal: AbortSignal
  readonly #waiting = new Map<OtlpSignal, { things: Waiting[]; bytes: number }>()
  readonly #reasons = new Set<string>()
  #requests = 0
  #refused = 0

  constructor(target: OtlpTarget, signal: AbortSignal) {
    this.#target = target
    this.#signal = signal
  }

  get totals(): SendTotals {
    return { requests: this.#requests, refused: this.#refused, reasons: [...this.#reasons] }
  }

  /** @throws Error when the receiver refuses a whole request, or fails for too long */
  async add({ record, ...from }: ExportedRecord): Promise<void> {
    const { signal, item } = thingOf(record)
    const waiting = this.#waiting.get(signal) ?? { things: [], bytes: 0 }
    this.#waiting.set(signal, waiting)
    const bytes = JSON.stringify(item).length
    const isFull = waiting.things.length >= exportRequestRecordsMax || waiting.bytes + bytes > exportRequestBytesMax
    if (isFull) await this.#flush(signal)
    waiting.things.push({ from, item })
    waiting.bytes += bytes
  }

  /** Sends what waits. @throws as `add` */
  async finish(): Promise<void> {
    for (const signal of otlpSignals) await this.#flush(signal)
  }

  async #flush(signal: OtlpSignal): Promise<void> {
    const waiting = this.#waiting.get(signal)
    if (waiting === undefined || waiting.things.length === 0) return
    const things = waiting.things.splice(0)
    waiting.bytes = 0
    await this.#send(signal, things)
  }

  async #send(signal: OtlpSignal, things: readonly Waiting[]): Promise<void> {
    const body = gzipSync(otlpBytesOf(signal, this.#target.encoding, requestOf(signal, things)))
    const answer = await this.#deliver(`${this.#target.url}/v1/${signal}`, body)
    if (answer.status === 413 && things.length > 1) {
      const half = Math.ceil(things.length / 2)
      await this.#send(signal, things.slice(0, half))
      return await this.#send(signal, things.slice(half))
    }
    const bytes = new Uint8Array(await answer.arrayBuffer())
    if (!answer.ok) throw new Error(`Cannot send to ${this.#target.url}: it answers ${answer.status}`)
    this.#requests += 1
    const { n, why } = rejectedOf(signal, this.#target.encoding, bytes)
    this.#refused += n
    if (why !== '' && this.#reasons.size < reasonsTold) this.#reasons.add(why.slice(0, 300))
  }

  /** The last answer, which is one that does not pass by itself. */
  async #deliver(url: string, body: Buffer<ArrayBuffer>): Promise<Response> {
    for (let attempt = 1; ; attempt += 1) {
      this.#signal.throwIfAborted()
      const answer = await this.#attempt(url, body)
      const mayPass = answer instanceof Error || passing.has(answer.status)
      if (answer instanceof Error && attempt >= exportAttemptsMax) {
        throw new Error(`Cannot reach ${this.#target.url}`, { cause: answer })
      }
      if (!(answer instanceof Error) && (!mayPass || attempt >= exportAttemptsMax)) return answer
      const told = answer instanceof Error ? null : retryAfterOf(answer)
      const pauseMs = told ?? Math.min(retryMsMax, retryBaseMs * 2 ** (attempt - 1))
      if (!(answer instanceof Error)) await answer.body?.cancel()
      await wait(pauseMs, undefined, { signal: this.#signal })
    }
  }

  async #attempt(url: string, body: Buffer<ArrayBuffer>): Promise<Response | Error> {
    const headers = {
      ...this.#target.headers,
      'content-type': otlpMediaTypes[this.#target.encoding],
      'content-encoding': 'gzip',
    }
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(exportSendMsMax)])
    try {
      return await fetch(url, { method: 'POST', headers, body, signal, redirect: 'error' })
    } catch (error) {
      this.#signal.throwIfAborted()
      return error instanceof Error ? error : new Error(String(error))
    }
  }
}

/** In ms; null without the header, or when it is a date. */
function retryAfterOf(answer: Response): number | null {
  const seconds = Number(answer.headers.get('retry-after') ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds * 1_000, retryAfterMsMax) : null
}
