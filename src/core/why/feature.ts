import type { Category, Quantity } from './attribute.ts'
import { attributesOf } from './attribute.ts'
import { neighboursOf } from './neighbour.ts'
import { partsOf, type TraceParts } from './part.ts'
import { tellingSpansOf } from './telling_span.ts'
import type { WhyData, WhyTrace } from './why_data.ts'

/** What is compared: a column each, all in the order of `traces`, which is that of (start, trace id). */
export type Features = TraceParts & {
  readonly n: number
  readonly traces: readonly WhyTrace[]
  readonly durationMs: Float64Array
  readonly tool: Category
  readonly categories: readonly Category[]
  readonly quantities: readonly Quantity[]
  /** Of a process id; empty where it is not known. */
  readonly serviceOf: (process: string) => string
}

/** The columns of some of the data's traces, which stand in the order of (start, trace id). */
export function featuresOf(data: WhyData, traces: readonly WhyTrace[]): Features {
  const parts = partsOf(traces)
  const durationMs = Float64Array.from(traces, (trace) => trace.duration_ms)
  const { categories, quantities } = attributesOf(data, traces)
  return {
    ...parts,
    n: traces.length,
    traces,
    durationMs,
    tool: categories.find(({ name }) => name === 'tool') as Category,
    categories: [...categories, ...neighboursOf(data, traces), ...tellingSpansOf(parts, durationMs)],
    quantities,
    serviceOf: (process) => data.processes[process]?.service ?? '',
  }
}
