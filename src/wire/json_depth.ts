const quote = 0x22
const backslash = 0x5c

/**
 * Whether arrays and objects in the JSON text lie at most `depthMax` deep. One pass, no recursion; text inside strings
 * is skipped. What is not JSON gets some answer: the parser refuses it afterwards.
 */
export function isShallow(text: string, depthMax: number): boolean {
  let depth = 0
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i)
    if (code === quote) {
      const end = stringEnd(text, i)
      if (end < 0) return true
      i = end
    } else if (code === 0x5b || code === 0x7b) {
      depth += 1
      if (depth > depthMax) return false
    } else if (code === 0x5d || code === 0x7d) {
      depth -= 1
    }
  }
  return true
}

/** The index of the quote that ends the string whose quote is at `start`, -1 when it never ends. */
export function stringEnd(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes += 1
    if (escapes % 2 === 0) return end
  }
  return -1
}
