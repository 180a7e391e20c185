export type Admission = {
  /**
   * Waits for room, first come first served. The answer leaves it again, and does so once; null when there was none
   * within `waitMs`.
   */
  enter(): Promise<(() => void) | null>
}

/**
 * Lets `atOnceMax` in at once, and the others wait where they cost nothing yet. Those for whom it takes too long are
 * turned away in time: what is begun for more than can be served is given up half done, and serves nobody.
 */
export function createAdmission(atOnceMax: number, waitMs: number): Admission {
  const waiting = new Set<(leave: () => void) => void>()
  let inside = 0

  const leaveOnce = () => {
    let left = false
    return () => {
      if (left) return
      left = true
      const [next] = waiting
      if (next === undefined) inside -= 1
      else next(leaveOnce())
    }
  }

  return {
    enter() {
      if (inside < atOnceMax) {
        inside += 1
        return Promise.resolve(leaveOnce())
      }
      let timer: ReturnType<typeof setTimeout> | undefined
      const turn = new Promise<(() => void) | null>((resolve) => {
        const admit = (leave: (() => void) | null) => {
          waiting.delete(admit)
          resolve(leave)
        }
        waiting.add(admit)
        timer = setTimeout(admit, waitMs, null)
      })
      // Not by whoever leaves: on a Worker one request cannot end another's timer.
      return turn.finally(() => clearTimeout(timer))
    },
  }
}
