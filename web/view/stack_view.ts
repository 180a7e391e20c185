import { stackBytesMax, stackLineCharactersMax } from '../../src/core/limit.ts'
import { parseStack } from '../../src/core/stack_frame.ts'

/**
 * What a line of a stack trace is: `own` and `library` name code, `own_code` and `library_code` quote it below, `error` names an
 * exception, `cause` says how the exception below or above it came about, `text` is anything else.
 */
export type StackLine = {
  readonly kind: 'own' | 'library' | 'own_code' | 'library_code' | 'error' | 'cause' | 'text'
  readonly text: string
}

const cause = /^(?:\[cause\]|\[errors\]|Caused by|The above exception was|During handling of the above)/i
const groupMember = /^\+(?:-\+)?-{3,} \d{1,9} -{3,}$/
const begins = /^(?:Uncaught )?(?:\+ )?(?:Exception Group )?Traceback \(most recent call last\)/
const named = /^(?:Uncaught )?[\p{L}_$][\p{L}\p{N}_.$]{0,200}(?: \[[\w-]{1,100}\])?(?::|$)/u

/** A stack trace line by line, as it came. Never throws; text beyond `stackBytesMax` characters is left out at the end. */
export function stackLinesOf(traceback: string): readonly StackLine[] {
  const lines: StackLine[] = []
  let above: StackLine['kind'] = 'text'
  let indent = 0
  // What precedes the first frame, and what follows Python's last, is the exception's name and message.
  let headed = false
  for (const text of traceback.slice(0, stackBytesMax).split(/\r\n|\r|\n/)) {
    const bounded = text.slice(0, stackLineCharactersMax)
    const kind = kindOf(bounded, above, indent, headed)
    lines.push({ kind, text })
    if (isFramed(bounded)) indent = indentOf(bounded)
    headed = kind === 'error' || (headed && kind === 'text')
    above = kind
  }
  while (lines.at(-1)?.text.trim() === '') lines.pop()
  return lines
}

function kindOf(line: string, above: StackLine['kind'], indent: number, headed: boolean): StackLine['kind'] {
  const body = bodyOf(line)
  const frame = isFramed(line) ? parseStack(body)[0]?.frames[0] : undefined
  // A message may have a line that begins with `at` and names no place.
  if (frame !== undefined && (frame.file !== null || body.includes(' ('))) return frame.in_app ? 'own' : 'library'
  if (cause.test(body) || groupMember.test(body)) return 'cause'
  if (begins.test(body)) return 'text'
  // Python quotes the code below the line that names it, and underlines it.
  if (above.startsWith('own') && indentOf(line) > indent) return 'own_code'
  if (above.startsWith('library') && indentOf(line) > indent) return 'library_code'
  return !headed && (line === body || line.includes('|')) && named.test(body) ? 'error' : 'text'
}

function isFramed(line: string): boolean {
  const body = bodyOf(line)
  if (body.startsWith('at ') || body.startsWith('File "')) return true
  return body.includes('@') && /:\d{1,9}:\d{1,9}$/.test(body.slice(-22))
}

/** Without indentation and the margin that Python draws beside the members of a group. */
function bodyOf(line: string): string {
  return line.replace(/^[\s|]+/, '').trimEnd()
}

function indentOf(line: string): number {
  return line.search(/[^\s|]/)
}

/** How many of the lines that name code are the deployment's own, and how many there are in all. */
export function frameCountsOf(lines: readonly StackLine[]): { readonly own: number; readonly all: number } {
  const frames = lines.filter(({ kind }) => kind === 'own' || kind === 'library')
  return { own: frames.filter(({ kind }) => kind === 'own').length, all: frames.length }
}
