// Errors whose cause is known, as many languages print them on many machines. Everything is drawn from a seed. What is one
// cause was decided by who would fix it: one statement that fails is one cause whatever its data, depth, caller further
// out, machine and release; two statements, two codes of a provider, or two wrapped causes are two.
import type { Failure } from '../src/core/fingerprint.ts'
import { type Occasion, places, printStack } from './error_stack.ts'
import type { Call, Cause } from './labelled_cause.ts'
import { drawFrom } from './seeded_draw.ts'

export type Labelled = { readonly label: string; readonly family: string; readonly failure: Failure }

/** So many errors of each cause. */
export function labelledErrors(causes: readonly Cause[], seed: number, each: number): readonly Labelled[] {
  const draw = drawFrom(seed)
  return causes.flatMap((cause, label) =>
    Array.from({ length: each }, () => {
      const occasion = { place: draw.pick(places), release: draw.int(0, 4), draw }
      return { label: `${cause.family} ${label}`, family: cause.family, failure: failureOf(cause, occasion) }
    }),
  )
}

function failureOf(cause: Cause, occasion: Occasion): Failure {
  const message = cause.message(occasion.draw)
  const { stack } = cause
  if (stack === undefined) return { error_type: cause.type, message, traceback: null }
  const inner = stack.calls(occasion.draw)
  // Who calls it is not the cause: requests come through other doors, and a release puts one more frame around them all.
  const doors = stack.doors === undefined ? [] : occasion.draw.pick(stack.doors)
  const around: readonly Call[] = occasion.release >= 3 ? (stack.around ?? []) : []
  const raised = { type: cause.type, message, calls: [...inner, ...doors, ...around] }
  const wrapped = (stack.causedBy ?? []).map(({ type, message: tell, calls }) => ({
    type,
    message: tell(occasion.draw),
    calls,
  }))
  return { error_type: cause.type, message, traceback: printStack(stack.language, [raised, ...wrapped], occasion) }
}
