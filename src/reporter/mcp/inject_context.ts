import { itemsOf, spliceMembers } from '../../wire/splice_json.ts'
import type { TraceHeaders } from '../../wire/trace_context.ts'

const metaPath = ['params', '_meta']

/**
 * The text with each message's trace context in its `params._meta`; `contexts` has one for each item of an array of
 * messages, or the one of a single message. Null where nothing is to be changed.
 */
export function injectContexts(text: string, contexts: readonly (TraceHeaders | null)[]): string | null {
  if (!contexts.some((context) => context !== null && context.traceparent !== '')) return null
  if (text.trimStart()[0] !== '[') return injected(text, contexts[0])
  const items = itemsOf(text)
  if (items?.length !== contexts.length) return null
  let result = ''
  let at = 0
  for (const [index, { start, end }] of items.entries()) {
    const item = text.slice(start, end)
    result += text.slice(at, start) + (injected(item, contexts[index]) ?? item)
    at = end
  }
  return result + text.slice(at)
}

function injected(text: string, context: TraceHeaders | null | undefined): string | null {
  return context && context.traceparent !== '' ? spliceMembers(text, metaPath, context) : null
}
