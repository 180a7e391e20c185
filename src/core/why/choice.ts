import type { Candidate, SearchPlan } from './candidate.ts'
import { type Fit, fitOf, type Predictor } from './factor.ts'
import { normalQuantileOf } from './rank.ts'
import type { Response, Strata } from './response.ts'

type Fitted = Pick<Candidate, 'predictor' | 'fits'>

// Of two factors the one that explains more is the cause: what only goes along with a cause cannot explain more than it does.

/**
 * The most telling candidate for a response, and behind it the rest. Of candidates that the data cannot tell from the best
 * the most specific comes first.
 */
export function rankedOf(
  candidates: readonly Candidate[],
  k: number,
  { features, responses, strata }: SearchPlan,
  layer: string | null,
): Candidate[] {
  const response = responses[k] as Response
  const values = features.categories.reduce((sum, category) => sum + category.values.length, 0)
  const beyondChance = normalQuantileOf(1 - pairChance / Math.max(1, values))
  const r2 = (candidate: Candidate): number => candidate.fits[k]?.r2 as number
  const sorted = candidates
    .filter((candidate) => isEarned(candidate, k, response, strata, beyondChance))
    .sort((a, b) => r2(b) - r2(a) || compareNames(a.predictor, b.predictor))
  const best = sorted[0]
  if (best === undefined) return []
  const alike = sorted.filter(
    (other) => other === best || (r2(other) >= 0.85 * r2(best) && !isWorse(best, other, k, response, strata)),
  )
  alike.sort(
    (a, b) =>
      specificityOf(a.predictor, layer) - specificityOf(b.predictor, layer) ||
      r2(b) - r2(a) ||
      compareNames(a.predictor, b.predictor),
  )
  return [...alike, ...sorted.filter((other) => !alike.includes(other))]
}

const pairChance = 0.05

/** Of the many pairs some fit better by chance: one must explain clearly more than each that it is made of. */
function isEarned(pair: Candidate, k: number, response: Response, strata: Strata, beyondChance: number): boolean {
  return (pair.predictor.halves ?? []).every((predictor) => {
    const fits: Fit[] = []
    fits[k] = fitOf(predictor.column, response.scores, strata)
    return worseByOf(pair, { predictor, fits }, k, response, strata) > beyondChance
  })
}

function compareNames(a: Predictor, b: Predictor): number {
  const left = `${a.names.join(' ')} ${a.values.join(' ')}`
  const right = `${b.names.join(' ')} ${b.values.join(' ')}`
  return left < right ? -1 : left > right ? 1 : 0
}

const worseZ = 2

/** Whether `other` explains less than `best`, beyond chance (Williams' test of two correlations that share a variable). */
function isWorse(best: Candidate, other: Candidate, k: number, response: Response, strata: Strata): boolean {
  return worseByOf(best, other, k, response, strata) > worseZ
}

function worseByOf(best: Fitted, other: Fitted, k: number, response: Response, strata: Strata): number {
  const a = Math.sqrt(Math.max(0, best.fits[k]?.r2 as number))
  const b = Math.sqrt(Math.max(0, other.fits[k]?.r2 as number))
  const ab = correlationOf(best.predictor, other.predictor, response, strata)
  const n = response.sizes.reduce((sum, size) => sum + size, 0)
  const determinant = 1 - a * a - b * b - ab * ab + 2 * a * b * ab
  const mean = (a + b) / 2
  const below = 2 * ((n - 1) / (n - 3)) * Math.max(0, determinant) + mean * mean * (1 - ab) ** 3
  if (1 - ab < 1e-9) return 0
  return (a - b) * Math.sqrt(((n - 1) * (1 + ab)) / Math.max(below, 1e-12))
}

/** Of two predictors, over the calls for which a response is known. */
export function correlationOf(a: Predictor, b: Predictor, { scores }: Response, strata: Strata): number {
  const known = a.column.map((value, i) => (Number.isNaN(scores[i]) ? Number.NaN : value))
  const { r2 } = fitOf(known, b.column, strata)
  return Math.sign(r2) * Math.sqrt(Math.abs(r2))
}

/** Lower is more specific: what somebody can act on stands before what only says where to look. */
function specificityOf({ kind, family, names, halves }: Predictor, layer: string | null): number {
  if (kind === 'cohort') return 10
  if (kind === 'time') return 9
  if (kind === 'pair') return 6 + 0.01 * (halves ?? []).reduce((sum, half) => sum + specificityOf(half, layer), 0)
  if (kind === 'quantity') return names[0] === 'call_number' ? 5 : names[0] === 'running' ? 3.5 : 2
  if (family === 'previous') return names[0]?.startsWith('previous') ? 2.5 : 4
  if (family === 'place') return 7
  if (family === 'span') return 0.5
  if (family === 'step') return 5.5
  if (family === 'outer') return 2.6
  const outer = layer === 'api' || layer === 'provider'
  const order = outer ? ['provider', 'model', 'tool'] : ['tool', 'model', 'provider']
  const at = order.indexOf(names[0] as string)
  if (at >= 0) return 1 + at * 0.1
  return builtIn.get(names[0] as string) ?? 2
}

const builtIn: ReadonlyMap<string, number> = new Map([
  ['version', 1.5],
  ['cold_start', 1.6],
  ['host', 1.7],
  ['instance', 1.8],
  ['service', 2.9],
  ['environment', 3],
  ['session_rule', 3],
])
