// A JSON text as RFC 8259 has it, read without building it: only where its members lie, so that all other bytes stay.

type Range = { readonly start: number; readonly end: number }
type Member = { readonly key: string; readonly value: Range }
type Edit = Range & { readonly text: string }

const scalar = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y
const escapes = /["\\/bfnrt]|u[0-9a-fA-F]{4}/y
const blanks = /[ \t\n\r]*/y
const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a]
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

/** The one value that the text is, checked to its last character; null when it is no JSON. */
function wholeValue(text: string): Range | null {
  const start = skipBlanks(text, 0)
  const end = endOfValue(text, start)
  return end < 0 || skipBlanks(text, end) !== text.length ? null : { start, end }
}

/** The index behind the value that begins at `start`; -1 when none does. Keeps its own stack: depth costs no frames. */
function endOfValue(text: string, start: number): number {
  const closers: number[] = []
  let at = start
  for (;;) {
    const code = text.charCodeAt(at)
    if (code === openObject || code === openArray) {
      const closer = code === openObject ? closeObject : closeArray
      const inside = skipBlanks(text, at + 1)
      if (text.charCodeAt(inside) !== closer) {
        closers.push(closer)
        at = code === openObject ? endOfKey(text, inside) : inside
        if (at < 0) return -1
        continue
      }
      at = inside + 1
    } else {
      at = code === quote ? endOfString(text, at) : endOfScalar(text, at)
      if (at < 0) return -1
    }
    at = behindClosers(text, at, closers)
    if (at < 0 || closers.length === 0) return at
  }
}

/** After a value inside containers: past all that close here, and on to the next value. */
function behindClosers(text: string, end: number, closers: number[]): number {
  let at = end
  while (closers.length > 0) {
    at = skipBlanks(text, at)
    const code = text.charCodeAt(at)
    const closer = closers.at(-1)
    if (code === comma) {
      const next = skipBlanks(text, at + 1)
      return closer === closeObject ? endOfKey(text, next) : next
    }
    if (code !== closer) return -1
    closers.pop()
    at++
  }
  return at
}

/** The index of the value behind a key and its colon; -1 when no key stands here. */
function endOfKey(text: string, start: number): number {
  if (text.charCodeAt(start) !== quote) return -1
  const end = endOfString(text, start)
  if (end < 0) return -1
  const at = skipBlanks(text, end)
  return text.charCodeAt(at) === colon ? skipBlanks(text, at + 1) : -1
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) return at + 1
    if (code < 0x20) return -1
    if (code !== backslash) continue
    escapes.lastIndex = at + 1
    if (!escapes.test(text)) return -1
    at = escapes.lastIndex - 1
  }
  return -1
}

function endOfScalar(text: string, start: number): number {
  scalar.lastIndex = start
  return scalar.test(text) ? scalar.lastIndex : -1
}

function skipBlanks(text: string, start: number): number {
  if (text.charCodeAt(start) > 0x20) return start
  blanks.lastIndex = start
  blanks.test(text)
  return blanks.lastIndex
}
