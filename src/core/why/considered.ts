import type { Candidate } from './candidate.ts'
import type { Predictor } from './factor.ts'
import type { Features } from './feature.ts'
import type { Finding } from './finding.ts'
import { partOf } from './mechanism.ts'
import { sentenceOf } from './sentence.ts'
import { slopeOf } from './slope.ts'
import { isLayerTelling } from './telling_layer.ts'
import type { Cause, Factor, Verdict } from './why_answer.ts'
import { attributedOf, previousOf } from './why_verdict.ts'

const candidatesLooked = 16
const candidatesMax = 8
const partsMax = 4

/** What else was considered: nothing twice, nothing that is the verdict in other words. */
export function factorsOf(finding: Finding, calls: string, verdict: Verdict | null): Factor[] {
  const factors: Factor[] = []
  const said = new Set(verdict === null ? [] : [keyOf(verdict)])
  const add = (factor: Factor): void => {
    const key = keyOf(factor)
    if (said.has(key)) return
    said.add(key)
    factors.push(factor)
  }
  for (const candidate of othersOf(finding, verdict)) {
    const factor = candidateFactorOf(finding, candidate, calls)
    if (factor !== null) add(factor)
  }
  for (const factor of partFactorsOf(finding, calls)) add(factor)
  return factors
}

/** What makes two factors the same to a reader. A wait is the same whoever holds it. */
function keyOf({ cause, layer, attribute, value }: Pick<Factor, 'cause' | 'layer' | 'attribute' | 'value'>): string {
  if (cause === 'waiting') return JSON.stringify([cause, layer, attribute])
  if (cause === 'layer_slow') return JSON.stringify([cause, layer])
  return JSON.stringify([cause, attribute, value])
}

/** Each set of calls once, by its most telling name, and not that which the verdict names. */
function othersOf(finding: Finding, verdict: Verdict | null): Candidate[] {
  const { ranked, features } = finding
  const isVerdict = ({ predictor: { names } }: Candidate): boolean =>
    verdict?.attribute != null && [verdict.attribute].flat().every((name) => names.includes(name))
  const taken: Predictor[] =
    verdict === null
      ? []
      : ranked
          .filter(isVerdict)
          .slice(0, 1)
          .map(({ predictor }) => predictor)
  const others: Candidate[] = []
  for (const candidate of ranked.slice(0, candidatesLooked)) {
    const { predictor } = candidate
    if (taken.some((other) => isSame(predictor, other)) || isService(features, predictor)) continue
    taken.push(predictor)
    others.push(candidate)
  }
  return others.slice(0, candidatesMax)
}

/** Of two sets of calls, the part of them all that lies in both. */
const sameShare = 0.95

/** Whether two predictors hold for the same calls, or for the same but those that only the one knows of. */
function isSame(a: Predictor, b: Predictor): boolean {
  if (a.mask === null || b.mask === null) return a.mask === b.mask && a.names[0] === b.names[0]
  let both = 0
  let either = 0
  for (let i = 0; i < a.mask.length; i++) {
    both += (a.mask[i] as number) & (b.mask[i] as number)
    either += (a.mask[i] as number) | (b.mask[i] as number)
  }
  return both >= sameShare * either
}

const ofProcess: ReadonlySet<string> = new Set(['version', 'host', 'instance', 'environment', 'cold_start'])

/** Whether what is known of a process only tells which services have a part in a call. */
function isService({ traces, serviceOf }: Features, { names, mask }: Predictor): boolean {
  if (mask === null || !names.every((name) => ofProcess.has(name))) return false
  const held = new Map<string, number>()
  for (const [i, { process, spans }] of traces.entries()) {
    const services = new Set([serviceOf(process)])
    for (const id in spans) services.add(serviceOf(spans[id]?.process as string))
    const key = JSON.stringify([...services].sort())
    const bit = mask[i] as number
    if ((held.get(key) ?? bit) !== bit) return false
    held.set(key, bit)
  }
  return true
}

function candidateFactorOf(finding: Finding, candidate: Candidate, calls: string): Factor | null {
  const named =
    candidate.predictor.family === 'previous' ? previousOf(finding, candidate) : attributedOf(finding, candidate)
  if (named === null) return null
  const { cause, attribute, value } = named
  const { layer } = finding
  const share = roundedOf(named.share)
  const slope = cause === 'grows_with' ? slopeOf(finding, String(attribute)) : null
  const subject = { calls, extraMs: candidate.totalMs, layer, share, since: null }
  return { cause, layer, attribute, value, share, sentence: sentenceOf(subject, { cause, attribute, value, slope }) }
}

/** The layers and the waits that have a part of the extra time. */
function partFactorsOf({ features, extra }: Finding, calls: string): Factor[] {
  return features.parts
    .map((part, i) => ({ ...part, ms: extra.partMs[i] as number }))
    .filter(({ ms, wait, layer }) => ms > 0.1 * extra.totalMs && (wait !== null || isLayerTelling(features, layer)))
    .sort((a, b) => b.ms - a.ms)
    .slice(0, partsMax)
    .map(({ wait, layer, ms }) => {
      const cause: Cause = wait === null ? 'layer_slow' : 'waiting'
      const share = roundedOf(partOf(ms, extra.totalMs))
      const subject = { calls, extraMs: extra.totalMs, layer, share, since: null }
      const sentence = sentenceOf(subject, { cause, attribute: wait, value: null, slope: null })
      return { cause, layer, attribute: wait, value: null, share, sentence }
    })
}

function roundedOf(share: number): number {
  return Math.round(share * 1_000) / 1_000
}
