import { type Chance, chanceOf, normalOf } from '../src/demo/chance.ts'

/** What an incident draws from: everything in it follows from one seed. */
export type Dice = {
  readonly chance: Chance
  /** True in `share` of the cases. */
  is(share: number): boolean
  between(least: number, most: number): number
  /** As likely in each octave. */
  logBetween(least: number, most: number): number
  /** A whole number from `least` to `most`, both included. */
  whole(least: number, most: number): number
  normal(): number
  /** Log-normal around a median; `sigma` is the deviation of its logarithm. */
  around(median: number, sigma: number): number
  one<T>(items: readonly T[]): T
  /** One of the items, each as likely as its weight says. */
  weighted<T>(items: readonly T[], weights: readonly number[]): T
  some<T>(items: readonly T[], n: number): T[]
  hex(digits: number): string
  uuid(): string
}

export function diceOf(seed: number): Dice {
  const chance = chanceOf(seed)
  const whole = (least: number, most: number) => least + Math.floor(chance() * (most - least + 1))
  const normal = () => normalOf(chance)
  const hex = (digits: number) => {
    let text = ''
    while (text.length < digits)
      text += Math.floor(chance() * 2 ** 32)
        .toString(16)
        .padStart(8, '0')
    return text.slice(0, digits)
  }
  const one = <T>(items: readonly T[]): T => {
    const item = items[whole(0, items.length - 1)]
    if (item === undefined) throw new Error('Cannot draw one: the list is empty')
    return item
  }
  return {
    chance,
    is: (share) => chance() < share,
    between: (least, most) => least + chance() * (most - least),
    logBetween: (least, most) => least * (most / least) ** chance(),
    whole,
    normal,
    around: (median, sigma) => median * Math.exp(sigma * normal()),
    one,
    weighted(items, weights) {
      let left = chance() * weights.reduce((sum, weight) => sum + weight, 0)
      for (const [index, weight] of weights.entries()) {
        left -= weight
        if (left < 0) return items[index] as (typeof items)[number]
      }
      return one(items)
    },
    some(items, n) {
      const rest = [...items]
      const drawn: typeof rest = []
      while (drawn.length < n && rest.length > 0) drawn.push(...rest.splice(whole(0, rest.length - 1), 1))
      return drawn
    },
    hex,
    uuid: () => `${hex(8)}-${hex(4)}-7${hex(3)}-${one(['8', '9', 'a', 'b'])}${hex(3)}-${hex(12)}`,
  }
}

/** The value below which the share `q` lies, by nearest rank; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
