import type { AlertPush } from '../src/core/alert/alert_document.ts'
import {
  liveBeatMs,
  liveFreshMsMax,
  liveMinutesMax,
  liveQuietMs,
  liveRetryMsMax,
  liveRetryMsMin,
  sleepMsMin,
  snapshotMsMax,
} from '../src/core/limit.ts'
import { type Api, ApiError, type ChannelListener } from './api.ts'
import { emptyLive, type LiveStatus, type LiveView, liveViewOf, withPush, withSnapshot } from './view/live_view.ts'

// Pushes reach back over some seconds, so a snapshot that is no older than this when the channel opens misses nothing.
const overlapMs = 2_000
// A token that the server refuses although it looks good here is of no use either.
const refusalsMax = 3

/** What the feed asks of the network. */
export type LiveSource = Pick<Api, 'live' | 'subscribe' | 'hasSession'>

export type LiveFeedOptions = {
  readonly source: LiveSource
  /** Called after everything that changes the view, and once a second while the page is visible. */
  readonly onView: (view: LiveView) => void
  /** Called with what is pushed of alerts. */
  readonly onAlerts?: (push: AlertPush) => void
  /** The session is over, or `refused`: it has no right to read. Called once; the feed has stopped. */
  readonly onEnd: (why: 'signed_out' | 'refused') => void
  /** ms since the epoch. */
  readonly clock?: () => number
  /** 0..1, to spread retries. */
  readonly chance?: () => number
}

/**
 * Keeps a live view up: a snapshot, the private channel, and its pushes by revision. What is missed while the channel
 * is down, or while the machine sleeps, comes with the next snapshot. A visible page asks for one when it has heard
 * nothing for `liveQuietMs`, and every `liveBeatMs` in any case, which is also what says that somebody watches. A hidden
 * page asks for nothing. It starts hidden: `show(true)` opens it.
 */
export class LiveFeed {
  readonly #source: LiveSource
  readonly #onView: LiveFeedOptions['onView']
  readonly #onAlerts: (push: AlertPush) => void
  readonly #onEnd: LiveFeedOptions['onEnd']
  readonly #clock: () => number
  readonly #chance: () => number
  readonly #timer: ReturnType<typeof setInterval>
  #state = emptyLive
  #skewUs = 0
  #visible = false
  #stopped = false
  // Whether the channel was ever up, or went down: after that, being without it is no beginning any more.
  #seen = false
  #freshAt = Number.NEGATIVE_INFINITY
  #tickedAt: number

  // The channel: which subscription is listened to, and when to make the next; never, while there is one.
  #up = false
  #turn = 0
  #rejoinAt = 0
  #tries = 0
  #leave: (() => Promise<void>) | null = null

  // The snapshot: one at a time. What was asked for before a sleep tells of the time before it, and is not taken.
  #asking = false
  #askedAt = Number.NEGATIVE_INFINITY
  #sleeps = 0
  #failures = 0
  #refusals = 0

  constructor({
    source,
    onView,
    onAlerts = () => undefined,
    onEnd,
    clock = Date.now,
    chance = Math.random,
  }: LiveFeedOptions) {
    this.#source = source
    this.#onView = onView
    this.#onAlerts = onAlerts
    this.#onEnd = onEnd
    this.#clock = clock
    this.#chance = chance
    this.#tickedAt = clock()
    this.#timer = setInterval(() => this.#tick(), 1_000)
  }

  /** Whether the page can be seen. */
  show(visible: boolean): void {
    if (visible === this.#visible || this.#stopped) return
    this.#visible = visible
    if (visible) {
      const slept = this.#noticeSleep()
      if (slept) this.#wake()
      else {
        if (this.#rejoinAt < Number.POSITIVE_INFINITY) this.#join()
        void this.#ask()
      }
    }
    this.#tell()
  }

  stop(): void {
    this.#stopped = true
    clearInterval(this.#timer)
    this.#turn += 1
    this.#leave?.().catch(() => undefined)
    this.#leave = null
  }

  #tick(): void {
    const slept = this.#noticeSleep()
    if (!this.#visible) return
    const now = this.#clock()
    if (slept) this.#wake()
    else {
      if (now >= this.#rejoinAt) this.#join()
      const sinceAsked = now - this.#askedAt
      const wait = this.#failures === 0 ? liveQuietMs : backoffMs(this.#failures, 0.5)
      const isQuiet = now - this.#freshAt >= liveQuietMs && sinceAsked >= wait
      if (isQuiet || sinceAsked >= liveBeatMs) void this.#ask()
    }
    this.#tell()
  }

  /** Whether so much time has passed since the last look at the clock that the machine must have slept. */
  #noticeSleep(): boolean {
    const now = this.#clock()
    const slept = now - this.#tickedAt > sleepMsMin
    this.#tickedAt = now
    return slept
  }

  /** After a sleep nothing is as it was: neither the session, nor the channel, nor what is shown. */
  #wake(): void {
    this.#sleeps += 1
    this.#asking = false
    this.#freshAt = Number.NEGATIVE_INFINITY
    this.#failures = 0
    this.#tries = 0
    this.#source
      .hasSession()
      .catch(() => true)
      .then((session) => {
        if (this.#stopped) return
        if (session) {
          this.#join()
          void this.#ask()
        } else this.#end('signed_out')
      })
  }

  async #ask(): Promise<void> {
    if (this.#asking || this.#stopped) return
    this.#asking = true
    this.#askedAt = this.#clock()
    const sleeps = this.#sleeps
    try {
      const snapshot = await within(snapshotMsMax, this.#source.live(this.#minutesMissing()))
      if (this.#stopped || sleeps !== this.#sleeps) return
      this.#state = withSnapshot(this.#state, snapshot)
      this.#freshAt = this.#clock()
      this.#skewUs = snapshot.at_us - this.#freshAt * 1_000
      this.#failures = 0
      this.#refusals = 0
      // What answers again may be joined again, without waiting out the rest of the pause.
      if (this.#rejoinAt < Number.POSITIVE_INFINITY) this.#rejoinAt = this.#freshAt
      this.#tell()
    } catch (error) {
      this.#failures += 1
      await this.#endIfRefused(error)
    } finally {
      if (sleeps === this.#sleeps) this.#asking = false
    }
  }

  /** How many minutes back the next snapshot must reach so that none is missing, or known before it was whole. */
  #minutesMissing(): number {
    const { snapshot } = this.#state
    if (snapshot === null) return liveMinutesMax
    const sinceUs = (this.#clock() * 1_000 + this.#skewUs - snapshot.at_us) / 60_000_000
    return Math.min(liveMinutesMax, Math.ceil(Math.max(0, sinceUs)) + 2)
  }

  async #endIfRefused(error: unknown): Promise<void> {
    const status = error instanceof ApiError ? error.status : 0
    if (status === 403) this.#end('refused')
    if (status !== 401) return
    this.#refusals += 1
    const hasSession = await this.#source.hasSession().catch(() => true)
    if (!hasSession || this.#refusals >= refusalsMax) this.#end('signed_out')
  }

  #join(): void {
    this.#leave?.().catch(() => undefined)
    this.#up = false
    this.#rejoinAt = Number.POSITIVE_INFINITY
    this.#turn += 1
    this.#leave = this.#source.subscribe(this.#listenerOf(this.#turn))
  }

  /** Hears a subscription until it is down, or another has taken its turn. */
  #listenerOf(turn: number): ChannelListener {
    const whileItsTurn =
      <T>(hear: (said: T) => void) =>
      (said: T): void => {
        if (turn !== this.#turn) return
        hear(said)
        this.#tell()
      }
    return {
      onUp: whileItsTurn<void>(() => {
        this.#up = true
        this.#seen = true
        this.#tries = 0
        if (this.#clock() - this.#askedAt > overlapMs) void this.#ask()
      }),
      onPush: whileItsTurn((push) => {
        this.#state = withPush(this.#state, push)
        this.#freshAt = this.#clock()
        this.#failures = 0
      }),
      onAlerts: whileItsTurn((push) => this.#onAlerts(push)),
      onDown: whileItsTurn<string>(() => {
        this.#turn += 1
        this.#leave = null
        this.#rejoinAt = this.#clock() + backoffMs(this.#tries, this.#chance())
        this.#tries += 1
        this.#up = false
        this.#seen = true
      }),
    }
  }

  #end(why: 'signed_out' | 'refused'): void {
    if (this.#stopped) return
    this.stop()
    this.#onEnd(why)
  }

  #tell(): void {
    if (!this.#stopped) this.#onView(liveViewOf(this.#state, this.#status(), this.#skewUs))
  }

  #status(): LiveStatus {
    if (!this.#visible) return 'paused'
    const isFresh = this.#clock() - this.#freshAt <= liveFreshMsMax
    if (!isFresh || !this.#up) return this.#seen ? 'reconnecting' : 'connecting'
    return this.#state.snapshot?.degraded ? 'degraded' : 'live'
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
