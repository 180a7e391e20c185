import { looksRandom } from './secret_random.ts'
import { botTokenPattern, tokenPattern } from './secret_token.ts'

// Without the flag `i`, with which V8 takes four times as long as lower-casing the text and searching that.
const hint = new RegExp(
  [
    // Names (secret_name.ts), and the forms that begin with one.
    /passw(?:or)?d|passphrase|passcode|pwd|secret|authorization|cookie|jwt|cred|bearer/,
    // Each span has a `tokens_in` and a `tokens_out`, and `input_tokens` is a measure too.
    /token(?!s_(?:in|out)":|s")/,
    // `api_key` and its like; what begins with `key`, as a session's does, names none.
    /key(?<!(?<!\\)"key)/,
    // Addresses with credentials, parameters that sign, homes of people.
    /:\/\/[^\s/@]+@|[?&#;](?:amp;)?(?:sig|signature|code|auth|x-amz-[a-z]+|x-goog-[a-z]+|se)=|oracle:|[/\\](?:home|users)[/\\]/,
  ]
    .map((part) => part.source)
    .join('|'),
)
const token = new RegExp(tokenPattern)
const botToken = new RegExp(botTokenPattern.replace('[0-9]{8,10}:', ''))

/** The shortest token of any form has as many characters, so that one of these places is inside of it. */
const stride = 16

/**
 * Whether a text, or the JSON of a record, could hold a secret, by form or by name; false positives cost a redaction,
 * and there is no false negative. Linear in the text, and unparsed.
 */
export function hintsAtSecret(text: string): boolean {
  return hint.test(text.toLowerCase()) || hasToken(text)
}

/** Looks at each 16th character only, and around it where it could be one of a token. */
function hasToken(text: string): boolean {
  let at = stride - 1
  while (at < text.length) {
    if (!isTokenCode(text.charCodeAt(at))) {
      at += stride
      continue
    }
    let start = at
    while (start > 0 && at - start < stride && isTokenCode(text.charCodeAt(start - 1))) start -= 1
    let end = at + 1
    while (end < text.length && isTokenCode(text.charCodeAt(end))) end += 1
    if (end - start >= stride && isTokenLike(text, start, end)) return true
    at = end + stride - 1
  }
  return false
}

/** Digits among letters, or upper case: ids in hex digits and names in lower case are passed over. */
function isTokenLike(text: string, start: number, end: number): boolean {
  let marked = false
  let hex = true
  for (let i = start; i < end; i += 1) {
    const code = text.charCodeAt(i)
    if (code <= 57 ? code >= 48 : code < 97 && code !== 95) marked = true
    if (!(code <= 57 ? code >= 48 || code === 45 : code >= 97 && code <= 102)) hex = false
  }
  if (hex || !marked) return false
  // After a backslash the first letter belongs to an escape, as in JSON.
  const run = text.slice(text.charCodeAt(start - 1) === 92 ? start + (text[start] === 'u' ? 5 : 1) : start, end)
  return token.test(run) || botToken.test(run) || looksRandom(run)
}

/** Letters, digits and `+ - . / _ ~`. */
function isTokenCode(code: number): boolean {
  if (code < 58) return code >= 45 || code === 43
  if (code < 91) return code >= 65
  return (code >= 97 && code <= 122) || code === 95 || code === 126
}
