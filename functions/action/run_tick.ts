import { statementMsMax, storeSlackMs, tickLeaseSeconds, tickMsMax } from '../../src/core/limit.ts'
import {
  type StepAnswer,
  StoreError,
  type TickActions,
  type TickStep,
  type TickStore,
  tickSteps,
} from '../store/port.ts'

/** How much each step did; `failed` where it broke off, with the reason, `more` where time ran out first. */
export type TickReport = {
  readonly claimed: boolean
  readonly steps: { readonly [step in TickStep]?: StepReport }
}

export type StepReport = { readonly done: number; readonly more: boolean; readonly failed: string | null }

/**
 * One pass of the tick under a lease. Each step runs at least once, while the lease covers it, and then as long as more of
 * it waits and its share of `tickMsMax` lasts; a step that fails does not stop the others, and the lease is given back. `clock` gives µs.
 * @throws StoreError when the lease cannot be asked for
 */
export async function runTick(
  store: TickStore,
  actions: TickActions,
  holder: string,
  clock: () => number,
): Promise<TickReport> {
  if (!(await store.claimTick(holder, tickLeaseSeconds))) return { claimed: false, steps: {} }
  const startedAt = clock()
  const endsAt = startedAt + tickMsMax * 1_000
  // What begins later than this could outlast the lease.
  const lastStartAt = startedAt + (tickLeaseSeconds * 1_000 - statementMsMax - storeSlackMs) * 1_000
  const steps: { [step in TickStep]?: StepReport } = {}
  try {
    for (const [index, step] of tickSteps.entries()) {
      const now = clock()
      if (now > lastStartAt) break
      const share = (endsAt - now) / (tickSteps.length - index)
      steps[step] = await runStep(actions[step] ?? (() => store.runStep(step)), now + share, clock)
    }
  } finally {
    // A lease that cannot be given back runs out by itself.
    await store.releaseTick(holder).catch(() => {})
  }
  return { claimed: true, steps }
}

async function runStep(run: () => Promise<StepAnswer>, until: number, clock: () => number): Promise<StepReport> {
  let done = 0
  try {
    for (;;) {
      const answer = await run()
      done += answer.done
      if (!answer.more) return { done, more: false, failed: null }
      if (clock() >= until) return { done, more: true, failed: null }
    }
  } catch (error) {
    return { done, more: true, failed: error instanceof StoreError ? error.message : 'Cannot run step: it threw' }
  }
}
