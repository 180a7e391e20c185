import type { Attributes, Json } from '../core/record.ts'
import { withoutSecrets } from '../core/secret_form.ts'
import type { AnyValue, KeyValue } from './otlp_proto_generated.ts'
import { redactText } from './redact_json.ts'

// OTLP's values and times as ours. https://opentelemetry.io/docs/specs/otlp/

export function hexOf(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}

/** Nanoseconds as µs, without what is finer; beyond safe integers it is still an integer, which no record takes. */
export function usOf(nanos: bigint): number {
  return Number(nanos / 1_000n)
}

/**
 * A value as JSON: bytes as base64, or, where they are text with a secret in it, as that text without it; integers beyond
 * the safe ones as text, and nothing where there is no value.
 */
export function jsonOfValue(value: AnyValue | undefined): Json {
  const held = value?.value
  switch (held?.case) {
    case 'stringValue':
    case 'boolValue':
      return held.value
    case 'doubleValue':
      return Number.isFinite(held.value) ? held.value : String(held.value)
    case 'intValue':
      return Number.isSafeInteger(Number(held.value)) ? Number(held.value) : held.value.toString()
    case 'bytesValue':
      return textOfBytes(held.value)
    case 'arrayValue':
      return held.value.values.map(jsonOfValue)
    case 'kvlistValue':
      return attributesOfPairs(held.value.values)
    default:
      return null
  }
}

/** Of two pairs with one key the first counts, as the specification leaves open. */
export function attributesOfPairs(pairs: readonly KeyValue[]): Attributes {
  const bag: { [key: string]: Json } = {}
  for (const { key, value } of pairs) {
    if (key !== '' && key !== '__proto__' && !Object.hasOwn(bag, key)) bag[key] = jsonOfValue(value)
  }
  return bag
}

/** In base64 nobody after this would know a secret again. */
function textOfBytes(bytes: Uint8Array): string {
  const text = utf8.decode(bytes)
  const clean = redactText(text, withoutSecrets)
  return clean === text ? base64Of(bytes) : clean
}

const utf8 = new TextDecoder()

function base64Of(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}
