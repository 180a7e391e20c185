// Finds where the members of a JSON text lie, so that one can be set and every other character stays.

type Range = { readonly start: number; readonly end: number }
type Member = { readonly key: string; readonly value: Range }
type Edit = Range & { readonly text: string }

const scalar = /[^,\]} \t\n\r]*/y
const blanks = /[ \t\n\r]*/y
const [quote, backslash] = [0x22, 0x5c]
const [openObject, closeObject, openArray, closeArray] = [0x7b, 0x7d, 0x5b, 0x5d]

/**
 * Sets members of type string in the object at `path`: makes the objects that are missing on the way, replaces members
 * that are there (the last, where a key stands twice: that is the one that parsers read). Every other character stays
 * as it was. Null when the text is no JSON object or something on the path is no object. Linear in the text's length.
 */
export function spliceMembers(
  text: string,
  path: readonly string[],
  members: Readonly<Record<string, string>>,
): string | null {
  const whole = wholeValue(text)
  return whole === null ? null : spliceInto(text, whole, path, members)
}

/** The texts of an array's items and what stands around them; null when the text is no JSON array. */
export function itemsOf(text: string): readonly Range[] | null {
  const whole = wholeValue(text)
  if (whole === null || text.charCodeAt(whole.start) !== openArray) return null
  const items: Range[] = []
  let at = skipBlanks(text, whole.start + 1)
  while (at < whole.end - 1) {
    const end = endOfValue(text, at)
    items.push({ start: at, end })
    at = skipBlanks(text, skipBlanks(text, end) + 1)
  }
  return items
}

function spliceInto(
  text: string,
  whole: Range,
  path: readonly string[],
  members: Readonly<Record<string, string>>,
): string | null {
  let place = whole
  for (const [depth, name] of path.entries()) {
    if (text.charCodeAt(place.start) !== openObject) return null
    const found = lastMembers(text, place, new Set([name]))
    const next = found.members.get(name)
    if (!next) {
      const inner = JSON.stringify(members)
      const missing = path.slice(depth + 1).reduceRight((json, key) => `{${JSON.stringify(key)}:${json}}`, inner)
      return edited(text, [insertion(found.tail, found.empty, [`${JSON.stringify(name)}:${missing}`])])
    }
    place = next
  }
  if (text.charCodeAt(place.start) !== openObject) return null
  const names = Object.keys(members)
  const found = lastMembers(text, place, new Set(names))
  const edits: Edit[] = []
  const added: string[] = []
  for (const name of names) {
    const json = JSON.stringify(members[name])
    const there = found.members.get(name)
    if (there) edits.push({ ...there, text: json })
    else added.push(`${JSON.stringify(name)}:${json}`)
  }
  if (added.length > 0) edits.push(insertion(found.tail, found.empty, added))
  return edited(text, edits)
}

function insertion(tail: number, empty: boolean, members: readonly string[]): Edit {
  return { start: tail, end: tail, text: `${empty ? '' : ','}${members.join(',')}` }
}

function edited(text: string, edits: readonly Edit[]): string {
  let result = ''
  let at = 0
  for (const edit of edits.toSorted((a, b) => a.start - b.start)) {
    result += text.slice(at, edit.start) + edit.text
    at = edit.end
  }
  return result + text.slice(at)
}

/** Where the last member of each of these names lies in a valid object, and where another could be added. */
function lastMembers(text: string, place: Range, names: ReadonlySet<string>) {
  const members = new Map<string, Range>()
  let tail = place.start + 1
  for (const { key, value } of membersOf(text, place)) {
    tail = value.end
    if (names.has(key)) members.set(key, value)
  }
  return { members, tail, empty: tail === place.start + 1 }
}

function* membersOf(text: string, place: Range): Iterable<Member> {
  let at = skipBlanks(text, place.start + 1)
  while (at < place.end - 1) {
    const keyEnd = endOfString(text, at)
    const raw = text.slice(at, keyEnd)
    const key = raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1)
    const start = skipBlanks(text, skipBlanks(text, keyEnd) + 1)
    const end = endOfValue(text, start)
    yield { key, value: { start, end } }
    at = skipBlanks(text, skipBlanks(text, end) + 1)
  }
}

/** Where the one value that the text is begins; null when it is no JSON. The engine's own parser is the fastest judge. */
function wholeValue(text: string): Range | null {
  try {
    JSON.parse(text)
  } catch {
    return null
  }
  const start = skipBlanks(text, 0)
  return { start, end: endOfValue(text, start) }
}

/** The index behind the value that begins at `start` in a text that is JSON. Counts the depth: it costs no frames. */
function endOfValue(text: string, start: number): number {
  const first = text.charCodeAt(start)
  if (first === quote) return endOfString(text, start)
  if (first !== openObject && first !== openArray) {
    scalar.lastIndex = start
    scalar.test(text)
    return scalar.lastIndex
  }
  let depth = 0
  for (let at = start; ; ) {
    const code = text.charCodeAt(at)
    if (code === quote) {
      at = endOfString(text, at)
      continue
    }
    at++
    if (code === openObject || code === openArray) depth++
    else if ((code === closeObject || code === closeArray) && --depth === 0) return at
  }
}

/** Searches quotes, which engines do fast, and counts the backslashes before each: an odd one belongs to the string. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); ; at = text.indexOf('"', at + 1)) {
    let before = at
    while (text.charCodeAt(before - 1) === backslash) before--
    if ((at - before) % 2 === 0) return at + 1
  }
}

function skipBlanks(text: string, start: number): number {
  if (text.charCodeAt(start) > 0x20) return start
  blanks.lastIndex = start
  blanks.test(text)
  return blanks.lastIndex
}
