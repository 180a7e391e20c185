import { minuteOf, staleOf } from './hot_batch.ts'
import { jsonBytesOf } from './json_size.ts'
import { liveStateBytesMax } from './limit.ts'
import type { ProcessRunning, Push } from './live_snapshot.ts'
import type { LiveState } from './live_state.ts'
import type { Series, Window } from './window.ts'

/**
 * The push within `bytesMax` as JSON: of the series the least counted go first, never `all` nor a layer; then lists are
 * halved; at last seconds, the oldest first, which are named stale in their place.
 */
export function pushWithin(push: Push, bytesMax: number): Push {
  let bytes = jsonBytesOf(push)
  if (bytes <= bytesMax) return push
  let cut: Push = { ...push, windows: withoutLeastCounted(push.windows, bytes - bytesMax) }
  bytes = jsonBytesOf(cut)
  while (bytes > bytesMax && holdsLists(cut)) {
    cut = { ...cut, running: halvedLists(cut.running), ended: halved(cut.ended), errors: halved(cut.errors) }
    bytes = jsonBytesOf(cut)
  }
  while (bytes > bytesMax && cut.windows.length > 0) {
    const windows = cut.windows.slice(Math.ceil(cut.windows.length / 2))
    const gone = cut.windows.slice(0, cut.windows.length - windows.length).map(({ second }) => minuteOf(second))
    cut = { ...cut, windows, stale: staleOf([...cut.stale, ...gone]) }
    bytes = jsonBytesOf(cut)
  }
  return cut
}

/**
 * The state within liveStateBytesMax as JSON. Its seconds are never cut, since what comes later would make them wrong:
 * lists are halved, and then whole seconds are given up, the oldest first, for the minutes that have them.
 */
export function stateWithin(state: LiveState): LiveState {
  let bytes = jsonBytesOf(state)
  let kept = state
  while (bytes > liveStateBytesMax && kept.running.some(({ value }) => value.list.length > 0)) {
    const running = kept.running.map(({ rev, value }) => ({ rev, value: halvedList(value) }))
    kept = { ...kept, running }
    bytes = jsonBytesOf(kept)
  }
  while (bytes > liveStateBytesMax && kept.running.length + kept.ended.length + kept.errors.length > 0) {
    kept = { ...kept, running: halved(kept.running), ended: halved(kept.ended), errors: halved(kept.errors) }
    bytes = jsonBytesOf(kept)
  }
  while (bytes > liveStateBytesMax && kept.windows.length > 0) {
    const [gone, ...windows] = kept.windows
    if (gone === undefined) break
    const { rev } = kept
    const minute = minuteOf(gone.value.second)
    const stale = [...kept.stale.filter(({ value }) => value !== minute), { rev, value: minute }]
    kept = { ...kept, windows, from: Math.max(kept.from, gone.value.second + 1), stale }
    bytes = jsonBytesOf(kept)
  }
  return kept
}

function holdsLists({ running, ended, errors }: Push): boolean {
  return running.length + ended.length + errors.length > 0
}

function halved<T>(list: readonly T[]): readonly T[] {
  return list.slice(0, Math.floor(list.length / 2))
}

/** The lists of all processes by half; once they are empty, the processes. */
function halvedLists(running: readonly ProcessRunning[]): readonly ProcessRunning[] {
  return running.some(({ list }) => list.length > 0) ? running.map(halvedList) : halved(running)
}

function halvedList(process: ProcessRunning): ProcessRunning {
  return { ...process, list: halved(process.list) }
}

/** The windows without their least counted series, as many as have `excess` bytes, the same ones in every window. */
function withoutLeastCounted(windows: readonly Window[], excess: number): Window[] {
  const found = new Map<string, { count: number; bytes: number }>()
  for (const { series } of windows) {
    for (const [key, cell] of Object.entries(series)) {
      if (key === 'all' || key.startsWith('layer:')) continue
      const sum = found.get(key) ?? { count: 0, bytes: 0 }
      // Its name, a colon and a comma are beside it.
      found.set(key, { count: sum.count + cell.count, bytes: sum.bytes + jsonBytesOf(cell) + jsonBytesOf(key) + 2 })
    }
  }
  const gone = new Set<string>()
  let over = excess
  for (const [key, { bytes }] of [...found].sort(([a, x], [b, y]) => x.count - y.count || (a < b ? -1 : 1))) {
    if (over <= 0) break
    gone.add(key)
    over -= bytes
  }
  return windows.map(({ second, series }) => ({ second, series: without(series, gone) }))
}

function without(series: Series, gone: ReadonlySet<string>): Series {
  return Object.fromEntries(Object.entries(series).filter(([key]) => !gone.has(key)))
}
