import { selfTimesOf } from '../src/core/breakdown.ts'
import type { Json } from '../src/core/record.ts'
import type { StoredSpan } from '../src/core/trace.ts'
import type { WhyData, WhyTrace } from '../src/core/why/why_data.ts'
import { mean, median } from './incident_chance.ts'

// What else could be blamed. An attribute that nobody could tell from the truth is as right; and where chance has made
// something explain more than the truth does, the incident is left out: its data say something else than its author.

/** Of each name what each call says, in the order of the calls; null where it says nothing. */
export type Columns = ReadonlyMap<string, readonly Json[]>

const processNames = ['version', 'host', 'instance', 'service'] as const
const traceNames = ['tool', 'provider', 'model', 'call_number', 'running', 'session_key'] as const
const sizeNames = ['bytes_in', 'bytes_out', 'tokens_in', 'tokens_out'] as const

export function columnsOf({ traces, processes }: WhyData): Columns {
  const columns = new Map<string, Json[]>()
  const put = (name: string, index: number, value: Json) => {
    const column = columns.get(name) ?? traces.map(() => null)
    if (!columns.has(name)) columns.set(name, column)
    if (column[index] === null) column[index] = value
  }
  for (const [index, trace] of traces.entries()) {
    for (const name of [...traceNames, ...sizeNames]) put(name, index, trace[name])
    // The innermost process says most: a shim is the same everywhere.
    const spans = Object.values(trace.spans)
    const inner = spans.find(({ process }) => process !== trace.process)?.process ?? trace.process
    for (const name of processNames) put(name, index, processes[inner]?.[name] ?? null)
    for (const { attributes } of spans) {
      for (const [name, value] of Object.entries(attributes ?? {})) put(name, index, value)
    }
  }
  return columns
}

/** Attributes with a value that nearly the same calls have as were hit: nobody could tell them apart. */
export function twinsOf(columns: Columns, name: string, hit: readonly boolean[]): string[] {
  const own = columns.get(name)
  const first = hit.indexOf(true)
  const truth = own?.[first] ?? null
  const isNumber = typeof truth === 'number' && name === 'bytes_in'
  const marked = hit.map((one, index) => (truth === null || isNumber ? one : own?.[index] === truth))
  const size = marked.filter(Boolean).length
  return [...columns].flatMap(([other, column]) => {
    if (other === name) return []
    const value = usualOf(column, marked)
    if (value === null) return []
    const both = column.filter((one, index) => one === value && marked[index]).length
    const either = column.filter((one) => one === value).length
    return both >= size * 0.99 && both >= either * 0.99 ? [other] : []
  })
}

/** The value that most of the marked calls have, as far as the first of them tell. */
function usualOf(column: readonly Json[], marked: readonly boolean[]): Json {
  const counts = new Map<Json, number>()
  let seen = 0
  for (let index = 0; index < column.length && seen < 30; index++) {
    if (!marked[index]) continue
    seen++
    const value = column[index] ?? null
    if (value !== null && typeof value !== 'object') counts.set(value, (counts.get(value) ?? 0) + 1)
  }
  const [most] = [...counts].toSorted(([, a], [, b]) => b - a)
  return most && most[1] > seen / 2 ? most[0] : null
}

/** Numbers whose order is nearly the same among the calls that were hit. */
export function kinOf(columns: Columns, name: string, hit: readonly boolean[]): string[] {
  const own = columns.get(name) ?? []
  return [...columns].flatMap(([other, column]) => {
    if (other === name) return []
    const pairs = pairsOf(own, column).filter(({ index }) => hit[index])
    const known = own.filter((value, index) => hit[index] && typeof value === 'number').length
    if (pairs.length < Math.max(30, known * 0.9)) return []
    return correlation(
      pairs.map(({ x }) => x),
      pairs.map(({ y }) => y),
    ) >= 0.97
      ? [other]
      : []
  })
}

function pairsOf(xs: readonly Json[], ys: readonly (Json | undefined)[]): { index: number; x: number; y: number }[] {
  return xs.flatMap((x, index) => {
    const y = ys[index]
    return typeof x === 'number' && typeof y === 'number' ? [{ index, x, y }] : []
  })
}

export type Suspicion = {
  readonly data: WhyData
  readonly columns: Columns
  readonly cause: 'attribute_value' | 'grows_with'
  /** What is as right as the truth. */
  readonly names: readonly string[]
  readonly layer: string | null
  readonly hit: readonly boolean[]
}

/** The attribute that explains more of the time in the truth's layer than the truth does, where chance has made one. */
export function rivalOf({ data, columns, cause, names, layer, hit }: Suspicion): string | null {
  const times = relativeTimes(data.traces, layer, hit)
  const asked = data.question.call_number !== null ? ['call_number'] : []
  const innocent = new Set([...names, ...asked, 'session_key', 'response_time_ms'])
  const suspects = [...columns].filter(([name]) => !innocent.has(name) && !name.startsWith('telltale.'))
  if (cause === 'grows_with') {
    const strength = (column: readonly Json[]) => {
      const pairs = pairsOf(column, times)
      if (pairs.length < 20) return 0
      return (
        Math.abs(
          correlation(
            pairs.map(({ x }) => x),
            pairs.map(({ y }) => y),
          ),
        ) * Math.sqrt(pairs.length / times.length)
      )
    }
    const own = strength(columns.get(names[0] ?? '') ?? [])
    return suspects.find(([, column]) => strength(column) > own * 0.98)?.[0] ?? null
  }
  const own = explained(times, hit)
  return (
    suspects.find(([, column]) =>
      valuesOf(column).some(
        (value) =>
          explained(
            times,
            column.map((one) => one === value),
          ) >
          own * 0.9,
      ),
    )?.[0] ?? null
  )
}

/** The values that enough calls have; none of a column that tells nearly each call apart. */
function valuesOf(column: readonly Json[]): Json[] {
  const counts = new Map<Json, number>()
  for (const value of column) counts.set(value, (counts.get(value) ?? 0) + 1)
  const values = [...counts].filter(([value, n]) => value !== null && typeof value !== 'object' && n >= 5)
  return counts.size > 40 ? [] : values.map(([value]) => value)
}

/** The part of the variance that goes with the mark, where the marked are the slower ones. */
function explained(times: readonly number[], marked: readonly boolean[]): number {
  const [among, beside] = [times.filter((_, index) => marked[index]), times.filter((_, index) => !marked[index])]
  if (among.length < 5 || beside.length < 5) return 0
  const [a, b, all] = [mean(among), mean(beside), mean(times)]
  if (a < b) return 0
  const between = among.length * (a - all) ** 2 + beside.length * (b - all) ** 2
  return (
    between /
    Math.max(
      1e-12,
      times.reduce((sum, time) => sum + (time - all) ** 2, 0),
    )
  )
}

/** The logarithm of the time in a layer, beside what the tool takes there where nothing is planted. */
function relativeTimes(traces: readonly WhyTrace[], layer: string | null, hit: readonly boolean[]): number[] {
  const times = traces.map(({ spans, duration_ms }) => {
    if (layer === null) return Math.log(duration_ms + 1)
    let us = 0
    for (const [id, self] of selfTimesOf(spans)) if ((spans[id] as StoredSpan).layer === layer) us += self
    return Math.log(us / 1_000 + 1)
  })
  // Where nearly all are hit, more or less, what a tool takes in the middle says enough.
  const growing = hit.filter(Boolean).length > hit.length * 0.6
  const isCalm = (index: number) => growing || !hit[index]
  const usual = median(times.filter((_, index) => isCalm(index)))
  const byTool = new Map<string | null, number[]>()
  for (const [index, time] of times.entries()) {
    const tool = traces[index]?.tool ?? null
    if (isCalm(index)) byTool.set(tool, [...(byTool.get(tool) ?? []), time])
  }
  const natural = new Map([...byTool].map(([tool, own]) => [tool, own.length >= 4 ? median(own) : usual]))
  return times.map((time, index) => time - (natural.get(traces[index]?.tool ?? null) ?? usual))
}

/** Spearman's, with ties ranked by their mean. */
export function correlation(xs: readonly number[], ys: readonly number[]): number {
  const [a, b] = [ranksOf(xs), ranksOf(ys)]
  const middle = (xs.length - 1) / 2
  let [both, one, other] = [0, 0, 0]
  for (const [index, rank] of a.entries()) {
    const [dx, dy] = [rank - middle, (b[index] as number) - middle]
    both += dx * dy
    one += dx * dx
    other += dy * dy
  }
  return one === 0 || other === 0 ? 0 : both / Math.sqrt(one * other)
}

function ranksOf(values: readonly number[]): number[] {
  const order = values.map((_, index) => index).toSorted((a, b) => (values[a] as number) - (values[b] as number))
  const ranks: number[] = []
  for (let from = 0; from < order.length; ) {
    let to = from
    while (to + 1 < order.length && values[order[to + 1] as number] === values[order[from] as number]) to++
    for (let at = from; at <= to; at++) ranks[order[at] as number] = (from + to) / 2
    from = to + 1
  }
  return ranks
}
