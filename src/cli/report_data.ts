import { type Ask, CallerError } from '../../functions/store/caller_port.ts'
import { whyOf } from '../core/why/why.ts'
import type { WhyAnswer } from '../core/why/why_answer.ts'
import type { WhyData, WhyTrace } from '../core/why/why_data.ts'
import type { WhyFilter } from './why_filter.ts'

// What a report shows, as the readers of the schema telltale answer it. *_us are µs since the epoch, *_ms milliseconds.

export type ReportData = {
  readonly filter: WhyFilter
  readonly madeUs: number
  readonly fromUs: number
  readonly toUs: number
  readonly matched: number
  readonly answer: WhyAnswer
  readonly lens: ReportLens
  readonly stats: { readonly [kind in StatsKind]: readonly KeyStats[] }
  readonly errors: readonly ErrorGroup[]
  readonly exemplars: readonly ReportTrace[]
}

export const statsKinds = ['layers', 'tools', 'providers', 'models'] as const
export type StatsKind = (typeof statsKinds)[number]

export type KeyStats = {
  readonly key: string
  readonly count: number
  readonly errors: number
  readonly p50_ms: number | null
  readonly p95_ms: number | null
  readonly p99_ms: number | null
}

export type ReportLens = {
  readonly matched: number
  readonly read: number
  readonly layers: readonly string[]
  readonly calls: readonly {
    readonly call: string
    readonly n: number
    readonly errors: number
    readonly p50_ms: number
    readonly p95_ms: number
    readonly step: { readonly changed: boolean; readonly change_ms: number; readonly layer: string | null } | null
  }[]
  readonly cells: readonly {
    readonly call: string
    readonly layer: string
    readonly p50_ms: number
    readonly p95_ms: number
    readonly wait_p50_ms: number
  }[]
}

export type ErrorGroup = {
  readonly error_type: string
  readonly message: string
  readonly culprit: string | null
  readonly count: number
  readonly last_seen_at: string
}

export type ReportTrace = {
  readonly trace_id: string
  readonly started_at_us: number
  readonly duration_ms: number | null
  readonly name: string
  readonly outcome: string | null
  readonly session_key: string | null
  readonly call_number: number | null
  readonly spans: readonly ReportSpan[]
}

export type ReportSpan = {
  readonly span_id: string
  readonly parent_span_id: string | null
  readonly layer: string
  readonly kind: 'work' | 'wait'
  readonly name: string
  readonly start_us: number
  readonly end_us: number | null
  readonly outcome?: string
  readonly holder?: string
  /** To the clock of the trace's head. */
  readonly shift_us?: number
}

const exemplarsMax = 3
const errorGroupsMax = 8
/** What also narrows the tables; what names the slow calls does not. */
const narrowing = ['tool', 'provider', 'model', 'service', 'environment', 'session'] as const

/** Asks for all that a report shows. @throws CallerError, RpcError */
export async function reportDataOf(ask: Ask, filter: WhyFilter, madeUs: number): Promise<ReportData> {
  const data = (await ask('why_data', { filter })) as WhyData | null
  if (data === null || !Array.isArray(data.traces))
    throw new CallerError('unavailable', 'Cannot report: the answer is not understood')
  const answer = whyOf(data)
  const range = { from: data.question.from_us, to: Math.min(data.question.to_us, madeUs) }
  const among = { ...picked(filter, narrowing), ...range }
  const [lens, overview, groups, ...traces] = await Promise.all([
    ask('session_lens', { filter: among }),
    ask('overview', { filter: among }),
    ask('error_groups', { filter: { ...picked(filter, ['service', 'environment']), ...range }, n: errorGroupsMax }),
    ...answer.exemplars.slice(0, exemplarsMax).map((trace_id) => ask('trace', { trace_id })),
  ])
  return {
    filter,
    madeUs,
    // Without a beginning the range is a day: say since when there were calls.
    fromUs: Math.max(
      range.from,
      Math.min(range.to, ...(data.traces as WhyTrace[]).map(({ started_us }) => started_us)),
    ),
    toUs: range.to,
    matched: data.matched,
    answer,
    lens: lens as ReportLens,
    stats: overview as ReportData['stats'],
    errors: (groups as { readonly rows: readonly ErrorGroup[] }).rows,
    exemplars: traces.flatMap((found) => {
      const trace = (found as { readonly trace: ReportTrace } | null)?.trace
      return trace === undefined ? [] : [trace]
    }),
  }
}

function picked(filter: WhyFilter, keys: readonly string[]): WhyFilter {
  return Object.fromEntries(Object.entries(filter).filter(([key]) => keys.includes(key)))
}
