import type { Histogram } from './histogram.ts'

/** What is counted under one series key. bytes and tokens are sums; `latency` is in µs. */
export type Cell = {
  readonly count: number
  readonly errors: number
  readonly bytes_in: number
  readonly bytes_out: number
  readonly tokens_in: number
  readonly tokens_out: number
  readonly latency: Histogram
}

/** Keys: all, layer:X, tool:X, call:1..5|6+|unknown, provider:X, model:X, connection:X. */
export type Series = { readonly [key: string]: Cell }

/** One second of one source's metrics. */
export type Window = { readonly second: number; readonly series: Series }

/** One minute (seconds since the epoch, a multiple of 60) of one batch's metrics. */
export type MinutePart = { readonly minute: number; readonly series: Series }
