import { withoutSecrets } from '../core/secret_form.ts'

// Text as it may be stored: well-formed, without NUL (PostgreSQL's text and jsonb take neither), and bounded.

// So much more than what is kept is searched that no secret begins outside of it and reaches into what is kept.
const searchedFactor = 2
const ellipsis = '\u2026'
const ellipsisBytes = 3
const unclean = /[\0\ud800-\udfff]/

/** The text with NUL and lone surrogates as U+FFFD. */
export function cleanText(text: string): string {
  if (!unclean.test(text)) return text
  // Node 20 and every edge have toWellFormed; the es2023 library of the compiler has not.
  return (text as string & { toWellFormed(): string }).toWellFormed().replaceAll('\0', '\ufffd')
}

/** Bytes of the text in UTF-8, a lone surrogate as the three of U+FFFD. */
export function utf8Bytes(text: string): number {
  let bytes = text.length
  for (let i = 0; i < text.length; i += 1) bytes += extraBytesAt(text, i)
  return bytes
}

/** Whether the text has at most `bytesMax` bytes. Costs nothing for text that is far shorter or longer. */
export function isWithin(text: string, bytesMax: number): boolean {
  return text.length * 3 <= bytesMax || (text.length <= bytesMax && utf8Bytes(text) <= bytesMax)
}

/**
 * The clean text, or as much of its start as fits into `bytesMax` bytes together with an ellipsis. What is cut has its
 * secrets taken out first: half a secret is not known for one any more.
 */
export function cutText(whole: string, bytesMax: number): string {
  if (isWithin(whole, bytesMax)) return whole
  const text = withoutSecrets(whole.slice(0, searchedFactor * bytesMax))
  let bytes = 0
  let end = 0
  while (end < text.length) {
    const units = (text.codePointAt(end) as number) > 0xffff ? 2 : 1
    let size = units
    for (let unit = 0; unit < units; unit += 1) size += extraBytesAt(text, end + unit)
    if (bytes + size > bytesMax - ellipsisBytes) break
    bytes += size
    end += units
  }
  return text.slice(0, end) + ellipsis
}

/** Bytes beyond one that the UTF-16 unit adds: each half of a pair counts for two bytes. */
function extraBytesAt(text: string, index: number): number {
  const code = text.charCodeAt(index)
  if (code < 0x80) return 0
  if (code < 0x800) return 1
  if (code < 0xd800 || code > 0xdfff) return 2
  return isPaired(text, index, code) ? 1 : 2
}

function isPaired(text: string, index: number, code: number): boolean {
  const other = text.charCodeAt(code < 0xdc00 ? index + 1 : index - 1)
  return code < 0xdc00 ? other >= 0xdc00 && other <= 0xdfff : other >= 0xd800 && other < 0xdc00
}
