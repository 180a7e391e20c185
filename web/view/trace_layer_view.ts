import { layers as knownLayers } from '../../src/core/layer.ts'
import type { Breakdown } from '../../src/core/trace.ts'

/** A layer's part of a trace's time: `share` 0..1 of all of it, `x` and `width` in percent of a bar. */
export type LayerShare = {
  readonly layer: string
  readonly ms: number
  readonly share: number
  readonly x: number
  readonly width: number
}

export const unexplainedLayer = 'unexplained'

const order: ReadonlyMap<string, number> = new Map(knownLayers.map((layer, i) => [layer, i]))

/** The parts that took any time: the six layers outermost first, then the deployment's own by name, unexplained last. */
export function layerSharesOf(layers: Breakdown): readonly LayerShare[] {
  const parts = Object.entries(layers).filter(([, ms]) => ms > 0)
  const total = parts.reduce((sum, [, ms]) => sum + ms, 0)
  parts.sort(([a], [b]) => placeOfLayer(a) - placeOfLayer(b) || (a < b ? -1 : 1))
  let x = 0
  return parts.map(([layer, ms]) => {
    const share = ms / total
    const part = { layer, ms, share, x: floored(x * 100), width: floored(share * 100) }
    x += share
    return part
  })
}

/** Names of layers: the six outermost first, then the deployment's own by name, unexplained last. */
export function layersInOrder(layers: readonly string[]): readonly string[] {
  return [...layers].sort((a, b) => placeOfLayer(a) - placeOfLayer(b) || (a < b ? -1 : 1))
}

/** The same in words, the largest first: `api 82 %, websocket 11 %`. Empty where no time was explained or lost. */
export function layerSharesText(layers: Breakdown): string {
  return [...layerSharesOf(layers)]
    .sort((a, b) => b.ms - a.ms)
    .map(({ layer, share }) => `${layer} ${share < 0.005 ? '<1' : Math.round(share * 100)}\u00a0%`)
    .join(', ')
}

function placeOfLayer(layer: string): number {
  return layer === unexplainedLayer ? knownLayers.length + 1 : (order.get(layer) ?? knownLayers.length)
}

function floored(percent: number): number {
  return Math.floor(percent * 100) / 100
}
