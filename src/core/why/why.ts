import { type Asked, analysedOf, askedOf, cohortOf, sortedTracesOf } from './cohort.ts'
import { factorsOf } from './considered.ts'
import { exemplarsOf } from './exemplar.ts'
import { featuresOf } from './feature.ts'
import { type Finding, fewestCompared } from './finding.ts'
import { foundFindingOf } from './found_finding.ts'
import { givenFindingOf } from './given_finding.ts'
import { selectedFindingOf } from './selected_finding.ts'
import { durationText } from './sentence.ts'
import { soundOf } from './sound_data.ts'
import type { WhyAnswer } from './why_answer.ts'
import type { WhyData, WhyQuestion, WhyTrace } from './why_data.ts'
import { verdictOf } from './why_verdict.ts'

/** Names what makes slow calls slow, or says that there is nothing to name. The same data has the same answer. */
export function whyOf(gathered: WhyData): WhyAnswer {
  const data = soundOf(gathered)
  const traces = sortedTracesOf(data)
  const asked = askedOf(data.question, traces)
  const tooFew = tooFewOf(asked, traces.length)
  if (tooFew !== null)
    return { ...cohortsOf(traces, asked.slow), verdict: null, factors: [], exemplars: [], note: tooFew }
  const rows = analysedOf(asked.slow)
  const looked = Array.from(rows, (i) => traces[i] as WhyTrace)
  const features = featuresOf(data, looked)
  const slow = Uint8Array.from(rows, (i) => asked.slow[i] as number)
  const finding =
    asked.kind === 'found'
      ? foundFindingOf(features)
      : asked.kind === 'given'
        ? givenFindingOf(features, slow, asked.isLater)
        : selectedFindingOf(features, slow, asked.one === undefined ? -1 : rows.indexOf(asked.one))
  const scale = asked.kind === 'found' ? traces.length / Math.max(1, looked.length) : 1
  const cohorts =
    asked.kind === 'found' ? scaled(cohortsOf(looked, finding?.slow ?? slow), scale) : cohortsOf(traces, asked.slow)
  const calls = finding === null ? '' : callsOf(data.question, asked, finding)
  const verdict = finding === null ? null : verdictOf(finding, calls)
  return {
    ...cohorts,
    verdict,
    factors: finding === null ? [] : factorsOf(finding, calls, verdict),
    exemplars: finding === null ? [] : exemplarsOf(finding),
    note: noteOf(data, traces, asked, finding, calls, verdict !== null),
  }
}

function cohortsOf(traces: readonly WhyTrace[], slow: Uint8Array): Pick<WhyAnswer, 'slow' | 'baseline'> {
  return { slow: cohortOf(traces, (i) => slow[i] === 1), baseline: cohortOf(traces, (i) => slow[i] === 0) }
}

function scaled(
  { slow, baseline }: Pick<WhyAnswer, 'slow' | 'baseline'>,
  scale: number,
): Pick<WhyAnswer, 'slow' | 'baseline'> {
  return {
    slow: { ...slow, n: Math.round(slow.n * scale) },
    baseline: { ...baseline, n: Math.round(baseline.n * scale) },
  }
}

function tooFewOf({ kind, slow }: Asked, all: number): string | null {
  const count = slow.reduce((sum, bit) => sum + bit, 0)
  const few = `at least ${fewestCompared} are needed on either side`
  if (kind === 'found')
    return all < 3 * fewestCompared
      ? `Too few calls to compare: ${all}; at least ${3 * fewestCompared} are needed.`
      : null
  if (count < fewestCompared) return `Too few slow calls to compare: ${count}; ${few}.`
  return all - count < fewestCompared ? `Too few other calls to compare with: ${all - count}; ${few}.` : null
}

function callsOf(question: WhyQuestion, { kind }: Asked, { ranked, isMode }: Finding): string {
  if (question.call_number !== null) return `Calls numbered ${question.call_number}`
  if (question.after_us !== null) return 'Later calls'
  if (question.region !== null) return 'The calls of the region'
  if (kind === 'selected') return 'The slow calls'
  const best = ranked[0]?.predictor
  if (isMode || best === undefined) return 'The slow calls'
  if (best.family === 'span' || best.family === 'previous') return 'The slow calls'
  if (best.family === 'place') return `Calls numbered ${best.values[0]}`
  if (best.kind === 'time') return 'Later calls'
  if (best.kind === 'quantity') return `Calls with the most ${best.names[0]}`
  return `Calls with ${best.names.map((name, i) => `${name} ${best.values[i]}`).join(' and ')}`
}

/** That calls are slower and nothing tells why; where nothing could have told, that too. */
function unexplainedOf({ features, extra }: Finding, calls: string): string {
  const [only, ...more] = new Set(features.parts.map(({ layer }) => layer))
  const where =
    only === undefined
      ? ' No spans say where they spend it.'
      : more.length === 0
        ? ` Only layer ${only} was recorded of them, so where they spend it cannot be told.`
        : ''
  if (extra.totalMs <= 0) return `Nothing that is known of these calls tells why they are slow.${where}`
  return `${calls} take ${durationText(extra.totalMs)} longer at the median; nothing that is known of them tells why.${where}`
}

function noteOf(
  { matched }: WhyData,
  traces: readonly WhyTrace[],
  { kind }: Asked,
  finding: Finding | null,
  calls: string,
  isNamed: boolean,
): string | null {
  const notes: string[] = []
  if (!isNamed) {
    notes.push(
      finding === null
        ? kind === 'found'
          ? 'No calls stand out as slow.'
          : 'The difference is too small to be told from chance, or to matter.'
        : unexplainedOf(finding, calls),
    )
  }
  if (matched > traces.length) notes.push(`A sample of ${traces.length} of ${matched} calls was looked at.`)
  if (kind === 'found' && finding !== null) {
    notes.push(
      finding.isMode
        ? 'The slow calls were found as those that lie apart from the rest.'
        : 'The slow calls were found by what they have in common.',
    )
  }
  return notes.length === 0 ? null : notes.join(' ')
}
