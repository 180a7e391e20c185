import type { Breakdown } from '../../src/core/trace.ts'
import type { Page } from './answer.ts'

// What the readers of the lens answer. *_us are µs since the epoch, *_ms milliseconds.

/** Of how many calls how many were read: fewer are a sample, the same for the same calls. */
export type Read = { readonly from_us: number; readonly to_us: number; readonly matched: number; readonly read: number }

/** How a call number differs from the one before it. */
export type CallStep = {
  readonly changed: boolean
  /** Too few calls on one side to tell. */
  readonly few: boolean
  /** How likely it is that nothing sets the two apart. */
  readonly p: number
  readonly superiority: number
  readonly change_ms: number
  readonly layer: string | null
  readonly layer_change_ms: number | null
  /** More than half of that by waiting. */
  readonly waiting: boolean | null
}

export type PredecessorRow = {
  readonly tool: string | null
  /** Null: it still ran when this was read. */
  readonly outcome: string | null
  readonly n: number
  /** How often it still ran when the call began. */
  readonly running: number
  /** From its end to the call; negative where it mostly still ran. */
  readonly gap_p50_ms: number | null
  /** Of the calls after it. */
  readonly p50_ms: number
}

export type LensCall = {
  /** `1` to `5`, `6+`, `unknown`. */
  readonly call: string
  readonly n: number
  readonly errors: number
  readonly total_ms: number
  readonly p50_ms: number
  readonly p95_ms: number
  readonly wait_ms: number
  readonly unexplained_ms: number
  readonly tools: readonly { readonly tool: string | null; readonly n: number }[]
  readonly step: CallStep | null
  readonly previous: {
    readonly n: number
    readonly running: number
    readonly gap_p50_ms: number | null
    readonly list: readonly PredecessorRow[]
  } | null
}

/** Quantiles are over all `n` calls: no time in the layer is a time of 0. */
export type LensCell = {
  readonly call: string
  readonly layer: string
  readonly n: number
  readonly seen: number
  readonly self_ms: number
  readonly work_ms: number
  readonly wait_ms: number
  readonly p50_ms: number
  readonly p95_ms: number
  readonly wait_p50_ms: number
  readonly wait_p95_ms: number
}

/** `telltale.session_lens(filter)`. */
export type SessionLens = Read & {
  /** Calls whose waits are not known by layer: their spans were not kept, or were too many. */
  readonly waits_unknown: number
  readonly rules: readonly { readonly rule: string | null; readonly sessions: number; readonly n: number }[]
  readonly layers: readonly string[]
  readonly calls: readonly LensCall[]
  readonly cells: readonly LensCell[]
}

/** A row of `telltale.sessions(filter, cursor, n)`: what its calls that match add up to. */
export type SessionRow = {
  readonly session_key: string
  readonly session_rule: string | null
  readonly calls: number
  readonly errors: number
  readonly started_at_us: number
  readonly last_started_at_us: number
  readonly ended_at_us: number
  readonly total_ms: number
  readonly wait_ms: number
  readonly p50_ms: number
  readonly max_ms: number
  readonly slowest_trace_id: string
  /** The first five by name. */
  readonly tools: readonly (string | null)[]
  readonly tool_count: number
}

export type SessionCall = {
  readonly trace_id: string
  readonly call_number: number
  readonly session_rule: string | null
  readonly started_at_us: number
  readonly ended_at_us: number | null
  /** Null while it runs. */
  readonly duration_ms: number | null
  readonly wait_ms: number
  readonly name: string
  readonly tool: string | null
  readonly provider: string | null
  readonly model: string | null
  readonly outcome: string | null
  readonly layers: Breakdown
  /** How long the call before it still ran beside it. */
  readonly overlap_ms: number | null
  readonly previous: {
    readonly trace_id: string
    readonly tool: string | null
    readonly outcome: string | null
    readonly gap_ms: number | null
    readonly running: boolean
  } | null
}

/** `telltale.session_timeline(session, cursor, n)`: in order. */
export type SessionTimeline = Page<SessionCall> & {
  readonly session: string
  readonly rules: readonly (string | null)[]
}

export type TreeStep = readonly [kind: 'work' | 'wait', layer: string, name: string]

export type TreeNode = {
  readonly path: readonly TreeStep[]
  readonly n: number
  readonly spans: number
  /** How many of these lie deeper than the tree goes. */
  readonly folded: number
  readonly total_ms: number
  /** 0..1 of all time. */
  readonly share: number
  readonly self_ms: number
  readonly wait_ms: number
  readonly work_ms: number
  /** Below it, in what is not listed. */
  readonly rest_ms: number
  readonly p50_ms: number
  readonly p95_ms: number
}

/** `telltale.time_tree(filter)`. */
export type TimeTree = Read & {
  /** How many kept no spans: what failed or was slow is more likely to be in the tree. */
  readonly emptied: number
  readonly total_ms: number
  readonly unexplained: { readonly total_ms: number; readonly share: number; readonly n: number }
  readonly nodes: readonly TreeNode[]
}

/** What to set in a filter to see a part of a heatmap. */
export type HeatFilter = { readonly [key: string]: string | number }

export type HeatCell = {
  readonly x: number
  readonly y: number
  readonly n: number
  /** By latency. */
  readonly errors?: number
  /** By layer: the sum, and quantiles over all calls of the column. */
  readonly self_ms?: number
  readonly p50_ms?: number
  readonly p95_ms?: number
}

/** `telltale.heatmap(filter, x, y)`. */
export type Heatmap = Read & {
  readonly x: 'time' | 'call_number' | 'tool' | 'provider' | 'model'
  readonly y: 'layer' | 'latency'
  readonly columns: readonly {
    readonly key: string | null
    readonly n: number
    readonly total_ms: number
    readonly filter: HeatFilter | null
  }[]
  readonly rows: readonly {
    readonly key: string | null
    readonly min_ms: number | null
    readonly max_ms: number | null
    readonly filter: HeatFilter | null
  }[]
  readonly cells: readonly HeatCell[]
}

export type HolderRow = {
  /** What was waited for. */
  readonly name: string
  readonly layer: string
  /** Null: nobody was named. */
  readonly holder: string | null
  readonly n: number
  readonly traces: number
  readonly total_ms: number
  /** 0..1 of all waiting. */
  readonly share: number
  readonly p50_ms: number
  readonly p95_ms: number
  readonly max_ms: number
  readonly longest_trace_id: string
  readonly tools: readonly { readonly tool: string | null; readonly n: number; readonly total_ms: number }[]
}

/** `telltale.holders(filter)`. */
export type Holders = Read & {
  readonly total_ms: number
  readonly wait_ms: number
  readonly rows: readonly HolderRow[]
  readonly rest: { readonly n: number; readonly total_ms: number }
}
