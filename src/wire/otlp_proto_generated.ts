// OTLP's messages, from the descriptors in PyPI's opentelemetry-proto 1.45.2 (https://github.com/open-telemetry/opentelemetry-proto).
// Written by `node src/wire/generate_otlp_proto.ts`; do not edit.
import type { Message } from '@bufbuild/protobuf'
import { fileDesc, type GenMessage, messageDesc } from '@bufbuild/protobuf/codegenv2'

/** opentelemetry/proto/common/v1/common.proto */
const file0 = /*@__PURE__*/ fileDesc(
  'CipvcGVudGVsZW1ldHJ5L3Byb3RvL2NvbW1vbi92MS9jb21tb24ucHJvdG8SHW9wZW50ZWxlbWV0cnkucHJvdG8uY29tbW9uLnYxIq0CCghBbnlWYWx1ZRIWCgxzdHJpbmdfdmFsdWUYASABKAlIABIUCgpib29sX3ZhbHVlGAIgASgISAASEwoJaW50X3ZhbHVlGAMgASgDSAASFgoMZG91YmxlX3ZhbHVlGAQgASgBSAASQAoLYXJyYXlfdmFsdWUYBSABKAsyKS5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbW1vbi52MS5BcnJheVZhbHVlSAASQwoMa3ZsaXN0X3ZhbHVlGAYgASgLMisub3BlbnRlbGVtZXRyeS5wcm90by5jb21tb24udjEuS2V5VmFsdWVMaXN0SAASFQoLYnl0ZXNfdmFsdWUYByABKAxIABIfChVzdHJpbmdfdmFsdWVfc3RyaW5kZXgYCCABKAVIAEIHCgV2YWx1ZSJFCgpBcnJheVZhbHVlEjcKBnZhbHVlcxgBIAMoCzInLm9wZW50ZWxlbWV0cnkucHJvdG8uY29tbW9uLnYxLkFueVZhbHVlIkcKDEtleVZhbHVlTGlzdBI3CgZ2YWx1ZXMYASADKAsyJy5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbW1vbi52MS5LZXlWYWx1ZSJlCghLZXlWYWx1ZRILCgNrZXkYASABKAkSNgoFdmFsdWUYAiABKAsyJy5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbW1vbi52MS5BbnlWYWx1ZRIUCgxrZXlfc3RyaW5kZXgYAyABKAUilAEKFEluc3RydW1lbnRhdGlvblNjb3BlEgwKBG5hbWUYASABKAkSDwoHdmVyc2lvbhgCIAEoCRI7CgphdHRyaWJ1dGVzGAMgAygLMicub3BlbnRlbGVtZXRyeS5wcm90by5jb21tb24udjEuS2V5VmFsdWUSIAoYZHJvcHBlZF9hdHRyaWJ1dGVzX2NvdW50GAQgASgNIlgKCUVudGl0eVJlZhISCgpzY2hlbWFfdXJsGAEgASgJEgwKBHR5cGUYAiABKAkSDwoHaWRfa2V5cxgDIAMoCRIYChBkZXNjcmlwdGlvbl9rZXlzGAQgAygJQnsKIGlvLm9wZW50ZWxlbWV0cnkucHJvdG8uY29tbW9uLnYxQgtDb21tb25Qcm90b1ABWihnby5vcGVudGVsZW1ldHJ5LmlvL3Byb3RvL290bHAvY29tbW9uL3YxqgIdT3BlblRlbGVtZXRyeS5Qcm90by5Db21tb24uVjFiBnByb3RvMw==',
)

export type AnyValue = Message<'opentelemetry.proto.common.v1.AnyValue'> & {
  value:
    | { case: 'stringValue'; value: string }
    | { case: 'boolValue'; value: boolean }
    | { case: 'intValue'; value: bigint }
    | { case: 'doubleValue'; value: number }
    | { case: 'arrayValue'; value: ArrayValue }
    | { case: 'kvlistValue'; value: KeyValueList }
    | { case: 'bytesValue'; value: Uint8Array }
    | { case: 'stringValueStrindex'; value: number }
    | { case: undefined; value?: undefined }
}

export type ArrayValue = Message<'opentelemetry.proto.common.v1.ArrayValue'> & {
  values: AnyValue[]
}

export type KeyValueList = Message<'opentelemetry.proto.common.v1.KeyValueList'> & {
  values: KeyValue[]
}

export type KeyValue = Message<'opentelemetry.proto.common.v1.KeyValue'> & {
  key: string
  value?: AnyValue
  keyStrindex: number
}

export type InstrumentationScope = Message<'opentelemetry.proto.common.v1.InstrumentationScope'> & {
  name: string
  version: string
  attributes: KeyValue[]
  droppedAttributesCount: number
}
export const InstrumentationScopeSchema: GenMessage<InstrumentationScope> = /*@__PURE__*/ messageDesc(file0, 4)

export type EntityRef = Message<'opentelemetry.proto.common.v1.EntityRef'> & {
  schemaUrl: string
  type: string
  idKeys: string[]
  descriptionKeys: string[]
}

/** opentelemetry/proto/resource/v1/resource.proto */
const file1 = /*@__PURE__*/ fileDesc(
  'Ci5vcGVudGVsZW1ldHJ5L3Byb3RvL3Jlc291cmNlL3YxL3Jlc291cmNlLnByb3RvEh9vcGVudGVsZW1ldHJ5LnByb3RvLnJlc291cmNlLnYxGipvcGVudGVsZW1ldHJ5L3Byb3RvL2NvbW1vbi92MS9jb21tb24ucHJvdG8iqAEKCFJlc291cmNlEjsKCmF0dHJpYnV0ZXMYASADKAsyJy5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbW1vbi52MS5LZXlWYWx1ZRIgChhkcm9wcGVkX2F0dHJpYnV0ZXNfY291bnQYAiABKA0SPQoLZW50aXR5X3JlZnMYAyADKAsyKC5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbW1vbi52MS5FbnRpdHlSZWZCgwEKImlvLm9wZW50ZWxlbWV0cnkucHJvdG8ucmVzb3VyY2UudjFCDVJlc291cmNlUHJvdG9QAVoqZ28ub3BlbnRlbGVtZXRyeS5pby9wcm90by9vdGxwL3Jlc291cmNlL3YxqgIfT3BlblRlbGVtZXRyeS5Qcm90by5SZXNvdXJjZS5WMWIGcHJvdG8z',
  [file0],
)

export type Resource = Message<'opentelemetry.proto.resource.v1.Resource'> & {
  attributes: KeyValue[]
  droppedAttributesCount: number
  entityRefs: EntityRef[]
}
export const ResourceSchema: GenMessage<Resource> = /*@__PURE__*/ messageDesc(file1, 0)

/** opentelemetry/proto/trace/v1/trace.proto */
const file2 = /*@__PURE__*/ fileDesc(
  'CihvcGVudGVsZW1ldHJ5L3Byb3RvL3RyYWNlL3YxL3RyYWNlLnByb3RvEhxvcGVudGVsZW1ldHJ5LnByb3RvLnRyYWNlLnYxGipvcGVudGVsZW1ldHJ5L3Byb3RvL2NvbW1vbi92MS9jb21tb24ucHJvdG8aLm9wZW50ZWxlbWV0cnkvcHJvdG8vcmVzb3VyY2UvdjEvcmVzb3VyY2UucHJvdG8iUQoKVHJhY2VzRGF0YRJDCg5yZXNvdXJjZV9zcGFucxgBIAMoCzIrLm9wZW50ZWxlbWV0cnkucHJvdG8udHJhY2UudjEuUmVzb3VyY2VTcGFucyKnAQoNUmVzb3VyY2VTcGFucxI7CghyZXNvdXJjZRgBIAEoCzIpLm9wZW50ZWxlbWV0cnkucHJvdG8ucmVzb3VyY2UudjEuUmVzb3VyY2USPQoLc2NvcGVfc3BhbnMYAiADKAsyKC5vcGVudGVsZW1ldHJ5LnByb3RvLnRyYWNlLnYxLlNjb3BlU3BhbnMSEgoKc2NoZW1hX3VybBgDIAEoCUoGCOgHEOkHIpcBCgpTY29wZVNwYW5zEkIKBXNjb3BlGAEgASgLMjMub3BlbnRlbGVtZXRyeS5wcm90by5jb21tb24udjEuSW5zdHJ1bWVudGF0aW9uU2NvcGUSMQoFc3BhbnMYAiADKAsyIi5vcGVudGVsZW1ldHJ5LnByb3RvLnRyYWNlLnYxLlNwYW4SEgoKc2NoZW1hX3VybBgDIAEoCSKECAoEU3BhbhIQCgh0cmFjZV9pZBgBIAEoDBIPCgdzcGFuX2lkGAIgASgMEhMKC3RyYWNlX3N0YXRlGAMgASgJEhYKDnBhcmVudF9zcGFuX2lkGAQgASgMEg0KBWZsYWdzGBAgASgHEgwKBG5hbWUYBSABKAkSOQoEa2luZBgGIAEoDjIrLm9wZW50ZWxlbWV0cnkucHJvdG8udHJhY2UudjEuU3Bhbi5TcGFuS2luZBIcChRzdGFydF90aW1lX3VuaXhfbmFubxgHIAEoBhIaChJlbmRfdGltZV91bml4X25hbm8YCCABKAYSOwoKYXR0cmlidXRlcxgJIAMoCzInLm9wZW50ZWxlbWV0cnkucHJvdG8uY29tbW9uLnYxLktleVZhbHVlEiAKGGRyb3BwZWRfYXR0cmlidXRlc19jb3VudBgKIAEoDRI4CgZldmVudHMYCyADKAsyKC5vcGVudGVsZW1ldHJ5LnByb3RvLnRyYWNlLnYxLlNwYW4uRXZlbnQSHAoUZHJvcHBlZF9ldmVudHNfY291bnQYDCABKA0SNgoFbGlua3MYDSADKAsyJy5vcGVudGVsZW1ldHJ5LnByb3RvLnRyYWNlLnYxLlNwYW4uTGluaxIbChNkcm9wcGVkX2xpbmtzX2NvdW50GA4gASgNEjQKBnN0YXR1cxgPIAEoCzIkLm9wZW50ZWxlbWV0cnkucHJvdG8udHJhY2UudjEuU3RhdHVzGowBCgVFdmVudBIWCg50aW1lX3VuaXhfbmFubxgBIAEoBhIMCgRuYW1lGAIgASgJEjsKCmF0dHJpYnV0ZXMYAyADKAsyJy5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbW1vbi52MS5LZXlWYWx1ZRIgChhkcm9wcGVkX2F0dHJpYnV0ZXNfY291bnQYBCABKA0arAEKBExpbmsSEAoIdHJhY2VfaWQYASABKAwSDwoHc3Bhbl9pZBgCIAEoDBITCgt0cmFjZV9zdGF0ZRgDIAEoCRI7CgphdHRyaWJ1dGVzGAQgAygLMicub3BlbnRlbGVtZXRyeS5wcm90by5jb21tb24udjEuS2V5VmFsdWUSIAoYZHJvcHBlZF9hdHRyaWJ1dGVzX2NvdW50GAUgASgNEg0KBWZsYWdzGAYgASgHIpkBCghTcGFuS2luZBIZChVTUEFOX0tJTkRfVU5TUEVDSUZJRUQQABIWChJTUEFOX0tJTkRfSU5URVJOQUwQARIUChBTUEFOX0tJTkRfU0VSVkVSEAISFAoQU1BBTl9LSU5EX0NMSUVOVBADEhYKElNQQU5fS0lORF9QUk9EVUNFUhAEEhYKElNQQU5fS0lORF9DT05TVU1FUhAFIq4BCgZTdGF0dXMSDwoHbWVzc2FnZRgCIAEoCRI9CgRjb2RlGAMgASgOMi8ub3BlbnRlbGVtZXRyeS5wcm90by50cmFjZS52MS5TdGF0dXMuU3RhdHVzQ29kZSJOCgpTdGF0dXNDb2RlEhUKEVNUQVRVU19DT0RFX1VOU0VUEAASEgoOU1RBVFVTX0NPREVfT0sQARIVChFTVEFUVVNfQ09ERV9FUlJPUhACSgQIARACKpwBCglTcGFuRmxhZ3MSGQoVU1BBTl9GTEFHU19ET19OT1RfVVNFEAASIAobU1BBTl9GTEFHU19UUkFDRV9GTEFHU19NQVNLEP8BEioKJVNQQU5fRkxBR1NfQ09OVEVYVF9IQVNfSVNfUkVNT1RFX01BU0sQgAISJgohU1BBTl9GTEFHU19DT05URVhUX0lTX1JFTU9URV9NQVNLEIAEQncKH2lvLm9wZW50ZWxlbWV0cnkucHJvdG8udHJhY2UudjFCClRyYWNlUHJvdG9QAVonZ28ub3BlbnRlbGVtZXRyeS5pby9wcm90by9vdGxwL3RyYWNlL3YxqgIcT3BlblRlbGVtZXRyeS5Qcm90by5UcmFjZS5WMWIGcHJvdG8z',
  [file0, file1],
)

export type TracesData = Message<'opentelemetry.proto.trace.v1.TracesData'> & {
  resourceSpans: ResourceSpans[]
}

export type ResourceSpans = Message<'opentelemetry.proto.trace.v1.ResourceSpans'> & {
  resource?: Resource
  scopeSpans: ScopeSpans[]
  schemaUrl: string
}

export type ScopeSpans = Message<'opentelemetry.proto.trace.v1.ScopeSpans'> & {
  scope?: InstrumentationScope
  spans: Span[]
  schemaUrl: string
}

export type Span = Message<'opentelemetry.proto.trace.v1.Span'> & {
  traceId: Uint8Array
  spanId: Uint8Array
  traceState: string
  parentSpanId: Uint8Array
  flags: number
  name: string
  kind: number
  startTimeUnixNano: bigint
  endTimeUnixNano: bigint
  attributes: KeyValue[]
  droppedAttributesCount: number
  events: Span_Event[]
  droppedEventsCount: number
  links: Span_Link[]
  droppedLinksCount: number
  status?: Status
}
export const SpanSchema: GenMessage<Span> = /*@__PURE__*/ messageDesc(file2, 3)

export type Span_Event = Message<'opentelemetry.proto.trace.v1.Span.Event'> & {
  timeUnixNano: bigint
  name: string
  attributes: KeyValue[]
  droppedAttributesCount: number
}

export type Span_Link = Message<'opentelemetry.proto.trace.v1.Span.Link'> & {
  traceId: Uint8Array
  spanId: Uint8Array
  traceState: string
  attributes: KeyValue[]
  droppedAttributesCount: number
  flags: number
}

export type Status = Message<'opentelemetry.proto.trace.v1.Status'> & {
  message: string
  code: number
}

/** opentelemetry/proto/metrics/v1/metrics.proto */
const file3 = /*@__PURE__*/ fileDesc(
  'CixvcGVudGVsZW1ldHJ5L3Byb3RvL21ldHJpY3MvdjEvbWV0cmljcy5wcm90bxIeb3BlbnRlbGVtZXRyeS5wcm90by5tZXRyaWNzLnYxGipvcGVudGVsZW1ldHJ5L3Byb3RvL2NvbW1vbi92MS9jb21tb24ucHJvdG8aLm9wZW50ZWxlbWV0cnkvcHJvdG8vcmVzb3VyY2UvdjEvcmVzb3VyY2UucHJvdG8iWAoLTWV0cmljc0RhdGESSQoQcmVzb3VyY2VfbWV0cmljcxgBIAMoCzIvLm9wZW50ZWxlbWV0cnkucHJvdG8ubWV0cmljcy52MS5SZXNvdXJjZU1ldHJpY3MirwEKD1Jlc291cmNlTWV0cmljcxI7CghyZXNvdXJjZRgBIAEoCzIpLm9wZW50ZWxlbWV0cnkucHJvdG8ucmVzb3VyY2UudjEuUmVzb3VyY2USQwoNc2NvcGVfbWV0cmljcxgCIAMoCzIsLm9wZW50ZWxlbWV0cnkucHJvdG8ubWV0cmljcy52MS5TY29wZU1ldHJpY3MSEgoKc2NoZW1hX3VybBgDIAEoCUoGCOgHEOkHIp8BCgxTY29wZU1ldHJpY3MSQgoFc2NvcGUYASABKAsyMy5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbW1vbi52MS5JbnN0cnVtZW50YXRpb25TY29wZRI3CgdtZXRyaWNzGAIgAygLMiYub3BlbnRlbGVtZXRyeS5wcm90by5tZXRyaWNzLnYxLk1ldHJpYxISCgpzY2hlbWFfdXJsGAMgASgJIs0DCgZNZXRyaWMSDAoEbmFtZRgBIAEoCRITCgtkZXNjcmlwdGlvbhgCIAEoCRIMCgR1bml0GAMgASgJEjYKBWdhdWdlGAUgASgLMiUub3BlbnRlbGVtZXRyeS5wcm90by5tZXRyaWNzLnYxLkdhdWdlSAASMgoDc3VtGAcgASgLMiMub3BlbnRlbGVtZXRyeS5wcm90by5tZXRyaWNzLnYxLlN1bUgAEj4KCWhpc3RvZ3JhbRgJIAEoCzIpLm9wZW50ZWxlbWV0cnkucHJvdG8ubWV0cmljcy52MS5IaXN0b2dyYW1IABJVChVleHBvbmVudGlhbF9oaXN0b2dyYW0YCiABKAsyNC5vcGVudGVsZW1ldHJ5LnByb3RvLm1ldHJpY3MudjEuRXhwb25lbnRpYWxIaXN0b2dyYW1IABI6CgdzdW1tYXJ5GAsgASgLMicub3BlbnRlbGVtZXRyeS5wcm90by5tZXRyaWNzLnYxLlN1bW1hcnlIABI5CghtZXRhZGF0YRgMIAMoCzInLm9wZW50ZWxlbWV0cnkucHJvdG8uY29tbW9uLnYxLktleVZhbHVlQgYKBGRhdGFKBAgEEAVKBAgGEAdKBAgIEAkiTQoFR2F1Z2USRAoLZGF0YV9wb2ludHMYASADKAsyLy5vcGVudGVsZW1ldHJ5LnByb3RvLm1ldHJpY3MudjEuTnVtYmVyRGF0YVBvaW50IroBCgNTdW0SRAoLZGF0YV9wb2ludHMYASADKAsyLy5vcGVudGVsZW1ldHJ5LnByb3RvLm1ldHJpY3MudjEuTnVtYmVyRGF0YVBvaW50ElcKF2FnZ3JlZ2F0aW9uX3RlbXBvcmFsaXR5GAIgASgOMjYub3BlbnRlbGVtZXRyeS5wcm90by5tZXRyaWNzLnYxLkFnZ3JlZ2F0aW9uVGVtcG9yYWxpdHkSFAoMaXNfbW9ub3RvbmljGAMgASgIIq0BCglIaXN0b2dyYW0SRwoLZGF0YV9wb2ludHMYASADKAsyMi5vcGVudGVsZW1ldHJ5LnByb3RvLm1ldHJpY3MudjEuSGlzdG9ncmFtRGF0YVBvaW50ElcKF2FnZ3JlZ2F0aW9uX3RlbXBvcmFsaXR5GAIgASgOMjYub3BlbnRlbGVtZXRyeS5wcm90by5tZXRyaWNzLnYxLkFnZ3JlZ2F0aW9uVGVtcG9yYWxpdHkiwwEKFEV4cG9uZW50aWFsSGlzdG9ncmFtElIKC2RhdGFfcG9pbnRzGAEgAygLMj0ub3BlbnRlbGVtZXRyeS5wcm90by5tZXRyaWNzLnYxLkV4cG9uZW50aWFsSGlzdG9ncmFtRGF0YVBvaW50ElcKF2FnZ3JlZ2F0aW9uX3RlbXBvcmFsaXR5GAIgASgOMjYub3BlbnRlbGVtZXRyeS5wcm90by5tZXRyaWNzLnYxLkFnZ3JlZ2F0aW9uVGVtcG9yYWxpdHkiUAoHU3VtbWFyeRJFCgtkYXRhX3BvaW50cxgBIAMoCzIwLm9wZW50ZWxlbWV0cnkucHJvdG8ubWV0cmljcy52MS5TdW1tYXJ5RGF0YVBvaW50IoYCCg9OdW1iZXJEYXRhUG9pbnQSOwoKYXR0cmlidXRlcxgHIAMoCzInLm9wZW50ZWxlbWV0cnkucHJvdG8uY29tbW9uLnYxLktleVZhbHVlEhwKFHN0YXJ0X3RpbWVfdW5peF9uYW5vGAIgASgGEhYKDnRpbWVfdW5peF9uYW5vGAMgASgGEhMKCWFzX2RvdWJsZRgEIAEoAUgAEhAKBmFzX2ludBgGIAEoEEgAEjsKCWV4ZW1wbGFycxgFIAMoCzIoLm9wZW50ZWxlbWV0cnkucHJvdG8ubWV0cmljcy52MS5FeGVtcGxhchINCgVmbGFncxgIIAEoDUIHCgV2YWx1ZUoECAEQAiLmAgoSSGlzdG9ncmFtRGF0YVBvaW50EjsKCmF0dHJpYnV0ZXMYCSADKAsyJy5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbW1vbi52MS5LZXlWYWx1ZRIcChRzdGFydF90aW1lX3VuaXhfbmFubxgCIAEoBhIWCg50aW1lX3VuaXhfbmFubxgDIAEoBhINCgVjb3VudBgEIAEoBhIQCgNzdW0YBSABKAFIAIgBARIVCg1idWNrZXRfY291bnRzGAYgAygGEhcKD2V4cGxpY2l0X2JvdW5kcxgHIAMoARI7CglleGVtcGxhcnMYCCADKAsyKC5vcGVudGVsZW1ldHJ5LnByb3RvLm1ldHJpY3MudjEuRXhlbXBsYXISDQoFZmxhZ3MYCiABKA0SEAoDbWluGAsgASgBSAGIAQESEAoDbWF4GAwgASgBSAKIAQFCBgoEX3N1bUIGCgRfbWluQgYKBF9tYXhKBAgBEAIi2gQKHUV4cG9uZW50aWFsSGlzdG9ncmFtRGF0YVBvaW50EjsKCmF0dHJpYnV0ZXMYASADKAsyJy5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbW1vbi52MS5LZXlWYWx1ZRIcChRzdGFydF90aW1lX3VuaXhfbmFubxgCIAEoBhIWCg50aW1lX3VuaXhfbmFubxgDIAEoBhINCgVjb3VudBgEIAEoBhIQCgNzdW0YBSABKAFIAIgBARINCgVzY2FsZRgGIAEoERISCgp6ZXJvX2NvdW50GAcgASgGElcKCHBvc2l0aXZlGAggASgLMkUub3BlbnRlbGVtZXRyeS5wcm90by5tZXRyaWNzLnYxLkV4cG9uZW50aWFsSGlzdG9ncmFtRGF0YVBvaW50LkJ1Y2tldHMSVwoIbmVnYXRpdmUYCSABKAsyRS5vcGVudGVsZW1ldHJ5LnByb3RvLm1ldHJpY3MudjEuRXhwb25lbnRpYWxIaXN0b2dyYW1EYXRhUG9pbnQuQnVja2V0cxINCgVmbGFncxgKIAEoDRI7CglleGVtcGxhcnMYCyADKAsyKC5vcGVudGVsZW1ldHJ5LnByb3RvLm1ldHJpY3MudjEuRXhlbXBsYXISEAoDbWluGAwgASgBSAGIAQESEAoDbWF4GA0gASgBSAKIAQESFgoOemVyb190aHJlc2hvbGQYDiABKAEaMAoHQnVja2V0cxIOCgZvZmZzZXQYASABKBESFQoNYnVja2V0X2NvdW50cxgCIAMoBEIGCgRfc3VtQgYKBF9taW5CBgoEX21heCLFAgoQU3VtbWFyeURhdGFQb2ludBI7CgphdHRyaWJ1dGVzGAcgAygLMicub3BlbnRlbGVtZXRyeS5wcm90by5jb21tb24udjEuS2V5VmFsdWUSHAoUc3RhcnRfdGltZV91bml4X25hbm8YAiABKAYSFgoOdGltZV91bml4X25hbm8YAyABKAYSDQoFY291bnQYBCABKAYSCwoDc3VtGAUgASgBElkKD3F1YW50aWxlX3ZhbHVlcxgGIAMoCzJALm9wZW50ZWxlbWV0cnkucHJvdG8ubWV0cmljcy52MS5TdW1tYXJ5RGF0YVBvaW50LlZhbHVlQXRRdWFudGlsZRINCgVmbGFncxgIIAEoDRoyCg9WYWx1ZUF0UXVhbnRpbGUSEAoIcXVhbnRpbGUYASABKAESDQoFdmFsdWUYAiABKAFKBAgBEAIiwQEKCEV4ZW1wbGFyEkQKE2ZpbHRlcmVkX2F0dHJpYnV0ZXMYByADKAsyJy5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbW1vbi52MS5LZXlWYWx1ZRIWCg50aW1lX3VuaXhfbmFubxgCIAEoBhITCglhc19kb3VibGUYAyABKAFIABIQCgZhc19pbnQYBiABKBBIABIPCgdzcGFuX2lkGAQgASgMEhAKCHRyYWNlX2lkGAUgASgMQgcKBXZhbHVlSgQIARACKowBChZBZ2dyZWdhdGlvblRlbXBvcmFsaXR5EicKI0FHR1JFR0FUSU9OX1RFTVBPUkFMSVRZX1VOU1BFQ0lGSUVEEAASIQodQUdHUkVHQVRJT05fVEVNUE9SQUxJVFlfREVMVEEQARImCiJBR0dSRUdBVElPTl9URU1QT1JBTElUWV9DVU1VTEFUSVZFEAIqXgoORGF0YVBvaW50RmxhZ3MSHwobREFUQV9QT0lOVF9GTEFHU19ET19OT1RfVVNFEAASKwonREFUQV9QT0lOVF9GTEFHU19OT19SRUNPUkRFRF9WQUxVRV9NQVNLEAFCfwohaW8ub3BlbnRlbGVtZXRyeS5wcm90by5tZXRyaWNzLnYxQgxNZXRyaWNzUHJvdG9QAVopZ28ub3BlbnRlbGVtZXRyeS5pby9wcm90by9vdGxwL21ldHJpY3MvdjGqAh5PcGVuVGVsZW1ldHJ5LlByb3RvLk1ldHJpY3MuVjFiBnByb3RvMw==',
  [file0, file1],
)

export type MetricsData = Message<'opentelemetry.proto.metrics.v1.MetricsData'> & {
  resourceMetrics: ResourceMetrics[]
}

export type ResourceMetrics = Message<'opentelemetry.proto.metrics.v1.ResourceMetrics'> & {
  resource?: Resource
  scopeMetrics: ScopeMetrics[]
  schemaUrl: string
}

export type ScopeMetrics = Message<'opentelemetry.proto.metrics.v1.ScopeMetrics'> & {
  scope?: InstrumentationScope
  metrics: Metric[]
  schemaUrl: string
}

export type Metric = Message<'opentelemetry.proto.metrics.v1.Metric'> & {
  name: string
  description: string
  unit: string
  data:
    | { case: 'gauge'; value: Gauge }
    | { case: 'sum'; value: Sum }
    | { case: 'histogram'; value: Histogram }
    | { case: 'exponentialHistogram'; value: ExponentialHistogram }
    | { case: 'summary'; value: Summary }
    | { case: undefined; value?: undefined }
  metadata: KeyValue[]
}
export const MetricSchema: GenMessage<Metric> = /*@__PURE__*/ messageDesc(file3, 3)

export type Gauge = Message<'opentelemetry.proto.metrics.v1.Gauge'> & {
  dataPoints: NumberDataPoint[]
}

export type Sum = Message<'opentelemetry.proto.metrics.v1.Sum'> & {
  dataPoints: NumberDataPoint[]
  aggregationTemporality: number
  isMonotonic: boolean
}

export type Histogram = Message<'opentelemetry.proto.metrics.v1.Histogram'> & {
  dataPoints: HistogramDataPoint[]
  aggregationTemporality: number
}

export type ExponentialHistogram = Message<'opentelemetry.proto.metrics.v1.ExponentialHistogram'> & {
  dataPoints: ExponentialHistogramDataPoint[]
  aggregationTemporality: number
}

export type Summary = Message<'opentelemetry.proto.metrics.v1.Summary'> & {
  dataPoints: SummaryDataPoint[]
}

export type NumberDataPoint = Message<'opentelemetry.proto.metrics.v1.NumberDataPoint'> & {
  attributes: KeyValue[]
  startTimeUnixNano: bigint
  timeUnixNano: bigint
  value:
    | { case: 'asDouble'; value: number }
    | { case: 'asInt'; value: bigint }
    | { case: undefined; value?: undefined }
  exemplars: Exemplar[]
  flags: number
}

export type HistogramDataPoint = Message<'opentelemetry.proto.metrics.v1.HistogramDataPoint'> & {
  attributes: KeyValue[]
  startTimeUnixNano: bigint
  timeUnixNano: bigint
  count: bigint
  sum?: number
  bucketCounts: bigint[]
  explicitBounds: number[]
  exemplars: Exemplar[]
  flags: number
  min?: number
  max?: number
}

export type ExponentialHistogramDataPoint = Message<'opentelemetry.proto.metrics.v1.ExponentialHistogramDataPoint'> & {
  attributes: KeyValue[]
  startTimeUnixNano: bigint
  timeUnixNano: bigint
  count: bigint
  sum?: number
  scale: number
  zeroCount: bigint
  positive?: ExponentialHistogramDataPoint_Buckets
  negative?: ExponentialHistogramDataPoint_Buckets
  flags: number
  exemplars: Exemplar[]
  min?: number
  max?: number
  zeroThreshold: number
}

export type ExponentialHistogramDataPoint_Buckets = Message<'opentelemetry.proto.metrics.v1.ExponentialHistogramDataPoint.Buckets'> & {
  offset: number
  bucketCounts: bigint[]
}

export type SummaryDataPoint = Message<'opentelemetry.proto.metrics.v1.SummaryDataPoint'> & {
  attributes: KeyValue[]
  startTimeUnixNano: bigint
  timeUnixNano: bigint
  count: bigint
  sum: number
  quantileValues: SummaryDataPoint_ValueAtQuantile[]
  flags: number
}

export type SummaryDataPoint_ValueAtQuantile = Message<'opentelemetry.proto.metrics.v1.SummaryDataPoint.ValueAtQuantile'> & {
  quantile: number
  value: number
}

export type Exemplar = Message<'opentelemetry.proto.metrics.v1.Exemplar'> & {
  filteredAttributes: KeyValue[]
  timeUnixNano: bigint
  value:
    | { case: 'asDouble'; value: number }
    | { case: 'asInt'; value: bigint }
    | { case: undefined; value?: undefined }
  spanId: Uint8Array
  traceId: Uint8Array
}

/** opentelemetry/proto/logs/v1/logs.proto */
const file4 = /*@__PURE__*/ fileDesc(
  'CiZvcGVudGVsZW1ldHJ5L3Byb3RvL2xvZ3MvdjEvbG9ncy5wcm90bxIbb3BlbnRlbGVtZXRyeS5wcm90by5sb2dzLnYxGipvcGVudGVsZW1ldHJ5L3Byb3RvL2NvbW1vbi92MS9jb21tb24ucHJvdG8aLm9wZW50ZWxlbWV0cnkvcHJvdG8vcmVzb3VyY2UvdjEvcmVzb3VyY2UucHJvdG8iTAoITG9nc0RhdGESQAoNcmVzb3VyY2VfbG9ncxgBIAMoCzIpLm9wZW50ZWxlbWV0cnkucHJvdG8ubG9ncy52MS5SZXNvdXJjZUxvZ3MiowEKDFJlc291cmNlTG9ncxI7CghyZXNvdXJjZRgBIAEoCzIpLm9wZW50ZWxlbWV0cnkucHJvdG8ucmVzb3VyY2UudjEuUmVzb3VyY2USOgoKc2NvcGVfbG9ncxgCIAMoCzImLm9wZW50ZWxlbWV0cnkucHJvdG8ubG9ncy52MS5TY29wZUxvZ3MSEgoKc2NoZW1hX3VybBgDIAEoCUoGCOgHEOkHIqABCglTY29wZUxvZ3MSQgoFc2NvcGUYASABKAsyMy5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbW1vbi52MS5JbnN0cnVtZW50YXRpb25TY29wZRI7Cgtsb2dfcmVjb3JkcxgCIAMoCzImLm9wZW50ZWxlbWV0cnkucHJvdG8ubG9ncy52MS5Mb2dSZWNvcmQSEgoKc2NoZW1hX3VybBgDIAEoCSKDAwoJTG9nUmVjb3JkEhYKDnRpbWVfdW5peF9uYW5vGAEgASgGEh8KF29ic2VydmVkX3RpbWVfdW5peF9uYW5vGAsgASgGEkQKD3NldmVyaXR5X251bWJlchgCIAEoDjIrLm9wZW50ZWxlbWV0cnkucHJvdG8ubG9ncy52MS5TZXZlcml0eU51bWJlchIVCg1zZXZlcml0eV90ZXh0GAMgASgJEjUKBGJvZHkYBSABKAsyJy5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbW1vbi52MS5BbnlWYWx1ZRI7CgphdHRyaWJ1dGVzGAYgAygLMicub3BlbnRlbGVtZXRyeS5wcm90by5jb21tb24udjEuS2V5VmFsdWUSIAoYZHJvcHBlZF9hdHRyaWJ1dGVzX2NvdW50GAcgASgNEg0KBWZsYWdzGAggASgHEhAKCHRyYWNlX2lkGAkgASgMEg8KB3NwYW5faWQYCiABKAwSEgoKZXZlbnRfbmFtZRgMIAEoCUoECAQQBSrDBQoOU2V2ZXJpdHlOdW1iZXISHwobU0VWRVJJVFlfTlVNQkVSX1VOU1BFQ0lGSUVEEAASGQoVU0VWRVJJVFlfTlVNQkVSX1RSQUNFEAESGgoWU0VWRVJJVFlfTlVNQkVSX1RSQUNFMhACEhoKFlNFVkVSSVRZX05VTUJFUl9UUkFDRTMQAxIaChZTRVZFUklUWV9OVU1CRVJfVFJBQ0U0EAQSGQoVU0VWRVJJVFlfTlVNQkVSX0RFQlVHEAUSGgoWU0VWRVJJVFlfTlVNQkVSX0RFQlVHMhAGEhoKFlNFVkVSSVRZX05VTUJFUl9ERUJVRzMQBxIaChZTRVZFUklUWV9OVU1CRVJfREVCVUc0EAgSGAoUU0VWRVJJVFlfTlVNQkVSX0lORk8QCRIZChVTRVZFUklUWV9OVU1CRVJfSU5GTzIQChIZChVTRVZFUklUWV9OVU1CRVJfSU5GTzMQCxIZChVTRVZFUklUWV9OVU1CRVJfSU5GTzQQDBIYChRTRVZFUklUWV9OVU1CRVJfV0FSThANEhkKFVNFVkVSSVRZX05VTUJFUl9XQVJOMhAOEhkKFVNFVkVSSVRZX05VTUJFUl9XQVJOMxAPEhkKFVNFVkVSSVRZX05VTUJFUl9XQVJONBAQEhkKFVNFVkVSSVRZX05VTUJFUl9FUlJPUhAREhoKFlNFVkVSSVRZX05VTUJFUl9FUlJPUjIQEhIaChZTRVZFUklUWV9OVU1CRVJfRVJST1IzEBMSGgoWU0VWRVJJVFlfTlVNQkVSX0VSUk9SNBAUEhkKFVNFVkVSSVRZX05VTUJFUl9GQVRBTBAVEhoKFlNFVkVSSVRZX05VTUJFUl9GQVRBTDIQFhIaChZTRVZFUklUWV9OVU1CRVJfRkFUQUwzEBcSGgoWU0VWRVJJVFlfTlVNQkVSX0ZBVEFMNBAYKlkKDkxvZ1JlY29yZEZsYWdzEh8KG0xPR19SRUNPUkRfRkxBR1NfRE9fTk9UX1VTRRAAEiYKIUxPR19SRUNPUkRfRkxBR1NfVFJBQ0VfRkxBR1NfTUFTSxD/AUJzCh5pby5vcGVudGVsZW1ldHJ5LnByb3RvLmxvZ3MudjFCCUxvZ3NQcm90b1ABWiZnby5vcGVudGVsZW1ldHJ5LmlvL3Byb3RvL290bHAvbG9ncy92MaoCG09wZW5UZWxlbWV0cnkuUHJvdG8uTG9ncy5WMWIGcHJvdG8z',
  [file0, file1],
)

export type LogsData = Message<'opentelemetry.proto.logs.v1.LogsData'> & {
  resourceLogs: ResourceLogs[]
}

export type ResourceLogs = Message<'opentelemetry.proto.logs.v1.ResourceLogs'> & {
  resource?: Resource
  scopeLogs: ScopeLogs[]
  schemaUrl: string
}

export type ScopeLogs = Message<'opentelemetry.proto.logs.v1.ScopeLogs'> & {
  scope?: InstrumentationScope
  logRecords: LogRecord[]
  schemaUrl: string
}

export type LogRecord = Message<'opentelemetry.proto.logs.v1.LogRecord'> & {
  timeUnixNano: bigint
  observedTimeUnixNano: bigint
  severityNumber: number
  severityText: string
  body?: AnyValue
  attributes: KeyValue[]
  droppedAttributesCount: number
  flags: number
  traceId: Uint8Array
  spanId: Uint8Array
  eventName: string
}
export const LogRecordSchema: GenMessage<LogRecord> = /*@__PURE__*/ messageDesc(file4, 3)

/** opentelemetry/proto/collector/trace/v1/trace_service.proto */
const file5 = /*@__PURE__*/ fileDesc(
  'CjpvcGVudGVsZW1ldHJ5L3Byb3RvL2NvbGxlY3Rvci90cmFjZS92MS90cmFjZV9zZXJ2aWNlLnByb3RvEiZvcGVudGVsZW1ldHJ5LnByb3RvLmNvbGxlY3Rvci50cmFjZS52MRoob3BlbnRlbGVtZXRyeS9wcm90by90cmFjZS92MS90cmFjZS5wcm90byJgChlFeHBvcnRUcmFjZVNlcnZpY2VSZXF1ZXN0EkMKDnJlc291cmNlX3NwYW5zGAEgAygLMisub3BlbnRlbGVtZXRyeS5wcm90by50cmFjZS52MS5SZXNvdXJjZVNwYW5zIngKGkV4cG9ydFRyYWNlU2VydmljZVJlc3BvbnNlEloKD3BhcnRpYWxfc3VjY2VzcxgBIAEoCzJBLm9wZW50ZWxlbWV0cnkucHJvdG8uY29sbGVjdG9yLnRyYWNlLnYxLkV4cG9ydFRyYWNlUGFydGlhbFN1Y2Nlc3MiSgoZRXhwb3J0VHJhY2VQYXJ0aWFsU3VjY2VzcxIWCg5yZWplY3RlZF9zcGFucxgBIAEoAxIVCg1lcnJvcl9tZXNzYWdlGAIgASgJMqIBCgxUcmFjZVNlcnZpY2USkQEKBkV4cG9ydBJBLm9wZW50ZWxlbWV0cnkucHJvdG8uY29sbGVjdG9yLnRyYWNlLnYxLkV4cG9ydFRyYWNlU2VydmljZVJlcXVlc3QaQi5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbGxlY3Rvci50cmFjZS52MS5FeHBvcnRUcmFjZVNlcnZpY2VSZXNwb25zZSIAQpwBCilpby5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbGxlY3Rvci50cmFjZS52MUIRVHJhY2VTZXJ2aWNlUHJvdG9QAVoxZ28ub3BlbnRlbGVtZXRyeS5pby9wcm90by9vdGxwL2NvbGxlY3Rvci90cmFjZS92MaoCJk9wZW5UZWxlbWV0cnkuUHJvdG8uQ29sbGVjdG9yLlRyYWNlLlYxYgZwcm90bzM=',
  [file2],
)

export type ExportTraceServiceRequest = Message<'opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest'> & {
  resourceSpans: ResourceSpans[]
}
export const ExportTraceServiceRequestSchema: GenMessage<ExportTraceServiceRequest> = /*@__PURE__*/ messageDesc(file5, 0)

export type ExportTraceServiceResponse = Message<'opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse'> & {
  partialSuccess?: ExportTracePartialSuccess
}
export const ExportTraceServiceResponseSchema: GenMessage<ExportTraceServiceResponse> = /*@__PURE__*/ messageDesc(file5, 1)

export type ExportTracePartialSuccess = Message<'opentelemetry.proto.collector.trace.v1.ExportTracePartialSuccess'> & {
  rejectedSpans: bigint
  errorMessage: string
}

/** opentelemetry/proto/collector/metrics/v1/metrics_service.proto */
const file6 = /*@__PURE__*/ fileDesc(
  'Cj5vcGVudGVsZW1ldHJ5L3Byb3RvL2NvbGxlY3Rvci9tZXRyaWNzL3YxL21ldHJpY3Nfc2VydmljZS5wcm90bxIob3BlbnRlbGVtZXRyeS5wcm90by5jb2xsZWN0b3IubWV0cmljcy52MRosb3BlbnRlbGVtZXRyeS9wcm90by9tZXRyaWNzL3YxL21ldHJpY3MucHJvdG8iaAobRXhwb3J0TWV0cmljc1NlcnZpY2VSZXF1ZXN0EkkKEHJlc291cmNlX21ldHJpY3MYASADKAsyLy5vcGVudGVsZW1ldHJ5LnByb3RvLm1ldHJpY3MudjEuUmVzb3VyY2VNZXRyaWNzIn4KHEV4cG9ydE1ldHJpY3NTZXJ2aWNlUmVzcG9uc2USXgoPcGFydGlhbF9zdWNjZXNzGAEgASgLMkUub3BlbnRlbGVtZXRyeS5wcm90by5jb2xsZWN0b3IubWV0cmljcy52MS5FeHBvcnRNZXRyaWNzUGFydGlhbFN1Y2Nlc3MiUgobRXhwb3J0TWV0cmljc1BhcnRpYWxTdWNjZXNzEhwKFHJlamVjdGVkX2RhdGFfcG9pbnRzGAEgASgDEhUKDWVycm9yX21lc3NhZ2UYAiABKAkyrAEKDk1ldHJpY3NTZXJ2aWNlEpkBCgZFeHBvcnQSRS5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbGxlY3Rvci5tZXRyaWNzLnYxLkV4cG9ydE1ldHJpY3NTZXJ2aWNlUmVxdWVzdBpGLm9wZW50ZWxlbWV0cnkucHJvdG8uY29sbGVjdG9yLm1ldHJpY3MudjEuRXhwb3J0TWV0cmljc1NlcnZpY2VSZXNwb25zZSIAQqQBCitpby5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbGxlY3Rvci5tZXRyaWNzLnYxQhNNZXRyaWNzU2VydmljZVByb3RvUAFaM2dvLm9wZW50ZWxlbWV0cnkuaW8vcHJvdG8vb3RscC9jb2xsZWN0b3IvbWV0cmljcy92MaoCKE9wZW5UZWxlbWV0cnkuUHJvdG8uQ29sbGVjdG9yLk1ldHJpY3MuVjFiBnByb3RvMw==',
  [file3],
)

export type ExportMetricsServiceRequest = Message<'opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest'> & {
  resourceMetrics: ResourceMetrics[]
}
export const ExportMetricsServiceRequestSchema: GenMessage<ExportMetricsServiceRequest> = /*@__PURE__*/ messageDesc(file6, 0)

export type ExportMetricsServiceResponse = Message<'opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceResponse'> & {
  partialSuccess?: ExportMetricsPartialSuccess
}
export const ExportMetricsServiceResponseSchema: GenMessage<ExportMetricsServiceResponse> = /*@__PURE__*/ messageDesc(file6, 1)

export type ExportMetricsPartialSuccess = Message<'opentelemetry.proto.collector.metrics.v1.ExportMetricsPartialSuccess'> & {
  rejectedDataPoints: bigint
  errorMessage: string
}

/** opentelemetry/proto/collector/logs/v1/logs_service.proto */
const file7 = /*@__PURE__*/ fileDesc(
  'CjhvcGVudGVsZW1ldHJ5L3Byb3RvL2NvbGxlY3Rvci9sb2dzL3YxL2xvZ3Nfc2VydmljZS5wcm90bxIlb3BlbnRlbGVtZXRyeS5wcm90by5jb2xsZWN0b3IubG9ncy52MRomb3BlbnRlbGVtZXRyeS9wcm90by9sb2dzL3YxL2xvZ3MucHJvdG8iXAoYRXhwb3J0TG9nc1NlcnZpY2VSZXF1ZXN0EkAKDXJlc291cmNlX2xvZ3MYASADKAsyKS5vcGVudGVsZW1ldHJ5LnByb3RvLmxvZ3MudjEuUmVzb3VyY2VMb2dzInUKGUV4cG9ydExvZ3NTZXJ2aWNlUmVzcG9uc2USWAoPcGFydGlhbF9zdWNjZXNzGAEgASgLMj8ub3BlbnRlbGVtZXRyeS5wcm90by5jb2xsZWN0b3IubG9ncy52MS5FeHBvcnRMb2dzUGFydGlhbFN1Y2Nlc3MiTwoYRXhwb3J0TG9nc1BhcnRpYWxTdWNjZXNzEhwKFHJlamVjdGVkX2xvZ19yZWNvcmRzGAEgASgDEhUKDWVycm9yX21lc3NhZ2UYAiABKAkynQEKC0xvZ3NTZXJ2aWNlEo0BCgZFeHBvcnQSPy5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbGxlY3Rvci5sb2dzLnYxLkV4cG9ydExvZ3NTZXJ2aWNlUmVxdWVzdBpALm9wZW50ZWxlbWV0cnkucHJvdG8uY29sbGVjdG9yLmxvZ3MudjEuRXhwb3J0TG9nc1NlcnZpY2VSZXNwb25zZSIAQpgBCihpby5vcGVudGVsZW1ldHJ5LnByb3RvLmNvbGxlY3Rvci5sb2dzLnYxQhBMb2dzU2VydmljZVByb3RvUAFaMGdvLm9wZW50ZWxlbWV0cnkuaW8vcHJvdG8vb3RscC9jb2xsZWN0b3IvbG9ncy92MaoCJU9wZW5UZWxlbWV0cnkuUHJvdG8uQ29sbGVjdG9yLkxvZ3MuVjFiBnByb3RvMw==',
  [file4],
)

export type ExportLogsServiceRequest = Message<'opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest'> & {
  resourceLogs: ResourceLogs[]
}
export const ExportLogsServiceRequestSchema: GenMessage<ExportLogsServiceRequest> = /*@__PURE__*/ messageDesc(file7, 0)

export type ExportLogsServiceResponse = Message<'opentelemetry.proto.collector.logs.v1.ExportLogsServiceResponse'> & {
  partialSuccess?: ExportLogsPartialSuccess
}
export const ExportLogsServiceResponseSchema: GenMessage<ExportLogsServiceResponse> = /*@__PURE__*/ messageDesc(file7, 1)

export type ExportLogsPartialSuccess = Message<'opentelemetry.proto.collector.logs.v1.ExportLogsPartialSuccess'> & {
  rejectedLogRecords: bigint
  errorMessage: string
}
