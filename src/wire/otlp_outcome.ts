import { type Outcome, outcomeOfCode, outcomes } from '../core/outcome.ts'
import type { Attributes, Json } from '../core/record.ts'
import { otlpKind } from './otlp_layer.ts'

/** OTLP's status codes. */
export const otlpStatus = { unset: 0, ok: 1, error: 2 } as const

const timeouts = /time(d)?[ _-]?out|deadline[ _-]?exceeded|ETIMEDOUT/i
const cancellations = /cancel|abort(ed)?(error)?\b|ECONNABORTED/i
const cutShort: ReadonlySet<Json> = new Set(['length', 'max_tokens', 'max_output_tokens', 'MAX_TOKENS'])

export type OutcomeSubject = {
  readonly attributes: Attributes
  readonly kind: number
  readonly layer: string
  readonly status: number
  readonly statusMessage: string
}

/** How a span ended: as `telltale.outcome` says, else as its status, its error and its codes do. */
export function outcomeOfSpan(span: OutcomeSubject): Outcome {
  const said = outcomes.find((outcome) => outcome === span.attributes['telltale.outcome'])
  if (said !== undefined) return said
  if (span.status === otlpStatus.error) return failureOf(span)
  const code = httpStatusOf(span.attributes)
  // By convention a server leaves the status unset for what its caller did wrong.
  if (span.status === otlpStatus.unset && span.kind === otlpKind.server && code >= 400 && code < 500) {
    return code === 408 ? 'timeout' : code === 499 ? 'cancelled' : 'caller_fault'
  }
  return reasonsOf(span.attributes).some((reason) => cutShort.has(reason)) ? 'truncated' : 'ok'
}

function failureOf({ attributes, kind, layer, statusMessage }: OutcomeSubject): Outcome {
  const type = String(attributes['error.type'] ?? attributes['exception.type'] ?? '')
  const http = httpStatusOf(attributes)
  const hint = `${type} ${statusMessage}`
  if (http === 408 || http === 504 || timeouts.test(hint)) return 'timeout'
  if (http === 499 || cancellations.test(hint)) return 'cancelled'
  if (type === 'tool_error') return 'tool_error'
  const rpc = Number(attributes['rpc.response.status_code'] ?? attributes['rpc.jsonrpc.error_code'] ?? Number.NaN)
  if (rpc < -32_000 || rpc === -32_000) return outcomeOfCode(rpc)
  if (kind === otlpKind.server && http >= 400 && http < 500) return 'caller_fault'
  const isTool = attributes['gen_ai.operation.name'] === 'execute_tool' || attributes['gen_ai.tool.name'] !== undefined
  return layer === 'tool' && isTool ? 'tool_error' : 'server_fault'
}

function httpStatusOf(attributes: Attributes): number {
  return Number(attributes['http.response.status_code'] ?? attributes['http.status_code'] ?? 0)
}

function reasonsOf(attributes: Attributes): readonly Json[] {
  const reasons = attributes['gen_ai.response.finish_reasons'] ?? attributes['ai.response.finishReason'] ?? []
  return Array.isArray(reasons) ? reasons : [reasons as Json]
}
