/**
 * A semaphore that knows who holds it, so that whoever waits can say for whom. A permit that is never given back is
 * lost until somebody has waited `patienceMs`: then all are taken back, as daemons do whose permits leak.
 */
export class PermitPool {
  readonly name: string
  readonly #limit: number
  readonly #patienceMs: number
  #holders: { readonly name: string }[] = []
  readonly #waiting: (() => void)[] = []

  constructor(name: string, limit: number, patienceMs = Number.POSITIVE_INFINITY) {
    this.name = name
    this.#limit = limit
    this.#patienceMs = patienceMs
  }

  /** Whoever has held a permit longest while none is free, else null. */
  get blocker(): string | null {
    return this.#holders.length < this.#limit ? null : (this.#holders[0]?.name ?? null)
  }

  get inUse(): number {
    return this.#holders.length
  }

  /** Resolves when there is a permit, in the order of asking. Answers how to give it back, to be called once. */
  async take(name: string, signal: AbortSignal): Promise<() => void> {
    while (this.#holders.length >= this.#limit) await this.#turn(signal)
    const holder = { name }
    this.#holders.push(holder)
    return () => {
      this.#holders = this.#holders.filter((other) => other !== holder)
      this.#waiting.shift()?.()
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        this.#waiting.splice(this.#waiting.indexOf(turn), 1)
        reject(signal.reason)
      }
      const turn = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', leave)
        resolve()
      }
      if (signal.aborted) return reject(signal.reason)
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.push(turn)
      const timer = Number.isFinite(this.#patienceMs) ? setTimeout(() => this.#takeBack(), this.#patienceMs) : undefined
    })
  }

  #takeBack(): void {
    this.#holders = []
    for (const turn of this.#waiting.splice(0, this.#limit)) turn()
  }
}
