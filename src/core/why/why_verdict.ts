import type { Candidate } from './candidate.ts'
import { confidenceOf } from './confidence.ts'
import type { Finding } from './finding.ts'
import { type Mechanism, mechanismOf, partOf } from './mechanism.ts'
import { overheadOf } from './overhead.ts'
import { countOf } from './rank.ts'
import { sentenceOf } from './sentence.ts'
import { sinceOf } from './since.ts'
import { slopeOf } from './slope.ts'
import { isLayerTelling } from './telling_layer.ts'
import { timeoutMassOf } from './timeout_mass.ts'
import type { Verdict } from './why_answer.ts'

export type Named = Pick<Verdict, 'cause' | 'attribute' | 'value' | 'share'> & { readonly layer?: string }

/** What a finding amounts to; null where nothing but chance or nature can be told. `calls` begins the sentence. */
export function verdictOf(finding: Finding, calls: string): Verdict | null {
  const best = finding.ranked[0] ?? null
  const named = namedOf(finding, best)
  if (named === null) return null
  const { extra } = finding
  const layer = named.layer ?? (finding.layerShare >= 0.5 ? finding.layer : null)
  const since = sinceOf(finding.features, finding.strata, finding.response, best?.predictor ?? null, finding.slow)
  const share = Math.round(named.share * 1_000) / 1_000
  const n = countOf(finding.slow)
  const slope = named.cause === 'grows_with' ? slopeOf(finding, String(named.attribute)) : null
  return {
    cause: named.cause,
    layer,
    attribute: named.attribute,
    value: named.value,
    since,
    share,
    confidence: confidenceOf({ z: finding.z, share, n }),
    sentence: sentenceOf({ calls, extraMs: extra.totalMs, layer, share, since }, { ...named, slope }),
  }
}

const rareShare = 0.085

/** Most specific first: who is not asked where spans tell what was waited for. */
function namedOf(finding: Finding, best: Candidate | null): Named | null {
  const { features, strata, slow, base, extra } = finding
  const family = best?.predictor.family
  const mechanism = mechanismOf(features, slow, extra, family === 'span' ? 0.3 : 0.5)
  if (mechanism?.cause === 'waiting' && isFrameBefore(mechanism)) {
    const { share, layer, holder } = mechanism
    return { cause: 'previous_call', attribute: null, value: holder ?? toolBeforeOf(finding), share, layer }
  }
  const mass = timeoutMassOf(features, slow, base)
  if (best !== null && family === 'previous' && !isHeld(mechanism)) {
    if (mass === null || isCertain(finding, best)) return previousOf(finding, best)
  }
  if (mass !== null) return { cause: 'fixed_timeout', attribute: null, value: mass.value, share: mass.share }
  if (mechanism?.cause === 'retries') {
    // The attempts lie in one layer and the pauses between them may lie in another: that which has most is named.
    const retried = finding.layer === null ? {} : { layer: finding.layer }
    return { cause: 'retries', attribute: null, value: mechanism.attempts, share: mechanism.share, ...retried }
  }
  const growth = growthOf(finding)
  if (mechanism?.cause === 'waiting') {
    const { wait, holder, share, layer } = mechanism
    if (growth !== null && holder === null) return attributedOf(finding, growth)
    return { cause: 'waiting', attribute: wait, value: holder, share, layer }
  }
  const isGrowth = best?.predictor.kind === 'quantity'
  const fit = best?.fits[finding.k]?.r2 ?? 0
  if (mechanism?.cause === 'first_chunk' && !(isGrowth && fit > 0.3)) {
    return { cause: 'first_chunk', attribute: null, value: null, share: mechanism.share }
  }
  if (best !== null) {
    const named = attributedOf(finding, best)
    if (named !== null) return named
  }
  const part = finding.layerShare >= 0.6 ? finding.response.part : -1
  if (family === 'span' && !finding.isMode) return null
  const added = overheadOf(features, strata, slow, base, part)
  if (added !== null && (best !== null || finding.isMode)) {
    return { cause: 'uniform_overhead', attribute: null, value: null, share: partOf(added, extra.totalMs) }
  }
  if (best?.predictor.kind === 'time') return { cause: 'changed_at', attribute: null, value: null, share: 1 }
  if (best === null && !finding.isMode) return null
  // Now and then every layer is slow: tails are long by nature.
  const isRare = !finding.isAsked && countOf(slow) < rareShare * features.n
  if (best === null && (finding.layerShare < 0.5 || isRare)) return null
  if (finding.layer === null || !isLayerTelling(features, finding.layer)) return null
  // Where none has half of it, every layer has its part, and all of them have all of it.
  return { cause: 'layer_slow', attribute: null, value: null, share: finding.layerShare < 0.5 ? 1 : finding.layerShare }
}

/** Whether nearly all slow calls, and hardly any others, are those that the predictor holds for. */
function isCertain({ slow, features }: Finding, { predictor: { mask } }: Candidate): boolean {
  let both = 0
  let either = 0
  for (let i = 0; i < features.n; i++) {
    both += (slow[i] as number) & (mask?.[i] as number)
    either += (slow[i] as number) | (mask?.[i] as number)
  }
  return both > 0.8 * either
}

/** A quantity that nearly all of the time goes along with. */
function growthOf({ ranked, k }: Finding): Candidate | null {
  const most = Math.max(...ranked.map(({ fits }) => fits[k]?.r2 as number))
  const fits = ({ predictor, fits }: Candidate): boolean =>
    predictor.kind === 'quantity' && (fits[k]?.r2 as number) > Math.max(0.6, 0.9 * most)
  return ranked.find(fits) ?? null
}

function isFrameBefore({ wait }: Mechanism & { readonly cause: 'waiting' }): boolean {
  return /^frame before/.test(wait)
}

function isHeld(mechanism: Mechanism | null): boolean {
  if (mechanism?.cause === 'retries') return true
  return mechanism?.cause === 'waiting' && mechanism.holder !== null
}

export function attributedOf(finding: Finding, best: Candidate): Named | null {
  const { kind, names, values, family } = best.predictor
  const share = shareOf(finding, best)
  if (kind === 'quantity') return { cause: 'grows_with', attribute: names[0] as string, value: null, share }
  if (kind === 'pair') {
    return {
      cause: 'attribute_value',
      attribute: [names[0] as string, names[1] as string],
      value: [values[0] as string | number, values[1] as string | number],
      share,
    }
  }
  if (kind !== 'value' || family === 'place' || family === 'span') return null
  return { cause: 'attribute_value', attribute: names[0] as string, value: values[0] as string | number, share }
}

export function previousOf(finding: Finding, best: Candidate): Named {
  const { names, values } = best.predictor
  const at = names.findIndex((name) => name.endsWith('.tool'))
  const value =
    at >= 0 ? (values[at] as string) : toolBeforeOf(finding, best.predictor.mask, names[0]?.startsWith('before'))
  return { cause: 'previous_call', attribute: null, value, share: shareOf(finding, best) }
}

/** The tool that ran before most of the slow calls. */
function toolBeforeOf({ features, slow }: Finding, mask: Uint8Array | null = null, inProcess = false): string | null {
  const counts = new Map<string, number>()
  for (let i = 0; i < features.n; i++) {
    if (slow[i] === 0 || (mask !== null && mask[i] === 0)) continue
    const trace = features.traces[i]
    const tool = (inProcess ? trace?.before : trace?.previous)?.tool ?? null
    if (tool !== null) counts.set(tool, (counts.get(tool) ?? 0) + 1)
  }
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0]?.[0] ?? null
}

/** The part of the slow calls' time above the usual that is spent by those for which the predictor holds. */
function shareOf({ features, strata, slow, base, extra, k }: Finding, { predictor, fits }: Candidate): number {
  if (predictor.mask === null) return Math.min(1, Math.sqrt(Math.max(0, fits[k]?.r2 ?? 0)))
  const usual = usualOf(features.durationMs, strata.codes, base)
  let sum = 0
  let explained = 0
  for (let i = 0; i < features.n; i++) {
    if (slow[i] === 0) continue
    const over = (features.durationMs[i] as number) - (usual.get(strata.codes[i] as number) ?? extra.usualMs)
    if (over <= 0) continue
    sum += over
    if (predictor.mask[i] === 1) explained += over
  }
  return sum === 0 ? 0 : explained / sum
}

function usualOf(ms: Float64Array, codes: Int32Array, base: Uint8Array): Map<number, number> {
  const lists = new Map<number, number[]>()
  for (let i = 0; i < ms.length; i++) {
    if (base[i] === 0) continue
    const list = lists.get(codes[i] as number)
    if (list === undefined) lists.set(codes[i] as number, [ms[i] as number])
    else list.push(ms[i] as number)
  }
  return new Map([...lists].map(([code, list]) => [code, list.sort((a, b) => a - b)[list.length >> 1] as number]))
}
