/**
 * How a span or trace ended.
 * `caller_fault` is JSON-RPC -32700 and -32600 to -32602; `server_fault` every other JSON-RPC error;
 * `tool_error` a result with isError.
 */
export const outcomes = [
  'ok',
  'tool_error',
  'empty',
  'truncated',
  'caller_fault',
  'server_fault',
  'timeout',
  'cancelled',
  'interrupted',
] as const

export type Outcome = (typeof outcomes)[number]

/** The outcomes that count as errors in rates. A concluded `interrupted` never reaches a window, so it never counts. */
const failures: ReadonlySet<string> = new Set(['tool_error', 'server_fault', 'timeout', 'interrupted'])

export function isFailure(outcome: Outcome | null): boolean {
  return outcome !== null && failures.has(outcome)
}

/** The outcome that a JSON-RPC error code means (https://www.jsonrpc.org/specification#error_object). */
export function outcomeOfCode(code: number): Outcome {
  return code === -32700 || (code <= -32600 && code >= -32602) ? 'caller_fault' : 'server_fault'
}
