import { looksRandom } from './secret_random.ts'
import { tokenPattern, tokenPrefixes } from './secret_token.ts'

// What runs for each record of a reporter, so it is written by hand: one regular expression that looks for all of this
// takes several times as long.

const token = new RegExp(tokenPattern)
/** The shortest token of any form has as many characters, so that one of these places is inside of it. */
const stride = 16
const beginningsMask = 0xffff

const [backslash, quote, slash, dot, tilde] = [92, 34, 47, 46, 126]
/** Characters at which a name or a sign of a secret is looked for. */
const watched = tableOf('kKwWpPzZcCbB@=:?&#;/\\')
const tokenish = tableOf('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-./_~')
/** By the first three characters of each prefix; others may fall on the same place. */
const beginnings = beginningsOf(tokenPrefixes)

/**
 * Whether a text, or the JSON of a record, could hold a secret, by form or by name; false positives cost a redaction,
 * and there is no false negative. Linear in the text, and unparsed.
 */
export function hintsAtSecret(text: string): boolean {
  return hasSign(text) || hasToken(text)
}

/** Names (secret_name.ts), addresses with credentials or parameters, homes of people. */
function hasSign(text: string): boolean {
  let address = false
  let query = false
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i)
    if (code > 127 || watched[code] === 0) continue
    if (code >= 65 && code !== backslash) {
      if (isNameAt(text, i, code | 32)) return true
    } else if (code === slash || code === backslash) {
      if (says(text, i + 1, 'home') || says(text, i + 1, 'users')) return true
    } else if (code === 58) {
      if (text.charCodeAt(i + 1) === slash && text.charCodeAt(i + 2) === slash) address = true
      else if (says(text, i + 1, 'aa')) return true // The token of a bot at Telegram.
    } else if (code === 64) {
      if (address) return true
    } else if (code === 61) {
      if (query) return true
    } else query = true
  }
  return false
}

/** Whether a secret's name has its rarest letter here. */
function isNameAt(text: string, i: number, letter: number): boolean {
  switch (letter) {
    case 107: // k
      if (says(text, i + 1, 'ey')) return text.charCodeAt(i - 1) !== quote || text.charCodeAt(i - 2) === backslash
      // Each span has a `tokens_in` and a `tokens_out`, and `input_tokens` is a measure too.
      if (says(text, i - 2, 'token')) return text[i + 3] !== 's'
      return says(text, i - 3, 'cookie')
    case 119: // w
      return says(text, i - 1, 'pwd') || says(text, i - 1, 'jwt')
    case 112: // p
      return says(text, i + 1, 'ass')
    case 122: // z
      return says(text, i - 3, 'oriza')
    case 99: // c
      if (says(text, i + 1, 're')) return says(text, i + 3, 't') || says(text, i + 3, 'd')
      return says(text, i + 1, 'esssig') || says(text, i - 3, 'jdb')
    default: // b
      return says(text, i + 1, 'earer')
  }
}

/** Whether these lower-case letters stand at this place, in whatever case. */
function says(text: string, at: number, letters: string): boolean {
  for (let i = 0; i < letters.length; i += 1) {
    if ((text.charCodeAt(at + i) | 32) !== letters.charCodeAt(i)) return false
  }
  return true
}

/** Looks at each 16th character only, and around it where it could be one of a token. */
function hasToken(text: string): boolean {
  let at = stride - 1
  while (at < text.length) {
    if (!isTokenish(text.charCodeAt(at))) {
      at += stride
      continue
    }
    let start = at
    while (start > 0 && at - start < stride && isTokenish(text.charCodeAt(start - 1))) start -= 1
    let end = at + 1
    while (end < text.length && isTokenish(text.charCodeAt(end))) end += 1
    if (end - start >= stride && isTokenLike(text, start, end)) return true
    at = end + stride - 1
  }
  return false
}

/** Digits among letters, or upper case: ids in hex digits and names in lower case are passed over. */
function isTokenLike(text: string, start: number, end: number): boolean {
  let digits = 0
  let upper = 0
  let others = 0
  let shaped = false
  let dotted = start - 1
  for (let i = start; i < end; i += 1) {
    const code = text.charCodeAt(i)
    if (code >= 48 && code <= 57) digits += 1
    else if (code >= 65 && code <= 90) upper += 1
    else if (code > 102 || (code < 97 && code !== 45)) others += 1
    // Forms without a prefix have a dot behind fourteen characters, a `~`, or two parts in hex digits.
    if (code === tilde || (code === dot && i - dotted > 14)) shaped = true
    if (code === dot || code === slash) dotted = i
  }
  if (digits + upper === 0 || upper + others === 0) return false
  // After a backslash the first letter belongs to an escape, as in JSON.
  const escaped = start > 0 && text.charCodeAt(start - 1) === backslash
  const run = text.slice(escaped ? start + (text[start] === 'u' ? 5 : 1) : start, end)
  if (upper > 2 && looksRandom(run)) return true
  return (shaped || (end - start > 35 && run.includes('-us')) || hasBeginning(run)) && token.test(run)
}

function hasBeginning(run: string): boolean {
  for (let i = 0; i + 2 < run.length; i += 1) {
    if (beginnings[placeOf(run.charCodeAt(i), run.charCodeAt(i + 1), run.charCodeAt(i + 2))] === 1) return true
  }
  return false
}

function placeOf(first: number, second: number, third: number): number {
  return ((first * 37 + second) * 61 + third) & beginningsMask
}

function beginningsOf(prefixes: readonly string[]): Uint8Array {
  const places = new Uint8Array(beginningsMask + 1)
  for (const prefix of prefixes) {
    // What follows a prefix of two letters is a hex digit.
    const thirds = prefix.length > 2 ? (prefix[2] as string) : '0123456789abcdef'
    for (const third of thirds) places[placeOf(prefix.charCodeAt(0), prefix.charCodeAt(1), third.charCodeAt(0))] = 1
  }
  return places
}

function isTokenish(code: number): boolean {
  return code < 128 && tokenish[code] === 1
}

function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(128)
  for (const character of characters) table[character.charCodeAt(0)] = 1
  return table
}
