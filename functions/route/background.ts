export type Background = {
  /** Lets the work go on; what it fails with is its own business. */
  readonly run: (work: Promise<unknown>) => void
  /** When all that was begun has ended, what began meanwhile included. */
  readonly settled: () => Promise<void>
}

/** Work that outlasts its answer, where no platform keeps account of it: a process that ends can wait for it. */
export function createBackground(): Background {
  const under = new Set<Promise<unknown>>()
  return {
    run(work) {
      const tracked = work.catch(() => {}).finally(() => under.delete(tracked))
      under.add(tracked)
    },
    async settled() {
      while (under.size > 0) await Promise.all(under)
    },
  }
}
