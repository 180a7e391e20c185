import { isFailure } from '../core/outcome.ts'
import type { ErrorRecord, Json, ProcessInfo, Source, Span, TelltaleRecord } from '../core/record.ts'
import { derivedKey } from './otlp_exported_span.ts'
import { otlpKind } from './otlp_layer.ts'
import { exported } from './otlp_log.ts'
import { otlpStatus } from './otlp_outcome.ts'
import type { OtlpSignal } from './otlp_request.ts'
import { ownScope } from './otlp_span.ts'

/** A record as it is stored, with where it came from: a line of `telltale export`. */
export type ExportedRecord = {
  readonly source: Source
  readonly process: ProcessInfo
  readonly record: TelltaleRecord
}

/** A thing as OTLP's JSON has it, ids in hex, and the signal that it belongs to. */
export type OtlpThing = { readonly signal: OtlpSignal; readonly item: Bag }

type Bag = { readonly [name: string]: unknown }
type Bags = { [name: string]: Json }

/** A stored record as OTLP has it; taken in again it is the same record. */
export function thingOf(record: TelltaleRecord): OtlpThing {
  switch (record.type) {
    case 'span':
      return { signal: 'traces', item: spanItem(record) }
    case 'gauge': {
      const point = { timeUnixNano: nanos(record.at_us), asDouble: record.value, attributes: pairs(record.labels) }
      return { signal: 'metrics', item: { name: record.name, gauge: { dataPoints: [point] } } }
    }
    case 'error':
      return { signal: 'logs', item: errorItem(record) }
    case 'message': {
      const { type: _, at_us, trace_id, span_id, ...fields } = record
      const named = prefixed(fields, `${exported.message}.`)
      return { signal: 'logs', item: { ...logItem(at_us, trace_id, span_id, named), eventName: exported.message } }
    }
    case 'event': {
      const { type: _, at_us, trace_id, span_id, ...fields } = record
      const named = prefixed(fields, `${exported.event}.`)
      const item = { ...logItem(at_us, trace_id, span_id, named), eventName: exported.event }
      return { signal: 'logs', item: record.error === null ? item : { ...item, ...asError } }
    }
  }
}

const asError = { severityNumber: 17, severityText: 'ERROR' }

/** One request of one signal: the things by the process that recorded them. */
export function requestOf(
  signal: OtlpSignal,
  things: readonly { from: Omit<ExportedRecord, 'record'>; item: Bag }[],
): Bag {
  const [ofRequest, ofResource, ofScope] = {
    traces: ['resourceSpans', 'scopeSpans', 'spans'] as const,
    metrics: ['resourceMetrics', 'scopeMetrics', 'metrics'] as const,
    logs: ['resourceLogs', 'scopeLogs', 'logRecords'] as const,
  }[signal]
  const byProcess = new Map<string, { from: Omit<ExportedRecord, 'record'>; items: Bag[] }>()
  for (const { from, item } of things) {
    const group = byProcess.get(from.process.id) ?? { from, items: [] }
    byProcess.set(from.process.id, group)
    group.items.push(item)
  }
  return {
    [ofRequest]: [...byProcess.values()].map(({ from, items }) => ({
      resource: { attributes: pairs(resourceOf(from)) },
      [ofResource]: [{ scope: { name: ownScope }, [ofScope]: items }],
    })),
  }
}

function resourceOf({ source, process }: Omit<ExportedRecord, 'record'>): Bags {
  return present({
    'service.name': source.service,
    'service.instance.id': source.instance,
    'service.version': source.version,
    'deployment.environment.name': source.environment,
    'host.name': process.host,
    'process.pid': process.pid,
    'telltale.process.id': process.id,
    'telltale.process.started_at_us': process.started_at_us,
    'telltale.sdk': process.sdk,
  })
}

/** What other readers of OTLP look for under its own names; they are told apart from what was recorded. */
function derivedOf(span: Span): Bags {
  return present({
    'gen_ai.tool.name': span.tool,
    'gen_ai.provider.name': span.provider,
    'gen_ai.request.model': span.model,
    'gen_ai.usage.input_tokens': span.tokens_in,
    'gen_ai.usage.output_tokens': span.tokens_out,
  })
}

function spanItem(span: Span): Bag {
  const derived = Object.fromEntries(
    Object.entries(derivedOf(span)).filter(([key]) => !Object.hasOwn(span.attributes, key)),
  )
  const told = present({
    'telltale.layer': span.layer,
    'telltale.span_kind': span.kind,
    'telltale.outcome': span.outcome,
    'telltale.entry': span.entry,
    'telltale.request_id': span.request_id,
    'telltale.session_key': span.session?.key ?? null,
    'telltale.session_rule': span.session?.rule ?? null,
    'telltale.call_number': span.call_number,
    'telltale.tool': span.tool,
    'telltale.provider': span.provider,
    'telltale.model': span.model,
    'telltale.bytes_in': span.bytes_in,
    'telltale.bytes_out': span.bytes_out,
    'telltale.tokens_in': span.tokens_in,
    'telltale.tokens_out': span.tokens_out,
    'telltale.holder': span.holder,
  })
  const recorded = prefixed(span.attributes, '')
  const kind = span.attributes['otel.span.kind']
  return {
    traceId: span.trace_id,
    spanId: span.span_id,
    ...(span.parent_span_id === null ? {} : { parentSpanId: span.parent_span_id }),
    name: span.name,
    kind: otlpKind[kind as keyof typeof otlpKind] ?? (span.entry ? otlpKind.server : otlpKind.internal),
    startTimeUnixNano: nanos(span.start_us),
    endTimeUnixNano: span.end_us === null ? '0' : nanos(span.end_us),
    attributes: pairs({ ...recorded, ...derived, ...told, [derivedKey]: Object.keys(derived) }),
    status: isFailure(span.outcome) ? { code: otlpStatus.error } : {},
  }
}

function errorItem(error: ErrorRecord): Bag {
  const told = present({
    'telltale.error_id': error.error_id,
    'exception.type': error.error_type,
    'exception.message': error.message,
    'exception.stacktrace': error.traceback,
  })
  const item = logItem(error.at_us, error.trace_id, error.span_id, { ...error.context, ...told })
  return { ...item, ...asError, eventName: exported.error }
}

function logItem(atUs: number, traceId: string | null, spanId: string | null, attributes: Bags): Bag {
  const ids = { ...(traceId === null ? {} : { traceId }), ...(spanId === null ? {} : { spanId }) }
  return { timeUnixNano: nanos(atUs), ...ids, attributes: pairs(attributes) }
}

function present(bag: { readonly [key: string]: Json }): Bags {
  return Object.fromEntries(Object.entries(bag).filter(([, value]) => value !== null))
}

function prefixed(bag: { readonly [key: string]: Json }, prefix: string): Bags {
  return Object.fromEntries(Object.entries(bag).map(([key, value]) => [`${prefix}${key}`, value]))
}

function nanos(us: number): string {
  return `${us}000`
}

function pairs(bag: { readonly [key: string]: Json }): Bag[] {
  return Object.entries(bag).map(([key, value]) => ({ key, value: anyOf(value) }))
}

function anyOf(value: Json): Bag {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  if (typeof value === 'number')
    return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value }
  if (value === null) return {}
  if (Array.isArray(value)) return { arrayValue: { values: value.map(anyOf) } }
  return { kvlistValue: { values: pairs(value as { readonly [key: string]: Json }) } }
}
