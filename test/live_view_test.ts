import fc from 'fast-check'
import { expect, test } from 'vitest'
import { interruptedSecondsMin, liveEndedMax, liveSecondsKept } from '../src/core/limit.ts'
import type { EndedTrace, LiveSnapshot, ProcessRunning, Push } from '../src/core/live_snapshot.ts'
import {
  compareRevs,
  emptyLive,
  type LiveState,
  type LiveView,
  liveViewOf,
  wholeSince,
  withPush,
  withSnapshot,
} from '../web/view/live_view.ts'
import { callOf, cellOf, endedOf, errorOf, processOf, pushOf, snapshotOf } from './live_view_fixture.ts'

const startUs = 1_800_000_000_000_000

/** What one server pushes over some seconds: absolute, each of the last 5 s and of the processes that spoke lately. */
const history: fc.Arbitrary<Push[]> = fc
  .array(fc.record({ calls: fc.nat(3), fails: fc.boolean(), seconds: fc.nat(2) }), { minLength: 1, maxLength: 20 })
  .map((steps) => {
    const counts = new Map<number, number>()
    const ended: EndedTrace[] = []
    let second = startUs / 1e6
    return steps.map(({ calls, fails, seconds }, i) => {
      second += seconds
      counts.set(second, (counts.get(second) ?? 0) + calls)
      ended.unshift(endedOf(i, second * 1e6))
      return pushOf({
        rev: `${second * 1_000}-${i}`,
        at_us: second * 1e6,
        windows: [...counts]
          .filter(([each]) => each > second - 5)
          .map(([each, count]) => ({ second: each, series: { all: cellOf(count) } })),
        running: [processOf('a', i + 1, second * 1e6, [callOf(i, second * 1e6)])],
        ended: ended.slice(0, 5),
        errors: fails ? [errorOf(i, second * 1e6)] : [],
        stale: fails ? [Math.floor(second / 60) * 60] : [],
      })
    })
  })

function viewOf(pushes: readonly Push[], from: LiveState = emptyLive): LiveView {
  return liveViewOf(pushes.reduce(withPush, from), 'live')
}

test('withPush() gives one view for pushes in any order, however often they come', () => {
  const shuffled = history.chain((pushes) =>
    fc.tuple(fc.constant(pushes), fc.shuffledSubarray([...pushes, ...pushes], { minLength: 2 * pushes.length })),
  )
  fc.assert(
    fc.property(shuffled, ([pushes, mixed]) => {
      expect(viewOf(mixed)).toEqual(viewOf(pushes))
    }),
  )
})

test('withPush() heals what was lost as soon as a later push names it', () => {
  fc.assert(
    fc.property(history, fc.infiniteStream(fc.boolean()), (pushes, coin) => {
      const last = pushes.at(-1) as Push
      const kept = [...pushes.slice(0, -1).filter(() => coin.next().value), last]
      const whole = viewOf(pushes)
      const lossy = viewOf(kept)
      const recent = (view: LiveView) => view.seconds.filter(({ second }) => second > last.at_us / 1e6 - 5)
      expect(recent(lossy)).toEqual(recent(whole))
      expect(lossy.running).toEqual(whole.running)
      expect(lossy.rev).toBe(whole.rev)
      expect(whole.ended).toEqual(expect.arrayContaining([...lossy.ended]))
    }),
  )
})

test('withSnapshot() catches up with all that was lost, whether it comes before or after newer pushes', () => {
  fc.assert(
    fc.property(history, fc.nat(19), (pushes, cut) => {
      const before = pushes.slice(0, (cut % pushes.length) + 1)
      const after = pushes.slice(before.length)
      const base = viewOf(before)
      const snapshot = snapshotOf({
        rev: base.rev,
        at_us: base.at_us,
        seconds: [...base.seconds],
        running: before.at(-1)?.running ?? [],
        ended: [...base.ended],
        errors: [...base.errors],
      })
      const late = liveViewOf(withSnapshot(after.reduce(withPush, emptyLive), snapshot), 'live')
      const early = viewOf(after, withSnapshot(emptyLive, snapshot))
      expect(late).toEqual(early)
      const { stale: _, ...wanted } = viewOf(pushes)
      const { seconds, running, ended, errors, rev, at_us } = wanted
      expect(early).toMatchObject({ seconds, running, ended, errors, rev, at_us })
    }),
  )
})

test('compareRevs() compares both parts as numbers', () => {
  expect(compareRevs('9-0', '10-0')).toBeLessThan(0)
  expect(compareRevs('10-9', '10-10')).toBeLessThan(0)
  expect(compareRevs('10-1', '9-99')).toBeGreaterThan(0)
  expect(compareRevs('10-1', '10-1')).toBe(0)
})

test('liveViewOf() shows a request where it started latest, once, with what any of its processes knows of it', () => {
  const shim = callOf(1, startUs, { layer: 'shim', span_id: '1'.repeat(16), session: 's1' })
  const api = callOf(1, startUs + 5, { layer: 'api', span_id: '2'.repeat(16), tool: null })
  const processes = [processOf('shim', 1, startUs, [shim]), processOf('daemon', 1, startUs, [api])]
  for (const running of [processes, processes.toReversed()]) {
    const view = viewOf([pushOf({ rev: '1-0', at_us: startUs, running })])
    expect(view.running).toMatchObject([{ layer: 'api', process: 'daemon', tool: 'chat', session: 's1' }])
    expect(view.running_total).toBe(1)
  }
})

test('liveViewOf() counts the running requests that no list names', () => {
  const process: ProcessRunning = { ...processOf('a', 1, startUs, [callOf(1, startUs)]), total: 250 }
  expect(viewOf([pushOf({ rev: '1-0', at_us: startUs, running: [process] })]).running_total).toBe(250)
})

test('withPush() drops a process that has not renewed its list, and the seconds before the last minute', () => {
  const first = pushOf({
    rev: '1-0',
    at_us: startUs,
    windows: [{ second: startUs / 1e6, series: { all: cellOf(1) } }],
    running: [processOf('gone', 1, startUs, [callOf(1, startUs)])],
  })
  const later = (seconds: number): Push => pushOf({ rev: '2-0', at_us: startUs + seconds * 1e6 })
  expect(viewOf([first, later(interruptedSecondsMin)]).running).toHaveLength(1)
  expect(viewOf([first, later(interruptedSecondsMin + 1)]).running).toHaveLength(0)
  expect(viewOf([first, later(liveSecondsKept)]).seconds).toHaveLength(1)
  expect(viewOf([first, later(liveSecondsKept + 1)]).seconds).toHaveLength(0)
})

test('withPush() forgets whom a push of only some processes does not name, in whatever order pushes come', () => {
  const said = (name: string, seq: number) => processOf(name, seq, startUs, [callOf(name.charCodeAt(0), startUs)])
  const pushes = [
    pushOf({ rev: '1-0', at_us: startUs, running: [said('a', 1), said('b', 1), said('c', 1)] }),
    pushOf({ rev: '2-0', at_us: startUs, running: [said('b', 2), said('d', 1)], crowded: true }),
    pushOf({ rev: '3-0', at_us: startUs, running: [said('a', 2), said('e', 1)] }),
  ]
  const namedOf = (view: LiveView) => view.running.map(({ process }) => process).sort()
  expect(namedOf(viewOf(pushes.slice(0, 2)))).toEqual(['b', 'd'])
  expect(namedOf(viewOf([...pushes, pushOf({ rev: '4-0', at_us: startUs, running: [], crowded: true })]))).toEqual([])
  fc.assert(
    fc.property(fc.shuffledSubarray([...pushes, ...pushes], { minLength: 6 }), (mixed) => {
      expect(namedOf(viewOf(mixed))).toEqual(['a', 'b', 'd', 'e'])
    }),
  )
})

test('withPush() keeps the newest ended traces and no more than it may', () => {
  const pushes = Array.from({ length: 3 * liveEndedMax }, (_, i) =>
    pushOf({ rev: `${i + 1}-0`, at_us: startUs, ended: [endedOf(i, startUs + i)] }),
  )
  const { ended } = viewOf(pushes)
  expect(ended).toHaveLength(liveEndedMax)
  expect(ended[0]?.at_us).toBe(startUs + 3 * liveEndedMax - 1)
})

test('withSnapshot() takes one without a hot store for what it is', () => {
  const snapshot: LiveSnapshot = snapshotOf({ rev: null, at_us: startUs, degraded: true, real: true })
  const view = liveViewOf(withSnapshot(emptyLive, snapshot), 'degraded', 7)
  expect(view).toMatchObject({ rev: null, degraded: true, live: false, real: true, seconds: [], skew_us: 7 })
})

test('withSnapshot() keeps the last hour when a later snapshot tells its last minutes alone', () => {
  const firstMinute = Math.floor(startUs / 60_000_000) * 60
  const minutesOf = (from: number, count: number, each: number) =>
    Array.from({ length: count }, (_, i) => ({ minute: firstMinute + (from + i) * 60, series: { all: cellOf(each) } }))
  const atMinute = (n: number) => (firstMinute + n * 60 + 30) * 1_000_000
  const whole = snapshotOf({ rev: '1-0', at_us: atMinute(59), minutes: minutesOf(0, 60, 1) })
  const later = snapshotOf({ rev: '2-0', at_us: atMinute(61), minutes: minutesOf(58, 4, 2) })
  for (const order of [
    [whole, later],
    [later, whole],
  ]) {
    const { minutes } = liveViewOf(order.reduce(withSnapshot, emptyLive), 'live')
    expect(minutes.map(({ minute }) => (minute - firstMinute) / 60)).toEqual(
      Array.from({ length: 60 }, (_, i) => i + 2),
    )
    expect(minutes.map(({ series }) => series.all?.count)).toEqual([...Array(56).fill(1), 2, 2, 2, 2])
  }
})

test('wholeSince() trusts the seconds of a snapshot as far as its batches reach back', () => {
  const atUs = 1_800_000_000_000_000
  const batch = { batch_id: 'b', service: 'daemon', environment: 'test', records: 1 }
  const since = (count: number, everyMs: number): number => {
    const batches = Array.from({ length: count }, (_, i) => ({ ...batch, received_at_us: atUs - i * everyMs * 1_000 }))
    const seconds = [{ second: atUs / 1e6 - 20, series: { all: cellOf(1) } }]
    const snapshot = snapshotOf({ rev: '1-0', at_us: atUs, seconds, batches })
    return wholeSince(liveViewOf(withSnapshot(emptyLive, snapshot), 'live'))
  }
  expect([since(0, 0), since(49, 10), since(50, 2_000)]).toEqual([0, 0, 0])
  expect(since(50, 400)).toBe(atUs / 1e6 - 20)
})
