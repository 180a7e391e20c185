import { notificationRetryBaseMs, notificationRetryMsMax } from '../limit.ts'

/**
 * How long to wait, in ms, after the so-manyeth attempt (from 1) failed: twice as long each time up to an hour, spread over
 * its upper half by `chance` (0..1), and no less than the destination asks, up to the same hour.
 */
export function retryMsOf(attempt: number, retryAfterSeconds: number | null, chance: number): number {
  const ms = Math.min(notificationRetryMsMax, notificationRetryBaseMs * 2 ** Math.min(attempt - 1, 30))
  const asked = Math.min(notificationRetryMsMax, Math.max(0, retryAfterSeconds ?? 0) * 1_000)
  return Math.round(Math.max(asked, ms / 2 + (ms / 2) * chance))
}
