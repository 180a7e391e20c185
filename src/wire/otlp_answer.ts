import { create, fromBinary, fromJsonString, toBinary, toJsonString } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import {
  ExportLogsServiceResponseSchema,
  ExportMetricsServiceResponseSchema,
  ExportTraceServiceResponseSchema,
} from './otlp_proto_generated.ts'
import type { OtlpEncoding, OtlpSignal } from './otlp_request.ts'

export const otlpMediaTypes: { readonly [encoding in OtlpEncoding]: string } = {
  json: 'application/json',
  protobuf: 'application/x-protobuf',
}

type Body = Uint8Array<ArrayBuffer> | string

/** The answer to an export request of which `rejected` spans, data points or log records were refused, 0 for none. */
export function otlpAnswerOf(signal: OtlpSignal, encoding: OtlpEncoding, rejected: number, errorMessage: string): Body {
  const count = BigInt(rejected)
  const isWhole = rejected === 0 && errorMessage === ''
  switch (signal) {
    case 'traces': {
      const told = isWhole ? {} : { partialSuccess: { rejectedSpans: count, errorMessage } }
      const answer = create(ExportTraceServiceResponseSchema, told)
      return encoding === 'json'
        ? toJsonString(ExportTraceServiceResponseSchema, answer)
        : bytesOf(toBinary(ExportTraceServiceResponseSchema, answer))
    }
    case 'metrics': {
      const told = isWhole ? {} : { partialSuccess: { rejectedDataPoints: count, errorMessage } }
      const answer = create(ExportMetricsServiceResponseSchema, told)
      return encoding === 'json'
        ? toJsonString(ExportMetricsServiceResponseSchema, answer)
        : bytesOf(toBinary(ExportMetricsServiceResponseSchema, answer))
    }
    case 'logs': {
      const told = isWhole ? {} : { partialSuccess: { rejectedLogRecords: count, errorMessage } }
      const answer = create(ExportLogsServiceResponseSchema, told)
      return encoding === 'json'
        ? toJsonString(ExportLogsServiceResponseSchema, answer)
        : bytesOf(toBinary(ExportLogsServiceResponseSchema, answer))
    }
  }
}

/** A refusal as google.rpc.Status (field 1 code, 2 message), as the protocol wants it. `code` is one of gRPC's. */
export function otlpStatusOf(encoding: OtlpEncoding, code: number, message: string): Body {
  if (encoding === 'json') return JSON.stringify({ code, message })
  const writer = new BinaryWriter()
  writer.tag(1, WireType.Varint).int32(code)
  writer.tag(2, WireType.LengthDelimited).string(message)
  return bytesOf(writer.finish())
}

/** Of a buffer of its own, as responses want it. */
function bytesOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(bytes)
}

/** How many a receiver says that it refused, and why; none where its answer is not of its form. */
export function rejectedOf(signal: OtlpSignal, encoding: OtlpEncoding, body: Uint8Array): { n: number; why: string } {
  const schema = {
    traces: ExportTraceServiceResponseSchema,
    metrics: ExportMetricsServiceResponseSchema,
    logs: ExportLogsServiceResponseSchema,
  }[signal]
  try {
    const answer =
      encoding === 'json'
        ? fromJsonString(schema, new TextDecoder().decode(body), { ignoreUnknownFields: true })
        : fromBinary(schema, body)
    const { errorMessage = '', ...counts } = (answer.partialSuccess ?? {}) as { errorMessage?: string }
    const n = Object.values(counts).find((value) => typeof value === 'bigint')
    return { n: Number(n ?? 0n), why: errorMessage }
  } catch {
    return { n: 0, why: '' }
  }
}
