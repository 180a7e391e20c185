/** Numbers from 0 to 1 in an order that a seed fixes, so that a demonstration can be repeated (mulberry32). */
export type Chance = () => number

export function chanceOf(seed: number): Chance {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A value of the standard normal distribution, by the Box-Muller transform. */
export function normalOf(chance: Chance): number {
  return Math.sqrt(-2 * Math.log(1 - chance())) * Math.cos(2 * Math.PI * chance())
}

/** A latency in ms as servers have it: mostly near the median, now and then a multiple of it, at most five times. */
export function latencyMs(medianMs: number, chance: Chance): number {
  return Math.round(medianMs * Math.min(5, Math.exp(0.35 * normalOf(chance))))
}

export function pick<T>(items: readonly T[], chance: Chance): T {
  const item = items[Math.floor(chance() * items.length)]
  if (item === undefined) throw new Error('Cannot pick: the list is empty')
  return item
}

/** A short id for a conversation, such as `conv-1f9ac03b`. */
export function labelOf(prefix: string, chance: Chance): string {
  return `${prefix}-${Math.floor(chance() * 2 ** 32)
    .toString(16)
    .padStart(8, '0')}`
}
