import type { Category } from './attribute.ts'
import { isFirstChunk, type TraceParts } from './part.ts'
import { medianOf } from './rank.ts'

/** Of a call's usual duration: a shorter wait is no reason. */
const waitPartMin = 0.1

/** Whether a call was tried again, and whether it waited for long: what spans tell outright. */
export function tellingSpansOf({ parts, attempts }: TraceParts, durationMs: Float64Array): Category[] {
  const least = waitPartMin * medianOf(durationMs)
  const categories = [flagOf('attempts', attempts, 1)]
  for (const { wait, ms } of parts) if (wait !== null && !isFirstChunk(wait)) categories.push(flagOf(wait, ms, least))
  return categories.filter(({ codes }) => codes.includes(0))
}

function flagOf(name: string, amounts: Float64Array, above: number): Category {
  const codes = new Int32Array(amounts.length).fill(-1)
  for (let i = 0; i < amounts.length; i++) if ((amounts[i] as number) > above) codes[i] = 0
  return { name, family: 'span', codes, values: ['true'] }
}
