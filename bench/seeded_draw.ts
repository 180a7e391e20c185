import { chanceOf } from '../src/demo/chance.ts'

/** Chance: everything that a message has that is not its cause. */
export type Draw = {
  int(least: number, most: number): number
  pick<T>(list: readonly T[]): T
  hex(digits: number): string
  uuid(): string
  word(): string
  instant(): string
  path(): string
}

const words = ['alpha', 'orders', 'report', 'northwind', 'draft', 'invoice', 'summary', 'notes', 'zürich', 'queue']

/** Numbers by mulberry32, the same for one seed everywhere. */
export function drawFrom(seed: number): Draw {
  const next = chanceOf(seed)
  const int = (least: number, most: number): number => least + Math.floor(next() * (most - least + 1))
  const pick = <T>(list: readonly T[]): T => list[int(0, list.length - 1)] as T
  const hex = (digits: number): string => Array.from({ length: digits }, () => int(0, 15).toString(16)).join('')
  const uuid = (): string => [8, 4, 4, 4, 12].map(hex).join('-')
  const word = (): string => pick(words)
  const instant = (): string => {
    const at = new Date(1_790_000_000_000 + int(0, 9_000_000_000)).toISOString()
    return pick([at, at.replace('Z', '+00:00'), at.replace(/\.\d+Z/, 'Z'), at.replace('T', ' ').replace(/\.\d+Z/, '')])
  }
  const path = (): string =>
    pick([
      `/var/lib/exai/${word()}.db`,
      `/tmp/tmp${hex(8)}/${word()}.json`,
      `C:\\Users\\${word()}\\AppData\\${word()}.db`,
    ])
  return { int, pick, hex, uuid, word, instant, path }
}
