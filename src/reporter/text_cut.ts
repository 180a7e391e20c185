import { withoutSecrets } from '../core/secret_form.ts'
import { unredactable } from '../wire/bare_record.ts'

// So much more than what is kept is searched that no secret begins outside of it and reaches into what is kept.
const searchedFactor = 2

/**
 * Cuts text to at most `bytesMax` bytes of UTF-8, with a mark where something is missing. Lone surrogates become
 * U+FFFD. What is cut has its secrets taken out first: half a secret is not known for one any more.
 */
export function cutText(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text
  const mark = '…'
  const clean = redactedBeforeCut(text.slice(0, searchedFactor * bytesMax))
  if (text.length <= searchedFactor * bytesMax && Buffer.byteLength(clean) <= bytesMax) return clean
  return `${headOf(clean, bytesMax - Buffer.byteLength(mark))}${mark}`
}

/** Cuts text in its middle, so that its beginning and its end both stay (an outer stack and its innermost cause). */
export function cutMiddle(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text
  const reach = searchedFactor * bytesMax
  const whole = text.length <= 2 * reach
  const head = redactedBeforeCut(whole ? text : text.slice(0, reach))
  const tail = whole ? head : redactedBeforeCut(text.slice(-reach))
  if (whole && Buffer.byteLength(head) <= bytesMax) return head
  const mark = `\n… ${Buffer.byteLength(text) - bytesMax} bytes and more left out …\n`
  const room = bytesMax - Buffer.byteLength(mark)
  const kept = headOf(head, Math.ceil(room / 2))
  return `${kept}${mark}${tailOf(tail, room - Buffer.byteLength(kept))}`
}

function redactedBeforeCut(text: string): string {
  try {
    return withoutSecrets(text)
  } catch {
    return unredactable
  }
}

/** The longest beginning of at most `bytesMax` bytes that ends between two characters. */
function headOf(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text.slice(0, bytesMax))
  let end = Math.min(bytesMax, bytes.length)
  while (end > 0 && end < bytes.length && isContinuation(bytes[end])) end--
  return bytes.toString('utf8', 0, end)
}

/** The longest end of at most `bytesMax` bytes that begins between two characters. */
function tailOf(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text.slice(-bytesMax))
  let start = Math.max(0, bytes.length - bytesMax)
  while (start < bytes.length && isContinuation(bytes[start])) start++
  return bytes.toString('utf8', start)
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}
