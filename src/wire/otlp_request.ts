import { type DescMessage, fromBinary, fromJson, type JsonValue, type MessageShape } from '@bufbuild/protobuf'
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { isObject } from '../core/json_object.ts'
import { otlpRecordsMax, parseDepthMax } from '../core/limit.ts'
import type { Attributes } from '../core/record.ts'
import { err, ok, type Result } from '../core/result.ts'
import { isShallow } from './json_depth.ts'
import {
  InstrumentationScopeSchema,
  LogRecordSchema,
  MetricSchema,
  ResourceSchema,
  SpanSchema,
} from './otlp_proto_generated.ts'
import { attributesOfPairs } from './otlp_value.ts'

export const otlpSignals = ['traces', 'metrics', 'logs'] as const
export type OtlpSignal = (typeof otlpSignals)[number]
export type OtlpEncoding = 'protobuf' | 'json'

/** What one library recorded in one process. An item that cannot be read is null, and sinks nothing but itself. */
export type OtlpGroup<T> = {
  readonly resource: Attributes
  readonly scope: { readonly name: string; readonly version: string }
  readonly items: readonly (T | null)[]
}

/** Why a request is refused whole. `detail` never repeats what was sent. */
export type OtlpRefusal = { readonly status: 400 | 413; readonly detail: string }

const schemas = { traces: SpanSchema, metrics: MetricSchema, logs: LogRecordSchema }
export type OtlpItem<S extends OtlpSignal> = MessageShape<(typeof schemas)[S]>

/**
 * Reads the body of an OTLP export request. Only its frame, which is the same for all three signals, must be right:
 * each item is read by itself. Never throws, whatever the body is.
 */
export function readOtlp<S extends OtlpSignal>(
  signal: S,
  encoding: OtlpEncoding,
  body: Uint8Array,
): Result<readonly OtlpGroup<OtlpItem<S>>[], OtlpRefusal> {
  const schema: DescMessage = schemas[signal]
  const groups = encoding === 'json' ? jsonGroups(signal, schema, body) : binaryGroups(schema, body)
  if (!groups.ok) return groups
  const count = groups.value.reduce((sum, { items }) => sum + items.length, 0)
  // Of metrics it is the data points that count; they are counted when they are mapped.
  if (count > otlpRecordsMax) {
    return err({
      status: 413,
      detail: `Cannot take request: it has ${count} records, wanted ${otlpRecordsMax} at most`,
    })
  }
  return ok(groups.value as readonly OtlpGroup<OtlpItem<S>>[])
}

type Groups = Result<OtlpGroup<unknown>[], OtlpRefusal>

/** In every signal 1 holds the resources; in them 1 is the resource and 2 its scopes; in these 1 is the scope, 2 its items. */
function binaryGroups(schema: DescMessage, body: Uint8Array): Groups {
  const groups: OtlpGroup<unknown>[] = []
  try {
    for (const ofResource of fieldsOf(body)[0]) {
      const [resources, scopes] = fieldsOf(ofResource)
      const resource = resourceOf(() => fromBinary(ResourceSchema, lastOf(resources)))
      for (const ofScope of scopes) {
        const [scoped, items] = fieldsOf(ofScope)
        groups.push({
          resource,
          scope: scopeOf(() => fromBinary(InstrumentationScopeSchema, lastOf(scoped))),
          items: items.map((bytes) => itemOf(() => fromBinary(schema, bytes, { readUnknownFields: false }))),
        })
      }
    }
  } catch {
    return err({ status: 400, detail: 'Cannot read request: it is not protobuf' })
  }
  return ok(groups)
}

const nothing = new Uint8Array()

/** The values of the fields 1 and 2, where these are messages; other fields are skipped. Throws when it is no message. */
function fieldsOf(bytes: Uint8Array): readonly [Uint8Array[], Uint8Array[]] {
  const found: [Uint8Array[], Uint8Array[]] = [[], []]
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag()
    if ((field === 1 || field === 2) && wireType === WireType.LengthDelimited) found[field - 1]?.push(reader.bytes())
    else reader.skip(wireType, field)
  }
  if (reader.pos > reader.len) throw new RangeError('Cannot read message: it ends early')
  return found
}

/** Of a field that may stand once the last one counts. */
function lastOf(values: readonly Uint8Array[]): Uint8Array {
  return values.at(-1) ?? nothing
}

export const otlpNames = {
  traces: ['resourceSpans', 'scopeSpans', 'spans'],
  metrics: ['resourceMetrics', 'scopeMetrics', 'metrics'],
  logs: ['resourceLogs', 'scopeLogs', 'logRecords'],
} as const

function jsonGroups(signal: OtlpSignal, schema: DescMessage, body: Uint8Array): Groups {
  const root = jsonOf(body)
  if (!isObject(root)) return err({ status: 400, detail: 'Cannot read request: it is not a JSON object' })
  const [ofRequest, ofResource, ofScope] = otlpNames[signal]
  const groups: OtlpGroup<unknown>[] = []
  for (const entry of listOf(root, ofRequest)) {
    const resource = resourceOf(() => fromJson(ResourceSchema, memberOf(entry, 'resource'), lenient))
    for (const scoped of listOf(entry, ofResource)) {
      groups.push({
        resource,
        scope: scopeOf(() => fromJson(InstrumentationScopeSchema, memberOf(scoped, 'scope'), lenient)),
        items: listOf(scoped, ofScope).map((item) => itemOf(() => fromJson(schema, withBase64Ids(item), lenient))),
      })
    }
  }
  return ok(groups)
}

const lenient = { ignoreUnknownFields: true }

function jsonOf(body: Uint8Array): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body)
    return isShallow(text, parseDepthMax) ? JSON.parse(text) : null
  } catch {
    return null
  }
}

/** The list under a name, or under the name as the protocol's files spell it; what is no list is an empty one. */
function listOf(value: unknown, name: string): readonly unknown[] {
  if (!isObject(value)) return []
  const list = value[name] ?? value[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)]
  return Array.isArray(list) ? list : []
}

function memberOf(value: unknown, name: string): JsonValue {
  return isObject(value) && isObject(value[name]) ? (value[name] as JsonValue) : {}
}

const idDigits: { readonly [name: string]: number } = {
  ...{ traceId: 32, spanId: 16, parentSpanId: 16 },
  ...{ trace_id: 32, span_id: 16, parent_span_id: 16 },
}

/**
 * OTLP writes trace and span ids in hex where protobuf's JSON has base64. Only where ids stand: the item itself, its
 * links, and the exemplars of metrics, which nobody reads, lose theirs.
 */
export function withBase64Ids(item: unknown): JsonValue {
  if (!isObject(item)) return item as JsonValue
  const copy: { [name: string]: unknown } = { ...item }
  for (const name in idDigits) {
    const id = copy[name]
    if (typeof id === 'string' && id.length === idDigits[name] && /^[0-9a-f]+$/i.test(id)) copy[name] = base64OfHex(id)
  }
  if (Array.isArray(copy.links)) copy.links = copy.links.map(withBase64Ids)
  return copy as JsonValue
}

function base64OfHex(hex: string): string {
  let text = ''
  for (let at = 0; at < hex.length; at += 2) text += String.fromCharCode(Number.parseInt(hex.slice(at, at + 2), 16))
  return btoa(text)
}

function itemOf<T>(read: () => T): T | null {
  try {
    return read()
  } catch {
    return null
  }
}

/** A resource that cannot be read is one without attributes: what was recorded in it counts more. */
function resourceOf(read: () => MessageShape<typeof ResourceSchema>): Attributes {
  return attributesOfPairs(itemOf(read)?.attributes ?? [])
}

function scopeOf(read: () => MessageShape<typeof InstrumentationScopeSchema>): OtlpGroup<never>['scope'] {
  const scope = itemOf(read)
  return { name: scope?.name ?? '', version: scope?.version ?? '' }
}
