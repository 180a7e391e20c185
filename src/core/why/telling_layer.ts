import type { Features } from './feature.ts'

/** Of all time that was recorded: layers that have less together are as good as none. */
const othersMin = 0.01

/** Whether it says anything that a layer is slow: where calls have hardly any time in others, it is merely they that are. */
export function isLayerTelling({ parts }: Features, layer: string): boolean {
  let own = 0
  let others = 0
  for (const part of parts) {
    let sum = 0
    for (const ms of part.ms) if (ms > 0) sum += ms
    if (part.layer === layer) own += sum
    else others += sum
  }
  return others >= othersMin * (own + others) && others > 0
}
