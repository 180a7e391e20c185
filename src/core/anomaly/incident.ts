import { incidentGapSeconds } from '../limit.ts'
import type { Metric } from './measure.ts'

/** An anomaly, as far as its incident goes. Times are s since the epoch; `incident_id` null: not assigned yet. */
export type Member = {
  readonly anomaly_id: string
  readonly series_key: string
  readonly metric: Metric
  readonly score: number
  readonly started_at: number
  readonly last_at: number
  readonly ended_at: number | null
  readonly incident_id: string | null
}

/** Anomalies that belong together, the likeliest root first. */
export type Incident = { readonly incident_id: string; readonly members: readonly Member[] }

/** What is asked by a request on its way, from within outwards: a fault within slows all that is around it. */
const depths: readonly (readonly [RegExp, number])[] = [
  [/^provider:/, 0],
  [/^layer:(?:api|storage)$/, 1],
  [/^layer:provider$/, 2],
  [/^tool:/, 3],
  [/^layer:tool$/, 4],
  [/^layer:websocket$/, 7],
  [/^layer:shim$/, 8],
  [/^layer:/, 5],
  [/^gauge:/, 6],
  [/^call:/, 9],
  [/^all$/, 10],
]
const outermost = 11

/** The smaller, the nearer to the root: traffic that changes is rather a consequence. */
function depthOf({ series_key, metric }: Member): number {
  if (metric === 'throughput') return outermost
  return depths.find(([pattern]) => pattern.test(series_key))?.[1] ?? outermost
}

/** Whether one may be the consequence of the other: both are about the same requests. */
function areKin(a: Member, b: Member): boolean {
  return a.metric !== 'gauge' && b.metric !== 'gauge'
}

/** Whether two anomalies are of one incident: they began close together, or one went on about the same requests as the other. */
function areOne(a: Member, b: Member): boolean {
  if (Math.abs(a.started_at - b.started_at) <= incidentGapSeconds) return true
  if (!areKin(a, b)) return false
  const gap = Math.max(a.started_at, b.started_at) - Math.min(endOf(a), endOf(b))
  return gap <= incidentGapSeconds
}

function endOf({ ended_at }: Member): number {
  return ended_at ?? Number.POSITIVE_INFINITY
}

/** What began a good while before the others is the likelier root; of those that began together the innermost. */
function rootFirst(members: readonly Member[]): Member[] {
  const first = Math.min(...members.map((member) => member.started_at))
  const rankOf = (member: Member) =>
    [Math.floor((member.started_at - first) / incidentGapSeconds), depthOf(member), -member.score] as const
  return members
    .map((member) => ({ member, rank: rankOf(member) }))
    .sort((a, b) => {
      const [at, depth, score] = [0, 1, 2].map((i) => (a.rank[i] as number) - (b.rank[i] as number))
      return at || depth || score || (a.member.anomaly_id < b.member.anomaly_id ? -1 : 1)
    })
    .map(({ member }) => member)
}

/**
 * Puts anomalies into incidents. One that has an incident keeps it; one that has none joins the oldest that it is one with,
 * or begins its own, which has its id. The order in which they are given does not matter.
 */
export function incidentsOf(anomalies: readonly Member[]): Incident[] {
  const incidents = new Map<string, Member[]>()
  const add = (id: string, member: Member) =>
    incidents.set(id, [...(incidents.get(id) ?? []), { ...member, incident_id: id }])
  const byStart = [...anomalies].sort(
    (a, b) => a.started_at - b.started_at || (a.anomaly_id < b.anomaly_id ? -1 : a.anomaly_id > b.anomaly_id ? 1 : 0),
  )
  for (const member of byStart) if (member.incident_id !== null) add(member.incident_id, member)
  for (const member of byStart) {
    if (member.incident_id !== null) continue
    const found = [...incidents]
      .filter(([, members]) => members.some((other) => areOne(other, member)))
      .sort(([a, first], [b, second]) => startOf(first) - startOf(second) || (a < b ? -1 : 1))[0]
    add(found?.[0] ?? member.anomaly_id, member)
  }
  return [...incidents].map(([incident_id, members]) => ({ incident_id, members: rootFirst(members) }))
}

function startOf(members: readonly Member[]): number {
  return Math.min(...members.map((member) => member.started_at))
}
