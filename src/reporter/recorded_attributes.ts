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

type Value = string | number | boolean | null | JsonText

/** The attributes that a span was given, one after the other; what comes later counts. Nothing of the host's is kept. */
export class RecordedAttributes {
  readonly #names: string[] = []
  readonly #values: Value[] = []
  #merges = 0
  /** Why they cannot be written; null while they can. */
  #lost: string | null = null
  /** About the bytes that they take. */
  bytes = 2

  merge(attributes: Attributes): void {
    this.#merges++
    try {
      for (const name of Object.keys(attributes)) this.#add(name, attributes[name])
    } catch (error) {
      this.#lost = error instanceof Error ? cutText(error.message, nameBytesMax) : 'unreadable'
    }
  }

  #add(name: string, value: unknown): void {
    if (value === undefined || typeof value === 'function' || typeof value === 'symbol') return
    let kept: Value
    if (typeof value === 'object' && value !== null) {
      const json = JSON.stringify(value) as string | undefined
      if (json === undefined) return
      kept = new JsonText(json)
      this.bytes += json.length * 2
    } else if (typeof value === 'bigint') {
      throw new TypeError(`Cannot write ${cutText(name, 64)} as JSON: it is a bigint`)
    } else {
      kept = value as Value
      this.bytes += typeof value === 'string' ? value.length * 2 : 8
    }
    this.bytes += name.length * 2 + 8
    this.#names.push(name)
    this.#values.push(kept)
  }

  /** Those whose value is a text, by their names. */
  texts(): Attributes {
    const texts: { [name: string]: Json } = {}
    for (const [index, name] of this.#names.entries()) {
      const value = this.#values[index]
      if (typeof value === 'string') texts[name] = value
    }
    return texts
  }

  /** As JSON, or, where they are too many, too large or cannot be written, a mark that says so. */
  json(): string {
    const json = this.#written(JSON.stringify)
    return json === null ? '{}' : fitted(json)
  }

  /** The same where no secret can be in it; null where one might. */
  cleanJson(): string | null {
    const json = this.#written(cleanTextJson)
    return json === null ? null : fitted(json)
  }

  #written(textJson: (text: string) => string | null): string | null {
    if (this.#lost !== null) return JSON.stringify({ 'telltale.attributes_lost': this.#lost })
    const last = this.#merges > 1 ? new Map(this.#names.map((name, index) => [name, index])) : null
    let json = ''
    let count = 0
    for (let index = 0; index < this.#names.length; index++) {
      const name = this.#names[index] as string
      if (last && last.get(name) !== index) continue
      if (++count > attributesMax) break
      const nameJson = textJson(name)
      const valueJson = jsonOf(this.#values[index] as Value, textJson)
      if (nameJson === null || valueJson === null) return null
      json += count === 1 ? `${nameJson}:${valueJson}` : `,${nameJson}:${valueJson}`
    }
    return `{${json}}`
  }
}

function jsonOf(value: Value, textJson: (text: string) => string | null): string | null {
  if (typeof value === 'string') return textJson(value)
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null'
  if (value instanceof JsonText) return textJson === cleanTextJson && hintsAtSecret(value.json) ? null : value.json
  return String(value)
}

function fitted(json: string): string {
  if (json.length * 3 <= attributesBytesMax || Buffer.byteLength(json) <= attributesBytesMax) return json
  // As a text in a text, names would no longer be told from values.
  const clean = JSON.stringify(redactJson(JSON.parse(json) as Json, withoutSecrets))
  return JSON.stringify({ 'telltale.attributes_lost': cutText(clean, messageBytesMax / 8) })
}

/** Attributes as JSON, or, where they are too many, too large or cannot be written, a mark that says so. */
export function attributesJson(attributes: Attributes | undefined): string {
  if (!attributes) return '{}'
  const recorded = new RecordedAttributes()
  recorded.merge(attributes)
  return recorded.json()
}
