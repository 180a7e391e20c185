import type { Dice } from './incident_chance.ts'
import type { QuestionKind } from './incident_plant.ts'
import { type World, worldOf } from './incident_world.ts'

/** In which nothing happened, and what may look as if something had. */
export type NullKind = {
  readonly kind: string
  readonly asks: QuestionKind
  readonly wish: 'any' | 'spread' | 'heavy' | 'few'
}

export const nullKinds: readonly NullKind[] = [
  { kind: 'noise', asks: 'none', wish: 'any' },
  { kind: 'noise', asks: 'call_number', wish: 'any' },
  { kind: 'noise', asks: 'after', wish: 'any' },
  { kind: 'tools of unlike speed', asks: 'none', wish: 'spread' },
  { kind: 'heavy tails', asks: 'none', wish: 'heavy' },
  { kind: 'heavy tails', asks: 'call_number', wish: 'heavy' },
  { kind: 'heavy tails', asks: 'after', wish: 'heavy' },
  { kind: 'too few', asks: 'call_number', wish: 'few' },
]

export function nullWorldOf(dice: Dice, { wish, asks }: NullKind, callsMax: number): World {
  const sessions = { callsMax, ...(asks === 'call_number' ? { needsSessions: true } : {}) }
  if (wish === 'spread') return worldOf(dice, { callsMax, spread: dice.between(0.8, 1.3), tools: [5, 30] })
  if (wish === 'heavy') return worldOf(dice, { ...sessions, heavy: true, spread: dice.between(0.1, 0.8) })
  if (wish === 'few') return worldOf(dice, { ...sessions, calls: dice.whole(60, 90), callsPerSession: 2.4 })
  return worldOf(dice, sessions)
}
