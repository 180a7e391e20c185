import { expect, test } from 'vitest'
import {
  batchIdDaysKept,
  callNumbersNamed,
  connectionsMax,
  detailDaysKept,
  detectorGaugesMax,
  detectorLateSeconds,
  detectorMinutesMax,
  detectorPaceSeconds,
  detectorSeriesMax,
  flushesUnrenewedMax,
  hostedFlushMs,
  hotEndedMax,
  hotErrorsMax,
  hotRunningMax,
  hotTracebackCharactersMax,
  hourDaysKept,
  incidentGapSeconds,
  interruptedSecondsMin,
  layersMax,
  liveMinutesMax,
  liveProcessesMax,
  minuteDaysKept,
  modelsMax,
  pageRowsMax,
  partitionDaysAhead,
  processDaysKept,
  providersMax,
  recordAgeDaysMax,
  seriesPointsMax,
  seriesPointsWanted,
  toolsMax,
  traceSpansMax,
  turnMsMax,
} from '../src/core/limit.ts'
import { withPglite } from './postgres_fixture.ts'

/** SQL cannot import src/core/limit.ts: where it repeats a bound, this is what keeps the two from drifting apart. */
const repeated: { readonly [routine: string]: readonly string[] } = {
  merge_spans: [`spans_max integer DEFAULT ${traceSpansMax}`],
  merged_spans: [`spans_max integer DEFAULT ${traceSpansMax}`],
  merge_traces: [`before < ${2 * traceSpansMax}`],
  page_size: [`not between 1 and ${pageRowsMax}`],
  make_partitions: [`today() - ${recordAgeDaysMax + 1}`, `today() + ${partitionDaysAhead}`],
  drop_partitions: [`today() - ${detailDaysKept}`],
  tick_make_partitions: [`generate_series(-1, ${partitionDaysAhead})`],
  tick_drop_partitions: [`today() - ${detailDaysKept}`],
  tick_prune: [
    `batches where received_at < now() - interval '${batchIdDaysKept} days'`,
    `day < telltale.today() - ${detailDaysKept}`,
    `hour < now() - interval '${hourDaysKept} days'`,
    `last_seen_at < now() - interval '${processDaysKept} days'`,
    `last_seen_at < now() - interval '${hourDaysKept} days'`,
  ],
  tick_mark_interrupted: [`greatest(${interruptedSecondsMin * 1_000}, ${flushesUnrenewedMax} * p.pace_ms)`],
  store_process: [
    `greatest(${interruptedSecondsMin * 1_000_000}, ${flushesUnrenewedMax * 1_000} * v_pace`,
    `'flush_ms')::int, ${hostedFlushMs})`,
  ],
  range_of: [`interval '${hourDaysKept} days'`, `today() - ${minuteDaysKept}`],
  detector_work: [
    `then ${detectorGaugesMax} else ${detectorSeriesMax} end`,
    `interval '${detectorMinutesMax} minutes'`,
    `interval '${detectorLateSeconds} seconds'`,
    `interval '${detectorPaceSeconds} seconds'`,
    `interval '${detectorLateSeconds + 2 * detectorPaceSeconds} seconds'`,
    `v_from - interval '${incidentGapSeconds} seconds'`,
  ],
  is_detector_due: [`interval '${detectorLateSeconds + 2 * detectorPaceSeconds} seconds'`],
  step_of: [
    `today() - ${minuteDaysKept}`,
    `<= ${seriesPointsWanted} * s`,
    `/ step) > ${seriesPointsMax}`,
    `more than ${seriesPointsMax} points`,
  ],
  series_keys_of: [`call not between 1 and ${callNumbersNamed}`],
  is_alive: [`greatest(${interruptedSecondsMin * 1_000}, ${flushesUnrenewedMax} * p.pace_ms)`],
  live_minutes: [`not between 0 and ${liveMinutesMax}`],
  live_running: [`limit ${liveProcessesMax}`, `'$[0 to ${hotRunningMax - 1}]'`],
  live_ended: [`limit ${hotEndedMax}`],
  live_errors: [`limit ${hotErrorsMax}`, `traceback, ${hotTracebackCharactersMax})`],
  ingest_batch: [`SET lock_timeout TO '${turnMsMax / 1_000}s'`],
}
const names = { tool: toolsMax, provider: providersMax, model: modelsMax, layer: layersMax, connection: connectionsMax }

test('the bounds that SQL repeats are those of src/core/limit.ts', () =>
  withPglite(async (database) => {
    const rows = await database.query(`select p.proname as name, pg_get_functiondef(p.oid) as text
      from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
      where n.nspname = 'telltale' and p.prokind = 'f'`)
    const textOf = new Map(rows.map(({ name, text }) => [name, text]))
    for (const [routine, texts] of Object.entries(repeated)) {
      for (const text of texts) expect(textOf.get(routine), routine).toContain(text)
    }
    for (const [kind, max] of Object.entries(names)) {
      expect(await database.query(`select telltale.names_max('${kind}') as max`)).toEqual([{ max }])
    }
  }))
