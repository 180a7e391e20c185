// Errors whose cause is known, as many languages print them on many machines. Everything is drawn from a seed. What is one
// cause was decided by who would fix it: one statement that fails is one cause whatever its data, depth, caller further
// out, machine and release; two statements, two codes of a provider, or two wrapped causes are two.
import type { Failure } from '../src/core/fingerprint.ts'
import { type Call, causes, type Cause } from './error_cause.ts'
import { type Place, places, printStack } from './error_stack.ts'

export type Labelled = { readonly label: string; readonly family: string; readonly failure: Failure }

/** What differs between two errors of one cause. */
export type Occasion = {
  readonly place: Place
  /** From 0: later ones have other line numbers, hashes of builds, and one more frame around every request. */
  readonly release: number
  readonly draw: Draw
}

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
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
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
    pick([`/var/lib/exai/${word()}.db`, `/tmp/tmp${hex(8)}/${word()}.json`, `C:\\Users\\${word()}\\AppData\\${word()}.db`])
  return { int, pick, hex, uuid, word, instant, path }
}

/** So many errors of each cause. */
export function labelledErrors(seed: number, each: number): readonly Labelled[] {
  const draw = drawFrom(seed)
  return causes.flatMap((cause, label) =>
    Array.from({ length: each }, () => {
      const occasion = { place: draw.pick(places), release: draw.int(0, 4), draw }
      return { label: `${cause.family} ${label}`, family: cause.family, failure: failureOf(cause, occasion) }
    }),
  )
}

function failureOf(cause: Cause, occasion: Occasion): Failure {
  const message = cause.message(occasion.draw)
  const { stack } = cause
  if (stack === undefined) return { error_type: cause.type, message, traceback: null }
  const inner = stack.calls(occasion.draw)
  // Who calls it is not the cause: requests come through other doors, and a release puts one more frame around them all.
  const doors = stack.doors === undefined ? [] : occasion.draw.pick(stack.doors)
  const around: readonly Call[] = occasion.release >= 3 ? (stack.around ?? []) : []
  const raised = { type: cause.type, message, calls: [...inner, ...doors, ...around] }
  const wrapped = (stack.causedBy ?? []).map(({ type, message: tell, calls }) => ({
    type,
    message: tell(occasion.draw),
    calls,
  }))
  return { error_type: cause.type, message, traceback: printStack(stack.language, [raised, ...wrapped], occasion) }
}
