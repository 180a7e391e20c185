import type { Dice } from './incident_chance.ts'
import { type Ask, type Recipe, slowDown, wishOf } from './incident_plant.ts'
import { clientMark, freeMark, hostMark, layerFor, type Mark } from './incident_plant_value.ts'

/** Calls that have both values are slower; either alone does nothing. */
export function attributePair(dice: Dice, ask: Ask): Recipe {
  const first = freeMark(dice, ask, dice.between(0.3, 0.5))()
  const second = dice.one([
    { make: hostMark(dice), wish: { instances: [2, 4] as const } },
    { make: clientMark(dice), wish: {} },
    { make: () => laneMark(dice), wish: {} },
    { make: () => laneMark(dice), wish: {} },
  ])
  const size = dice.between(1.2, 3)
  return {
    wish: { ...wishOf(dice, ask), ...second.wish },
    plant(world) {
      const other = second.make(world)
      const layer = other && layerFor(dice, world, first)
      if (!other || !layer) return null
      return {
        kind: `${first.attribute} and ${other.attribute}`,
        cause: 'attribute_value',
        attribute: [first.attribute, other.attribute],
        value: [String(first.value), String(other.value)],
        atPart: null,
        ...(other.alsoCalled ? { alsoCalled: other.alsoCalled } : {}),
        dress: (scene, call) => {
          first.dress?.(scene, call)
          other.dress?.(scene, call)
        },
        act: (scene, call, root) => {
          if (first.has(call) && other.has(call)) slowDown(scene, call, root, layer, size)
        },
      }
    },
  }
}

function laneMark(dice: Dice): Mark {
  const share = dice.between(0.3, 0.5)
  const attribute = dice.one(['driver', 'scope', 'edition'])
  return {
    attribute,
    value: 'b',
    layers: ['tool'],
    dress: (_, call) => {
      call.attributes.set(attribute, { layer: 'tool', value: dice.is(share) ? 'b' : dice.one(['a', 'c']) })
    },
    has: ({ attributes }) => attributes.get(attribute)?.value === 'b',
  }
}
