import { isObject } from '../core/json_object.ts'

// Failures that a tool's answer tells of in its text alone, without `isError`: a shim that puts what went wrong into the
// content, and the envelope that the EXAI daemon's tools answer with.

const toolFailed = 'Error executing tool'

/** What went wrong, where the first text of an answer says that the tool failed; else null. */
export function failureTextOf(text: string | null): string | null {
  if (text === null) return null
  if (text.trimStart().startsWith(toolFailed)) return text.trim()
  const output = toolOutputOf(text)
  if (output?.status !== 'error') return null
  return output.content?.trim() || 'Cannot say why the tool failed: its output has no text'
}

/** What a tool of the EXAI daemon answers: JSON with a `status`. */
type ToolOutput = {
  readonly status: string | null
  readonly content: string | undefined
  readonly model: string | null
  readonly provider: string | null
  readonly continuationId: string | null
}

/** The `ToolOutput` that a tool's text may be: JSON with a `status`. */
export function toolOutputOf(text: string | null): ToolOutput | null {
  if (text === null || !/^\s*\{/.test(text) || !text.includes('"status"')) return null
  const value = jsonOf(text)
  if (!isObject(value) || typeof value.status !== 'string') return null
  const metadata = isObject(value.metadata) ? value.metadata : {}
  const offer = isObject(value.continuation_offer) ? value.continuation_offer : {}
  return {
    status: value.status,
    content: typeof value.content === 'string' ? value.content : undefined,
    model: named(metadata.model_used) ?? named(metadata.model),
    provider: named(metadata.provider_used) ?? named(metadata.provider),
    continuationId: named(offer.continuation_id) ?? named(value.continuation_id),
  }
}

function named(value: unknown): string | null {
  return typeof value === 'string' && value.trim() !== '' ? value : null
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
