import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { liveBeatMs, liveFreshMsMax, liveRetryMsMax } from '../src/core/limit.ts'
import type { LiveSnapshot } from '../src/core/live_snapshot.ts'
import { ApiError, type ChannelListener } from '../web/api.ts'
import { LiveFeed, type LiveSource } from '../web/live_feed.ts'
import type { LiveView } from '../web/view/live_view.ts'
import { endedOf, pushOf, snapshotOf } from './live_view_fixture.ts'

/** A server that a test moves by hand. */
class Servers implements LiveSource {
  asked = 0
  joined: ChannelListener[] = []
  left = 0
  session = true
  answer: () => Promise<LiveSnapshot> = async () => snapshotOf({ rev: `${Date.now()}-0`, at_us: Date.now() * 1_000 })

  minutes: number[] = []

  live(minutes: number): Promise<LiveSnapshot> {
    this.asked += 1
    this.minutes.push(minutes)
    return this.answer()
  }

  subscribe(listener: ChannelListener): () => Promise<void> {
    this.joined.push(listener)
    return async () => {
      this.left += 1
    }
  }

  async hasSession(): Promise<boolean> {
    return this.session
  }

  get channel(): ChannelListener {
    return this.joined.at(-1) as ChannelListener
  }

  push(n = 0): void {
    const at_us = Date.now() * 1_000
    this.channel.onPush(pushOf({ rev: `${Date.now()}-${n + 1}`, at_us, ended: [endedOf(n, at_us)] }))
  }
}

let servers: Servers
let feed: LiveFeed
let views: LiveView[]
let ends: string[]
const status = () => views.at(-1)?.status
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 })
  servers = new Servers()
  views = []
  ends = []
  feed = new LiveFeed({
    source: servers,
    onView: (view) => views.push(view),
    onEnd: (why) => ends.push(why),
    chance: () => 0.5,
  })
})

afterEach(() => {
  feed.stop()
  vi.useRealTimers()
})

async function goLive(): Promise<void> {
  feed.show(true)
  await pass(0)
  servers.channel.onUp()
  await pass(0)
  expect(status()).toBe('live')
}

test('LiveFeed is live once it has a snapshot and the channel, and not with either alone', async () => {
  feed.show(true)
  expect(status()).toBe('connecting')
  await pass(0)
  expect(status()).toBe('connecting')
  servers.channel.onUp()
  expect(status()).toBe('live')
})

test('LiveFeed asks nothing and says nothing while the page is hidden', async () => {
  await pass(60_000)
  expect([servers.asked, servers.joined.length]).toEqual([0, 0])
  await goLive()
  feed.show(false)
  expect(status()).toBe('paused')
  const { asked } = servers
  await pass(120_000)
  expect(servers.asked).toBe(asked)
  feed.show(true)
  await pass(0)
  expect(servers.asked).toBeGreaterThan(asked)
})

test('LiveFeed asks for the whole hour first, and later for the minutes since', async () => {
  await goLive()
  await pass(30_000)
  feed.show(false)
  await pass(20 * 60_000)
  feed.show(true)
  await pass(0)
  expect(servers.minutes[0]).toBe(60)
  expect(servers.minutes.slice(1, -1).every((minutes) => minutes === 3)).toBe(true)
  expect(servers.minutes.at(-1)).toBeGreaterThanOrEqual(22)
})

test('LiveFeed calls nothing live after five seconds without a push or a snapshot', async () => {
  await goLive()
  servers.answer = () => new Promise(() => undefined)
  await pass(liveFreshMsMax)
  await pass(1_000)
  expect(status()).toBe('reconnecting')
  servers.push()
  expect(status()).toBe('live')
})

test('LiveFeed stays live through silence by asking, and beats while it is pushed to', async () => {
  await goLive()
  for (let i = 0; i < 30; i += 1) {
    await pass(1_000)
    expect(status()).toBe('live')
  }
  const before = servers.asked
  for (let i = 0; i < liveBeatMs / 500 + 2; i += 1) {
    await pass(500)
    servers.push(i)
  }
  expect(servers.asked - before).toBeGreaterThanOrEqual(1)
  expect(servers.asked - before).toBeLessThanOrEqual(2)
})

test('LiveFeed joins anew when the channel goes down, slower each time, and asks for what it missed', async () => {
  await goLive()
  servers.answer = () => Promise.reject(new ApiError('away', 503))
  const times: number[] = []
  for (let i = 0; i < 8; i += 1) {
    const count = servers.joined.length
    const at = Date.now()
    servers.channel.onDown('CHANNEL_ERROR')
    expect(status()).toBe('reconnecting')
    while (servers.joined.length === count) await pass(250)
    times.push(Date.now() - at)
  }
  expect(times[0]).toBeLessThanOrEqual(1_000)
  expect(times.at(-1)).toBeGreaterThan(times[0] as number)
  expect(Math.max(...times)).toBeLessThanOrEqual(liveRetryMsMax + 1_000)
  servers.answer = async () => snapshotOf({ rev: `${Date.now()}-0`, at_us: Date.now() * 1_000 })
  servers.push(7)
  const { asked } = servers
  await pass(2_500)
  servers.channel.onUp()
  await pass(0)
  expect(servers.asked).toBeGreaterThan(asked)
  expect(status()).toBe('live')
})

test('LiveFeed joins at once when a snapshot shows that the servers are back', async () => {
  await goLive()
  servers.answer = () => Promise.reject(new ApiError('away', 503))
  for (let i = 0; i < 6; i += 1) {
    servers.channel.onDown('CHANNEL_ERROR')
    await pass(liveRetryMsMax + 1_000)
  }
  servers.channel.onDown('CHANNEL_ERROR')
  const { asked, joined } = servers
  const count = joined.length
  servers.answer = async () => snapshotOf({ rev: `${Date.now()}-0`, at_us: Date.now() * 1_000 })
  while (servers.asked === asked) await pass(100)
  await pass(1_000)
  expect(servers.joined.length).toBe(count + 1)
})

test('LiveFeed ignores what an ended subscription still says', async () => {
  await goLive()
  const old = servers.channel
  old.onDown('CLOSED')
  await pass(2_000)
  servers.channel.onUp()
  await pass(0)
  old.onDown('CLOSED')
  old.onPush(pushOf({ rev: '99999999999999-0', at_us: 1 }))
  expect(status()).toBe('live')
  expect(views.at(-1)?.rev).not.toBe('99999999999999-0')
})

test('LiveFeed looks at the session again after an hour asleep, and takes a fresh snapshot', async () => {
  await goLive()
  const { asked } = servers
  vi.setSystemTime(Date.now() + 3_600_000)
  await pass(1_000)
  expect(servers.joined).toHaveLength(2)
  expect(servers.left).toBe(1)
  expect(servers.asked).toBeGreaterThan(asked)
  servers.channel.onUp()
  await pass(0)
  expect(status()).toBe('live')
})

test('LiveFeed ends when the session is gone, whoever notices first', async () => {
  await goLive()
  servers.session = false
  vi.setSystemTime(Date.now() + 3_600_000)
  await pass(1_000)
  expect(ends).toEqual(['signed_out'])
  await pass(60_000)
  expect(ends).toEqual(['signed_out'])
})

test('LiveFeed ends on 401 without a session and on 403, and retries everything else', async () => {
  servers.answer = () => Promise.reject(new ApiError('away', 503))
  feed.show(true)
  await pass(30_000)
  expect(ends).toEqual([])
  expect(servers.asked).toBeGreaterThan(3)
  servers.answer = () => Promise.reject(new ApiError('no member', 403))
  await pass(30_000)
  expect(ends).toEqual(['refused'])
})

test('LiveFeed says degraded when the hot store is away, and hears of it again', async () => {
  servers.answer = async () => snapshotOf({ rev: null, at_us: Date.now() * 1_000, degraded: true })
  feed.show(true)
  await pass(0)
  servers.channel.onUp()
  expect(status()).toBe('degraded')
  servers.answer = async () => snapshotOf({ rev: '1-0', at_us: Date.now() * 1_000 })
  await pass(5_000)
  expect(status()).toBe('live')
})
