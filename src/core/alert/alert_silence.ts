import type { Place, Silence } from './alert_input.ts'

/** Whether somebody wanted not to be told of this rule there, now. */
export function isSilenced(
  silences: readonly Silence[],
  rule_id: string,
  { service, environment }: Place,
  now_us: number,
): boolean {
  return silences.some(
    (silence) =>
      (silence.rule_id === null || silence.rule_id === rule_id) &&
      (silence.service === null || silence.service === service) &&
      (silence.environment === null || silence.environment === environment) &&
      isWithin(silence, now_us),
  )
}

/** Whether an instant lies in a silence, or in one of its repetitions. */
export function isWithin({ starts_us, ends_us, repeat_s }: Silence, now_us: number): boolean {
  if (now_us < starts_us) return false
  if (repeat_s === null) return now_us < ends_us
  return (now_us - starts_us) % (repeat_s * 1_000_000) < ends_us - starts_us
}
