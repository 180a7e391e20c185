import { parseArgs } from 'node:util'
import { whyOf } from '../src/core/why/why.ts'
import type { WhyData } from '../src/core/why/why_data.ts'
import { openPglite } from '../test/postgres_fixture.ts'
import { rowsOf } from '../test/rows_fixture.ts'
import { batchesOf } from './incident_batch.ts'
import { incidentOf } from './incident_of.ts'

// How long a verdict about many stored calls takes in the embedded database, and which part of it.
//
//   node bench/why_speed.ts [--traces 100000] [--seed 3]
//
// The calls of one incident go through ingest; copies of them, each at a later time and with sessions and ids of its own,
// make up the number.

const { values: asked } = parseArgs({
  options: { traces: { type: 'string', default: '100000' }, seed: { type: 'string', default: '3' } },
})
const wanted = Number(asked.traces)
const incident = incidentOf(Number(asked.seed))
const database = await openPglite()
const dayUs = 86_400_000_000
const { batches } = batchesOf(incident, Date.now() * 1_000 - dayUs)
const dayOf = (us: number) => new Date(us / 1_000).toISOString().slice(0, 10)
await database.rpc('make_partitions', { days: [-3, -2, -1, 0, 1].map((n) => dayOf(Date.now() * 1_000 + n * dayUs)) })
for (const batch of batches) await database.rpc('ingest_batch', { batch: rowsOf(batch) })
const [stored] = await database.query('select count(*)::int as n from telltale.traces')
const copies = Math.max(0, Math.ceil(wanted / Number(stored?.n)) - 1)
const columns =
  await database.query(`select string_agg(format('%I', attname), ', ' order by attnum) as list from pg_attribute
  where attrelid = 'telltale.traces'::regclass and attnum > 0 and not attisdropped
    and attname not in ('trace_id', 'day', 'started_at', 'ended_at', 'session_key', 'changed_at', 'changed_xid')`)
const list = String(columns[0]?.list)
await database.query('create table public.played as select * from telltale.traces')
// Within the same range, a second apart.
for (let copy = 1; copy <= copies; copy++) {
  await database.query(
    `insert into telltale.traces (trace_id, day, started_at, ended_at, session_key, ${list})
     select md5(trace_id || $1::text), ((started_at + make_interval(secs => $2::int)) at time zone 'UTC')::date,
       started_at + make_interval(secs => $2::int), ended_at + make_interval(secs => $2::int), session_key || $1::text, ${list}
     from public.played`,
    [String(copy), copy],
  )
}
await database.query(`insert into telltale.trace_days (trace_id, day)
  select trace_id, day from telltale.traces on conflict do nothing`)
await database.query('analyze telltale.traces')
const [all] =
  await database.query(`select count(*)::int as n, avg(span_count)::float8 as spans, sum(pg_column_size(spans)) as bytes
  from telltale.traces`)
console.log(`${all?.n} calls stored, ${Number(all?.spans).toFixed(1)} spans each`)

const timed = async <Value>(work: () => Value | Promise<Value>): Promise<[number, Value]> => {
  const began = performance.now()
  const value = await work()
  return [performance.now() - began, value]
}
for (const [name, filter] of [
  ['found', {}],
  ['call number 3', { call_number: 3 }],
  ['above', { above_ms: 1_000 }],
] as const) {
  for (let run = 0; run < 2; run++) {
    const [sqlMs, data] = await timed(async () => (await database.rpc('why_data', { filter })) as WhyData)
    const [engineMs, answer] = await timed(() => whyOf(data))
    const said = answer.verdict?.sentence ?? answer.note
    console.log(
      `${name}: SQL ${(sqlMs / 1_000).toFixed(2)} s, engine ${(engineMs / 1_000).toFixed(2)} s, ${data.traces.length} of ${data.matched} calls; ${said}`,
    )
  }
}
await database.close()
