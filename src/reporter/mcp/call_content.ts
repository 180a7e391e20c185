import { attributeBytesMax, hashedBytesMax } from '../../core/limit.ts'
import type { Attributes, Json } from '../../core/record.ts'
import { withoutSecrets } from '../../core/secret_form.ts'
import { redactJson } from '../../wire/redact_json.ts'
import { cutText } from '../text_cut.ts'
import { argumentHashOf } from './argument_hash.ts'
import { shapeOf } from './argument_shape.ts'
import type { ContentRules } from './content_rule.ts'

export type ContentOptions = {
  /** Of which tools arguments and results are recorded. */
  readonly content: ContentRules
  /** Key of the argument hash (`saltOf`); empty: no hash. */
  readonly salt: string
}

/**
 * What is recorded of a call's arguments: their shape and salted hash, and, only of a tool that the operator named,
 * what they say. `bytes`, the size of the message that they came in, bounds what hashing may cost; null is too many.
 */
export function argumentAttributesOf(
  args: { readonly [key: string]: unknown },
  tool: string | null,
  bytes: number | null,
  { content, salt }: ContentOptions,
): Attributes {
  return {
    'telltale.argument_shape': shapeOf(args),
    ...(salt === '' || bytes === null || bytes > hashedBytesMax
      ? {}
      : { 'telltale.argument_hash': argumentHashOf(args, salt) }),
    ...(content.wants(tool) ? { 'telltale.arguments': contentText(args) } : {}),
  }
}

/** What a tool answered, where the operator asked for it. */
export function resultAttributesOf(result: unknown, tool: string | null, { content }: ContentOptions): Attributes {
  return content.wants(tool) ? { 'telltale.result': contentText(result) } : {}
}

/** As one text, whose depth and names nobody downstream has to bound; secrets go by name and form before it is cut. */
function contentText(value: unknown): string {
  try {
    return cutText(JSON.stringify(redactJson(value as Json, withoutSecrets)) ?? '', attributeBytesMax)
  } catch {
    return 'unreadable'
  }
}
