/** Where a clock reads from, in ms. `wall` may step, `monotonic` never goes back, `origin` is its zero as wall time. */
export type ClockReadings = { readonly wall: () => number; readonly monotonic: () => number; readonly origin: number }

const hostReadings: ClockReadings = {
  wall: Date.now,
  monotonic: () => performance.now(),
  origin: performance.timeOrigin,
}

/**
 * Turns monotonic instants into µs since the epoch. `offsetUs()` is what to add to a monotonic µs now (whoever has just
 * read the instant gives it); whoever takes
 * it once for a trace and keeps it gets durations and orders that no wall-clock step disturbs.
 */
export type EpochClock = { readonly instant: () => number; readonly offsetUs: (nowMs?: number) => number }

const checkEveryMs = 1_000
const driftMsMax = 10

/**
 * Follows the wall clock: once a second at most it compares the two, and where they have come apart by more than
 * 10 ms (a step, a suspended machine, slow drift) later traces are anchored anew.
 */
export function createEpochClock(readings: ClockReadings = hostReadings): EpochClock {
  const { wall, monotonic } = readings
  let checkedAt = Number.NEGATIVE_INFINITY
  let offsetMs = readings.origin
  return {
    instant: monotonic,
    offsetUs(now = monotonic()) {
      if (now - checkedAt >= checkEveryMs) {
        checkedAt = now
        const measured = wall() - now
        if (Math.abs(measured - offsetMs) > driftMsMax) offsetMs = measured
      }
      return offsetMs * 1_000
    },
  }
}

/** Integer µs since the epoch of a monotonic instant in ms. */
export function epochUsOf(instantMs: number, offsetUs: number): number {
  return Math.round(instantMs * 1_000 + offsetUs)
}
