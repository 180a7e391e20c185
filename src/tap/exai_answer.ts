import { isObject } from '../core/json_object.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Attributes, Json } from '../core/record.ts'
import type { ExaiError, ExaiServerFrame } from '../wire/exai_frame.ts'
import { failureTextOf, toolOutputOf } from '../wire/tool_output.ts'

type Answer = Extract<ExaiServerFrame, { readonly kind: 'answer' }>

/** What an answer says of the call that it ends. */
export type Reading = {
  readonly outcome: Outcome
  /** Why it failed, where it did. */
  readonly failure: { readonly errorType: string; readonly message: string; readonly context: Attributes } | null
  readonly model: string | null
  readonly provider: string | null
  /** The conversation that the tool offers to continue. */
  readonly continuationId: string | null
}

// Of the details of an error, what tells of the daemon and never what a caller sent.
const toldDetails: ReadonlySet<string> = new Set([
  'original_error',
  'internal_error',
  'parse_error',
  'validation_error',
  'reason',
  'provider',
  'operation',
  'timeout_seconds',
  'retry_after_secs',
  'original_request_id',
  'requested_tool',
  'field',
  'limit',
  'actual_size',
  'current',
  'maximum',
])
const callerCodes: ReadonlySet<string> = new Set([
  'INVALID_REQUEST',
  'VALIDATION_ERROR',
  'UNAUTHORIZED',
  'NOT_FOUND',
  'TOOL_NOT_FOUND',
  'INVALID_PROTOCOL',
  'UNKNOWN_OPERATION',
])
const toolCodes: ReadonlySet<string> = new Set(['TOOL_EXECUTION_ERROR', 'TOOL_EXECUTION_FAILED', 'PROVIDER_ERROR'])

/** Reads an answer: how the call ended and what the tool's own envelope (`ToolOutput`) tells. */
export function readingOf(answer: Answer): Reading {
  if (answer.error) return readingOfError(answer.error)
  const text = answer.texts.find((text) => text !== null) ?? null
  const envelope = toolOutputOf(text)
  const facts = {
    model: envelope?.model ?? null,
    provider: envelope?.provider ?? null,
    continuationId: envelope?.continuationId ?? null,
  }
  const message = failureTextOf(text)
  if (message !== null) {
    const context: Attributes = envelope?.status === 'error' ? { status: 'error' } : {}
    return { ...facts, outcome: 'tool_error', failure: { errorType: 'ToolError', message, context } }
  }
  const blank =
    envelope?.content === undefined
      ? answer.texts.every((text) => text !== null && text.trim() === '')
      : envelope.content.trim() === ''
  return { ...facts, outcome: blank ? 'empty' : 'ok', failure: null }
}

/** How a call ended that was answered by an error. */
export function readingOfError(error: ExaiError): Reading {
  const { code, message } = error
  const context: Attributes = { code, details: detailsOf(error.details) }
  const said = message === '' ? 'Cannot say why the daemon failed: its error has no message' : message
  const failure = { errorType: code ?? 'DaemonError', message: said, context }
  return { outcome: outcomeOfError(error), failure, model: null, provider: null, continuationId: null }
}

/** Whether an error turns a message away for there being too many. */
export function isRateLimit({ code, message }: ExaiError): boolean {
  return (
    code === 'RATE_LIMITED' ||
    /\brate limit/i.test(message) ||
    (code === 'OVER_CAPACITY' && !/^Request too large/.test(message))
  )
}

function outcomeOfError({ code, message }: ExaiError): Outcome {
  if (code === 'TIMEOUT' || /\btimed out after\b/i.test(message)) return 'timeout'
  if (code !== null && callerCodes.has(code)) return 'caller_fault'
  if (/^Request too large/.test(message)) return 'caller_fault'
  if ((code !== null && toolCodes.has(code)) || /^Tool execution failed\b/.test(message)) return 'tool_error'
  return 'server_fault'
}

function detailsOf(details: unknown): Json {
  if (typeof details === 'string') return details
  if (!isObject(details)) return null
  const told = Object.entries(details).filter(
    ([name, value]) => toldDetails.has(name) && (typeof value === 'string' || typeof value === 'number'),
  )
  return Object.fromEntries(told) as Json
}
