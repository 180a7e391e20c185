import type { Verdict, WhyAnswer } from '../src/core/why/why_answer.ts'
import type { WhyData } from '../src/core/why/why_data.ts'
import { quantile } from './incident_chance.ts'
import { type Incident, type IncidentClass, incidentClasses } from './incident_of.ts'
import type { Accepted, Truth } from './incident_truth.ts'

export type Engine = (data: WhyData) => WhyAnswer

/** How one engine did on one incident. */
export type Mark = {
  readonly seed: number
  readonly class: IncidentClass
  readonly kind: string
  readonly asks: string
  readonly style: string
  /** Cause, layer and attribute are right; of a null case: there is no verdict. */
  readonly right: boolean
  /** So in the words of the truth itself, none of what is accepted beside it. */
  readonly exact: boolean
  readonly cause: boolean
  readonly valued: boolean | null
  readonly said: boolean
  readonly confidence: number | null
  readonly ms: number
  readonly verdict: Verdict | null
  readonly truth: Truth | null
}

export function markOf(incident: Incident, engine: Engine): Mark {
  const began = performance.now()
  const { verdict } = engine(incident.data)
  const ms = performance.now() - began
  const { seed, kind, asks, style, truth } = incident
  const base = { seed, class: incident.class, kind, asks, style, truth, verdict, ms }
  const said = { said: verdict !== null, confidence: verdict?.confidence ?? null }
  if (truth === null || verdict === null) {
    const right = truth === null && verdict === null
    return { ...base, ...said, right, exact: right, cause: right, valued: null }
  }
  const { from_us, to_us } = incident.data.question
  const slackUs = (to_us - from_us) * 0.05
  const fits = (accepted: Accepted) => isAccepted(verdict, accepted, truth, slackUs)
  const right = truth.accepted.some(fits)
  return {
    ...base,
    ...said,
    right,
    exact: verdict.layer === truth.layer && truth.accepted.slice(0, 1).some(fits) && isNamed(verdict, truth.attribute),
    cause: truth.accepted.some(({ cause }) => cause === verdict.cause),
    valued: right && truth.value !== null ? isValued(verdict, truth) : null,
  }
}

/** Whether the verdict says one of the things that are right. */
export function isAccepted(verdict: Verdict, accepted: Accepted, truth: Truth, slackUs: number): boolean {
  if (verdict.cause !== accepted.cause || !accepted.layers.includes(verdict.layer)) return false
  const { since } = verdict
  if (accepted.needsSince && (since === null || Math.abs(since - (truth.since_us ?? 0)) > slackUs)) return false
  const said = verdict.attribute === null ? [] : [verdict.attribute].flat()
  const { names } = accepted
  if (said.length !== names.length) return false
  const [first = [], second = []] = names
  if (said.length < 2) return said.every((name) => first.includes(name))
  const [one = '', other = ''] = said
  return (first.includes(one) && second.includes(other)) || (first.includes(other) && second.includes(one))
}

function isNamed({ attribute }: Verdict, wanted: Verdict['attribute']): boolean {
  const text = (names: Verdict['attribute']) => [names].flat().toSorted().join('\n')
  return text(attribute) === text(wanted)
}

/** Text, number or truth value alike; a timeout to within 2 %; of a pair in either order. */
function isValued({ value }: Verdict, truth: Truth): boolean {
  const text = (values: Verdict['value']) => [values].flat().map(String).toSorted().join('\n')
  if (text(value) === text(truth.value)) return true
  const [said, wanted] = [Number(value), Number(truth.value)]
  return truth.cause === 'fixed_timeout' && Math.abs(said / wanted - 1) < 0.02
}

export type Bin = { readonly from: number; readonly n: number; readonly confidence: number; readonly right: number }

export type Score = {
  readonly n: number
  /** Of the incidents in which something happened, 0 to 1. */
  readonly right: number
  readonly exact: number
  readonly cause: number
  /** Of those that are right and have a value. */
  readonly valued: number
  /** Of the null cases, those with a verdict. */
  readonly falseVerdicts: number
  readonly classes: readonly { readonly name: string; readonly n: number; readonly right: number }[]
  readonly bins: readonly Bin[]
  /** The gap of confidence and truth over all verdicts, in bins, weighted by how many each has. */
  readonly calibrationGap: number
  /** The widest gap of a bin with twenty verdicts or more. */
  readonly widestGap: number
  readonly medianMs: number
  readonly worstMs: number
}

export function scoreOf(marks: readonly Mark[]): Score {
  const happened = marks.filter(({ truth }) => truth !== null)
  const nothing = marks.filter(({ truth }) => truth === null)
  const times = marks.map(({ ms }) => ms)
  const bins = binsOf(marks)
  const verdicts = bins.reduce((sum, { n }) => sum + n, 0)
  const gapOf = ({ confidence, right }: Bin) => Math.abs(confidence - right)
  return {
    n: marks.length,
    right: shareOf(happened, ({ right }) => right),
    exact: shareOf(happened, ({ exact }) => exact),
    cause: shareOf(happened, ({ cause }) => cause),
    valued: shareOf(
      happened.filter(({ valued }) => valued !== null),
      ({ valued }) => valued === true,
    ),
    falseVerdicts: shareOf(nothing, ({ said }) => said),
    classes: incidentClasses.map((name) => {
      const own = marks.filter((mark) => mark.class === name)
      return { name, n: own.length, right: shareOf(own, ({ right }) => right) }
    }),
    bins,
    calibrationGap: bins.reduce((sum, bin) => sum + gapOf(bin) * bin.n, 0) / Math.max(1, verdicts),
    widestGap: Math.max(0, ...bins.filter(({ n }) => n >= 20).map(gapOf)),
    medianMs: quantile(times, 0.5),
    worstMs: Math.max(0, ...times),
  }
}

/** Verdicts by confidence: below a half, then in tenths, the last in twentieths. A verdict on a null case is wrong. */
function binsOf(marks: readonly Mark[]): Bin[] {
  const bounds = [0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.01]
  return bounds.slice(0, -1).flatMap((from, index) => {
    const to = bounds[index + 1] as number
    const own = marks.filter(({ confidence }) => confidence !== null && confidence >= from && confidence < to)
    if (own.length === 0) return []
    const confidence = own.reduce((sum, mark) => sum + (mark.confidence ?? 0), 0) / own.length
    return [{ from, n: own.length, confidence, right: shareOf(own, ({ right }) => right) }]
  })
}

function shareOf<T>(items: readonly T[], fits: (item: T) => boolean): number {
  return items.length === 0 ? Number.NaN : items.filter(fits).length / items.length
}
