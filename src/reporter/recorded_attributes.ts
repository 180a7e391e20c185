import { attributesBytesMax, attributesMax, messageBytesMax, nameBytesMax } from '../core/limit.ts'
import type { Attributes, Json } from '../core/record.ts'
import { withoutSecrets } from '../core/secret_form.ts'
import { hintsAtSecret } from '../core/secret_hint.ts'
import { redactJson } from '../wire/redact_json.ts'
import { cleanTextJson } from './recorded_text.ts'
import { cutText } from './text_cut.ts'

/** A value that was no primitive, as JSON from the moment it was given: the host may change it. */
class JsonText {
  readonly json: string

  constructor(json: string) {
    this.json = json
  }
}

/** Attributes of which nothing is the host's any more. */
export type KeptAttributes = { readonly [name: string]: string | number | boolean | null | undefined | JsonText }

const lostName = 'telltale.attributes_lost'

/** Adds attributes to those that are kept. Where they cannot be read or written, a mark says so in their place. */
export function keepAttributes(before: KeptAttributes | null, given: Attributes): KeptAttributes {
  try {
    const copy: { [name: string]: unknown } = { ...given }
    for (const name in copy) {
      const value = copy[name]
      if (typeof value === 'object' && value !== null) copy[name] = jsonTextOf(value)
      else if (typeof value === 'bigint') throw new TypeError(`Cannot write ${cutText(name, 64)}: it is a bigint`)
      else if (typeof value === 'function' || typeof value === 'symbol') copy[name] = undefined
    }
    return before ? { ...before, ...(copy as KeptAttributes) } : (copy as KeptAttributes)
  } catch (error) {
    const why = error instanceof Error ? cutText(error.message, nameBytesMax) : 'unreadable'
    return { ...before, [lostName]: why }
  }
}

function jsonTextOf(value: object): JsonText | undefined {
  const json = JSON.stringify(value) as string | undefined
  return json === undefined ? undefined : new JsonText(json)
}

/** About the bytes that they take. */
export function bytesOf(attributes: KeptAttributes): number {
  let bytes = 0
  for (const name in attributes) {
    const value = attributes[name]
    bytes += name.length * 2 + 16
    if (typeof value === 'string') bytes += value.length * 2
    else if (value instanceof JsonText) bytes += value.json.length * 2
  }
  return bytes
}

/** Those whose value is a text, by their names. */
export function textsOf(attributes: KeptAttributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => typeof value === 'string')) as Attributes
}

/** As JSON; where they are too many or too large, what fits, with a mark that says so. */
export function keptJson(attributes: KeptAttributes): string {
  return fitted(written(attributes, JSON.stringify) ?? '{}')
}

/** The same where no secret can be in it; null where one might. */
export function cleanKeptJson(attributes: KeptAttributes): string | null {
  const json = written(attributes, cleanTextJson)
  return json === null ? null : fitted(json)
}

function written(attributes: KeptAttributes, textJson: (text: string) => string | null): string | null {
  let json = ''
  let count = 0
  for (const name in attributes) {
    const value = attributes[name]
    if (value === undefined) continue
    if (++count > attributesMax) break
    const nameJson = textJson(name)
    const valueJson = jsonOf(value, textJson)
    if (nameJson === null || valueJson === null) return null
    json += count === 1 ? `${nameJson}:${valueJson}` : `,${nameJson}:${valueJson}`
  }
  return `{${json}}`
}

function jsonOf(
  value: string | number | boolean | null | JsonText,
  textJson: (text: string) => string | null,
): string | null {
  if (typeof value === 'string') return textJson(value)
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null'
  if (value instanceof JsonText) return textJson === cleanTextJson && hintsAtSecret(value.json) ? null : value.json
  return String(value)
}

function fitted(json: string): string {
  if (json.length * 3 <= attributesBytesMax || Buffer.byteLength(json) <= attributesBytesMax) return json
  // As a text in a text, names would no longer be told from values.
  const clean = JSON.stringify(redactJson(JSON.parse(json) as Json, withoutSecrets))
  return JSON.stringify({ [lostName]: cutText(clean, messageBytesMax / 8) })
}

/** Attributes as JSON, or, where they are too many, too large or cannot be written, a mark that says so. */
export function attributesJson(attributes: Attributes | undefined): string {
  return attributes ? keptJson(keepAttributes(null, attributes)) : '{}'
}
