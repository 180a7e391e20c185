import type { Attributes } from '../core/record.ts'
import type {
  ExponentialHistogramDataPoint,
  HistogramDataPoint,
  KeyValue,
  Metric,
  NumberDataPoint,
  SummaryDataPoint,
} from './otlp_proto_generated.ts'
import type { WireRecord } from './otlp_span.ts'
import { attributesOfPairs, usOf } from './otlp_value.ts'

/** DataPointFlags: the point says only that there is no value. */
const noValue = 1

type Point = { readonly attributes: KeyValue[]; readonly timeUnixNano: bigint; readonly flags: number }

/** The samples of one data point; none where it says that there is no value. */
export type OtlpSamples = readonly WireRecord[]

/**
 * The data points of a metric as gauges under its own name, labelled with their attributes: numbers as they are; of a
 * histogram `<name>.count` and `<name>.sum`, of a summary also its quantiles. A metric of no kind that is known has none.
 */
export function samplesOfMetric(metric: Metric): readonly OtlpSamples[] {
  const { name, data } = metric
  switch (data.case) {
    case 'gauge':
    case 'sum':
      return data.value.dataPoints.map((point) => sampled(point, [[name, numberOf(point)]]))
    case 'histogram':
    case 'exponentialHistogram':
      return data.value.dataPoints.map((point: HistogramDataPoint | ExponentialHistogramDataPoint) =>
        sampled(point, countAndSum(name, point.count, point.sum)),
      )
    case 'summary':
      return data.value.dataPoints.map((point) => [
        ...sampled(point, countAndSum(name, point.count, point.sum)),
        ...quantilesOf(name, point),
      ])
    default:
      return []
  }
}

function numberOf({ value }: NumberDataPoint): number | null {
  return value.case === undefined ? null : Number(value.value)
}

function countAndSum(name: string, count: bigint, sum: number | undefined): (readonly [string, number | null])[] {
  return [[`${name}.count`, Number(count)], ...(sum === undefined ? [] : [[`${name}.sum`, sum] as const])]
}

function sampled(point: Point, values: readonly (readonly [string, number | null])[]): OtlpSamples {
  if ((point.flags & noValue) !== 0) return []
  const labels = labelsOf(attributesOfPairs(point.attributes))
  return values.map(([name, value]) => ({ type: 'gauge', name, at_us: usOf(point.timeUnixNano), value, labels }))
}

function quantilesOf(name: string, point: SummaryDataPoint): OtlpSamples {
  const labels = labelsOf(attributesOfPairs(point.attributes))
  return point.quantileValues.flatMap(({ quantile, value }) =>
    sampled(point, [[name, value]]).map((sample) => ({ ...sample, labels: { ...labels, quantile: String(quantile) } })),
  )
}

/** Labels are texts; what is none is written as JSON. */
function labelsOf(attributes: Attributes): { [key: string]: string } {
  return Object.fromEntries(
    Object.entries(attributes).map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
  )
}
