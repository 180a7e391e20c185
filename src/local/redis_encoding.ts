import type { Reply } from './redis_reply.ts'

/** Text as the bytes of its UTF-8, one a character. */
export function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** A number as it was written: JavaScript would round what has more than 53 bits. */
class WrittenNumber {
  readonly text: string
  readonly #value: number

  constructor(text: string, value: number) {
    this.text = text
    this.#value = value
  }

  toJSON(): number {
    return this.#value
  }
}

/** JSON whose numbers keep how they were written. Throws SyntaxError. */
export function parseRequest(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) =>
    typeof value === 'number' ? new WrittenNumber(context?.source ?? `${value}`, value) : value,
  )
}

/** A command from its parsed JSON: strings as bytes, whatever else as its JSON text. Null when it is no command. */
export function commandOf(value: unknown): readonly string[] | null {
  if (!Array.isArray(value) || value.length === 0) return null
  return value.map((argument: unknown) => {
    if (typeof argument === 'string') return bytesOf(argument)
    return argument instanceof WrittenNumber ? argument.text : bytesOf(JSON.stringify(argument))
  })
}

/** A part of a URL's path as bytes: `%` and two digits are one. */
export function bytesOfSegment(segment: string): string {
  return segment.replace(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
}

/**
 * `{"result": ...}` or `{"error": ...}`. Strings as UTF-8, what is none of it replaced, or every string but the status
 * OK in base64.
 */
export function jsonOfReply(reply: Reply, base64: boolean): string {
  if (typeof reply === 'object' && reply !== null && 'error' in reply) return `{"error":${quoted(reply.error, false)}}`
  return `{"result":${jsonOfValue(reply, base64)}}`
}

function jsonOfValue(reply: Reply, base64: boolean): string {
  if (typeof reply === 'string') return quoted(reply, base64)
  if (reply === null || typeof reply !== 'object') return String(reply)
  if ('status' in reply) return quoted(reply.status, base64 && reply.status !== 'OK')
  if ('error' in reply) return quoted(reply.error, false)
  return `[${reply.map((part) => jsonOfValue(part, base64)).join(',')}]`
}

function quoted(bytes: string, base64: boolean): string {
  const buffer = Buffer.from(bytes, 'latin1')
  return base64 ? `"${buffer.toString('base64')}"` : JSON.stringify(buffer.toString('utf8'))
}

/** About how many bytes a reply takes before it is encoded. */
export function sizeOfReply(reply: Reply): number {
  if (typeof reply === 'string') return reply.length + 3
  if (!Array.isArray(reply)) return 24
  return reply.reduce((sum: number, part: Reply) => sum + sizeOfReply(part), 3)
}
