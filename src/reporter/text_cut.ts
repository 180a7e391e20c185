/** Cuts text to at most `bytesMax` bytes of UTF-8, with a mark where something is missing. Lone surrogates become U+FFFD. */
export function cutText(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text
  const mark = '…'
  return `${headOf(text, bytesMax - Buffer.byteLength(mark))}${mark}`
}

/** Cuts text in its middle, so that its beginning and its end both stay (an outer stack and its innermost cause). */
export function cutMiddle(text: string, bytesMax: number): string {
  const bytes = Buffer.byteLength(text)
  if (bytes <= bytesMax) return text
  const mark = `\n… ${bytes - bytesMax} bytes and more left out …\n`
  const room = bytesMax - Buffer.byteLength(mark)
  const head = headOf(text, Math.ceil(room / 2))
  return `${head}${mark}${tailOf(text, room - Buffer.byteLength(head))}`
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
