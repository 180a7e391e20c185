import { initialState, Task, TaskStatus } from '@lit/task'
import type { ReactiveController, ReactiveControllerHost } from 'lit'
import { ApiError } from '../api.ts'
import type { Page } from '../view/answer.ts'
import { extendedPage, refreshedPage } from '../view/paged_list.ts'

export type PagedReadOptions<Row> = {
  /** What the list depends on, such as the address; null: nothing can be read yet. A new key is a new list. */
  readonly key: () => string | null
  readonly read: (cursor: string | null) => Promise<Page<Row>>
  readonly idOf: (row: Row) => string
  readonly rowsMax: number
  /** Told when the first page begins to be read. */
  readonly onAsk?: () => void
  /** Told when it has been read. */
  readonly onAnswer?: () => void
}

/** How long after a failure that may pass the list is read again, by itself. */
const failedGapMs = 5_000

/**
 * A list that is read page by page. The last good answer stays while it is read again, and while what is asked for
 * changes.
 */
export class PagedRead<Row> implements ReactiveController {
  /** What has been read; null before the first answer. */
  page: Page<Row> | null = null
  /** Why the first page could not be read the last time; null when it could. */
  error: unknown = null
  readonly #options: PagedReadOptions<Row>
  readonly #first: Task<readonly [string | null], Page<Row>>
  readonly #older: Task<readonly [string, string | null], Page<Row>>
  /** The key that `page` belongs to. */
  #pageKey: string | null = null
  #askedMs = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(host: ReactiveControllerHost, options: PagedReadOptions<Row>) {
    this.#options = options
    const { idOf, rowsMax } = options
    let asked: string | null = null
    let olderKey: string | null = null
    this.#first = new Task(host, {
      args: () => [options.key()] as const,
      task: ([key]) => {
        if (key === null) return initialState
        asked = key
        this.#askedMs = performance.now()
        options.onAsk?.()
        return options.read(null)
      },
      onComplete: (first) => {
        this.page = refreshedPage(this.isStale ? null : this.page, first, idOf, rowsMax)
        this.#pageKey = asked
        this.error = null
        options.onAnswer?.()
      },
      onError: (error) => {
        this.error = error
        if (error instanceof ApiError && error.retryable) this.#onceSeen()
      },
    })
    this.#older = new Task(host, {
      autoRun: false,
      task: ([cursor, key]) => {
        olderKey = key
        return options.read(cursor)
      },
      onComplete: (page) => {
        if (this.page !== null && olderKey === this.#pageKey) this.page = extendedPage(this.page, page, idOf, rowsMax)
      },
    })
    host.addController(this)
  }

  hostDisconnected(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Whether what is shown belongs to what was asked for before. */
  get isStale(): boolean {
    return this.page !== null && this.#pageKey !== this.#options.key()
  }

  get isPending(): boolean {
    return this.#first.status === TaskStatus.PENDING
  }

  get isOlderPending(): boolean {
    return this.#older.status === TaskStatus.PENDING
  }

  get olderError(): unknown {
    return this.#older.status === TaskStatus.ERROR ? this.#older.error : null
  }

  /** Reads the first page again, at once. */
  again(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    // A failure is in `error`.
    void this.#first.run()
  }

  /** Reads the first page again, `gapMs` after it was last read at the soonest; many wishes are one. */
  soon(gapMs: number): void {
    if (this.#timer !== undefined || this.#askedMs === 0) return
    const waitMs = Math.max(0, this.#askedMs + gapMs - performance.now())
    this.#timer = setTimeout(() => this.again(), waitMs)
  }

  /** Reads the first page again in a while, or, when nobody looks then, after another. */
  #onceSeen(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => (document.hidden ? this.#onceSeen() : this.again()), failedGapMs)
  }

  /** Reads the page after the last; nothing where there is none. */
  older(): void {
    const next = this.page?.next ?? null
    if (next !== null && !this.isStale && !this.isOlderPending) void this.#older.run([next, this.#pageKey])
  }
}
