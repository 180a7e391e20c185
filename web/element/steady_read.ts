import { initialState, Task, TaskStatus } from '@lit/task'
import type { ReactiveController, ReactiveControllerHost } from 'lit'
import { ApiError } from '../api.ts'

export type SteadyReadOptions<Value> = {
  /** What the answer depends on, such as the address; null: nothing can be read yet. */
  readonly key: () => string | null
  readonly read: () => Promise<Value>
  /** Whether the answer goes out of date by itself, as one whose time ends now does. */
  readonly moves: () => boolean
}

/** What moves is read again this often while somebody looks; it goes through single calls, which costs more than numbers. */
const againMs = 30_000
/** And this long after a failure that may pass. */
const failedMs = 5_000

/** One answer that is read again in a while. The last good one stays while that happens, and while what is asked changes. */
export class SteadyRead<Value> implements ReactiveController {
  /** What was read last; null before the first answer. */
  value: Value | null = null
  /** Why it could not be read the last time; null when it could. */
  error: unknown = null
  readonly #options: SteadyReadOptions<Value>
  readonly #task: Task<readonly [string | null], Value>
  #valueKey: string | null = null
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(host: ReactiveControllerHost, options: SteadyReadOptions<Value>) {
    this.#options = options
    let asked: string | null = null
    this.#task = new Task(host, {
      args: () => [options.key()] as const,
      task: ([key]) => {
        if (key === null) return initialState
        asked = key
        return options.read()
      },
      onComplete: (value) => {
        this.value = value
        this.#valueKey = asked
        this.error = null
        if (options.moves()) this.#onceSeen(againMs)
      },
      onError: (error) => {
        this.error = error
        if (error instanceof ApiError && error.retryable) this.#onceSeen(failedMs)
      },
    })
    host.addController(this)
  }

  hostDisconnected(): void {
    clearTimeout(this.#timer)
  }

  /** Whether `value` belongs to what was asked for before. */
  get isStale(): boolean {
    return this.value !== null && this.#valueKey !== this.#options.key()
  }

  again(): void {
    clearTimeout(this.#timer)
    // A failure is in `error`; what is being read is not read twice.
    if (this.#task.status !== TaskStatus.PENDING) void this.#task.run()
  }

  #onceSeen(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => (document.hidden ? this.#onceSeen(ms) : this.again()), ms)
  }
}
