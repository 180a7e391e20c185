import type { Attributes, Json } from '../core/record.ts'
import { redacted } from '../core/secret_form.ts'
import { isSecretName } from '../core/secret_name.ts'
import { cutText, utf8Bytes } from './wire_text.ts'

/** Takes the secrets out of a text; may throw. */
export type Redactor = (text: string) => string

/** The tool whose arguments `old` and `new` are tokens, though their names do not say so. */
export const rotation = 'rotate_token'

/** Keeps the text within the bytes that it had, so that no limit is broken by what stands in for a secret. */
export function redactText(text: string, redactor: Redactor): string {
  const clean = redactor(text)
  return clean.length > text.length ? cutText(clean, Math.max(utf8Bytes(text), redacted.length)) : clean
}

/** Any JSON value; the same value when nothing in it is secret. `rotates`: `old` and `new` are tokens here. */
export function redactJson(value: Json, redactor: Redactor, rotates = false): Json {
  if (typeof value === 'string') return redactText(value, redactor)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    const items = value as readonly Json[]
    const clean = items.map((item) => redactJson(item, redactor, rotates))
    return clean.some((item, index) => item !== items[index]) ? clean : value
  }
  const bag = value as Attributes
  const rotating = rotates || Object.values(bag).includes(rotation)
  let clean: { [key: string]: Json } | null = null
  for (const [name, before] of Object.entries(bag)) {
    const key = redactText(name, redactor)
    const after = isSecret(name, before, rotating)
      ? redacted
      : redactJson(before, redactor, rotating || name === rotation)
    if (after === before && key === name) continue
    clean ??= { ...bag }
    if (key !== name) delete clean[name]
    clean[key] = after
  }
  return clean ?? value
}

/** Whether the name says secret. A flag or an absence is none (`has_password: true`), nor is a number under a token's name (`max_token: 4096`). */
export function isSecret(name: string, value: Json, rotating = false): boolean {
  if (value === null || typeof value === 'boolean' || value === '') return false
  if (rotating && (name === 'old' || name === 'new')) return true
  return isSecretName(name) && !(typeof value === 'number' && /token/i.test(name))
}
