import type { Attributes, Json } from '../core/record.ts'
import { redacted } from '../core/secret_form.ts'
import { hintsAtSecret } from '../core/secret_hint.ts'
import { isSecretName } from '../core/secret_name.ts'
import { cutText, utf8Bytes } from './wire_text.ts'

/** Takes the secrets out of a text; may throw. */
export type Redactor = (text: string) => string

/** The tool whose arguments `old` and `new` are tokens, though their names do not say so. */
export const rotation = 'rotate_token'

/** What argument shapes say of a value whose name says secret: its size is told. */
const shape = /^(?:string|array|object)\(\d{1,9}\)$/
const idName = /(?:^|[^A-Za-z])id$|[a-z]I[dD]$/
/** Shorter ones could be guessed from their mark. */
const markedCharactersMin = 20

/**
 * Also by the names in it where the text is itself JSON. Keeps the text within the bytes that it had, so that no limit is
 * broken by what stands in for a secret.
 */
export function redactText(text: string, redactor: Redactor): string {
  const clean = redactJsonIn(redactor(text), redactor)
  return clean.length > text.length ? cutText(clean, Math.max(utf8Bytes(text), redacted.length)) : clean
}

function redactJsonIn(text: string, redactor: Redactor): string {
  if (!/^\s*[[{]/.test(text) || !hintsAtSecret(text)) return text
  let value: Json
  try {
    value = JSON.parse(text) as Json
  } catch {
    return text
  }
  const clean = redactJson(value, redactor)
  return clean === value ? text : JSON.stringify(clean)
}

/**
 * An id without the secrets in it, such as the key of a session that is a token at once. What tells it from others is
 * kept as a mark behind it, `[redacted]~1a2b3c4d`: 32 bits (FNV-1a over the UTF-8 of the whole id), which say nothing of
 * what was random in it, so that the calls of two sessions stay apart and those of one together.
 */
export function redactId(text: string, redactor: Redactor): string {
  const clean = redactText(text, redactor)
  if (clean === text || text.length < markedCharactersMin) return clean
  return cutText(`${clean}~${markOf(text)}`, Math.max(utf8Bytes(text), redacted.length + 9))
}

function markOf(text: string): string {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash.toString(16).padStart(8, '0')
}

/** Any JSON value; the same value when nothing in it is secret. `rotates`: `old` and `new` are tokens here. */
export function redactJson(value: Json, redactor: Redactor, rotates = false): Json {
  if (typeof value === 'string') return redactText(value, redactor)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return redactItems(value as readonly Json[], redactor, rotates)
  const bag = value as Attributes
  const rotating = rotates || Object.values(bag).includes(rotation)
  const named = namesItsValue(bag)
  let clean: { [key: string]: Json } | null = null
  for (const [name, before] of Object.entries(bag)) {
    const key = redactText(name, redactor)
    const hidden = isSecret(name, before, rotating) || (named && name === 'value')
    const after = hidden ? redacted : redactMember(name, before, redactor, rotating || name === rotation)
    if (after === before && key === name) continue
    clean ??= { ...bag }
    if (key !== name) delete clean[name]
    clean[key] = after
  }
  return clean ?? value
}

/** Of headers as pairs, `[["authorization", "..."]]`, the second hides what the first names. */
function redactItems(items: readonly Json[], redactor: Redactor, rotates: boolean): Json {
  const clean = items.map((item) => (isNamedPair(item) ? [item[0], redacted] : redactJson(item, redactor, rotates)))
  return clean.some((item, index) => item !== items[index]) ? clean : items
}

function isNamedPair(item: Json): item is readonly [string, string] {
  if (!Array.isArray(item) || item.length !== 2) return false
  const [name, value] = item as readonly Json[]
  if (typeof name !== 'string' || typeof value !== 'string' || value === redacted) return false
  return isSecretName(name) && !isSecretName(value)
}

/** `{"name": "Authorization", "value": "..."}`, as headers and variables are often listed. */
function namesItsValue(bag: Attributes): boolean {
  const name = bag.name ?? bag.key ?? bag.header
  return typeof name === 'string' && typeof bag.value === 'string' && bag.value !== '' && isSecretName(name)
}

function redactMember(name: string, value: Json, redactor: Redactor, rotates: boolean): Json {
  if (typeof value === 'string' && idName.test(name)) return redactId(value, redactor)
  return redactJson(value, redactor, rotates)
}

/**
 * Whether the name says secret. A flag or an absence is none (`has_password: true`), nor is a number under a token's name
 * (`max_token: 4096`), the shape of a value, or where a shell is (`PWD`).
 */
export function isSecret(name: string, value: Json, rotating = false): boolean {
  if (value === null || typeof value === 'boolean' || value === '' || value === redacted) return false
  if (rotating && (name === 'old' || name === 'new')) return true
  if (!isSecretName(name)) return false
  if (typeof value === 'number') return !/token/i.test(name)
  return typeof value !== 'string' || !(shape.test(value) || (name === 'PWD' && /^(?:\/|[A-Z]:)/.test(value)))
}
