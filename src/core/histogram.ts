/**
 * A base-2 exponential histogram at scale 5 (OpenTelemetry data model) of latencies in µs:
 * `z` zeros, `sum` in µs, `b` counts by bucket index.
 */
export type Histogram = {
  readonly z: number
  readonly sum: number
  readonly b: { readonly [index: string]: number }
}
