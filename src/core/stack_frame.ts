import { stackBytesMax, stackCausesMax, stackLineCharactersMax } from './limit.ts'
import { isOwnFile } from './own_file.ts'
import { goFrameOf, javaFrameOf, rustNameOf } from './stack_language.ts'
import type { StackFrame, StackPart } from './stack_part.ts'

type MutablePart = { error_type: string | null; readonly rising: StackFrame[]; readonly falling: StackFrame[] }

/**
 * Reads a stack trace as V8, Firefox, Safari, Python, Java, Go or Rust print it: the exception that was raised first, then its causes
 * (`[cause]:`, `Caused by:`, "direct cause", "During handling") and the members of its group. Never throws; takes time
 * in proportion to the text, of which it reads at most `stackBytesMax` characters (first and last half), and at most
 * `stackCausesMax` exceptions.
 *
 * Source: https://v8.dev/docs/stack-trace-api and https://docs.python.org/3/library/traceback.html
 */
export function parseStack(text: string): StackPart[] {
  const lines = linesOf(text)
  const parts: MutablePart[] = [newPart()]
  let current = parts[0] as MutablePart
  const begin = (outer: boolean): void => {
    if (isBlank(current)) return
    // Python prints a cause before what it caused; inside a group that stays among the group's members.
    const place = outer ? parts.indexOf(current) : parts.length
    current = newPart()
    parts.splice(place, 0, current)
  }
  let before = ''
  for (const raw of lines) {
    const body = raw.replace(groupMargin, '')
    const line = body.trim()
    const above = before
    before = line
    if (line === '') continue
    // A second goroutine is none of the error's.
    if (line.startsWith('goroutine ') && current.falling.length > 0) break
    const go = goFrameOf(line, above)
    if (go !== null) current.falling.push(go)
    else if (line.startsWith('at ')) current.falling.push(javaFrameOf(line) ?? v8FrameOf(line, rustNameOf(above)))
    else if (line.startsWith('File "')) current.rising.push(pythonFrameOf(line))
    else if (above.startsWith('File "') && /^\s/.test(body)) addSource(current.rising, line)
    else if (outerFollows.test(line)) begin(true)
    else if (groupMember.test(line)) begin(false)
    else if (causeFollows.test(line)) {
      begin(false)
      current.error_type = typeOf(line.replace(causeFollows, ''))
    } else if (line.includes(pythonBegins)) {
      if (current.rising.length > 0) begin(false)
      else current.error_type = null
    } else if (current.error_type === null && !/^\s/.test(body)) current.error_type = typeOf(line)
  }
  if (parts.every((part) => part.rising.length + part.falling.length === 0))
    current.falling.push(...geckoFramesOf(lines))
  return parts.slice(0, stackCausesMax).map(({ error_type, rising, falling }) => ({
    error_type,
    frames: [...falling, ...rising.reverse()],
  }))
}

const pythonBegins = 'Traceback (most recent call last)'
const groupMargin = /^ {0,200}\| ?/
const groupMember = /^(?:\+-)?\+?-{3,} \d{1,9} -{3,}$/
const outerFollows = /^(?:The above exception was the direct cause|During handling of the above exception)/
const causeFollows = /^(?:\[cause\]|\[errors\]|Caused by): ?/i

function newPart(): MutablePart {
  return { error_type: null, rising: [], falling: [] }
}

function isBlank(part: MutablePart): boolean {
  return part.error_type === null && part.rising.length === 0 && part.falling.length === 0
}

function linesOf(text: string): string[] {
  const half = stackBytesMax / 2
  const bounded = text.length <= stackBytesMax ? text : `${text.slice(0, half)}\n${text.slice(-half)}`
  return bounded.split(/\r\n|\r|\n/).map((line) => line.slice(0, stackLineCharactersMax))
}

/** The name before the first colon, if it looks like one: `TypeError [ERR_X]: text`, `a.b.Error: text`, `KeyboardInterrupt`. */
function typeOf(header: string): string | null {
  const colon = header.indexOf(':')
  const name = (colon < 0 ? header : header.slice(0, colon))
    .replace(/^Uncaught /, '')
    .replace(/ \{$/, '')
    .trim()
  return /^[\p{L}_$][\p{L}\p{N}_.$]{0,200}(?: \[[\w-]{1,100}\])?$/u.test(name) ? name : null
}

/** `at fn (file:1:2)`, `at file:1:2`, `at async fn (file:1:2)`, `at eval (eval at fn (file:1:2), <anonymous>:1:1)`. */
function v8FrameOf(line: string, name: string | null): StackFrame {
  const rest = line.replace(/ \{$/, '').slice(3).trim()
  if (name !== null) return frameOf(name, rest)
  const open = rest.indexOf(' (')
  if (open < 0 || !rest.endsWith(')')) return frameOf(null, rest.replace(/^async /, ''))
  const location = rest.slice(open + 2, -1)
  const inner = location.startsWith('eval at ') ? location.slice(location.lastIndexOf('(') + 1) : location
  const close = inner === location ? -1 : inner.indexOf(')')
  return frameOf(rest.slice(0, open), close < 0 ? inner : inner.slice(0, close))
}

/** `File "x.py", line 3, in fn`; a SyntaxError's has no `in`. */
function pythonFrameOf(line: string): StackFrame {
  const quote = line.indexOf('"', 6)
  const file = quote < 0 ? line.slice(6) : line.slice(6, quote)
  const [, number, name] = /^", line (\d{1,9})(?:, in (.*))?/.exec(quote < 0 ? '' : line.slice(quote)) ?? []
  return {
    file,
    function: functionOf(name ?? null),
    line: number === undefined ? null : Number(number),
    in_app: isOwnFile(file),
  }
}

/** Of the lines below a frame only the first is its source. */
function addSource(rising: StackFrame[], line: string): void {
  const frame = rising.pop()
  if (frame !== undefined) rising.push({ ...frame, source: line })
}

/** `fn@file:1:2`, as Firefox and Safari print it. */
function geckoFramesOf(lines: readonly string[]): StackFrame[] {
  const frames: StackFrame[] = []
  for (const line of lines) {
    const at = line.indexOf('@')
    if (at < 0 || !/:\d{1,9}:\d{1,9}$/.test(line.slice(-22))) continue
    const name = line
      .slice(0, at)
      .trim()
      .replace(/^(?:async|promise callback|setTimeout handler)\*/, '')
    if (/\s/.test(name) && !name.endsWith(' code')) continue
    frames.push(frameOf(name.endsWith(' code') ? null : name.replace(/[/<]{1,9}$/, ''), line.slice(at + 1)))
  }
  return frames
}

/** A location without both line and column is none: engines print them always, messages that begin with `at` rarely. */
function frameOf(name: string | null, location: string): StackFrame {
  const [position, line, column] = /:(\d{1,9}):(\d{1,9})$/.exec(location.slice(-20)) ?? []
  const place = position === undefined ? '' : location.slice(0, -position.length)
  const file = place.split(place.includes('://') ? /[?#]/ : '?', 1)[0] as string
  const named = file === '<anonymous>' || /^\d*$/.test(file) ? null : file
  return {
    file: named,
    function: functionOf(name),
    line: line === undefined ? null : Number(line),
    in_app: named !== null && isOwnFile(named),
    ...(Number(line) <= minifiedLineMax && Number(column) >= minifiedColumnMin ? { minified: true as const } : {}),
  }
}

/** Nobody writes so: a whole program in a few lines. */
const minifiedLineMax = 20
const minifiedColumnMin = 500

function functionOf(name: string | null): string | null {
  if (name === null) return null
  const bare = name
    .replace(/^async /, '')
    .replace(/^new /, '')
    .replace(/ \[as [^\]]{1,200}\]$/, '')
    .replace(/^(?:module\.exports|exports|Object|Module)\./, '')
    .trim()
  return bare === '' || /^<(?:anonymous|lambda|listcomp|setcomp|dictcomp|genexpr)>$/.test(bare) ? null : bare
}
