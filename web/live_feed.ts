import {
  liveBeatMs,
  liveFreshMsMax,
  liveQuietMs,
  liveRetryMsMax,
  liveRetryMsMin,
  sleepMsMin,
  snapshotMsMax,
} from '../src/core/limit.ts'
import { type Api, ApiError } from './api.ts'
import { emptyLive, type LiveStatus, type LiveView, liveViewOf, withPush, withSnapshot } from './view/live_view.ts'

// Pushes reach back over some seconds, so a snapshot that is no older than this when the channel opens misses nothing.
const overlapMs = 2_000

/** What the feed asks of the network. */
export type LiveSource = Pick<Api, 'live' | 'subscribe' | 'hasSession'>

export type LiveFeedOptions = {
  readonly source: LiveSource
  /** Called after everything that changes the view. */
  readonly onView: (view: LiveView) => void
  /** The session is over, or `refused`: it has no right to read. Called once; the feed has stopped. */
  readonly onEnd: (why: 'signed_out' | 'refused') => void
  /** ms since the epoch. */
  readonly clock?: () => number
  /** 0..1, to spread retries. */
  readonly chance?: () => number
}

export type LiveFeed = {
  /** Whether the page can be seen. A hidden one neither says that it watches nor asks. */
  show(visible: boolean): void
  stop(): void
}

/**
 * Keeps a live view up: a snapshot, the private channel, and its pushes by revision. What is missed while the channel
 * is down, or while the machine sleeps, comes with the next snapshot. A visible page asks for one when it has heard
 * nothing for `liveQuietMs`, and every `liveBeatMs` in any case, which is also what says that somebody watches.
 */
export function createLiveFeed(options: LiveFeedOptions): LiveFeed {
  const { source, onView, onEnd, clock = Date.now, chance = Math.random } = options
  let state = emptyLive
  let visible = false
  let stopped = false
  let up = false
  let seen = false
  let leave: (() => Promise<void>) | null = null
  let freshAt = Number.NEGATIVE_INFINITY
  let askedAt = Number.NEGATIVE_INFINITY
  let answersAfter = 0
  let asking = false
  let failures = 0
  let refusals = 0
  // Infinity: joining, or joined.
  let rejoinAt = 0
  let tries = 0
  let tickedAt = clock()
  let skewUs = 0

  const statusAt = (now: number): LiveStatus => {
    if (!visible) return 'paused'
    if (now - freshAt > liveFreshMsMax || !up) return seen ? 'reconnecting' : 'connecting'
    return state.snapshot?.degraded ? 'degraded' : 'live'
  }
  const tell = (): void => {
    if (!stopped) onView(liveViewOf(state, statusAt(clock()), skewUs))
  }
  const stop = (): void => {
    stopped = true
    clearInterval(timer)
    leave?.().catch(() => undefined)
    leave = null
  }
  const end = (why: 'signed_out' | 'refused'): void => {
    if (stopped) return
    stop()
    onEnd(why)
  }

  const ask = async (): Promise<void> => {
    if (asking || stopped || !visible) return
    asking = true
    askedAt = clock()
    const asked = answersAfter
    try {
      const snapshot = await within(snapshotMsMax, source.live())
      // One that was asked for before a sleep tells of the time before it.
      if (stopped || asked !== answersAfter) return
      state = withSnapshot(state, snapshot)
      freshAt = clock()
      skewUs = snapshot.at_us - freshAt * 1_000
      seen = true
      failures = 0
      refusals = 0
      tell()
    } catch (error) {
      failures += 1
      await endIfRefused(error)
    } finally {
      if (asked === answersAfter) asking = false
    }
  }
  const endIfRefused = async (error: unknown): Promise<void> => {
    const status = error instanceof ApiError ? error.status : 0
    if (status === 403) end('refused')
    else if (status === 401) {
      refusals += 1
      const session = await source.hasSession().catch(() => true)
      // A token that the server refuses although it looks good here is of no use either.
      if (!session || refusals >= 3) end('signed_out')
    }
  }

  const join = (): void => {
    if (stopped) return
    up = false
    leave?.().catch(() => undefined)
    rejoinAt = Number.POSITIVE_INFINITY
    let joined = false
    leave = source.subscribe({
      onUp: () => {
        if (stopped) return
        joined = true
        up = true
        if (clock() - askedAt > overlapMs) void ask()
        tell()
      },
      onPush: (push) => {
        if (stopped) return
        state = withPush(state, push)
        freshAt = clock()
        failures = 0
        tell()
      },
      onDown: () => {
        if (stopped) return
        up = false
        leave = null
        tries = joined ? 0 : tries + 1
        rejoinAt = clock() + backoffMs(tries, chance())
        tell()
      },
    })
  }

  const wake = (): void => {
    answersAfter += 1
    asking = false
    freshAt = Number.NEGATIVE_INFINITY
    failures = 0
    tries = 0
    source
      .hasSession()
      .catch(() => true)
      .then((session) => {
        if (stopped) return
        if (session) {
          join()
          void ask()
        } else end('signed_out')
      })
    tell()
  }

  const tick = (): void => {
    const now = clock()
    const slept = now - tickedAt > sleepMsMin
    tickedAt = now
    if (!visible) return
    if (slept) {
      wake()
      return
    }
    if (now >= rejoinAt) join()
    const wait = failures === 0 ? liveQuietMs : backoffMs(failures, 0.5)
    const quiet = now - freshAt >= liveQuietMs && now - askedAt >= wait
    if (quiet || now - askedAt >= liveBeatMs) void ask()
    tell()
  }
  const timer = setInterval(tick, 1_000)

  return {
    show(nowVisible) {
      if (nowVisible === visible || stopped) return
      visible = nowVisible
      if (!visible) {
        tell()
        return
      }
      const slept = clock() - tickedAt > sleepMsMin
      tickedAt = clock()
      if (slept) {
        wake()
        return
      }
      if (rejoinAt < Number.POSITIVE_INFINITY) join()
      void ask()
      tell()
    },
    stop,
  }
}

/** Doubles with each try up to its bound, and is spread over its upper half so that pages do not come all at once. */
function backoffMs(tries: number, chance: number): number {
  const ms = Math.min(liveRetryMsMax, liveRetryMsMin * 2 ** Math.min(tries, 16))
  return ms / 2 + (ms / 2) * chance
}

function within<T>(ms: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new ApiError(`Cannot read live: no answer after ${ms} ms`, 0)), ms)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
