import type { TraceHeaders } from '../wire/trace_context.ts'

// RFC 9110 section 7.6.1: they speak of one connection, not of the message. Whether a body is chunked is kept where it
// has to be said again.
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'expect',
])
// With one of these the bytes of the body are signed: to change them would break the request.
const signed = ['content-digest', 'digest', 'content-md5', 'signature', 'x-amz-content-sha256']

type Headers = { readonly [name: string]: string | readonly string[] | undefined }

/** Names and values in turn, as Node gives and takes them, less what was meant for this connection alone. */
export function endToEndHeaders(raw: readonly string[], connection: string | undefined): string[] {
  const named = new Set((connection ?? '').split(',').map((name) => name.trim().toLowerCase()))
  const kept: string[] = []
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const [name = '', value = ''] = [raw[at], raw[at + 1]]
    const lower = name.toLowerCase()
    if (!hopByHop.has(lower) && !named.has(lower)) kept.push(name, value)
  }
  return kept
}

/** The same with this header in place of those that had its name, or added at the end. */
export function withHeader(raw: readonly string[], name: string, value: string): string[] {
  const kept: string[] = []
  let there = false
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const [before = '', text = ''] = [raw[at], raw[at + 1]]
    if (before.toLowerCase() !== name.toLowerCase()) kept.push(before, text)
    else if (!there) {
      kept.push(before, value)
      there = true
    }
  }
  return there ? kept : [...kept, name, value]
}

export function isSigned(headers: Headers): boolean {
  return signed.some((name) => headers[name] !== undefined)
}

/** The type of a body without its parameters, in lower case; empty when nothing says. */
export function mediaTypeOf(headers: Headers): string {
  return (textOf(headers, 'content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

export function isJson(mediaType: string): boolean {
  return mediaType === 'application/json' || mediaType.endsWith('+json')
}

/** The trace context of a message's headers, if any. */
export function contextOf(headers: Headers): TraceHeaders | null {
  const traceparent = textOf(headers, 'traceparent')
  const tracestate = textOf(headers, 'tracestate')
  if (traceparent === null) return null
  return tracestate === null ? { traceparent } : { traceparent, tracestate }
}

export function textOf(headers: Headers, name: string): string | null {
  const value = headers[name]
  const text = Array.isArray(value) ? value[0] : value
  return typeof text === 'string' && text !== '' ? text : null
}
