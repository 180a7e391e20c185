import { hotEndedMax, hotErrorsMax, interruptedSecondsMin, liveProcessesMax } from '../../src/core/limit.ts'
import type { LiveData, LiveSnapshot, ProcessRunning } from '../../src/core/live_snapshot.ts'
import { type HotView, secondsOf } from '../../src/core/live_state.ts'
import type { LiveCaller, ReadLiveData } from '../store/caller_port.ts'
import type { HotStore } from '../store/port.ts'

export type LiveStores = {
  /** Null where there is no hot tier: every snapshot is degraded. */
  readonly hot: Pick<HotStore, 'readHot'> | null
  readonly readData: ReadLiveData
}

/**
 * All that a page needs to begin or to catch up. Only Postgres knows who may look, so nothing is answered without it;
 * without the hot tier the snapshot is `degraded`. Both stores are asked side by side for a caller who is `known`, whom
 * Postgres has let look lately; for any other the hot tier, where each question is paid for, is asked after Postgres.
 * @throws CallerError
 */
export async function readLive(
  { hot, readData }: LiveStores,
  caller: LiveCaller,
  { nowUs, known }: { readonly nowUs: number; readonly known: boolean },
): Promise<LiveSnapshot> {
  const reading = readData(caller)
  if (!known) await reading
  const [data, view] = await Promise.all([reading, hot === null ? null : hot.readHot().catch(() => null)])
  if (view === null) return { ...data, rev: null, seconds: [], degraded: true }
  const { state, entries } = view
  const batches = entries.map(({ batch }) => batch)
  const valuesOf = <T>(dated: readonly { readonly value: T }[] | undefined): T[] =>
    (dated ?? []).map(({ value }) => value)
  return {
    ...data,
    ...secondsOf(view, nowUs),
    running: runningOf(data, view, nowUs),
    ended: newestOf(
      [data.ended, batches.flatMap(({ ended }) => ended), valuesOf(state?.ended)],
      ({ trace_id }) => trace_id,
      hotEndedMax,
    ),
    errors: newestOf(
      [data.errors, batches.flatMap(({ errors }) => errors), valuesOf(state?.errors)],
      ({ error_id }) => error_id,
      hotErrorsMax,
    ),
    degraded: false,
  }
}

/** Of each process what it said last. Postgres leaves out those that fell silent, and so does this. */
function runningOf(data: LiveData, { state, entries }: HotView, nowUs: number): ProcessRunning[] {
  const byProcess = new Map(data.running.map((said) => [said.process, said]))
  const heard = [...(state?.running ?? []).map(({ value }) => value), ...entries.map(({ batch }) => batch.running)]
  for (const said of heard) {
    const other = byProcess.get(said.process)
    const isRecent = nowUs - said.received_at_us < interruptedSecondsMin * 1_000_000
    if (other === undefined ? isRecent : said.seq > other.seq) byProcess.set(said.process, said)
  }
  const isBusy = ({ total }: ProcessRunning) => (total > 0 ? 1 : 0)
  return [...byProcess.values()]
    .sort((a, b) => isBusy(b) - isBusy(a) || b.received_at_us - a.received_at_us)
    .slice(0, liveProcessesMax)
}

/** Each id once, as the first list that has it tells it. */
function newestOf<T extends { readonly at_us: number }>(
  lists: readonly (readonly T[])[],
  idOf: (item: T) => string,
  countMax: number,
): T[] {
  const found = new Map<string, T>()
  for (const item of lists.flat()) if (!found.has(idOf(item))) found.set(idOf(item), item)
  return [...found.values()].sort((a, b) => b.at_us - a.at_us).slice(0, countMax)
}
