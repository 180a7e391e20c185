import { sliceMsMax } from '../../core/limit.ts'

/** Ends the turn of the event loop, so that the host's own work comes between. */
function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/**
 * Runs work that is cut into steps, each far shorter than a millisecond, without ever holding the event loop much longer
 * than that: a step, another, and after `sliceMsMax` a breath.
 */
export async function runInSlices<T>(steps: Iterator<unknown, T>): Promise<T> {
  let until = performance.now() + sliceMsMax
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
    if (performance.now() < until) continue
    await breathe()
    until = performance.now() + sliceMsMax
  }
}

/** Runs the same work to its end, where there is no later: at the exit of the host. */
export function runAtOnce<T>(steps: Iterator<unknown, T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}
