import { causesMax, messageBytesMax, nameBytesMax, stackBytesMax, thrownValuesMax } from '../core/limit.ts'
import type { Json } from '../core/record.ts'
import { withoutSecrets } from '../core/secret_form.ts'
import { redactJson } from '../wire/redact_json.ts'
import { cutMiddle, cutText } from './text_cut.ts'

/** What was thrown, as an error record tells it. */
export type Failure = { readonly errorType: string; readonly message: string; readonly traceback: string | null }

/**
 * Describes anything that can be thrown, and never throws itself, whatever its getters do. The traceback is the stack
 * as V8 prints it, then those of the members of an AggregateError (`[errors]: `) and of its causes (`Caused by: `),
 * innermost last; at most `causesMax` of them, no error twice.
 */
export function failureOf(thrown: unknown): Failure {
  const parts: string[] = []
  collect(thrown, '', parts, new Set())
  const traceback = parts.join('\n')
  return {
    errorType: cutText(errorTypeOf(thrown), nameBytesMax),
    message: cutText(messageOf(thrown), messageBytesMax),
    traceback: traceback === '' ? null : cutMiddle(traceback, stackBytesMax),
  }
}

function collect(thrown: unknown, label: string, parts: string[], seen: Set<unknown>): void {
  if (parts.length > causesMax || seen.has(thrown)) return
  if (typeof thrown === 'object') seen.add(thrown)
  const stack = fieldOf(thrown, 'stack')
  if (typeof stack === 'string' && stack !== '') parts.push(label + stack)
  else if (label !== '') parts.push(`${label}${errorTypeOf(thrown)}: ${messageOf(thrown)}`)
  const members = fieldOf(thrown, 'errors')
  if (isError(thrown) && isArray(members)) {
    for (const member of members.slice(0, causesMax)) {
      collect(member, '[errors]: ', parts, seen)
    }
  }
  const cause = fieldOf(thrown, 'cause')
  if (isError(thrown) && cause !== undefined && cause !== null) collect(cause, 'Caused by: ', parts, seen)
  // A SuppressedError: what disposing threw, and what it was that had been thrown before.
  const suppressed = fieldOf(thrown, 'suppressed')
  if (!isError(thrown) || !isError(suppressed)) return
  collect(fieldOf(thrown, 'error'), 'Caused by: ', parts, seen)
  collect(suppressed, 'Suppressed: ', parts, seen)
}

function isError(thrown: unknown): boolean {
  try {
    return thrown instanceof Error || Object.prototype.toString.call(thrown) === '[object Error]'
  } catch {
    return false
  }
}

/** The name of an error's kind: its own, else its class's, else what `typeof` says. */
export function errorTypeOf(thrown: unknown): string {
  if (thrown === null || typeof thrown !== 'object') return thrown === null ? 'null' : typeof thrown
  const name = fieldOf(thrown, 'name')
  const own = fieldOf(fieldOf(thrown, 'constructor'), 'name')
  // A subclass that never set `name` still says `Error`; its class knows better.
  if (isError(thrown) && (name === 'Error' || typeof name !== 'string' || name === '')) {
    return typeof own === 'string' && own !== '' ? own : 'Error'
  }
  if (typeof name === 'string' && name !== '') return name
  return typeof own === 'string' && own !== '' ? own : 'object'
}

function messageOf(thrown: unknown): string {
  const message = fieldOf(thrown, 'message')
  if (typeof message === 'string') return message
  // Its text is the host's code.
  if (typeof thrown === 'function') return `function ${String(fieldOf(thrown, 'name'))}`
  try {
    return typeof thrown === 'object' && thrown !== null ? objectText(thrown) : String(thrown)
  } catch {
    return 'Cannot read the thrown value: it refuses to be read'
  }
}

/** As JSON, its secrets taken out here, where their names are still names; cut where it is large or leads back. */
function objectText(thrown: object): string {
  const path: unknown[] = []
  let values = 0
  const json = JSON.stringify(thrown, function (this: unknown, _key: string, value: unknown) {
    if (++values > thrownValuesMax) return undefined
    if (typeof value === 'bigint') return String(value)
    if (typeof value !== 'object' || value === null) return value
    while (path.length > 0 && path.at(-1) !== this) path.pop()
    if (path.includes(value)) return '[circular]'
    path.push(value)
    return value
  }) as string | undefined
  return json === undefined ? '' : JSON.stringify(redactJson(JSON.parse(json) as Json, withoutSecrets))
}

function isArray(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}

/** A property, undefined where there is none or it cannot be read. */
export function fieldOf(value: unknown, key: string): unknown {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return undefined
  try {
    return (value as { readonly [key: string]: unknown })[key]
  } catch {
    return undefined
  }
}
