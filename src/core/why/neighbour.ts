import { isFailure } from '../outcome.ts'
import { type Category, categoryOf } from './attribute.ts'
import type { Predecessor, WhyData, WhyTrace } from './why_data.ts'

/** What ran before a call, in its session (`previous`) and in its process (`before`), and whether its process was new. */
export function neighboursOf(data: WhyData, traces: readonly WhyTrace[]): readonly Category[] {
  const categories: Category[] = []
  for (const which of ['previous', 'before'] as const) {
    const add = (name: string, read: (other: Predecessor) => string | boolean | null): void => {
      const values = traces.map((trace) => {
        const other = trace[which]
        return other === null ? undefined : (read(other) ?? undefined)
      })
      const category = flaggedOf(categoryOf(`${which}.${name}`, 'previous', values))
      if (category !== null) categories.push(category)
    }
    add('raised', ({ outcome }) => isFailure(outcome))
    add('still_running', ({ gap_ms }) => gap_ms === null || gap_ms < 0)
    add('tool', ({ tool }) => tool)
  }
  categories.push(...coldStartsOf(data, traces))
  return categories
}

/** That nothing went wrong before, or that a process is not new, is no cause: of truth values only `true` is kept. */
function flaggedOf(category: Category | null): Category | null {
  const at = category?.values.indexOf('true') ?? -1
  if (category === null || category.values.some((value) => value !== 'true' && value !== 'false')) return category
  return at < 0 ? null : { ...category, values: ['true'], codes: category.codes.map((code) => (code === at ? 0 : -1)) }
}

const coldCalls = [1, 2, 3, 4, 5]
const coldSeconds = [10, 60]

/** The first calls of a process that began when the calls looked at did, or later: by their number or by its age. */
function coldStartsOf({ question, processes, traces: all }: WhyData, traces: readonly WhyTrace[]): Category[] {
  const earliest = question.from_us - 60_000_000
  const young = new Set(Object.keys(processes).filter((id) => (processes[id]?.started_us as number) >= earliest))
  if (young.size === 0) return []
  const starts = new Map<string, number[]>([...young].map((id) => [id, []]))
  for (const trace of all) for (const id of youngOf(trace, young)) starts.get(id)?.push(trace.started_us)
  for (const list of starts.values()) list.sort((a, b) => a - b)
  const own = traces.map((trace) => youngOf(trace, young))
  const coldWhere = (is: (trace: WhyTrace, id: string) => boolean): Category | null =>
    flaggedOf(
      categoryOf(
        'cold_start',
        'attribute',
        traces.map((trace, i) => (own[i] as string[]).some((id) => is(trace, id))),
      ),
    )
  return [
    ...coldCalls.map((calls) =>
      coldWhere(({ started_us }, id) => started_us <= (starts.get(id)?.[calls - 1] ?? Number.POSITIVE_INFINITY)),
    ),
    ...coldSeconds.map((seconds) =>
      coldWhere(({ started_us }, id) => started_us - (processes[id]?.started_us as number) < seconds * 1_000_000),
    ),
  ].filter((category) => category !== null)
}

/** The young processes that have a part in a call. */
function youngOf({ process, spans }: WhyTrace, young: ReadonlySet<string>): string[] {
  const found = new Set<string>()
  if (young.has(process)) found.add(process)
  for (const id in spans) {
    const other = spans[id]?.process as string
    if (young.has(other)) found.add(other)
  }
  return [...found]
}
