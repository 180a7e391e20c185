import { minuteOf, staleOf } from '../../src/core/hot_batch.ts'
import {
  hotBreakMs,
  hotReadsMax,
  hotStaleMinutesMax,
  hotWritesInFlightMax,
  pushBytesMax,
} from '../../src/core/limit.ts'
import { pushWithin } from '../../src/core/live_size.ts'
import type { HotBatch } from '../../src/core/live_snapshot.ts'
import { type HotEntry, idBefore, isAbandoned, stateAfter } from '../../src/core/live_state.ts'
import type { HotStore, PushChannel } from '../store/port.ts'

export type LivePushOptions = {
  readonly hot: HotStore
  /** Null: nobody can listen. */
  readonly channel: PushChannel | null
  /** The least time between two pushes of all isolates together, in ms. */
  readonly pushMs: number
  /** µs since the epoch. */
  readonly clock: () => number
  /** Told what failed, once for each time that it began to. */
  readonly warn: (what: string, error: unknown) => void
}

/** A turn that is tried for a moment too early is not free, and the try was the last. */
const turnSlackMs = 5

/**
 * Adds stored batches to the hot tier and, while somebody watches, pushes what they change. Never rejects, and while
 * Redis or Realtime fail it leaves them alone for hotBreakMs; the minutes of batches that Redis missed are named stale
 * with the next that it takes.
 *
 * Whoever wins the turn pushes for everybody: it reads what was added since the last turn, whichever isolate added it.
 * Of those that lose it, one waits for the next, so that the last batch of a burst is pushed too. A batch with errors
 * may go at once, the first in a quiet errorPushMs; it takes the turn with it, so that pushes stay as far apart.
 */
export function livePusher({ hot, channel, pushMs, clock, warn }: LivePushOptions) {
  const redis = breaker(clock, (error) => warn('hot tier', error))
  const realtime = breaker(clock, (error) => warn('push', error))
  const missed = new Set<number>()
  let inFlight = 0
  /** Until then, in µs, a waiter of some isolate has yet to try for its turn: what is added before is pushed after. */
  let coveredUntil = 0

  async function add(batch: HotBatch, watched: boolean): Promise<void> {
    const known = [...missed]
    const wants = watched && channel !== null && realtime.isClosed()
    const urgent = batch.errors.length > 0
    const request = wants && (urgent || clock() >= coveredUntil) ? { everyMs: pushMs, urgent } : null
    const { id, turn } = await hot
      .add({ ...batch, stale: staleOf([...batch.stale, ...known]) }, request)
      .catch((error: unknown) => {
        miss(batch)
        throw error
      })
    for (const minute of known) missed.delete(minute)
    if (!wants) return
    if (turn !== null) return await push(id, turn === 'urgent')
    if (clock() < coveredUntil) return
    await waitForTurn(id)
  }

  async function waitForTurn(id: string): Promise<void> {
    const askedAt = clock()
    const { isFirst, waitMs } = await hot.joinWait(pushMs)
    // However long the answer took, whoever waits does so from when it was asked. Clocks that count whole ms may err by one.
    coveredUntil = askedAt + (waitMs - 2) * 1_000
    // Another isolate's waiter was there when the batch had been added already.
    if (!isFirst) return
    await new Promise((resolve) => setTimeout(resolve, waitMs + turnSlackMs))
    // Whoever was quicker took the turn after the batch was added, and pushes it.
    if (await hot.takeTurn(pushMs)) await push(id, false)
  }

  async function push(id: string, urgent: boolean): Promise<void> {
    const found = await hot.readState(urgent ? pushMs : null)
    const state = found === null || isAbandoned(found, id) ? null : found
    const entries: HotEntry[] = []
    let after = state?.rev ?? idBefore(id)
    for (let reads = 0; reads < hotReadsMax; reads += 1) {
      const page = await hot.readEntries(after)
      entries.push(...page.entries)
      after = page.entries.at(-1)?.id ?? after
      if (!page.more) break
    }
    const merged = stateAfter(state, entries, clock())
    if (merged === null || channel === null) return
    const [, written] = await Promise.allSettled([
      channel.push('live', pushWithin(merged.push, pushBytesMax)).catch(realtime.trip),
      // Side by side: a push whose state is lost is repeated by the next, as one that is lost is healed by it.
      merged.state === state ? null : hot.writeState(merged.state, merged.finished),
    ])
    if (written.status === 'rejected') throw written.reason
  }

  function miss({ windows, stale }: HotBatch): void {
    for (const minute of [...stale, ...windows.map(({ second }) => minuteOf(second))]) {
      if (missed.size < hotStaleMinutesMax) missed.add(minute)
    }
  }

  return async (batch: HotBatch, watched: boolean): Promise<void> => {
    if (!redis.isClosed() || inFlight >= hotWritesInFlightMax) return miss(batch)
    inFlight += 1
    try {
      await add(batch, watched)
    } catch (error) {
      redis.trip(error)
    } finally {
      inFlight -= 1
    }
  }
}

/** Open for hotBreakMs after it is tripped; `onTrip` hears of the first of several at once. */
function breaker(clock: () => number, onTrip: (error: unknown) => void) {
  let opensUntil = 0
  const isClosed = () => clock() >= opensUntil
  const trip = (error: unknown): void => {
    if (isClosed()) onTrip(error)
    opensUntil = clock() + hotBreakMs * 1_000
  }
  return { isClosed, trip }
}
