import type { WhyData, WhyTrace } from '../src/core/why/why_data.ts'
import { noiseFieldsOf } from './incident_attribute.ts'
import { type Dice, diceOf, median } from './incident_chance.ts'
import { tracesOf } from './incident_data.ts'
import { nullKinds, nullWorldOf } from './incident_null.ts'
import type { Ask, Plant, QuestionKind, Recipe } from './incident_plant.ts'
import { attributePair } from './incident_plant_pair.ts'
import { changedAt, firstChunk, growsWith, layerSlow, slowGeneration, uniformOverhead } from './incident_plant_slow.ts'
import { attributeValue } from './incident_plant_value.ts'
import { fixedTimeout, previousCall, retries, waiting } from './incident_plant_wait.ts'
import { type Played, play } from './incident_play.ts'
import { questionOf } from './incident_question.ts'
import { columnsOf } from './incident_rival.ts'
import { type Evidence, hitBound, isContested, isDrawn, type Truth, truthOf, weightOf } from './incident_truth.ts'
import { type Style, type World, type WorldWish, worldOf } from './incident_world.ts'

export const incidentClasses = [
  'layer_slow',
  'waiting',
  'grows_with',
  'attribute_value',
  'attribute_pair',
  'fixed_timeout',
  'retries',
  'previous_call',
  'uniform_overhead',
  'first_chunk',
  'changed_at',
  'null',
] as const
export type IncidentClass = (typeof incidentClasses)[number]

export type Incident = {
  readonly seed: number
  readonly style: Style
  readonly class: IncidentClass
  /** In words. */
  readonly kind: string
  readonly asks: QuestionKind
  readonly data: WhyData
  readonly truth: Truth | null
  /** A second cause that is true too and explains less. */
  readonly also: Truth | null
  /** What the truth added to each call, in ms, in the order of `data.traces`. */
  readonly extraMs: readonly number[]
  readonly world: World
  readonly played: readonly Played[]
}

type Maker = (dice: Dice, ask: Ask) => Recipe

const makers: {
  readonly [name in Exclude<IncidentClass, 'null'>]: {
    readonly make: Maker
    readonly asks: readonly (QuestionKind | 'moment')[]
  }
} = {
  layer_slow: {
    make: (dice, ask) => (dice.is(0.25) ? slowGeneration(dice, ask) : layerSlow(dice, ask)),
    asks: ['call_number', 'call_number', 'above', 'trace', 'region', 'none'],
  },
  waiting: { make: waiting, asks: ['call_number', 'call_number', 'after', 'above', 'trace', 'region', 'none', 'none'] },
  grows_with: { make: growsWith, asks: ['call_number', 'above', 'above', 'region', 'none', 'none'] },
  attribute_value: {
    make: attributeValue,
    asks: ['call_number', 'after', 'above', 'trace', 'region', 'none', 'none', 'moment'],
  },
  attribute_pair: { make: attributePair, asks: ['above', 'trace', 'region', 'none'] },
  fixed_timeout: { make: fixedTimeout, asks: ['above', 'after', 'trace', 'region', 'none'] },
  retries: { make: retries, asks: ['call_number', 'after', 'above', 'trace', 'region', 'none'] },
  previous_call: { make: previousCall, asks: ['above', 'trace', 'region', 'none'] },
  uniform_overhead: { make: uniformOverhead, asks: ['call_number', 'after', 'moment'] },
  first_chunk: { make: firstChunk, asks: ['call_number', 'after', 'above', 'trace', 'region', 'none'] },
  changed_at: { make: changedAt, asks: ['after', 'moment'] },
}

// Causes that go beside another without hiding it.
const company = ['layer_slow', 'waiting', 'attribute_value', 'retries', 'first_chunk', 'grows_with'] as const

/**
 * The incident of a seed: always the same. In about one of seven nothing happened. `callsMax` makes another of the same
 * seed, which has no more calls.
 */
export function incidentOf(seed: number, callsMax = 5_000): Incident {
  const first = diceOf(Math.imul(seed + 1, 0x9e3779b1))
  const name = first.weighted(incidentClasses, [2, 2.5, 2, 3, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2, 1.5, 3.2])
  for (let attempt = 0; attempt < 60; attempt++) {
    const dice = diceOf(Math.imul(seed + 1, 0x85ebca6b) + Math.imul(attempt, 0xc2b2ae35))
    const incident = name === 'null' ? nothingOf(seed, dice, callsMax) : somethingOf(seed, name, dice, callsMax)
    if (incident) return incident
  }
  throw new Error(`Cannot make an incident of seed ${seed}: 60 attempts at ${name} were too weak`)
}

function askOf(dice: Dice, kind: QuestionKind | 'moment', late = false): Ask {
  const atPart = dice.between(0.3, 0.75)
  if (kind === 'moment') return { kind: 'none', atPart }
  if (kind === 'none') return { kind, atPart: null }
  if (kind === 'after') return { kind, atPart }
  if (kind === 'call_number' && late) return { kind, n: dice.whole(5, 9) }
  return kind === 'call_number' ? { kind, n: dice.weighted([1, 2, 3, 4, 5], [2, 2, 5, 1, 1]) } : { kind }
}

function somethingOf(
  seed: number,
  name: Exclude<IncidentClass, 'null'>,
  dice: Dice,
  callsMax: number,
): Incident | null {
  const { make, asks } = makers[name]
  const ask = askOf(dice, dice.one(asks), name === 'grows_with')
  const recipes = [make(dice, ask)]
  const second = company.filter(
    (other) => other !== name && (makers[other].asks as readonly string[]).includes(ask.kind),
  )
  const alone = ['changed_at', 'fixed_timeout', 'attribute_pair', 'uniform_overhead'].includes(name)
  if (!alone && second.length > 0 && dice.is(0.5)) recipes.push(makers[dice.one(second)].make(dice, ask))
  const wish: WorldWish = { callsMax }
  for (const { wish: wished } of recipes.toReversed()) {
    Object.assign(wish, wished, { needs: [...(wish.needs ?? []), ...(wished.needs ?? [])] })
  }
  const world = worldOf(dice, wish)
  const plants = recipes.map(({ plant }) => plant(world))
  if (plants.includes(null)) return null
  return judged(seed, name, world, ask, plants as Plant[])
}

function nothingOf(seed: number, dice: Dice, callsMax: number): Incident | null {
  const kind = dice.one(nullKinds)
  const world = nullWorldOf(dice, kind, callsMax)
  const ask = askOf(dice, kind.asks, kind.wish === 'few')
  return judged(seed, 'null', world, ask, [], kind.kind)
}

/** A half of the calls, each of which stands for two. */
function sampleOf(dice: Dice, traces: readonly WhyTrace[]): WhyTrace[] {
  return traces.filter(() => dice.is(0.5)).map((trace) => ({ ...trace, weight: 2 }))
}

function judged(
  seed: number,
  name: IncidentClass,
  world: World,
  ask: Ask,
  plants: readonly Plant[],
  nullKind = '',
): Incident | null {
  const { dice } = world
  const wanted = Math.round(dice.logBetween(5, 200))
  const fields = noiseFieldsOf(world, Math.min(wanted, Math.ceil(250_000 / world.callsWanted)), new Set())
  const played = play(world, fields, plants)
  const everything = tracesOf(played)
  const traces = everything.length > 1_500 && dice.is(0.3) ? sampleOf(dice, everything) : everything
  const calls = new Map(played.map(({ traceId, call }) => [traceId, call]))
  const extrasOf = (index: number) => traces.map(({ trace_id }) => calls.get(trace_id)?.extras[index] ?? 0)
  const all = plants.map((_, index) => extrasOf(index))
  const unitMs = median(
    traces.map(({ duration_ms }, index) => duration_ms - all.reduce((sum, extra) => sum + (extra[index] ?? 0), 0)),
  )
  const question = questionOf(world, ask, traces, all[0] ?? [], hitBound(all[0] ?? [], unitMs, name === 'grows_with'))
  if (question === null) return null
  const data: WhyData = { question, matched: everything.length, traces, processes: world.processes }
  const layersOf = (index: number) => traces.map(({ trace_id }) => calls.get(trace_id)?.extraLayers[index] ?? new Map())
  const evidence = plants.map((plant, index): Evidence => {
    const extraMs = all[index] as number[]
    const hit = extraMs.map((ms) => ms > 0)
    return { world, data, plant, unitMs, extraMs, all, extraLayers: layersOf(index), hit }
  })
  const [weight, otherWeight] = evidence.map(weightOf)
  const extraMs = all[0] ?? traces.map(() => 0)
  const few = nullKind === 'too few'
  if (!isDrawn({ data, truth: weight ?? null, also: otherWeight ?? null, extraMs, unitMs, few })) return null
  const columns = columnsOf(data)
  const [leading, other] = evidence.map((one) => truthOf(one, columns))
  if (leading && isContested(evidence[0] as Evidence, leading, columns)) return null
  const kind = plants.length > 0 ? plants.map((plant) => plant.kind).join(' + ') : nullKind
  return {
    ...{ seed, style: world.style, class: name, kind, asks: ask.kind, data },
    ...{ truth: leading ?? null, also: other ?? null, extraMs, world, played },
  }
}
