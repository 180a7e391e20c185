import type { Cohort, Factor, Verdict, WhyAnswer } from '../core/why/why_answer.ts'
import { durationText, type Painter, painterOf, safeText } from './tail_line.ts'

const barWidth = 28
const factorsShown = 5
const exemplarsShown = 3

/** A verdict for a terminal: the sentence, both cohorts as bars of one scale, what else was considered, and where to look. */
export function whyText(answer: WhyAnswer, { colour }: { readonly colour: boolean }): string {
  const paint = painterOf(colour)
  const { verdict, note } = answer
  const blocks = [
    verdict === null
      ? [paint('bold', answer.slow.n === 0 ? 'Nothing to explain.' : 'No difference worth naming.')]
      : [paint('bold', safeText(verdict.sentence)), '', ...factLines(verdict)],
    ...(note === null ? [] : [[paint('yellow', safeText(note))]]),
    cohortLines(answer.slow, answer.baseline, paint),
    factorLines(answer.factors, paint),
    exemplarLines(answer.exemplars, paint),
  ]
  return `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n').trimEnd())
    .join('\n\n')}\n`
}

function factLines({ cause, layer, attribute, value, since, share, confidence }: Verdict): string[] {
  const facts: [string, string | null][] = [
    ['cause', cause],
    ['layer', layer],
    ['attribute', textOfValue(attribute)],
    ['value', textOfValue(value)],
    ['since', since === null ? null : new Date(since / 1_000).toISOString()],
    ['explains', `${Math.round(100 * share)} % of the extra time`],
    ['confidence', confidence.toFixed(2)],
  ]
  return facts.flatMap(([name, text]) => (text === null ? [] : [`  ${name.padEnd(11)}${safeText(text)}`]))
}

/** Two values of a pair as `a with b`. */
export function textOfValue(value: Verdict['value']): string | null {
  if (value === null) return null
  return typeof value === 'object' ? value.join(' with ') : String(value)
}

/** Both on one scale, linear from zero; the bar ends at the median, its thin part at the 95th percentile. */
function cohortLines(slow: Cohort, baseline: Cohort, paint: Painter): string[] {
  const longest = Math.max(slow.p95_ms ?? 0, baseline.p95_ms ?? 0)
  if (longest === 0) return []
  const cells = (ms: number | null) => Math.round((barWidth * (ms ?? 0)) / longest)
  const line = (name: string, { n, p50_ms, p95_ms }: Cohort, tint: 'red' | 'green') => {
    const thick = cells(p50_ms)
    const bar = '█'.repeat(thick) + '─'.repeat(Math.max(0, cells(p95_ms) - thick))
    const numbers = `${String(n).padStart(8)} ${durationText(p50_ms).padStart(9)} ${durationText(p95_ms).padStart(9)}`
    return `  ${name.padEnd(9)}${numbers}  ${paint(tint, bar)}`
  }
  return [
    paint('dim', `  ${''.padEnd(9)}${'calls'.padStart(8)} ${'p50'.padStart(9)} ${'p95'.padStart(9)}`),
    line('slow', slow, 'red'),
    line('others', baseline, 'green'),
  ]
}

function factorLines(factors: readonly Factor[], paint: Painter): string[] {
  if (factors.length === 0) return []
  const lines = factors.slice(0, factorsShown).map(({ share, sentence }) => {
    const percent = Math.round(100 * share)
    return `  ${`${percent} %`.padStart(6)}  ${safeText(sentence)}`
  })
  return [paint('dim', '  Also considered, with the share of the extra time that it would explain:'), ...lines]
}

function exemplarLines(exemplars: readonly string[], paint: Painter): string[] {
  if (exemplars.length === 0) return []
  return [
    paint('dim', '  Typical of the slow calls:'),
    ...exemplars.slice(0, exemplarsShown).map((id) => `  ${safeText(id)}`),
  ]
}
