import { refusedKeyRetryMs, retryAfterMsMax } from '../../core/limit.ts'
import type { Ack } from '../../core/record.ts'
import { parseAck } from '../../wire/ack.ts'

/** What came back from one attempt. `body` is parsed JSON, undefined where it is none. */
export type Reply = { readonly status: number; readonly retryAfter: string | null; readonly body: unknown }

/** What the courier does with a batch after one attempt. */
export type Verdict =
  | { readonly act: 'settle'; readonly ack: Ack }
  | { readonly act: 'recut' }
  | { readonly act: 'drop'; readonly reason: string }
  /** Sent again later, unchanged; `waitMs` null: as long as the backoff says. */
  | {
      readonly act: 'keep'
      readonly why: 'unavailable' | 'key_refused'
      readonly waitMs: number | null
      readonly text: string
    }

/** Judges a reply: 200 settles, 413 cuts, 400, 415 and 422 drop, anything else keeps the batch. */
export function verdictOf(reply: Reply, batchId: string, nowMs: number): Verdict {
  if (reply.status === 200) {
    const ack = parseAck(reply.body, batchId)
    if (ack.ok) return { act: 'settle', ack: ack.value }
    return { act: 'keep', why: 'unavailable', waitMs: null, text: ack.error }
  }
  if (reply.status === 413) return { act: 'recut' }
  if (reply.status === 400 || reply.status === 415 || reply.status === 422) {
    return { act: 'drop', reason: `refused_${reply.status}` }
  }
  const waitMs = retryAfterMsOf(reply.retryAfter, nowMs)
  const text = `it answered ${reply.status}`
  if (reply.status === 401 || reply.status === 403) {
    return { act: 'keep', why: 'key_refused', waitMs: Math.max(waitMs ?? 0, refusedKeyRetryMs), text }
  }
  return { act: 'keep', why: 'unavailable', waitMs, text }
}

/** Retry-After in seconds or as a date (RFC 9110, 10.2.3), bounded; null when absent or unreadable. */
export function retryAfterMsOf(value: string | null, nowMs: number): number | null {
  if (value === null || value.trim() === '') return null
  const seconds = /^\s*\d+(\.\d+)?\s*$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - nowMs
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), retryAfterMsMax) : null
}
