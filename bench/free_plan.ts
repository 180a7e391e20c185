// What one daemon and a hundred cost in a month, ticks and alerts included: function calls, Redis commands, and the database
// with thirty days of detail, thirteen months of hours, and what detector and alerts keep. Calls follow from the paces in src/core/limit.ts; sizes are measured: simulated hours of a
// daemon are stored, ticked and weighed: what a day's partitions weigh before anything is in them, and what each hour adds.
// Usage: node bench/free_plan.ts [--hours N]
import { randomUUID } from 'node:crypto'
import { detectAnomalies } from '../functions/action/detect_anomalies.ts'
import { evaluateAlerts } from '../functions/action/evaluate_alerts.ts'
import { tickVerbs } from '../functions/action/tick_action.ts'
import { type StepAnswer, tickSteps } from '../functions/store/port.ts'
import { gaugePaceMs, hostedFlushMs, hourDaysKept, minuteDaysKept } from '../src/core/limit.ts'
import type { TelltaleRecord } from '../src/core/record.ts'
import { chanceOf } from '../src/demo/chance.ts'
import { alertStoreOf } from '../test/alert_fixture.ts'
import { detectorStoreOf } from '../test/detector_fixture.ts'
import { noPostgresReason, openPglite, openServer, stoppedClock } from '../test/postgres_fixture.ts'
import { aBatch, aSpan, minuteUs, nowUs, rowsOf } from '../test/rows_fixture.ts'

const hours = process.argv[2] === '--hours' ? Number(process.argv[3]) : 6
const monthSeconds = 30 * 86_400
const free = { functions: 500_000, redis: 500_000, databaseMb: 500 }
/** What the daemon does: requests an hour, and whether it samples gauges. Quiet: a developer's own, an hour of work in three. */
const daemons = [
  { name: 'a quiet daemon', requestsAnHour: 20, count: 1 },
  { name: 'a daemon with 1,000 requests an hour', requestsAnHour: 1_000, count: 1 },
  { name: 'a hundred quiet daemons', requestsAnHour: 20, count: 100 },
] as const

const database = noPostgresReason() === null ? await openServer() : await openPglite()
const startUs = Math.floor(nowUs / 3.6e9) * 3.6e9 - hours * 3.6e9 - 3.6e9
const setClock = await stoppedClock(database, startUs)
await database.rpc('tick_make_partitions')

/** Of all partitions together, indexes and toast included, in bytes. */
async function bytesOf(tables: readonly string[]): Promise<number> {
  const [row] = await database.query(
    `select coalesce(sum(pg_total_relation_size(c.oid)), 0)::float8 as bytes from pg_class as c
     where c.relnamespace = 'telltale'::regnamespace and c.relkind = 'r' and c.relname ~ $1`,
    [`^(${tables.join('|')})(_[0-9]{8})?$`],
  )
  return Number(row?.bytes)
}

const detail = ['traces', 'trace_days', 'errors', 'messages', 'gauges', 'batches', 'rollup_minutes']
const watching = [
  'detectors',
  'detector_series',
  'anomalies',
  'incidents',
  'alerts',
  'alert_marks',
  'alert_stretches',
  'alert_notifications',
]
const verbs: { readonly [step: string]: () => Promise<StepAnswer> } = {
  detect_anomalies: () => detectAnomalies(detectorStoreOf(database)),
  evaluate_alerts: () => evaluateAlerts(alertStoreOf(database), null),
}
const chance = chanceOf(3)
const emptyDayBytes = (await bytesOf(detail)) / 5 // tick_make_partitions() made five days.
let seq = 0

/** What the tables weigh, the heaviest first, in MB. */
async function sharesOf(): Promise<string> {
  const sizes = await Promise.all(detail.map(async (table) => [table, (await bytesOf([table])) / 1e6] as const))
  const heavy = sizes.sort(([, a], [, b]) => b - a).slice(0, 4)
  return heavy.map(([table, mb]) => `${table} ${mb.toFixed(1)}`).join(', ')
}

/** An hour of one daemon as it sends: a batch every fifteen seconds with its gauges and what has ended. */
async function storeHour(fromUs: number, requestsAnHour: number, process: string): Promise<number> {
  let batches = 0
  for (let at = 0; at < 3.6e9; at += hostedFlushMs * 1_000) {
    const expected = (requestsAnHour * hostedFlushMs) / 3_600_000
    const count = Math.floor(expected) + (chance() < expected % 1 ? 1 : 0)
    const records: TelltaleRecord[] = Array.from({ length: count }, () => requestOf(fromUs + at)).flat()
    for (const name of ['process_memory_mb', 'event_loop_lag_ms', 'websocket_connections', 'permits_in_use']) {
      records.push({ type: 'gauge', name, at_us: fromUs + at, value: Math.round(chance() * 1e4) / 100, labels: {} })
    }
    seq += 1
    batches += 1
    const facts = { ...aBatch().process, id: process }
    await setClock(fromUs + at)
    const batch = aBatch(records, { seq, batch_id: randomUUID(), process: facts, made_at_us: fromUs + at })
    await database.rpc('ingest_batch', { batch: rowsOf(batch) })
  }
  return batches
}

/** Every step until nothing of it waits; nobody is to be told, and nothing explained. */
async function tick(): Promise<void> {
  for (const step of tickSteps) {
    const run = verbs[step] ?? (tickVerbs.some((verb) => verb === step) ? null : () => database.rpc(`tick_${step}`))
    while (run !== null && ((await run()) as { more: boolean }).more);
  }
}

/** A call through shim, daemon, tool, provider and API, with the attributes that recorders set. */
function requestOf(endUs: number): TelltaleRecord[] {
  const trace_id = randomUUID().replaceAll('-', '')
  const us = Math.floor(1_000 * Math.exp(chance() * 9))
  const attributes = {
    'mcp.method.name': 'tools/call',
    'mcp.client.name': 'inspector',
    'telltale.argument_hash': trace_id,
  }
  return ['websocket', 'tool', 'provider', 'api', 'storage'].map((layer, i) =>
    aSpan({
      trace_id,
      span_id: (i + 1).toString(16).padStart(16, '0'),
      parent_span_id: i === 0 ? null : i.toString(16).padStart(16, '0'),
      entry: i === 0,
      layer,
      tool: i < 2 ? 'chat' : null,
      provider: i > 1 ? 'glm' : null,
      model: i === 3 ? 'glm-4.6' : null,
      start_us: endUs - us + i * 20,
      end_us: endUs - i * 20,
      attributes: i === 0 ? attributes : {},
    }),
  )
}

console.log(
  'daemon                                  functions/month  redis/month   detail MB   hours MB   watch MB   inside the free plans',
)
for (const { name, requestsAnHour, count } of daemons) {
  await database.query(`truncate telltale.traces, telltale.trace_days, telltale.gauges, telltale.batches,
    telltale.rollup_minutes, telltale.rollup_hours, telltale.processes, telltale.sources, telltale.detectors,
    telltale.detector_series, telltale.anomalies, telltale.incidents, telltale.alerts cascade`)
  const empty = await bytesOf(detail)
  const process = randomUUID()
  let batches = 0
  let afterFirst = 0
  for (let hour = 0; hour < hours; hour += 1) {
    batches += await storeHour(startUs + hour * 3.6e9, requestsAnHour, process)
    await setClock(startUs + (hour + 1) * 3.6e9 + 3 * minuteUs)
    await tick()
    if (hour === 0) afterFirst = await bytesOf(detail)
  }
  const hourBytesOfDetail = ((await bytesOf(detail)) - afterFirst) / (hours - 1)
  const dayBytes = Math.max(0, afterFirst - hourBytesOfDetail - empty) + emptyDayBytes
  const share = await sharesOf()
  const [row] = await database.query('select avg(pg_column_size(h.*))::float8 as bytes from telltale.rollup_hours as h')
  const hourBytes = Number(row?.bytes) + 60
  const sends = (batches / hours) * 24 * 30 * count
  // Each batch nudges a tick when none was claimed for ten seconds, and minutes that wait ask for one a minute.
  const ticks = Math.min(sends + monthSeconds / 60, monthSeconds / 10)
  const functions = sends + ticks
  const redis = sends * 2 + (monthSeconds / 60) * 2
  // Daemons share the partitions of a day.
  const detailMb = (minuteDaysKept * (dayBytes + hourBytesOfDetail * 24 * count)) / 1e6
  const hoursMb = (hourBytes * 24 * hourDaysKept * count) / 1e6
  // States do not grow with time; each daemon has its own.
  const watchMb = ((await bytesOf(watching)) * count) / 1e6
  const databaseMb = detailMb + hoursMb + watchMb
  const isFree = functions < free.functions && redis < free.redis && databaseMb < free.databaseMb
  const columns = [functions.toFixed(0), redis.toFixed(0), detailMb.toFixed(1), hoursMb.toFixed(1), watchMb.toFixed(1)]
  console.log(`${name.padEnd(40)}${columns.map((text) => text.padStart(12)).join(' ')}   ${isFree ? 'yes' : 'no'}`)
  console.log(`    after ${hours} hours: ${share} MB`)
}
console.log(
  `\nAt a batch and gauges every ${hostedFlushMs / 1_000} s (${gaugePaceMs / 1_000} s), nobody watching. Free: ${free.functions} calls, ${free.redis} commands, ${free.databaseMb} MB.`,
)
await database.close()
