import { type DescMessage, fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf'
import {
  ExportLogsServiceRequestSchema,
  ExportMetricsServiceRequestSchema,
  ExportTraceServiceRequestSchema,
} from './otlp_proto_generated.ts'
import { type OtlpEncoding, type OtlpSignal, otlpNames, withBase64Ids } from './otlp_request.ts'

const schemas: { readonly [signal in OtlpSignal]: DescMessage } = {
  traces: ExportTraceServiceRequestSchema,
  metrics: ExportMetricsServiceRequestSchema,
  logs: ExportLogsServiceRequestSchema,
}

type Bag = { readonly [name: string]: unknown }

/**
 * The bytes of an export request that is written as OTLP's JSON has it, with ids in hex.
 * @throws Error when it is no such request
 */
export function otlpBytesOf(signal: OtlpSignal, encoding: OtlpEncoding, request: Bag): Uint8Array<ArrayBuffer> {
  if (encoding === 'json') return new TextEncoder().encode(JSON.stringify(request))
  const [ofRequest, ofResource, ofScope] = otlpNames[signal]
  const inEach = (bag: Bag, name: string, change: (item: Bag) => unknown): Bag => ({
    ...bag,
    [name]: (bag[name] as Bag[]).map(change),
  })
  const plain = inEach(request, ofRequest, (resource) =>
    inEach(resource, ofResource, (scope) => inEach(scope, ofScope, withBase64Ids)),
  )
  return Uint8Array.from(toBinary(schemas[signal], fromJson(schemas[signal], plain as JsonValue)))
}
