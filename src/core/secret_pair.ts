import { isSecretName } from './secret_name.ts'

// Names and values in text: `password=hunter2`, `"api_key": "..."`, `Cookie: a=b; c=d`, `Server=db;Pwd=my word;`.

const pair =
  /(passw(?:or)?d|passphrase|passcode|pwd|secret|token|key|jwt|cookie|cred|authorization|bearer)([A-Za-z0-9_.-]{0,32})(\\{0,16}["'`]?\]?[ \t]{0,4}(?:=>|:=|[:=]|%3[DdAa])[ \t]{0,4}(?:\[(?=\\{0,16}["']))?|\\{0,16}["'][ \t]{0,4},[ \t]{0,4}(?:\\{0,16}["']value\\{0,16}["'][ \t]{0,4}:[ \t]{0,4})?(?=\\{0,16}["']))/gi
/** Before the first of a list of two in a list: `[["authorization", "..."]]`. */
const firstOfList = /[[,][ \t]{0,4}\[[ \t]{0,4}\\{0,16}["']$/
const lists = 24
const nameCharacter = /[A-Za-z0-9_.-]/
const nameReach = 64
/** Under these names everything is a secret; under others a value has to look like one. */
const strong = /passw(?:or)?d|passphrase|passcode|pwd|secret/i
const authorization = /authorization$/i
const cookie = /^(?:set-)?cookies?2?$/i
const scheme =
  /^(?:basic|bearer|digest|token|api-?key|key|negotiate|ntlm|hmac|oauth|bot|splunk|signature|aws4-hmac-sha256)[ \t]{1,4}/i
const manyPartScheme = /^(?:digest|oauth|signature|aws4|hmac)/i
/** What stands where a secret would, and is none. */
const placeholder =
  /^(?:null|none|nil|undefined|true|false|nan|\*{1,64}|x{3,64}|\.{3}|[$%<{(].{0,63}|\[redacted.{0,63}|(?:os|process|import|self|this)\..{0,63})$/i
const wordEnd = /[\s"'`,;&]/
const quotes = '"\'`'

/** Where a value begins and ends. `quoted`: its name or itself stood in quotes. */
type Extent = { readonly start: number; readonly end: number; readonly quoted: boolean }
type Name = {
  readonly text: string
  readonly sign: string
  readonly isField: boolean
  /** It is the first member of a list. */
  readonly isListed: boolean
}

/** The text without the values that stand after the name of a secret. Linear: what is read of a value is not read twice. */
export function withoutNamedSecrets(text: string, replacement: string): string {
  pair.lastIndex = 0
  let clean = ''
  let done = 0
  for (let found = pair.exec(text); found !== null; found = pair.exec(text)) {
    const name = nameOf(text, found)
    if (!isSecretName(name.text)) continue
    const value = valueAt(text, pair.lastIndex, name)
    if (
      isList(name) &&
      !(name.isListed && isPairEnd(text, value.end) && !isSecretName(text.slice(value.start, value.end)))
    )
      continue
    if (!isSecretValue(text.slice(value.start, value.end), name, value.quoted)) continue
    clean += text.slice(done, value.start) + replacement
    done = value.end
    pair.lastIndex = value.end
  }
  return done === 0 ? text : clean + text.slice(done)
}

function isList({ sign }: Name): boolean {
  return sign.includes(',') && !/value/i.test(sign)
}

function isPairEnd(text: string, end: number): boolean {
  return /^\\{0,16}["'][ \t]{0,4}\]/.test(text.slice(end, end + lists))
}

function nameOf(text: string, found: RegExpExecArray): Name {
  let start = found.index
  while (start > 0 && found.index - start < nameReach && nameCharacter.test(text[start - 1] as string)) start -= 1
  const whole = text.slice(start, found.index) + (found[1] as string) + (found[2] as string)
  // `Server=db;Pwd=my word;`: values may have blanks.
  const sign = found[3] as string
  const isListed = firstOfList.test(text.slice(Math.max(0, start - lists), start))
  return { text: whole, sign, isField: text[start - 1] === ';', isListed }
}

function valueAt(text: string, at: number, name: Name): Extent {
  const named = /["'`]/.test(name.sign)
  let start = at
  while (start - at < 16 && text[start] === '\\') start += 1
  const quote = text[start] as string
  if (start < text.length && quotes.includes(quote)) {
    const end = closingAt(text, start + 1, quote, start - at)
    if (end !== null) return { start: start + 1 + schemeLength(text, start + 1, name), end, quoted: true }
    return { start: start + 1, end: wordEndAt(text, start + 1), quoted: true }
  }
  const skipped = schemeLength(text, at, name)
  const manyParts = skipped > 0 && manyPartScheme.test(text.slice(at, at + 9))
  if (manyParts || cookie.test(name.text))
    return { start: at + skipped, end: lineEndAt(text, at + skipped, '"'), quoted: named }
  if (name.isField) return { start: at, end: lineEndAt(text, at, ';"'), quoted: named }
  return { start: at + skipped, end: wordEndAt(text, at + skipped), quoted: named || skipped > 0 }
}

function schemeLength(text: string, at: number, name: Name): number {
  return authorization.test(name.text) ? (scheme.exec(text.slice(at, at + 32))?.[0].length ?? 0) : 0
}

/** Where the quote closes on the same line, behind as many backslashes as it opened with; null when it does not. */
function closingAt(text: string, from: number, quote: string, backslashes: number): number | null {
  let behind = 0
  for (let i = from; i < text.length; i += 1) {
    const character = text[i]
    if (character === '\n') return null
    // Of one more backslash the quote belongs to the value.
    if (character === quote && behind === backslashes) return i - backslashes
    if (character === quote && backslashes === 0 && behind % 2 === 0) return i
    behind = character === '\\' ? behind + 1 : 0
  }
  return null
}

function lineEndAt(text: string, from: number, ends: string): number {
  let end = from
  while (end < text.length && text[end] !== '\n' && text[end] !== '\r' && !ends.includes(text[end] as string)) end += 1
  return end
}

function wordEndAt(text: string, from: number): number {
  let end = from
  while (end < text.length && !wordEnd.test(text[end] as string)) end += 1
  return end
}

/** A value of few characters or without a digit is a word: "Unexpected token: identifier" stays. */
function isSecretValue(value: string, { text: name, sign }: Name, quoted: boolean): boolean {
  const start = value.slice(0, 96)
  if (value === '' || placeholder.test(start)) return false
  if (/^pwd$/i.test(name) && /^(?:\/|[A-Za-z]:\\)/.test(value)) return false
  const assigned = quoted || /=|%3d/i.test(sign)
  if (strong.test(name)) return assigned || value.length >= 4
  if (cookie.test(name)) return quoted || value.includes('=')
  if (/^\d{1,9}$/.test(value)) return false
  return /\d/.test(start) ? value.length >= 6 : assigned && value.length >= 8
}
