import { alertLookGapSeconds } from '../limit.ts'
import type { OpenAlert, Reading } from './alert_input.ts'
import type { AlertRule } from './alert_rule.ts'

/** What becomes of one alert of one group: nothing, or one of these. */
export type Step =
  | { readonly to: 'none' }
  /** The condition holds for the first time, or again after nobody looked for too long. */
  | { readonly to: 'pending'; readonly started_us: number }
  | { readonly to: 'firing'; readonly started_us: number; readonly fired_us: number }
  /** It goes on as it is; `clear_us`: since when it is over. */
  | { readonly to: 'same'; readonly clear_us: number | null }
  /** It never fired, and is over. */
  | { readonly to: 'dropped' }
  | { readonly to: 'resolved'; readonly resolved_us: number }

type Known = Pick<OpenAlert, 'state' | 'started_us' | 'seen_us' | 'clear_us'>
type Seen = Pick<Reading, 'breached' | 'cleared'>

/**
 * The next state of an alert: pending while its condition holds, firing when it has held for `for_s`, resolved when it has
 * been over, past the clear threshold, for `clear_for_s`; in between it stays. `reading` null: nothing is there to be seen
 * any more. A clock that goes back moves nothing; one that jumps ahead, or a pause in which nobody looked, does not count
 * as time in which the condition held or was over.
 */
export function nextStep(
  rule: Pick<AlertRule, 'for_s' | 'clear_for_s'>,
  open: Known | null,
  reading: Seen | null,
  now_us: number,
): Step {
  const { breached, cleared } = reading ?? { breached: false, cleared: true }
  const looked = open !== null && now_us - open.seen_us <= alertLookGapSeconds * 1_000_000
  if (open === null || open.state === 'pending') {
    if (!breached) return open === null ? { to: 'none' } : { to: 'dropped' }
    const started_us = open !== null && looked ? Math.min(open.started_us, now_us) : now_us
    if (now_us - started_us >= rule.for_s * 1_000_000) return { to: 'firing', started_us, fired_us: now_us }
    return { to: 'pending', started_us }
  }
  if (!cleared) return { to: 'same', clear_us: null }
  const clear_us = open.clear_us !== null && looked ? Math.min(open.clear_us, now_us) : now_us
  if (now_us - clear_us >= rule.clear_for_s * 1_000_000) return { to: 'resolved', resolved_us: now_us }
  return { to: 'same', clear_us }
}
