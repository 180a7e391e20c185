import { createHash, createHmac } from 'node:crypto'

/**
 * Says whether two calls had the same arguments without saying which: the first 16 hex digits of HMAC-SHA-256 over their
 * canonical JSON (members sorted by code point, no blanks, lone surrogates as U+FFFD), keyed by the salt. What cannot be
 * written as JSON counts as null. Never throws.
 */
export function argumentHashOf(args: unknown, salt: string): string {
  return createHmac('sha256', salt).update(textOf(args)).digest('hex').slice(0, 16)
}

/** The salt of all recorders that share an ingest key, so that their hashes agree; 64 hex digits that do not tell the key. */
export function saltOf(ingestKey: string): string {
  return createHash('sha256').update(`telltale argument hash\n${ingestKey}`).digest('hex')
}

function textOf(args: unknown): string {
  try {
    return canonicalJsonOf(args) ?? 'null'
  } catch {
    return 'null'
  }
}

/** Undefined where JSON.stringify gives undefined. @throws what the value's own toJSON throws, RangeError when too deep. */
function canonicalJsonOf(value: unknown): string | undefined {
  if (typeof value === 'string') return JSON.stringify(wellFormed(value))
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if ('toJSON' in value && typeof value.toJSON === 'function') return canonicalJsonOf(value.toJSON())
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJsonOf(item) ?? 'null').join(',')}]`
  const members: string[] = []
  for (const name of Object.keys(value).sort(byCodePoint)) {
    const member = canonicalJsonOf((value as { readonly [name: string]: unknown })[name])
    if (member !== undefined) members.push(`${JSON.stringify(wellFormed(name))}:${member}`)
  }
  return `{${members.join(',')}}`
}

/** As Python sorts; JavaScript by itself puts U+FFxx behind what lies beyond the basic plane. */
function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

function wellFormed(text: string): string {
  return (text as string & { toWellFormed(): string }).toWellFormed()
}
