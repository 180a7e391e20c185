import { isFailure, type Outcome } from '../../src/core/outcome.ts'
import { outcomeText } from './filter_text.ts'

/** How an outcome looks: a word, a colour and a shape, so that the colour never stands alone. */
export type OutcomeView = {
  readonly word: string
  readonly tone: 'ok' | 'warn' | 'error' | 'muted' | 'running'
  /** The outline of the shape, in a box of 12 by 12. */
  readonly path: string
}

const shapes = {
  // A disc, a triangle, a cross, a bar and a ring.
  ok: 'M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0-10z',
  warn: 'M6 1L11.5 11H.5z',
  error: 'M2.5 1L6 4.5L9.5 1L11 2.5L7.5 6L11 9.5L9.5 11L6 7.5L2.5 11L1 9.5L4.5 6L1 2.5z',
  muted: 'M1 4.5h10v3H1z',
  running: 'M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0-10zM6 3.2a2.8 2.8 0 1 1 0 5.6a2.8 2.8 0 1 1 0-5.6z',
} as const

const warned: ReadonlySet<string> = new Set(['empty', 'truncated', 'caller_fault'])

/** `running` is said of what has no end yet. An outcome that nobody told is none. */
export function outcomeViewOf(outcome: string | null | undefined, running: boolean): OutcomeView {
  const tone = toneOf(outcome ?? null, running)
  const word = running ? 'Running' : outcome ? outcomeText(outcome) : 'Not told'
  return { word, tone, path: shapes[tone] }
}

function toneOf(outcome: string | null, running: boolean): OutcomeView['tone'] {
  if (running) return 'running'
  if (outcome === 'ok') return 'ok'
  if (isFailure(outcome as Outcome | null)) return 'error'
  return outcome !== null && warned.has(outcome) ? 'warn' : 'muted'
}
