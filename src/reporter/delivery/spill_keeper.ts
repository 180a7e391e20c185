import { orphanLookMs, segmentBeatMs } from '../../core/limit.ts'
import type { SpillStore } from './spill_store.ts'

export type KeeperOptions = {
  readonly store: SpillStore
  readonly lookMs: number | undefined
  /** Whether to adopt now: not while nothing can be delivered. */
  readonly may: () => boolean
  /** Called when something was adopted. */
  readonly wake: () => void
  readonly warn: (kind: string, text: string) => void
}

/** Shows that the process lives while it has files, and looks for those of the dead: at once, and now and then. */
export class SpillKeeper {
  readonly #options: KeeperOptions
  readonly #beat: NodeJS.Timeout
  #look: NodeJS.Timeout
  #stopped = false

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#beat = setInterval(() => this.#guarded(() => options.store.beat()), segmentBeatMs)
    this.#beat.unref()
    this.#look = this.#lookAfter(0)
  }

  stop(): void {
    this.#stopped = true
    clearInterval(this.#beat)
    clearTimeout(this.#look)
  }

  #lookAfter(ms: number): NodeJS.Timeout {
    const timer = setTimeout(() => void this.#lookNow(), ms)
    timer.unref()
    return timer
  }

  async #lookNow(): Promise<void> {
    const { store, may, wake, lookMs = orphanLookMs } = this.#options
    if (may()) await store.claim().catch((error: unknown) => this.#tell(error))
    if (this.#stopped) return
    if (store.batches(false) > 0) wake()
    // Not all reporters of a host at the same moment.
    this.#look = this.#lookAfter(lookMs * (0.75 + Math.random() / 2))
  }

  #guarded(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#tell(error)
    }
  }

  #tell(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error)
    this.#options.warn('outbox', `Cannot look after the outbox on the disk: ${text}`)
  }
}
