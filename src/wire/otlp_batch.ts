import { batchBytesMax, batchRecordsMax, otlpRecordsMax } from '../core/limit.ts'
import { err, ok, type Result } from '../core/result.ts'
import { recordOfLog } from './otlp_log.ts'
import { samplesOfMetric } from './otlp_metric.ts'
import type { LogRecord, Metric, Span } from './otlp_proto_generated.ts'
import { type OtlpEncoding, type OtlpGroup, type OtlpRefusal, type OtlpSignal, readOtlp } from './otlp_request.ts'
import { type OtlpOrigin, originOf } from './otlp_resource.ts'
import type { OtlpRules } from './otlp_rule.ts'
import { type OtlpScene, recordsOfSpan, type WireRecord } from './otlp_span.ts'
import { hexOf } from './otlp_value.ts'
import { utf8Bytes } from './wire_text.ts'

/** What an item of the request became. The main record of a span is the span: without it the item counts as refused. */
export type MappedRecord = { readonly isMain: boolean; readonly record: WireRecord }

/** Records of one process that are stored together. */
export type OtlpPart = { readonly origin: OtlpOrigin; readonly records: readonly MappedRecord[] }

export type OtlpBatches = {
  readonly parts: readonly OtlpPart[]
  /** How many spans, data points or log records the request has. */
  readonly items: number
  /** Items of which nothing was understood. */
  readonly unread: number
}

// Beside its records a batch has an envelope, and between two of them there is a comma.
const partBytesMax = batchBytesMax - 16 * 1_024

/**
 * The records of an OTLP request, by process and in parts as large as a batch may be; the same request always gives the
 * same parts. Never throws, whatever the body is.
 */
export function otlpBatchesOf(
  signal: OtlpSignal,
  encoding: OtlpEncoding,
  body: Uint8Array,
  rules: OtlpRules,
): Result<OtlpBatches, OtlpRefusal> {
  const mapped = signal === 'traces' ? spans(encoding, body, rules) : flat(signal, encoding, body, rules)
  if (!mapped.ok) return mapped
  const { groups, items, unread } = mapped.value
  if (items > otlpRecordsMax) {
    return err({
      status: 413,
      detail: `Cannot take request: it has ${items} records, wanted ${otlpRecordsMax} at most`,
    })
  }
  return ok({ parts: groups.flatMap(({ origin, records }) => partsOf(origin, records)), items, unread })
}

type MappedGroup = { readonly origin: OtlpOrigin; readonly records: MappedRecord[] }
type Mapped = Result<{ groups: readonly MappedGroup[]; items: number; unread: number }, OtlpRefusal>

function spans(encoding: OtlpEncoding, body: Uint8Array, rules: OtlpRules): Mapped {
  const read = readOtlp('traces', encoding, body)
  if (!read.ok) return read
  const known = new Set<string>()
  for (const { items } of read.value) {
    for (const span of items) if (span !== null) known.add(`${hexOf(span.traceId)} ${hexOf(span.spanId)}`)
  }
  const map = (span: Span, scene: OtlpScene) => [recordsOfSpan(span, scene)]
  return ok(gathered(read.value, { rules, known }, map))
}

function flat(signal: 'metrics' | 'logs', encoding: OtlpEncoding, body: Uint8Array, rules: OtlpRules): Mapped {
  const context = { rules, known: new Set<string>() }
  if (signal === 'metrics') {
    const read = readOtlp('metrics', encoding, body)
    return read.ok ? ok(gathered(read.value, context, (metric: Metric) => samplesOfMetric(metric))) : read
  }
  const read = readOtlp('logs', encoding, body)
  if (!read.ok) return read
  return ok(gathered(read.value, context, (log: LogRecord, scene) => [[recordOfLog(log, scene)]]))
}

/** Maps every item to what it means, one list of records for each thing that counts, and gathers them by process. */
function gathered<T>(
  groups: readonly OtlpGroup<T>[],
  { rules, known }: Pick<OtlpScene, 'rules' | 'known'>,
  map: (item: T, scene: OtlpScene) => readonly (readonly WireRecord[])[],
) {
  const byProcess = new Map<string, MappedGroup>()
  let items = 0
  let unread = 0
  for (const group of groups) {
    const origin = originOf(group.resource)
    // One process id that two sources claim is kept apart, as one batch has one source.
    const key = JSON.stringify([origin.process.id, origin.source])
    const into = byProcess.get(key) ?? { origin, records: [] }
    byProcess.set(key, into)
    const scene = {
      ...{ service: origin.source.service, scope: group.scope.name, processId: origin.process.id },
      ...{ rules, known },
    }
    for (const item of group.items) {
      if (item === null) {
        items += 1
        unread += 1
        continue
      }
      for (const records of map(item, scene)) {
        into.records.push(...records.map((record, place) => ({ isMain: place === 0, record })))
        items += 1
      }
    }
  }
  return { groups: [...byProcess.values()], items, unread }
}

function partsOf(origin: OtlpOrigin, records: readonly MappedRecord[]): OtlpPart[] {
  const parts: OtlpPart[] = []
  let taken: MappedRecord[] = []
  let room = partBytesMax
  for (const mapped of records) {
    const bytes = utf8Bytes(JSON.stringify(mapped.record)) + 1
    if (taken.length > 0 && (taken.length === batchRecordsMax || bytes > room)) {
      parts.push({ origin, records: taken })
      taken = []
      room = partBytesMax
    }
    taken.push(mapped)
    room -= bytes
  }
  if (taken.length > 0) parts.push({ origin, records: taken })
  return parts
}
