/** What a spill needs of its courier. */
export type SpillWork = {
  /** Writes what is frozen; whether nothing is left in memory. */
  readonly write: () => boolean
  /** Freezes what is loose into one more batch. */
  readonly freezeNext: () => Promise<void>
  /** Whether there is something loose that belongs on the disk now. */
  readonly wanted: () => boolean
  /** Whether attempts fail. */
  readonly failing: () => boolean
  readonly paceMs: () => number
  readonly warn: (kind: string, text: string) => void
}

/** While attempts fail, or memory is crowded, moves what waits to the disk: a killed process loses one pace at most. */
export class CourierSpill {
  readonly #work: SpillWork
  #timer: NodeJS.Timeout | null = null
  #stopped = false

  constructor(work: SpillWork) {
    this.#work = work
  }

  /** Nothing is waiting to be run. */
  get idle(): boolean {
    return this.#timer === null
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer) clearTimeout(this.#timer)
  }

  /** Runs once after so many ms, and again each pace while attempts fail. */
  after(ms: number): void {
    if (this.#stopped || this.#timer) return
    this.#timer = setTimeout(() => void this.#runAndFollow(), ms)
    this.#timer.unref()
  }

  async #runAndFollow(): Promise<void> {
    const { failing, paceMs, warn } = this.#work
    try {
      await this.#run()
    } catch (error) {
      warn('internal', `Cannot keep a batch: ${String(error)}`)
    }
    this.#timer = null
    if (failing()) this.after(paceMs())
  }

  async #run(): Promise<void> {
    const { write, freezeNext, wanted, failing } = this.#work
    while (!this.#stopped && wanted() && write()) await freezeNext()
    if (failing() && !this.#stopped) write()
  }
}
