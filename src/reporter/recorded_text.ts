// The JSON of a span's texts. The same names come again and again: what they are as JSON, and that no secret is in
// them, is worked out once.
import { withoutSecrets } from '../core/secret_form.ts'
import { hintsAtSecret } from '../core/secret_hint.ts'

const cachedCharactersMax = 96
const cachedTextsMax = 2_048
// Nothing shorter has the form of a secret, and digits with dashes have none.
const plain = /^[0-9a-f-]*$/

let young = new Map<string, string | null>()
let old = new Map<string, string | null>()

/**
 * The text as JSON where it can hold no secret, be it a value or a name; null where it might. Bounded: two generations,
 * of which the older is forgotten when the younger is full.
 */
export function cleanTextJson(text: string): string | null {
  if (text.length > cachedCharactersMax) return judge(text)
  const known = young.get(text)
  if (known !== undefined) return known
  const before = old.get(text)
  const json = before === undefined ? judge(text) : before
  if (young.size >= cachedTextsMax) {
    old = young
    young = new Map()
  }
  young.set(text, json)
  return json
}

/** The same for texts that seldom come twice, such as ids. */
export function cleanIdJson(text: string): string | null {
  return text.length <= cachedCharactersMax && plain.test(text) ? `"${text}"` : judge(text)
}

function judge(text: string): string | null {
  const json = JSON.stringify(text)
  // As a name it would be followed by a colon, which tells a measure from a token.
  return hintsAtSecret(`${json}:`) || withoutSecrets(text) !== text ? null : json
}
