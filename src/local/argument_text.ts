import { restDepthMax } from '../core/limit.ts'
import { stringEnd } from '../wire/json_depth.ts'

const quote = 0x22

/**
 * The keys of a JSON object with the text of their values, the last where a key repeats, read in one pass that builds
 * nothing else: a body of a megabyte stays text on its way to PostgreSQL, which alone parses its values (and refuses what
 * is malformed inside them). Null when the text is not one object, or nests more than restDepthMax deep: PostgreSQL
 * recurses, and in PGlite a body of brackets ended its session for good.
 */
export function argumentTextsOf(text: string): ReadonlyMap<string, string> | null {
  let at = skipSpace(text, 0)
  if (text[at] !== '{') return null
  const values = new Map<string, string>()
  at = skipSpace(text, at + 1)
  if (text[at] === '}') return isEnd(text, at + 1) ? values : null
  for (;;) {
    const end = text.charCodeAt(at) === quote ? stringEnd(text, at) : -1
    if (end < 0) return null
    const name = nameOf(text.slice(at, end + 1))
    if (name === null) return null
    const colon = skipSpace(text, end + 1)
    if (text[colon] !== ':') return null
    at = valueEnd(text, colon + 1)
    if (at < 0) return null
    values.set(name, text.slice(colon + 1, at))
    if (text[at] === '}') return isEnd(text, at + 1) ? values : null
    at = skipSpace(text, at + 1)
  }
}

function nameOf(literal: string): string | null {
  try {
    return JSON.parse(literal) as string
  } catch {
    return null
  }
}

function isEnd(text: string, at: number): boolean {
  return skipSpace(text, at) === text.length
}

function skipSpace(text: string, from: number): number {
  let at = from
  for (;;) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at
    at += 1
  }
}

/** Where the comma or the brace stands that ends the value, -1 when none does. */
function valueEnd(text: string, from: number): number {
  let depth = 0
  for (let at = from; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case quote:
        at = stringEnd(text, at)
        if (at < 0) return -1
        break
      case 0x7b: // {
      case 0x5b: // [
        depth += 1
        if (depth > restDepthMax) return -1
        break
      case 0x5d: // ]
        depth -= 1
        if (depth < 0) return -1
        break
      case 0x7d: // }
        if (depth === 0) return at
        depth -= 1
        break
      case 0x2c: // ,
        if (depth === 0) return at
        break
    }
  }
  return -1
}
