// The one document that the command line, the page and the MCP tool answer. Durations are ms, `since` µs since the epoch.

export const causes = [
  'layer_slow',
  'waiting',
  'grows_with',
  'attribute_value',
  'fixed_timeout',
  'retries',
  'previous_call',
  'uniform_overhead',
  'first_chunk',
  'changed_at',
] as const
export type Cause = (typeof causes)[number]

export type WhyAnswer = {
  readonly slow: Cohort
  readonly baseline: Cohort
  /** Null: no difference worth naming; `note` says why not. */
  readonly verdict: Verdict | null
  /** What else was considered, the most telling first. */
  readonly factors: readonly Factor[]
  /** Trace ids, the most typical of the slow ones first. */
  readonly exemplars: readonly string[]
  /** What limits the answer: too few calls, a sample, how the slow ones were found. Null where nothing does. */
  readonly note: string | null
}

export type Cohort = { readonly n: number; readonly p50_ms: number | null; readonly p95_ms: number | null }

export type Verdict = {
  readonly cause: Cause
  /** Where the extra time is spent; null where every layer has its part. */
  readonly layer: string | null
  /** The attribute of `attribute_value` (two of them where only the pair explains) and `grows_with`; of `waiting` the wait. */
  readonly attribute: string | readonly [string, string] | null
  /** The attribute's value; the holder, the timeout in ms, the attempts, or the tool before. */
  readonly value: string | number | readonly [string | number, string | number] | null
  /** A moment at which the difference begins, where there is one. */
  readonly since: number | null
  /** The part of the extra time that it explains, 0 to 1. */
  readonly share: number
  /** How often a verdict of this strength is right, 0 to 1. */
  readonly confidence: number
  readonly sentence: string
}

export type Factor = {
  readonly cause: Cause
  readonly layer: string | null
  readonly attribute: string | readonly [string, string] | null
  readonly value: string | number | readonly [string | number, string | number] | null
  readonly share: number
  readonly sentence: string
}
