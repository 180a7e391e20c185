import type { StoredSpan } from '../trace.ts'
import type { Extra } from './extra.ts'
import type { Features } from './feature.ts'
import { isBackoff, isFirstChunk } from './part.ts'
import { medianOf } from './rank.ts'
import type { WhyTrace } from './why_data.ts'

/** What slow calls spend their extra time on, where spans tell it. */
export type Mechanism =
  | {
      readonly cause: 'waiting'
      readonly layer: string
      readonly wait: string
      readonly holder: string | null
      readonly share: number
    }
  | { readonly cause: 'retries'; readonly attempts: number; readonly share: number }
  | { readonly cause: 'first_chunk'; readonly share: number }

/** The mechanism that has most of the extra time; null where none has `least` of it. */
export function mechanismOf(features: Features, slow: Uint8Array, extra: Extra, least: number): Mechanism | null {
  const { totalMs } = extra
  if (totalMs <= 0) return null
  const retries = retriesOf(features, slow, extra, least)
  const [wait, ms] = longestWaitOf(features, extra)
  if (retries !== null && extra.retryMs >= ms) return retries
  if (ms >= least * totalMs) {
    const layer = layerOf(features, wait, extra)
    return { cause: 'waiting', layer, wait, holder: holderOf(features, slow, wait), share: partOf(ms, totalMs) }
  }
  return firstChunkOf(features, slow, extra)
}

/** The wait that has most of the extra time, and how much. */
function longestWaitOf({ parts }: Features, { partMs }: Extra): readonly [string, number] {
  const waits = new Map<string, number>()
  for (const [i, { wait }] of parts.entries()) {
    if (wait === null || isBackoff(wait) || isFirstChunk(wait)) continue
    waits.set(wait, (waits.get(wait) ?? 0) + (partMs[i] as number))
  }
  return [...waits].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0] ?? ['', 0]
}

/** Where most of the waiting is done. */
function layerOf({ parts }: Features, wait: string, { partMs }: Extra): string {
  let best = -1
  for (const [i, part] of parts.entries()) {
    if (part.wait === wait && (best < 0 || (partMs[i] as number) > (partMs[best] as number))) best = i
  }
  return parts[best]?.layer as string
}

export function partOf(ms: number, totalMs: number): number {
  return Math.max(0, Math.min(1, ms / totalMs))
}

function retriesOf(features: Features, slow: Uint8Array, { retryMs, totalMs }: Extra, least: number): Mechanism | null {
  const counts = new Map<number, number>()
  let again = 0
  let all = 0
  let base = 0
  for (let i = 0; i < features.n; i++) {
    const attempts = features.attempts[i] as number
    if (slow[i] === 0) {
      if (attempts > 1) base++
      continue
    }
    all++
    if (attempts <= 1) continue
    again++
    counts.set(attempts, (counts.get(attempts) ?? 0) + 1)
  }
  if (again < 3 || retryMs < least * totalMs || again / all < 2 * (base / Math.max(1, features.n - all))) return null
  const [attempts] = [...counts].sort((a, b) => b[1] - a[1] || b[0] - a[0])[0] as [number, number]
  return { cause: 'retries', attempts, share: partOf(retryMs, totalMs) }
}

/** Of generating, too, a slow model does more: only where the first chunk takes clearly more than its usual part is it to blame. */
function firstChunkOf(
  features: Features,
  slow: Uint8Array,
  { firstChunkMs, totalMs, usualMs }: Extra,
): Mechanism | null {
  if (!(firstChunkMs >= 0.6 * totalMs)) return null
  const usual = features.firstChunkMs.filter((ms, i) => slow[i] === 0 && !Number.isNaN(ms))
  if (usual.length === 0) return null
  const usualPart = medianOf(usual) / usualMs
  const part = firstChunkMs / totalMs
  return part > usualPart + 0.15 || part > 0.9 ? { cause: 'first_chunk', share: partOf(firstChunkMs, totalMs) } : null
}

/** Who held what was waited for, for the longest time in sum. */
function holderOf({ traces }: Features, slow: Uint8Array, wait: string): string | null {
  const held = new Map<string, number>()
  for (let i = 0; i < traces.length; i++) {
    if (slow[i] === 0) continue
    for (const span of Object.values((traces[i] as WhyTrace).spans) as StoredSpan[]) {
      if (span.kind !== 'wait' || span.name !== wait || span.holder === undefined) continue
      held.set(span.holder, (held.get(span.holder) ?? 0) + (span.end_us ?? span.start_us) - span.start_us)
    }
  }
  return [...held].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0]?.[0] ?? null
}
