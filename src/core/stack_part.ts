/** One line of a stack trace that names code. */
export type StackFrame = {
  /** As printed, without query string; null for native code and the like. */
  readonly file: string | null
  /** Without `async`, `new` and `[as alias]`; null when it has no name of its own. */
  readonly function: string | null
  readonly line: number | null
  /** The deployment's own code: no package, no part of the language or its runtime. */
  readonly in_app: boolean
  /** The line of source that Python prints below a frame. */
  readonly source?: string
  /** Of a bundle without names: neither function nor file mean anything. */
  readonly minified?: true
}

/** One exception of a stack trace. */
export type StackPart = {
  /** As printed before the message, such as `TypeError` or `httpx.ReadTimeout`; null where the trace does not say. */
  readonly error_type: string | null
  /** Innermost call first, in every language. */
  readonly frames: readonly StackFrame[]
}
