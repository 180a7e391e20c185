import type { Cause, Verdict } from '../src/core/why/why_answer.ts'
import type { Dice } from './incident_chance.ts'
import { type CallNode, workOf } from './incident_tree.ts'
import type { Call, World, WorldWish } from './incident_world.ts'

// What may be planted: something that makes some of the calls slower, and what a right verdict says of it.

export type QuestionKind = 'call_number' | 'after' | 'above' | 'trace' | 'region' | 'none'

/** What will be asked, as far as it is known before anything happens. `atPart` is a part of the incident's time. */
export type Ask =
  | { readonly kind: 'call_number'; readonly n: number }
  | { readonly kind: 'after'; readonly atPart: number }
  | { readonly kind: 'above' | 'trace' | 'region' }
  /** Nothing is asked; with `atPart` it begins at a moment, else now and then. */
  | { readonly kind: 'none'; readonly atPart: number | null }

export type Scene = {
  readonly world: World
  /** What a call takes by nature, in the middle. */
  readonly unitMs: number
  /** What has happened so far, in its order. */
  readonly calls: Call[]
  /** Until when what is waited for is taken, in ms, by what it is and whose. */
  readonly waiting: Map<string, number[]>
}

export type Plant = {
  /** In words, such as `permit leak`. */
  readonly kind: string
  readonly cause: Cause
  readonly attribute: Verdict['attribute']
  readonly value: Verdict['value']
  /** Where it begins at a moment, as a part of the incident's time. */
  readonly atPart: number | null
  /** Other names of the attribute that say the same. */
  readonly alsoCalled?: readonly string[]
  /** Other causes that are as right by the text; see the table of the scorer. */
  readonly alsoCause?: readonly Cause[]
  /** Which layers share in it, where several do by its nature; else the scorer asks for the one that bears most. */
  readonly everywhere?: boolean
  /** Gives the call its facts before it is built. */
  dress?(scene: Scene, call: Call): void
  /** Changes what the call does. */
  act(scene: Scene, call: Call, root: CallNode): void
}

export type Recipe = {
  readonly wish: WorldWish
  /** Null: it cannot be planted in this world. */
  plant(world: World): Plant | null
}

/** Whether a call is one of those that are asked about; where nothing says which, it is now and then one. */
export function whenOf(dice: Dice, ask: Ask, share = dice.between(0.08, 0.3)): (scene: Scene, call: Call) => boolean {
  if (ask.kind === 'call_number') return (_, { callNumber }) => callNumber === ask.n && dice.is(0.92)
  const { atPart } = { atPart: null, ...ask }
  if (atPart !== null) return ({ world }, { startMs }) => startMs >= atPart * world.lengthMs && dice.is(0.96)
  return () => dice.is(share)
}

export function atPartOf(ask: Ask): number | null {
  return 'atPart' in ask ? ask.atPart : null
}

/** Wishes that make it likely that enough is asked about. */
export function wishOf(dice: Dice, ask: Ask): WorldWish {
  if (ask.kind === 'call_number') return { needsSessions: true, callsPerSession: ask.n + dice.between(0.5, 4) }
  // Where calls are picked by how long they took, the tools are of like speed, or it is they that are asked about.
  return ask.kind === 'above' || ask.kind === 'region' ? { spread: dice.between(0.05, 0.35) } : {}
}

/** The layers that may get slower so that most calls notice. */
export function commonLayers(world: World): string[] {
  return ['shim', 'websocket', 'tool', 'provider', 'api', 'storage'].filter((layer) => {
    if (world.hidden.has(layer)) return false
    const all = world.tools.reduce((sum, { weight }) => sum + weight, 0)
    const asking = world.tools.reduce((sum, { weight, provider }) => sum + (provider === null ? 0 : weight), 0)
    return !['provider', 'api'].includes(layer) || asking / all > 0.7
  })
}

/**
 * Makes a layer slower by `size` times what a call takes in the middle, times the tool's own burden: some tools hardly
 * notice, others suffer. False where the call does nothing in the layer.
 */
export function slowDown({ world, unitMs }: Scene, call: Call, root: CallNode, layer: string, size: number): boolean {
  const nodes = workOf(root, layer)
  const node = nodes.length > 0 ? world.dice.one(nodes) : undefined
  if (node === undefined) return false
  const extra = unitMs * size * call.tool.burden * world.dice.around(1, 0.3)
  const wait = node.children.find(({ name }) => name === 'first chunk')
  // A slow API is as slow before its first chunk as after it.
  if (wait) {
    const part = wait.ms / (wait.ms + node.ms)
    wait.ms += extra * part
    node.ms += extra * (1 - part)
  } else node.ms += extra
  return true
}

/** Adds a child that comes first; nothing runs beside it. */
export function putFirst(node: CallNode, child: CallNode): void {
  node.children.unshift(child)
  node.parallel = false
}
