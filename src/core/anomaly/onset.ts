/**
 * Of a run of surprises only the beginning: what is no more surprising than one shortly before, which fades, is the same
 * anomaly still. A state of one number; null begins.
 */
export type OnsetState = { readonly last: number } | null

/** By how much a surprise has faded after one more point: to a third within 200. */
const fade = Math.exp(-1 / 200)

export function onsetOf(
  state: OnsetState,
  surprise: number,
): { readonly surprise: number; readonly state: OnsetState } {
  const last = (state?.last ?? 0) * fade
  return surprise > last ? { surprise, state: { last: surprise } } : { surprise: 0, state: { last } }
}
