import type { Dice } from './incident_chance.ts'
import {
  type Ask,
  atPartOf,
  commonLayers,
  type Recipe,
  type Scene,
  slowDown,
  whenOf,
  wishOf,
} from './incident_plant.ts'
import { type CallNode, nodesOf, workOf } from './incident_tree.ts'
import type { Call, World } from './incident_world.ts'

// What makes calls slower without an attribute that says which: a layer, a moment, an overhead, a model that thinks; and
// what grows with a number.

/** One layer is slow, for each tool by another amount. */
export function layerSlow(dice: Dice, ask: Ask): Recipe {
  const when = whenOf(dice, ask)
  const size = dice.between(0.9, 3)
  return {
    wish: { tools: [4, dice.one([8, 30, 120])], ...wishOf(dice, ask) },
    plant(world) {
      const layer = dice.one(commonLayers(world))
      return {
        kind: 'layer',
        cause: 'layer_slow',
        attribute: null,
        value: null,
        atPart: null,
        act: (scene, call, root) => {
          if (when(scene, call)) slowDown(scene, call, root, layer, size)
        },
      }
    },
  }
}

/** From a moment on a layer, or all of them, are slower; nothing recorded says why. */
export function changedAt(dice: Dice, ask: Ask): Recipe {
  const when = whenOf(dice, ask)
  const everywhere = dice.is(0.4)
  const size = dice.between(0.6, 2)
  const factor = dice.between(1.6, 3)
  return {
    wish: { tools: [4, dice.one([8, 30, 120])], ...(everywhere ? { spread: dice.between(0.6, 1.1) } : {}) },
    plant(world) {
      const layer = dice.one(commonLayers(world))
      return {
        kind: everywhere ? 'all layers from a moment on' : 'layer from a moment on',
        cause: 'changed_at',
        attribute: null,
        value: null,
        atPart: atPartOf(ask),
        everywhere,
        ...(everywhere ? {} : { alsoCause: ['layer_slow'] as const }),
        act: (scene, call, root) => {
          if (!when(scene, call)) return
          if (everywhere) for (const node of nodesOf(root)) node.ms *= factor
          else slowDown(scene, call, root, layer, size)
        },
      }
    },
  }
}

/** Every tool is slower by the same amount. */
export function uniformOverhead(dice: Dice, ask: Ask): Recipe {
  const when = whenOf(dice, ask)
  const size = dice.between(0.7, 2)
  return {
    wish: { tools: [5, dice.one([12, 40])], spread: dice.between(0.5, 1), ...wishOf(dice, ask) },
    plant(world) {
      const layer = dice.one(['shim', 'websocket', 'tool'].filter((name) => !world.hidden.has(name)))
      return {
        kind: 'overhead',
        cause: 'uniform_overhead',
        attribute: null,
        value: null,
        atPart: atPartOf(ask),
        act: (scene, call, root) => {
          const node = workOf(root, layer)[0]
          if (node && when(scene, call)) node.ms += scene.unitMs * size * dice.around(1, 0.08)
        },
      }
    },
  }
}

/** The model thinks before it says anything; what it says then comes as fast as ever. */
export function firstChunk(dice: Dice, ask: Ask): Recipe {
  const when = whenOf(dice, ask)
  const size = dice.between(0.9, 3)
  return {
    wish: { streams: true, needsModels: true, needs: ['api'], ...wishOf(dice, ask) },
    plant: () => ({
      kind: 'first chunk',
      cause: 'first_chunk',
      attribute: null,
      value: null,
      atPart: atPartOf(ask),
      act: (scene, call, root) => {
        const wait = nodesOf(root, ({ name }) => name === 'first chunk')[0]
        if (wait && when(scene, call)) wait.ms += scene.unitMs * size * call.tool.burden * dice.around(1, 0.35)
      },
    }),
  }
}

/** The model says it slowly: the first chunk comes as ever. */
export function slowGeneration(dice: Dice, ask: Ask): Recipe {
  const when = whenOf(dice, ask)
  const size = dice.between(0.9, 3)
  return {
    wish: { streams: true, needsModels: true, needs: ['api'], ...wishOf(dice, ask) },
    plant: () => ({
      kind: 'generation',
      cause: 'layer_slow',
      attribute: null,
      value: null,
      atPart: null,
      act: (scene, call, root) => {
        const api = workOf(root, 'api')[0]
        if (api && when(scene, call)) api.ms += scene.unitMs * size * call.tool.burden * dice.around(1, 0.35)
      },
    }),
  }
}

type Growth = {
  readonly attribute: string
  readonly layers: readonly string[]
  readonly alsoCalled?: readonly string[]
  readonly wish?: Recipe['wish']
  read(call: Call): number | null
  /** About the greatest tenth, to which the slope is made. */
  high(world: World, scene: Scene): number
}

const growths: readonly Growth[] = [
  {
    attribute: 'history_bytes',
    layers: ['storage', 'tool', 'api'],
    wish: { needsSessions: true },
    read: ({ historyBytes }) => historyBytes,
    high: ({ callsPerSession }) => callsPerSession * 4_600,
  },
  {
    attribute: 'bytes_in',
    layers: ['websocket', 'tool', 'storage'],
    read: ({ bytesIn }) => bytesIn,
    high: () => 2_800,
  },
  {
    attribute: 'tokens_out',
    layers: ['api'],
    wish: { needsModels: true, needs: ['api'] },
    read: ({ tokensOut, provider }) => (provider === null ? null : tokensOut),
    high: () => 640,
  },
  {
    attribute: 'tokens_in',
    layers: ['api'],
    wish: { needsModels: true, needs: ['api'], needsSessions: true },
    read: ({ tokensIn, provider }) => (provider === null ? null : tokensIn),
    high: ({ callsPerSession }) => callsPerSession * 1_150,
  },
  {
    attribute: 'call_number',
    layers: ['storage', 'tool', 'websocket'],
    wish: { needsSessions: true, callsPerSession: 7 },
    read: ({ callNumber }) => callNumber,
    high: ({ callsPerSession }) => callsPerSession * 1.3,
  },
  {
    attribute: 'running',
    layers: ['tool', 'websocket', 'storage'],
    alsoCalled: ['queue_length', 'in_flight', 'concurrency', 'load'],
    wish: { busy: true, instances: [1, 2], needs: ['websocket'] },
    read: ({ running }) => running,
    high: () => 6,
  },
  ...(['rows', 'documents', 'files_count', 'message_count', 'queue_length'] as const).map(
    (attribute): Growth => ({
      attribute,
      layers: attribute === 'queue_length' ? ['websocket', 'tool'] : ['storage', 'tool'],
      read: ({ attributes }) => (attributes.get(attribute)?.value as number | undefined) ?? null,
      high: () => 360,
    }),
  ),
]

/** The time in a layer grows with a number. */
export function growsWith(dice: Dice, ask: Ask): Recipe {
  const fits = growths.filter(({ attribute }) =>
    ask.kind !== 'call_number' ? true : ['history_bytes', 'tokens_in', 'call_number'].includes(attribute),
  )
  const { attribute, layers, wish, read, high, alsoCalled } = dice.one(fits)
  const size = dice.between(1.8, 4.5)
  const isFree = !['bytes_in', 'tokens_out', 'tokens_in', 'call_number', 'running'].includes(attribute)
  const gaps = dice.is(0.3) ? 0.1 : 0
  return {
    wish: { ...wishOf(dice, ask), ...wish, spread: dice.between(0.1, 0.5) },
    plant(world) {
      const layer = dice.one(
        layers.filter((name) => !world.hidden.has(name)).concat(world.hidden.has('api') ? ['tool'] : []),
      )
      const place = dice.one([layer, 'tool'])
      return {
        kind: attribute,
        cause: 'grows_with',
        attribute,
        value: null,
        atPart: null,
        ...(alsoCalled ? { alsoCalled } : {}),
        dress: (_, call) => {
          if (!isFree) return
          const value = attribute === 'history_bytes' ? call.historyBytes : Math.round(dice.around(120, 0.85))
          call.attributes.set(attribute, { layer: place, value })
        },
        act: (scene, call, root) => {
          const x = read(call)
          const node = layerNode(root, layer)
          if (x !== null && node) node.ms += ((scene.unitMs * size * x) / high(world, scene)) * dice.around(1, 0.12)
          if (isFree && dice.is(gaps)) call.attributes.delete(attribute)
        },
      }
    },
  }
}

function layerNode(root: CallNode, layer: string): CallNode | undefined {
  return workOf(root, layer)[0]
}
