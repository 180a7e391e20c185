/** A semaphore that knows who holds it, so that whoever waits can say for whom. */
export class PermitPool {
  readonly name: string
  readonly #limit: number
  readonly #holders: string[] = []
  readonly #waiting: (() => void)[] = []

  constructor(name: string, limit: number) {
    this.name = name
    this.#limit = limit
  }

  /** Whoever has held a permit longest while none is free, else null. */
  get blocker(): string | null {
    return this.#holders.length < this.#limit ? null : (this.#holders[0] ?? null)
  }

  get inUse(): number {
    return this.#holders.length
  }

  /** Resolves when there is a permit, in the order of asking. Answers how to give it back, to be called once. */
  async take(holder: string, signal: AbortSignal): Promise<() => void> {
    while (this.#holders.length >= this.#limit) await this.#turn(signal)
    this.#holders.push(holder)
    return () => {
      this.#holders.splice(this.#holders.indexOf(holder), 1)
      this.#waiting.shift()?.()
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1)
        reject(signal.reason)
      }
      const turn = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      if (signal.aborted) return reject(signal.reason)
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.push(turn)
    })
  }
}
