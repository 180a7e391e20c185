import type { WhyData, WhyQuestion } from '../src/core/why/why_data.ts'
import type { TestDatabase } from '../test/postgres_fixture.ts'
import { rowsOf } from '../test/rows_fixture.ts'
import { batchesOf } from './incident_batch.ts'
import type { Incident } from './incident_of.ts'

/**
 * What is gathered of an incident that its reporters sent: every batch through ingest, all of it read by `why_data`. Times
 * are moved back to where the incident has them. The database is emptied first.
 */
export async function gatheredOf(database: TestDatabase, incident: Incident): Promise<WhyData> {
  await database.query(`truncate telltale.traces, telltale.trace_days, telltale.trace_joins, telltale.errors,
    telltale.rollup_minutes, telltale.processes, telltale.batches, telltale.sources cascade`)
  const endUs = Date.now() * 1_000
  const { batches, question, movedUs } = batchesOf(incident, endUs)
  const dayOf = (us: number) => new Date(us / 1_000).toISOString().slice(0, 10)
  const days = new Set(
    batches.flatMap(({ records }) => records.map((span) => dayOf('start_us' in span ? span.start_us : endUs))),
  )
  await database.rpc('make_partitions', { days: [...days] })
  for (const batch of batches) await database.rpc('ingest_batch', { batch: rowsOf(batch) })
  const data = (await database.rpc('why_data', { filter: filterOf(question), traces_max: 5_000 })) as WhyData
  return { ...data, question: incident.data.question, ...movedBack(data, movedUs) }
}

/** As whoever asks would put it. */
function filterOf({ call_number, after_us, above_ms, trace_id, region, from_us, to_us }: WhyQuestion) {
  const { min_ms, max_ms } = region ?? { min_ms: null, max_ms: null }
  const filter = {
    call_number,
    after: after_us,
    above_ms,
    trace_id,
    region: region && {
      from: region.from_us,
      to: region.to_us,
      min_ms,
      ...(max_ms === null ? {} : { max_ms }),
    },
    from: from_us,
    to: to_us,
  }
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== null))
}

function movedBack({ traces, processes }: WhyData, us: number): Pick<WhyData, 'traces' | 'processes'> {
  return {
    traces: traces.map((trace) => ({
      ...trace,
      started_us: trace.started_us - us,
      spans: Object.fromEntries(
        Object.entries(trace.spans).map(([id, span]) => [
          id,
          { ...span, start_us: span.start_us - us, ...(span.end_us === undefined ? {} : { end_us: span.end_us - us }) },
        ]),
      ),
    })),
    processes: Object.fromEntries(
      Object.entries(processes).map(([id, process]) => [id, { ...process, started_us: process.started_us - us }]),
    ),
  }
}

/** In which members of which trace the two differ, each with how often; what was sent once is gathered so. */
export function differencesOf(direct: WhyData, gathered: WhyData): { readonly [member: string]: number } {
  const counts: { [member: string]: number } = {}
  const count = (member: string) => {
    counts[member] = (counts[member] ?? 0) + 1
  }
  const byId = new Map(gathered.traces.map((trace) => [trace.trace_id, trace]))
  for (const trace of direct.traces) {
    const other = byId.get(trace.trace_id)
    byId.delete(trace.trace_id)
    if (other === undefined) {
      count('missing')
      continue
    }
    for (const [key, value] of Object.entries(trace)) {
      if (!isAlike(value, other[key as keyof typeof other])) count(key)
    }
  }
  for (const _ of byId.values()) count('more')
  // Of a process that recorded nothing nobody has heard.
  for (const [id, process] of Object.entries(gathered.processes)) {
    if (!isAlike(direct.processes[id], process)) count('processes')
  }
  return counts
}

/** JSON that says the same, whatever the order of its keys; a member that is null may be absent; a µs is nothing. */
function isAlike(a: unknown, b: unknown): boolean {
  if (typeof a === 'number' && typeof b === 'number') return Math.abs(a - b) <= Math.max(0.002, 1e-9 * Math.abs(a))
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return (a ?? null) === (b ?? null)
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...keys].every((key) => isAlike((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]))
}
