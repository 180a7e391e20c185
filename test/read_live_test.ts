import { expect, test } from 'vitest'
import { readLive } from '../functions/action/read_live.ts'
import type { LiveCaller } from '../functions/store/caller_port.ts'
import { hotEndedMax, hotErrorsMax, interruptedSecondsMin, liveProcessesMax } from '../src/core/limit.ts'
import type { HotBatch, LiveData, ProcessRunning } from '../src/core/live_snapshot.ts'
import { type HotEntry, type HotView, secondsOf, stateAfter } from '../src/core/live_state.ts'
import { endedTrace, hotBatch, liveError, streamMs, streamSecond, windowAt } from './live_fixture.ts'

// Two views of the same processes and traces as one. What Postgres answers and what Redis holds are values here.

const nowUs = streamMs * 1_000 + 5_000_000
const asked = { nowUs, known: true }
const caller: LiveCaller = { apikey: 'k', authorization: 'Bearer t', viewer: null, minutes: 60, present: 0 }
const nothing: LiveData = {
  at_us: nowUs,
  minutes: [],
  running: [],
  sessions: [],
  gauges: [],
  ended: [],
  errors: [],
  batches: [],
  ingest_lag_ms: null,
  gaps: { processes: 0, missing: 0, dropped: 0 },
  last_received_at_us: null,
  real: true,
}

const entryOf = (n: number, batch: HotBatch): HotEntry => ({ id: `${streamMs + n}-0`, batch })
const viewOf = (entries: readonly HotEntry[], merged: readonly HotEntry[] = []): HotView => ({
  state: stateAfter(null, merged, nowUs)?.state ?? null,
  seconds: [],
  entries: [...entries].reverse(),
})
const read = (data: Partial<LiveData>, view: HotView) =>
  readLive({ hot: { readHot: async () => view }, readData: async () => ({ ...nothing, ...data }) }, caller, asked)

function saying(process: string, seq: number, changes: Partial<ProcessRunning> = {}): ProcessRunning {
  return { ...hotBatch(seq, []).running, process, seq, received_at_us: nowUs - 1_000_000, ...changes }
}
const batchSaying = (running: ProcessRunning) => hotBatch(running.seq, [], { running })

test('readLive() adds the seconds of the hot tier, and asks Postgres as the caller', async () => {
  const entries = [entryOf(0, hotBatch(1, [windowAt(streamSecond)])), entryOf(9, hotBatch(2, [windowAt(streamSecond)]))]
  const callers: LiveCaller[] = []
  const view = viewOf(entries, entries.slice(0, 1))
  const readData = async (from: LiveCaller) => {
    callers.push(from)
    return nothing
  }
  const snapshot = await readLive({ hot: { readHot: async () => view }, readData }, caller, asked)
  expect(snapshot).toEqual({
    ...nothing,
    ...secondsOf(view, nowUs),
    degraded: false,
    running: [entries[1]?.batch.running],
  })
  expect(snapshot.seconds[0]?.series.all?.count).toBe(2)
  expect(snapshot.rev).toBe(`${streamMs + 9}-0`)
  expect(callers).toEqual([caller])
})

test('readLive() takes of each process what it said last, whoever heard it', async () => {
  const data = [saying('a', 5), saying('b', 7), saying('c', 1)]
  const merged = [entryOf(0, batchSaying(saying('a', 6, { total: 2 }))), entryOf(1, batchSaying(saying('b', 6)))]
  const entries = [...merged, entryOf(2, batchSaying(saying('a', 4))), entryOf(3, batchSaying(saying('d', 1)))]
  const { running } = await read({ running: data }, viewOf(entries, merged))
  expect(running.map(({ process, seq }) => [process, seq])).toEqual([
    ['a', 6],
    ['b', 7],
    ['c', 1],
    ['d', 1],
  ])
})

test('readLive() does not bring back a process that Postgres no longer hears of', async () => {
  const old = { received_at_us: nowUs - interruptedSecondsMin * 1_000_000, total: 3 }
  const entries = [entryOf(0, batchSaying(saying('gone', 9, old))), entryOf(1, batchSaying(saying('slow', 9, old)))]
  const { running } = await read({ running: [saying('slow', 8, old)] }, viewOf(entries))
  expect(running.map(({ process, seq }) => [process, seq])).toEqual([['slow', 9]])
})

test('readLive() lists at most 100 processes, those that run something first', async () => {
  const data = Array.from({ length: 100 }, (_, n) => saying(`idle${n}`, 1))
  const entries = Array.from({ length: 5 }, (_, n) => entryOf(n, batchSaying(saying(`busy${n}`, 1, { total: 1 }))))
  const { running } = await read({ running: data }, viewOf(entries))
  expect(running.length).toBe(liveProcessesMax)
  expect(running.slice(0, 5).every(({ total }) => total === 1)).toBe(true)
})

test('readLive() tells each trace and each error once, as Postgres does, newest first and no more than fit', async () => {
  const at = (n: number) => nowUs - n * 1_000
  const ended = Array.from({ length: 60 }, (_, n) => endedTrace(n, at(n)))
  const errors = Array.from({ length: 30 }, (_, n) => liveError(n, at(n)))
  const whole = { ...endedTrace(10, at(10)), tool: 'as Postgres has it' }
  const merged = [entryOf(0, hotBatch(1, [], { ended: ended.slice(0, 20), errors: errors.slice(0, 20) }))]
  const entries = [entryOf(1, hotBatch(2, [], { ended: ended.slice(15, 40), errors: errors.slice(10, 30) }))]
  const data = { ended: [whole, ...ended.slice(30)], errors: errors.slice(25) }
  const snapshot = await read(data, viewOf(entries, merged))
  expect(snapshot.ended).toEqual(ended.slice(0, hotEndedMax).map((trace, n) => (n === 10 ? whole : trace)))
  expect(snapshot.errors).toEqual(errors.slice(0, hotErrorsMax))
})

test('readLive() is degraded where the hot tier fails, and fails where Postgres does, whatever else', async () => {
  const failing = { readHot: () => Promise.reject(new Error('Cannot read hot tier: it is gone')) }
  const data = { ...nothing, running: [saying('a', 1)] }
  const degraded = { ...data, rev: null, seconds: [], degraded: true }
  expect(await readLive({ hot: failing, readData: async () => data }, caller, asked)).toEqual(degraded)
  expect(await readLive({ hot: null, readData: async () => data }, caller, asked)).toEqual(degraded)
  const gone = () => Promise.reject(new Error('Cannot read live data: gone'))
  for (const hot of [failing, { readHot: async () => viewOf([]) }]) {
    await expect(readLive({ hot, readData: gone }, caller, asked)).rejects.toThrow('gone')
  }
})
