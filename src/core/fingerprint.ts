import { fingerprintFramesMax, fingerprintMessageCharactersMax } from './limit.ts'
import { murmurHashOf } from './murmur_hash.ts'
import type { ErrorRecord } from './record.ts'
import { commonRootOf, pathBelow } from './source_path.ts'
import { parseStack, type StackFrame, type StackPart } from './stack_frame.ts'

export type Failure = Pick<ErrorRecord, 'error_type' | 'message' | 'traceback'>

/**
 * Names the group that a failure belongs to: `v1:` and 32 hex digits, equal for equal causes on every machine.
 *
 * From the error's type and, of it and each of its causes, the distinct in-app frames as function and path: without
 * line numbers, query strings, hashes of builds, and without where the project lies (see `commonRootOf`). Where no frame
 * is in-app: from the type and the message without its numbers, ids, quoted values and paths.
 * A change to any of these rules is a new version.
 */
export function fingerprintOf(error: Failure): string {
  return `v1:${murmurHashOf(JSON.stringify(groundsOf(error)))}`
}

/** The innermost in-app frame, of the error itself before its causes: `readFile (src/store/file.ts)`; null without one. */
export function culpritOf(error: Failure): string | null {
  const parts = partsOf(error)
  const frame = inAppFramesOf(parts)[0]
  if (frame === undefined) return null
  const path = pathBelow(rootOf(parts), frame.file as string)
  return frame.function === null ? path : `${frame.function} (${path})`
}

/** A message without what differs from one occurrence to the next: numbers, ids, quoted values, paths and addresses. */
export function messagePatternOf(message: string): string {
  return message
    .slice(0, fingerprintMessageCharactersMax)
    .replace(/"[^"]*"|`[^`]*`|(?<!\w)'[^'\n]*'(?!\w)/g, '<text>')
    .split(/\s+/)
    .map(wordPatternOf)
    .join(' ')
    .replace(/<path>(?: <path>)+/g, '<path>')
    .trim()
}

type Grounds = readonly (readonly [errorType: string, ...frames: string[]])[] | readonly ['message', string, string]

function groundsOf(error: Failure): Grounds {
  const parts = partsOf(error)
  if (inAppFramesOf(parts).length === 0) return ['message', error.error_type, messagePatternOf(error.message)]
  const root = rootOf(parts)
  const grounds = parts.map((part, i): [string, ...string[]] => {
    const lines = inAppFramesOf([part]).map((frame) => frameTextOf(frame, root))
    const type = i === 0 ? error.error_type : (part.error_type ?? '')
    return [type, ...[...new Set(lines)].slice(0, fingerprintFramesMax)]
  })
  // How many members of a group failed alike says nothing.
  return [...new Map(grounds.map((ground) => [JSON.stringify(ground), ground])).values()]
}

function partsOf(error: Failure): StackPart[] {
  return error.traceback === null ? [] : parseStack(error.traceback)
}

function inAppFramesOf(parts: readonly StackPart[]): StackFrame[] {
  return parts.flatMap(({ frames }) => frames.filter((frame) => frame.in_app))
}

function rootOf(parts: readonly StackPart[]): string {
  return commonRootOf(inAppFramesOf(parts).map((frame) => frame.file as string))
}

function frameTextOf(frame: StackFrame, root: string): string {
  // A bundler numbers names that would clash: `read$1`.
  const name = frame.function?.replace(/\$\d+$/, '').replace(/0x[\da-f]+/gi, '') ?? ''
  return `${name}@${withoutHashes(pathBelow(root, frame.file as string))}`
}

/** `chunk-3f2a9c1b.js` is `chunk-#.js`: eight or more hex digits, a decimal one among them. */
function withoutHashes(path: string): string {
  return path.replace(/[\da-f]{8,}/gi, (hex) => (/\d/.test(hex) ? '#' : hex))
}

function wordPatternOf(word: string): string {
  if (word.includes('://')) return '<url>'
  if (word.includes('\\') || /^[("[]?(?:~|\.{1,2})?\/./.test(word) || word.split('/').length > 2) return '<path>'
  return word
    .replace(/0x[\da-f]+/gi, '<n>')
    .replace(/[\w-]{8,}/g, (name) => (isId(name) ? '<n>' : name))
    .replace(/\d+(?:\.\d+)*/g, '<n>')
}

/** Two decimal digits and a letter among eight characters or more, or nothing but hex digits and hyphens with one. */
function isId(name: string): boolean {
  const digits = name.match(/\d/g)?.length ?? 0
  return /^[\da-f-]+$/i.test(name) ? digits > 0 && /[a-f-]/i.test(name) : digits > 1 && /[a-z]/i.test(name)
}
