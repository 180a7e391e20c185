import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jsonBytesOf } from '../src/core/json_size.ts'
import {
  aheadSecondsMax,
  hotEndedMax,
  hotErrorsMax,
  lateSecondsMax,
  liveProcessesMax,
  liveSecondsShown,
  liveStateBytesMax,
  pushBytesMax,
  snapshotBatchesMax,
} from '../src/core/limit.ts'
import { pushWithin } from '../src/core/live_size.ts'
import type { Push } from '../src/core/live_snapshot.ts'
import {
  compareIds,
  type HotEntry,
  isAbandoned,
  type LiveState,
  type Merged,
  secondsOf,
  stateAfter,
} from '../src/core/live_state.ts'
import { mergeSeries, type Window } from '../src/core/window.ts'
import { parseLiveState } from '../src/wire/parse_hot.ts'
import { arbitraryStream, endedTrace, hotBatch, liveError, streamMs, streamSecond, windowAt } from './live_fixture.ts'

const nowUs = streamMs * 1_000

const runningCall = {
  trace_id: '0'.repeat(32),
  span_id: '0'.repeat(16),
  layer: 'api',
  name: 'x',
  tool: null,
  session: null,
}

function fold(state: LiveState | null, entries: readonly HotEntry[]): Merged {
  const merged = stateAfter(state, entries, nowUs)
  if (merged === null) throw new Error('Cannot fold: there is nothing')
  return merged
}

/** Merging everything at once, for the seconds that an entry with this id may still add to. */
function openAt(id: string, entries: readonly HotEntry[]): Window[] {
  const sums = new Map<number, Window>()
  for (const entry of entries) {
    for (const { second, series } of entry.batch.windows) {
      // Too far ahead to be believed.
      if (second > Math.floor(Number.parseInt(entry.id, 10) / 1_000) + aheadSecondsMax) continue
      sums.set(second, { second, series: mergeSeries(sums.get(second)?.series ?? {}, series) })
    }
  }
  const ms = Number.parseInt(id, 10)
  return [...sums.values()]
    .filter(({ second }) => ms < (second + 1 + lateSecondsMax) * 1_000 && second <= ms / 1_000 + 3)
    .sort((a, b) => a.second - b.second)
}

/** Of what was pushed, the seconds that openAt speaks of. */
function openOf(windows: readonly Window[], id: string): Window[] {
  const ms = Number.parseInt(id, 10)
  return windows.filter(({ second }) => ms < (second + 1 + lateSecondsMax) * 1_000 && second <= ms / 1_000 + 3)
}

/** What a page has after a push: the greatest rev wins, a second is replaced, a process by a greater seq. */
type Page = {
  rev: string
  seconds: Map<number, Window>
  seqs: Map<string, number>
  ids: Set<string>
  stale: Set<number>
}

function newPage(): Page {
  return { rev: '0-0', seconds: new Map(), seqs: new Map(), ids: new Set(), stale: new Set() }
}

function show(page: Page, push: Push): void {
  if (compareIds(push.rev, page.rev) <= 0) return
  page.rev = push.rev
  for (const window of push.windows) page.seconds.set(window.second, window)
  for (const { process, seq } of push.running) page.seqs.set(process, Math.max(seq, page.seqs.get(process) ?? 0))
  for (const { trace_id } of push.ended) page.ids.add(trace_id)
  for (const { error_id } of push.errors) page.ids.add(error_id)
  for (const minute of push.stale) page.stale.add(minute)
}

test('compareIds() compares two numbers, not texts', () => {
  const ids = ['10-0', '9-0', '9-10', '9-9', '1789393600000-0', '999-99']
  expect(ids.sort(compareIds)).toEqual(['9-0', '9-9', '9-10', '10-0', '999-99', '1789393600000-0'])
})

test('stateAfter() adds up the same in any cut, order and repetition', () => {
  const parts = fc.record({ ends: fc.array(fc.nat(24)), back: fc.nat(5), flip: fc.boolean() })
  fc.assert(
    fc.property(arbitraryStream(), parts, (entries, { ends, back, flip }) => {
      const last = entries.at(-1)?.id ?? ''
      let state: LiveState | null = null
      let merged: Merged | null = null
      let from = 0
      for (const end of [...ends.sort((a, b) => a - b), entries.length]) {
        const part = entries.slice(Math.max(0, from - back), Math.max(end, 1))
        merged = fold(state, flip ? [...part, ...part].reverse() : part)
        // Through Redis and back.
        state = parseLiveState(JSON.stringify(merged.state))
        expect(state).toEqual(merged.state)
        from = Math.max(end, from)
      }
      expect(merged?.push.rev).toBe(last)
      expect(openOf(merged?.push.windows ?? [], last)).toEqual(openAt(last, entries))
    }),
    { numRuns: 300 },
  )
})

test('stateAfter() finishes each second once, with all that came in time', () => {
  const at = (s: number, ms = 0) => `${(streamSecond + s) * 1_000 + ms}-0`
  const entry = (id: string, ...seconds: number[]): HotEntry => ({
    id,
    batch: hotBatch(
      1,
      seconds.map((s) => windowAt(streamSecond + s)),
    ),
  })
  let merged = fold(null, [entry(at(0), 0), entry(at(3), 3)])
  expect(merged.finished).toEqual([])
  merged = fold(merged.state, [entry(at(5, 999), 0)])
  expect(merged.finished).toEqual([])
  merged = fold(merged.state, [entry(at(6), 0, 6)])
  expect(merged.finished).toMatchObject([{ second: streamSecond, series: { all: { count: 2 } } }])
  // What came too late is in its minute, and not in the second.
  expect(merged.push.stale).toEqual([Math.floor(streamSecond / 60) * 60])
  merged = fold(merged.state, [entry(at(30), 30)])
  expect(merged.finished.map(({ second }) => second - streamSecond)).toEqual([3, 6])
  merged = fold(merged.state, [entry(at(31), 31)])
  expect(merged.finished).toEqual([])
})

test('stateAfter() begins anew with the last minute, however late its batches were', () => {
  const second = streamSecond + 30
  const entries = [-14, -40, -61].map((s, n) => ({
    id: `${second * 1_000}-${n}`,
    batch: hotBatch(n + 1, [windowAt(second + s), windowAt(second)]),
  }))
  const { finished, push } = fold(null, entries)
  expect(finished.map((window) => window.second - second)).toEqual([-40, -14])
  expect(push.stale).toEqual([Math.floor((second - 61) / 60) * 60])
  expect(push.windows.at(-1)?.series.all?.count).toBe(3)
  expect(stateAfter(null, [], nowUs)).toBeNull()
})

test('stateAfter() pushes so that any one push may be lost', () => {
  fc.assert(
    fc.property(arbitraryStream(), fc.array(fc.nat(24), { minLength: 3 }), fc.nat(), (entries, ends, lost) => {
      const pushes: Push[] = []
      let state: LiveState | null = null
      for (const end of [...new Set([...ends, entries.length])].sort((a, b) => a - b)) {
        const merged = stateAfter(state, entries.slice(0, end), nowUs)
        if (merged !== null && merged.state !== state) pushes.push(merged.push)
        state = merged?.state ?? null
      }
      const [all, fewer] = [newPage(), newPage()]
      for (const push of pushes) show(all, push)
      // Not the first: before it a page has a snapshot. Not the last: nothing has come after it yet.
      const gone = pushes.length < 3 ? -1 : 1 + (lost % (pushes.length - 2))
      for (const [n, push] of pushes.entries()) if (n !== gone) show(fewer, push)
      expect(fewer).toEqual(all)
    }),
    { numRuns: 300 },
  )
})

/** What several isolates do in one order: a batch comes in, one of them reads the hot tier, one of them writes it. */
type Step = { readonly what: 'add' | 'read' | 'write'; readonly who: number }

test('stateAfter() counts nothing twice, however pushers come between each other', () => {
  const step = fc.record({ what: fc.constantFrom<Step['what'][]>('add', 'read', 'write'), who: fc.nat(2) })
  fc.assert(
    fc.property(arbitraryStream(), fc.array(step, { maxLength: 80 }), (entries, steps) => {
      const redis = { state: null as LiveState | null, seconds: [] as Window[], entries: [] as HotEntry[] }
      const held = new Map<number, Merged>()
      const page = newPage()
      const write = ({ state, finished, push }: Merged) => {
        redis.state = state
        for (const window of finished) {
          if (window.second > (redis.seconds.at(-1)?.second ?? 0)) redis.seconds.push(window)
        }
        show(page, push)
      }
      for (const { what, who } of steps) {
        const next = entries[redis.entries.length]
        const merged = held.get(who)
        if (what === 'add' && next !== undefined) redis.entries.push(next)
        else if (what === 'read' && redis.entries.length > 0) held.set(who, fold(redis.state, redis.entries))
        else if (what === 'write' && merged !== undefined) write(merged)
      }
      redis.entries = entries
      write(fold(redis.state, entries))
      const last = entries.at(-1)?.id ?? ''
      expect(
        openOf(
          [...page.seconds.values()].sort((a, b) => a.second - b.second),
          last,
        ),
      ).toEqual(openAt(last, entries))
      const newestFirst = { ...redis, entries: [...entries].reverse() }
      const shown = secondsOf(newestFirst, Number.parseInt(last, 10) * 1_000)
      expect(shown.rev).toBe(last)
      expect(openOf(shown.seconds, last)).toEqual(openAt(last, entries))
      const sent = (second: number) =>
        entries.flatMap(({ batch }) => batch.windows).filter((window) => window.second === second).length
      for (const { second, series } of [...page.seconds.values(), ...shown.seconds, ...redis.seconds]) {
        expect(series.all?.count).toBeLessThanOrEqual(sent(second))
      }
    }),
    { numRuns: 300 },
  )
})

test('secondsOf() is what the last push and its seconds said, and what was added since', () => {
  fc.assert(
    fc.property(arbitraryStream(), fc.nat(24), (entries, cut) => {
      const known = entries.slice(0, cut)
      const merged = stateAfter(null, known, nowUs)
      const view = {
        state: merged?.state ?? null,
        seconds: [...(merged?.finished ?? [])],
        entries: [...entries].reverse(),
      }
      const last = entries.at(-1)?.id ?? ''
      const { rev, seconds } = secondsOf(view, Number.parseInt(last, 10) * 1_000)
      expect(rev).toBe(last)
      expect(openOf(seconds, last)).toEqual(openAt(last, entries))
      expect(seconds.map(({ second }) => second)).toEqual([...new Set(seconds.map(({ second }) => second))].sort())
      const from = Number.parseInt(last, 10) / 1_000 - liveSecondsShown
      for (const window of view.seconds) if (window.second > from) expect(seconds).toContainEqual(window)
      expect(secondsOf(view, (Number.parseInt(last, 10) + 200_000) * 1_000).seconds).toEqual([])
    }),
    { numRuns: 200 },
  )
  expect(secondsOf({ state: null, seconds: [], entries: [] }, nowUs)).toEqual({ rev: null, seconds: [] })
})

test('secondsOf() leaves out what it cannot know whole, where entries reach back neither to the state nor a minute', () => {
  const count = snapshotBatchesMax
  const entry = (n: number): HotEntry => ({
    id: `${streamMs + n * 20}-0`,
    batch: hotBatch(n + 1, [windowAt(Math.floor((streamMs + n * 20) / 1_000))]),
  })
  const entries = Array.from({ length: count }, (_, n) => entry(n + 500)).reverse()
  const at = (streamMs + (count + 500) * 20) * 1_000
  const alone = secondsOf({ state: null, seconds: [], entries }, at)
  expect(alone.seconds.map(({ second, series }) => [second - streamSecond, series.all?.count])).toEqual([[11, 50]])
  const { state } = fold(null, [entry(0)])
  expect(secondsOf({ state, seconds: [], entries }, at)).toMatchObject({
    rev: state.rev,
    seconds: [{ second: streamSecond }],
  })
  const near = fold(null, [entry(499)]).state
  expect(secondsOf({ state: near, seconds: [], entries: entries.slice(1) }, at).rev).toBe(entries[1]?.id)
})

test('isAbandoned() of a state that nobody went on from, and of one from before Redis began anew', () => {
  const { state } = fold(null, [{ id: `${streamMs}-0`, batch: hotBatch(1, []) }])
  const after = (ms: number) => isAbandoned(state, `${streamMs + ms}-0`)
  expect([after(0), after(60_000), after(60_001), after(-60_001)]).toEqual([false, false, true, true])
})

test('stateAfter() keeps its lists within bounds, each process and id once', () => {
  const at = (n: number) => `${streamMs + n}-0`
  const entries = Array.from({ length: 200 }, (_, n) => {
    const lists = { ended: [endedTrace(n), endedTrace(n % 7)], errors: [liveError(n), liveError(n)] }
    return { id: at(n), batch: hotBatch(n % 2 === 0 ? 5 : n, [], { ...lists, stale: [n * 60] }) }
  })
  const { push } = fold(null, entries)
  expect([push.ended.length, push.errors.length]).toEqual([hotEndedMax, hotErrorsMax])
  expect(new Set(push.ended.map(({ trace_id }) => trace_id)).size).toBe(hotEndedMax)
  expect(push.errors[0]?.error_id).toBe(liveError(199).error_id)
  expect(push.running.map(({ seq }) => seq)).toEqual([199])
  const silent = fold(null, [{ id: at(0), batch: hotBatch(0, []) }])
  expect(silent.push.running).toEqual([])
})

test('stateAfter() tells of many processes those whose calls run longest, and that they are not all', () => {
  const said = (n: number, seq: number, start_us: number | null) => {
    const plain = hotBatch(seq, [])
    const call = { ...runningCall, start_us: start_us ?? 0 }
    const list = start_us === null ? [] : [call]
    return { ...plain, running: { ...plain.running, process: `p${n}`, total: list.length, list } }
  }
  const count = liveProcessesMax + 20
  const entries = Array.from({ length: count }, (_, n) => {
    const start = n < 5 ? null : nowUs - n * 1_000
    return { id: `${streamMs + n}-0`, batch: said(n, 1, start) }
  })
  const first = fold(null, entries)
  const named = ({ push }: Merged) => push.running.map(({ process }) => process)
  expect([first.push.crowded, first.state.running.length]).toEqual([true, liveProcessesMax])
  // The newest started first here, so it has run longest.
  expect(named(first)).toEqual(
    entries
      .map(({ batch }) => batch.running.process)
      .slice(20)
      .reverse(),
  )
  // One that was left out comes in with a call that has run longer, in the place of the shortest.
  const second = fold(first.state, [{ id: `${streamMs + 500}-0`, batch: said(7, 2, nowUs - 1_000_000) }])
  expect([second.push.crowded, named(second).length]).toEqual([true, liveProcessesMax])
  expect([named(second)[0], named(second).includes('p20')]).toEqual(['p7', false])
  const few = fold(null, entries.slice(0, liveProcessesMax))
  expect(['crowded' in few.push, few.push.running.length]).toEqual([false, liveProcessesMax])
})

test('stateAfter() gives up whole seconds for their minutes where there is no room', () => {
  const keys = (s: number) => Array.from({ length: 900 }, (_, n) => `tool:${s}-${n}-${'x'.repeat(80)}`)
  const windows = Array.from({ length: 8 }, (_, s) => windowAt(streamSecond + s, 1_000, ...keys(s)))
  const entry = (id: number, list: readonly Window[]) => ({ id: `${streamMs + id}-0`, batch: hotBatch(id, list) })
  const first = fold(null, [entry(1, windows)])
  expect(jsonBytesOf(first.state)).toBeLessThanOrEqual(liveStateBytesMax)
  const kept = first.push.windows.map(({ second }) => second - streamSecond)
  expect([kept.length > 0, kept.at(-1)]).toEqual([true, 7])
  expect(first.push.windows).toEqual(windows.slice(-kept.length))
  expect(first.push.stale).toEqual([Math.floor(streamSecond / 60) * 60])
  // A second that was given up once stays given up: what it had is gone.
  const second = fold(first.state, [entry(2, [windowAt(streamSecond)])])
  expect(second.push.windows.map((window) => window.second - streamSecond)).toEqual(kept)
})

test('pushWithin() leaves out the least counted, never the whole nor a layer, and ends within its bytes', () => {
  const keys = Array.from({ length: 500 }, (_, n) => `tool:${n}`)
  const wide = windowAt(streamSecond, 1_000, 'layer:tool', ...keys)
  const busy = windowAt(streamSecond + 1, 1_000, 'tool:7')
  const ended = Array.from({ length: 50 }, (_, n) => endedTrace(n))
  const { push } = fold(null, [{ id: `${streamMs}-0`, batch: hotBatch(1, [wide, busy], { ended }) }])
  expect(pushWithin(push, pushBytesMax)).toBe(push)
  const cut = pushWithin(push, 40_000)
  expect(jsonBytesOf(cut)).toBeLessThanOrEqual(40_000)
  expect(jsonBytesOf(cut)).toBeGreaterThan(39_000)
  expect(Object.keys(cut.windows[0]?.series ?? {})).toEqual(expect.arrayContaining(['all', 'layer:tool', 'tool:7']))
  expect(cut.ended).toHaveLength(50)
  for (const bytesMax of [20_000, 8_000, 2_000, 600]) {
    const small = pushWithin(push, bytesMax)
    expect(jsonBytesOf(small)).toBeLessThanOrEqual(bytesMax)
    for (const { second } of push.windows) {
      const isThere = small.windows.some((window) => window.second === second && window.series.all?.count === 1)
      expect(isThere || small.stale.includes(Math.floor(second / 60) * 60)).toBe(true)
    }
  }
})
