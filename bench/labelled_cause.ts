// A cause of labelled errors: what fails, where, and what its message says.
import type { Language } from './error_stack.ts'
import type { Draw } from './seeded_draw.ts'

/** A frame. A file that begins with `@` is a package's, with `#` the language's. `code` is its line of source (Python). */
export type Call = { readonly fn: string; readonly file: string; readonly line: number; readonly code?: string }

export type Tell = (draw: Draw) => string

export type Cause = {
  /** What the cause is there to try. */
  readonly family: string
  readonly type: string
  readonly message: Tell
  readonly stack?: {
    readonly language: Language
    /** Innermost first, as far as the cause reaches. */
    readonly calls: (draw: Draw) => readonly Call[]
    /** Who may have called it, one of these each time. */
    readonly doors?: readonly (readonly Call[])[]
    /** What a later release puts around everything. */
    readonly around?: readonly Call[]
    readonly causedBy?: readonly { readonly type: string; readonly message: Tell; readonly calls: readonly Call[] }[]
  }
}

export const at = (fn: string, file: string, line: number, code?: string): Call =>
  code === undefined ? { fn, file, line } : { fn, file, line, code }

/** A message that is always the same. */
export const says =
  (text: string): Tell =>
  () =>
    text
