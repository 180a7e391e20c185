import { fingerprintFramesMax } from './limit.ts'
import { messageCodesOf, messagePatternOf } from './message_pattern.ts'
import { murmurHashOf } from './murmur_hash.ts'
import type { ErrorRecord } from './record.ts'
import { commonRootOf, pathBelow } from './source_path.ts'
import { parseStack } from './stack_frame.ts'
import type { StackFrame, StackPart } from './stack_part.ts'

export type Failure = Pick<ErrorRecord, 'error_type' | 'message' | 'traceback'>

/**
 * Names the group that a failure belongs to: `v1:` and 32 hex digits, equal for equal causes on every machine.
 *
 * From the error's type, the codes in its message, and, of it and each of its causes, the innermost in-app frame: function,
 * path and, where Python prints it, line of source, without line numbers, query strings, hashes of builds, and without
 * where the project lies. Who called it does not count, so that a new frame further out or another depth of recursion
 * makes no new group; only who called an assertion does. Of a stack that overflowed: the frames that repeat. Where no frame
 * is in-app and has a name: from type, codes and the message without its data.
 * A change to any of these rules is a new version. `bench/error_grouping.ts` measures them.
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

type Ground = readonly [errorType: string, ...frames: string[]]
type Grounds =
  | readonly [codes: readonly string[], ...Ground[]]
  | readonly [readonly string[], 'message', string, string]

function groundsOf(error: Failure): Grounds {
  const parts = partsOf(error)
  const codes = messageCodesOf(error.message)
  if (!parts.some(({ frames }) => frames.some(isTelling)))
    return [codes, 'message', error.error_type, messagePatternOf(error.message)]
  const overflowed = overflow.test(error.error_type) || overflow.test(error.message.slice(0, overflowCharactersMax))
  const grounds = parts.map(({ error_type, frames }, i): Ground => {
    const telling = frames.filter(isTelling)
    const lines = (overflowed ? repeatedIn(telling) : null) ?? failedIn(telling)
    return [i === 0 ? error.error_type : (error_type ?? ''), ...lines]
  })
  // How many members of a group failed alike says nothing.
  return [codes, ...new Map(grounds.map((ground) => [JSON.stringify(ground), ground])).values()]
}

const overflow = /^RecursionError$|StackOverflowError$|Maximum call stack|stack overflow|too much recursion/
const overflowCharactersMax = 200

/** The innermost frame; of one that only checks what it was given, who gave it too. */
function failedIn(frames: readonly StackFrame[]): readonly string[] {
  const last = frames.findIndex((frame) => !isAssertion(frame))
  return [...new Set(frames.slice(0, last + 1 || undefined).map(failedText))].slice(0, fingerprintFramesMax)
}

/** Whichever of them was innermost when there was no more room; null where none repeats. */
function repeatedIn(frames: readonly StackFrame[]): readonly string[] | null {
  const seen = new Set<string>()
  const repeated = new Set<string>()
  for (const text of frames.map(frameText)) {
    if (seen.has(text)) repeated.add(text)
    seen.add(text)
  }
  return repeated.size === 0 ? null : [...repeated].sort().slice(0, fingerprintFramesMax)
}

function isAssertion({ function: name }: StackFrame): boolean {
  return name !== null && assertion.test(name)
}

const assertion = /(?:^|[.:_#])(?:assert|require|ensure|check|expect|invariant|unwrap|must)(?![a-z])/

/** Whether a frame says where the failure is: the deployment's own code, under its own name. */
function isTelling(frame: StackFrame): boolean {
  return frame.in_app && frame.minified !== true
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

function failedText(frame: StackFrame): string {
  return frame.source === undefined ? frameText(frame) : `${frameText(frame)} ${frame.source}`
}

/** Below no common root: it would depend on which other frames there are. */
function frameText(frame: StackFrame): string {
  // A bundler numbers names that would clash: `read$1`.
  const name = frame.function?.replace(/\$\d+$/, '').replace(/0x[\da-f]+/gi, '') ?? ''
  return `${name}@${withoutHashes(pathBelow('', frame.file as string))}`
}

/** `chunk-3f2a9c1b.js` is `chunk-#.js`: eight or more hex digits, a decimal one among them. */
function withoutHashes(path: string): string {
  return path.replace(/[\da-f]{8,}/gi, (hex) => (/\d/.test(hex) ? '#' : hex))
}
