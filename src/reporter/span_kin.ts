import { RecordedSpan, type SpanHandle, type SpanStart } from './recorded_span.ts'

/** The span that this one began in; null of a trace's first, and of what is no span of ours. */
export function parentOf(span: SpanHandle): RecordedSpan | null {
  return span instanceof RecordedSpan ? span.parent : null
}

/** Remembers where a span began; a call to a provider is the last of its trace for now. */
export function adopt(span: RecordedSpan, parent: RecordedSpan, start: SpanStart): void {
  span.parent = parent
  if (start.kind === 'wait' || (span.layer !== 'api' && typeof start.model !== 'string')) return
  let root = parent
  while (root.parent) root = root.parent
  root.providerCall = span
}
