import { isFailure } from '../outcome.ts'
import type { Features } from './feature.ts'
import type { WhyTrace } from './why_data.ts'

export type TimeoutMass = {
  /** In ms, the round number that the durations stand at. */
  readonly value: number
  /** The part of the slow calls that end there. */
  readonly share: number
  readonly layer: string | null
}

type Ending = { readonly i: number; readonly ms: number; readonly failed: boolean }

const fewest = 5
/** Where nothing says that they failed. */
const fewestSilent = 8
const shareMin = 0.4
const tightness = 0.015

/** Durations of slow calls, or of one of their spans, that stand at one value, where others hardly do. */
export function timeoutMassOf(features: Features, slow: Uint8Array, base: Uint8Array): TimeoutMass | null {
  const slowCount = slow.reduce((sum, bit) => sum + bit, 0)
  const baseCount = base.reduce((sum, bit) => sum + bit, 0)
  let best: (TimeoutMass & { readonly count: number }) | null = null
  for (const [key, endings] of endingsOf(features, slow)) {
    if (endings.length < Math.max(fewest, shareMin * slowCount)) continue
    const mass = densestOf(endings)
    const calls = new Set(mass.map(({ i }) => i)).size
    if (calls < fewest || calls < shareMin * slowCount) continue
    const value = roundOf(mass)
    if (value === null) continue
    const low = mass[0]?.ms as number
    const high = mass.at(-1)?.ms as number
    const others = endingsOf(features, base, key).get(key) ?? []
    const near = others.filter(({ ms }) => ms >= low * 0.99 && ms <= high * 1.01).length
    if (near / Math.max(1, baseCount) > 0.34 * (calls / slowCount)) continue
    if (best !== null && calls <= best.count) continue
    best = {
      value,
      share: calls / slowCount,
      layer: key === whole ? null : (key.split('\n')[0] as string),
      count: calls,
    }
  }
  return best
}

const whole = ''

function endingsOf({ traces, durationMs }: Features, mask: Uint8Array, only?: string): Map<string, Ending[]> {
  const endings = new Map<string, Ending[]>()
  const add = (key: string, ending: Ending): void => {
    if (only !== undefined && key !== only) return
    const list = endings.get(key)
    if (list === undefined) endings.set(key, [ending])
    else list.push(ending)
  }
  for (let i = 0; i < traces.length; i++) {
    if (mask[i] === 0) continue
    const { spans, outcome } = traces[i] as WhyTrace
    add(whole, { i, ms: durationMs[i] as number, failed: isFailure(outcome) || outcome === 'cancelled' })
    for (const span of Object.values(spans)) {
      if (span.end_us === undefined || span.concluded === true) continue
      const failed = isFailure(span.outcome ?? null) || span.outcome === 'cancelled' || isFailure(outcome)
      add(`${span.layer}\n${span.kind ?? 'work'}`, {
        i,
        ms: (span.end_us - span.start_us) / 1_000,
        failed,
      })
    }
  }
  return endings
}

function densestOf(endings: readonly Ending[]): readonly Ending[] {
  const sorted = endings.filter(({ ms }) => ms >= 450).sort((a, b) => a.ms - b.ms || a.i - b.i)
  let best: readonly [number, number] = [0, 0]
  for (let low = 0, high = 0; low < sorted.length; low++) {
    while (high < sorted.length && (sorted[high] as Ending).ms <= (sorted[low] as Ending).ms * (1 + tightness)) high++
    if (high - low > best[1] - best[0]) best = [low, high]
  }
  return sorted.slice(...best)
}

/** A timeout is a round number that what failed stands at or a little above; null where it is none. */
function roundOf(mass: readonly Ending[]): number | null {
  const failed = mass.filter((ending) => ending.failed).length / mass.length
  const low = mass[Math.floor(mass.length * 0.1)]?.ms as number
  const middle = mass[Math.floor(mass.length / 2)]?.ms as number
  if (failed < 0.3 && mass.length < fewestSilent) return null
  for (const step of [30_000, 10_000, 5_000, 1_000, 500]) {
    const value = Math.round(middle / step) * step
    const near = failed >= 0.3 ? 0.02 * value : Math.min(0.02 * value, 0.08 * step)
    if (value > 0 && Math.abs(middle - value) <= near && low > 0.985 * value) return value
  }
  return null
}
