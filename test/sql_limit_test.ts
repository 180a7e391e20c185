import { expect, test } from 'vitest'
import {
  batchIdDaysKept,
  cachesMax,
  callNumbersMax,
  callNumbersNamed,
  comparedKeysMax,
  connectionsMax,
  detailDaysKept,
  detectorGaugesMax,
  detectorLateSeconds,
  detectorMinutesMax,
  detectorPaceSeconds,
  detectorSeriesMax,
  errorCountsWanted,
  flushesUnrenewedMax,
  groupErrorsLookedAt,
  groupNamesMax,
  heatColumnsMax,
  heatNamesMax,
  holdersListedMax,
  hostedFlushMs,
  hotEndedMax,
  hotErrorsMax,
  hotRunningMax,
  hotTracebackCharactersMax,
  hourDaysKept,
  ignoredErrorsMax,
  incidentGapSeconds,
  interruptedSecondsMin,
  layersMax,
  lensSpansMax,
  lensTracesMax,
  liveMinutesMax,
  liveProcessesMax,
  minuteDaysKept,
  modelsMax,
  nameBytesMax,
  noiseShare,
  olderVersionsMax,
  pageRowsMax,
  partitionDaysAhead,
  pinnedTracesMax,
  processDaysKept,
  providersMax,
  recordAgeDaysMax,
  sampledAfterSeconds,
  sampledAtOnceMax,
  seriesPointsMax,
  seriesPointsWanted,
  toolsMax,
  traceSpansMax,
  treeDepthMax,
  treeNodesMax,
  treeSpansMax,
  treeTracesMax,
  trendPointsMax,
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
    `batches where received_at < telltale.clock() - interval '${batchIdDaysKept} days'`,
    `day < telltale.today() - ${detailDaysKept}`,
    `hour < telltale.clock() - interval '${hourDaysKept} days'`,
    `last_seen_at < telltale.clock() - interval '${processDaysKept} days'`,
    `last_seen_at < telltale.clock() - interval '${hourDaysKept} days'`,
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
  tick_decide_sampling: [
    `portion constant integer := ${sampledAtOnceMax}`,
    `clock() - interval '${sampledAfterSeconds / 60} minutes'`,
  ],
  pin_trace: [`>= ${pinnedTracesMax} then`],
  compare: [`keys_max constant integer := ${comparedKeysMax}`, `noise constant double precision := ${noiseShare}`],
  trend: [`> ${trendPointsMax} then`, `noise constant double precision := ${noiseShare}`],
  live_minutes: [`not between 0 and ${liveMinutesMax}`],
  live_running: [`limit ${liveProcessesMax}`, `'$[0 to ${hotRunningMax - 1}]'`],
  live_ended: [`limit ${hotEndedMax}`],
  live_errors: [`limit ${hotErrorsMax}`, `traceback, ${hotTracebackCharactersMax})`],
  session_lens: [
    `asked.till, ${lensTracesMax})`,
    `wait_ms > 0), ${lensSpansMax})`,
    `not between 1 and ${callNumbersMax}`,
    `coalesce(calls, ${callNumbersNamed})`,
  ],
  holders: [
    `asked.till, ${lensTracesMax})`,
    `wait_ms > 0), ${lensSpansMax})`,
    `place <= ${holdersListedMax})`,
    `place > ${holdersListedMax})`,
  ],
  time_tree: [
    `asked.till, ${treeTracesMax}, ${treeSpansMax})`,
    `limit ${treeNodesMax}`,
    `not between 1 and ${treeDepthMax}`,
  ],
  heatmap: [`asked.till, ${lensTracesMax})`],
  heat_columns: [
    `<= ${heatColumnsMax} * s`,
    `least(p.place, ${heatNamesMax + 1})`,
    `p.place <= ${heatNamesMax} then n.name`,
    `least(t.call, ${callNumbersNamed + 1})`,
  ],
  error_step: [`<= ${errorCountsWanted} * s`],
  error_counts: [`today() - ${detailDaysKept}`],
  error_group: [`today() - ${detailDaysKept}`],
  error_versions: [`place <= ${groupNamesMax}`],
  error_touched: [`limit ${groupErrorsLookedAt}`, `limit ${groupNamesMax}`],
  older_versions: [`limit ${olderVersionsMax}`],
  check_state: [`not between 1 and ${nameBytesMax}`, `not between 1 and ${ignoredErrorsMax}`],
  ingest_batch: [`SET lock_timeout TO '${turnMsMax / 1_000}s'`],
}
const names = {
  tool: toolsMax,
  provider: providersMax,
  model: modelsMax,
  layer: layersMax,
  connection: connectionsMax,
  cache: cachesMax,
}

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
