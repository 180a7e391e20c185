/**
 * Whether a key matches a pattern of KEYS and SCAN: `*`, `?`, `[a-z]`, `[^a]`, and `\` before what is meant as it is.
 * Bytes, not characters. Goes back to the last star only, so no pattern takes more than pattern x key steps.
 */
export function matchesGlob(pattern: string, key: string): boolean {
  if (pattern === '*') return true
  // Redis does not look at a pattern when there is nothing to match it with.
  if (key === '') return pattern === ''
  let p = 0
  let k = 0
  let star: { after: number; from: number } | null = null
  while (k < key.length) {
    if (pattern[p] === '*') {
      p += 1
      star = { after: p, from: k }
      continue
    }
    const next = p < pattern.length ? stepOf(pattern, p, key.charCodeAt(k)) : null
    if (next !== null) {
      p = next
      k += 1
    } else if (star !== null) {
      star.from += 1
      p = star.after
      k = star.from
    } else {
      return false
    }
  }
  while (pattern[p] === '*') p += 1
  return p >= pattern.length
}

/** Where the pattern goes on when its part at `p` takes this byte; null when it does not. */
function stepOf(pattern: string, p: number, byte: number): number | null {
  if (pattern[p] === '?') return p + 1
  if (pattern[p] === '[') return classStepOf(pattern, p + 1, byte)
  const literal = pattern[p] === '\\' && p + 1 < pattern.length ? p + 1 : p
  return pattern.charCodeAt(literal) === byte ? literal + 1 : null
}

function classStepOf(pattern: string, start: number, byte: number): number | null {
  const negated = pattern[start] === '^'
  let p = negated ? start + 1 : start
  let found = false
  // A class that nothing closes reaches to the end of the pattern.
  for (; p < pattern.length && pattern[p] !== ']'; p += 1) {
    if (pattern[p] === '\\' && p + 1 < pattern.length) {
      p += 1
      found ||= pattern.charCodeAt(p) === byte
    } else if (pattern[p + 1] === '-' && p + 2 < pattern.length) {
      const ends = [signed(pattern.charCodeAt(p)), signed(pattern.charCodeAt(p + 2))]
      found ||= Math.min(...ends) <= signed(byte) && signed(byte) <= Math.max(...ends)
      p += 2
    } else {
      found ||= pattern.charCodeAt(p) === byte
    }
  }
  return found === negated ? null : p + 1
}

/** Redis compares the ends of a range as C's `char`, which is signed. */
function signed(byte: number): number {
  return byte > 127 ? byte - 256 : byte
}
