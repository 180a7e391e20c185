import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { hotBatchesMax, hotSecondsKept, pushBytesMax } from '../src/core/limit.ts'
import type { Push } from '../src/core/live_snapshot.ts'
import { compareIds } from '../src/core/live_state.ts'
import { eventually } from './ingest_fixture.ts'
import { batchNow, type Edge, type LiveProject, openLiveProject, type RedisFault } from './live_project_fixture.ts'
import { anError } from './rows_fixture.ts'

// Two isolates of the ingest function that share nothing but Redis, Postgres and the channel.

let project: LiveProject
let edges: Edge[] = []

beforeAll(async () => {
  project = await openLiveProject()
})
afterAll(() => project.close())
beforeEach(async () => {
  project.reset()
  await project.watch(true)
  edges = [project.openEdge(), project.openEdge()]
})
afterEach(() => Promise.all(edges.map((edge) => edge.settled())))

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const anErrorNow = () => anError({ at_us: Date.now() * 1_000 })
const lastPush = () => project.pushes.at(-1)?.push
const stored = { http: 200, status: 'stored' }

/** How many calls the page has counted once all pushes are in: each second as the greatest rev had it. */
function countedBy(pushes: readonly Push[]): number {
  const seconds = new Map<number, number>()
  for (const push of [...pushes].sort((a, b) => compareIds(a.rev, b.rev))) {
    for (const { second, series } of push.windows) seconds.set(second, series.all?.count ?? 0)
  }
  return [...seconds.values()].reduce((sum, count) => sum + count, 0)
}

const commandNames = () => project.requests.flatMap(({ commands }) => commands.map(([name]) => name?.toLowerCase()))

test('livePusher() costs two commands a batch and pushes nothing while nobody watches', async () => {
  await project.watch(false)
  const [one, two] = edges as [Edge, Edge]
  for (let n = 1; n <= 4; n += 1)
    expect(await (n % 2 === 0 ? one : two).post(batchNow(n, [anErrorNow()]))).toEqual(stored)
  await Promise.all(edges.map((edge) => edge.settled()))
  expect(commandNames()).toEqual(['xadd', 'expire', 'xadd', 'expire', 'xadd', 'expire', 'xadd', 'expire'])
  expect(project.redis('XLEN', 'telltale:batches')).toBe(4)
  expect(project.pushes).toEqual([])
})

test('livePusher() pushes a batch at once when the turn is free, and every key expires', async () => {
  await edges[0]?.post(batchNow(1))
  await edges[0]?.settled()
  expect(project.pushes).toHaveLength(1)
  expect(lastPush()).toMatchObject({ running: [{ seq: 1 }], ended: [{ name: 'chat' }], errors: [], stale: [] })
  expect(lastPush()?.windows).toMatchObject([{ series: { all: { count: 1 }, 'tool:chat': { count: 1 } } }])
  // Added, the turn, the state before, what is new, the state after.
  expect(commandNames()).toEqual(['xadd', 'expire', 'set', 'get', 'xrange', 'set'])
  expect(project.redis('PTTL', 'telltale:push')).toBeLessThanOrEqual(250)
  for (const key of ['telltale:batches', 'telltale:state']) {
    expect(project.redis('TTL', key)).toBeGreaterThan(hotSecondsKept - 10)
  }
})

test('livePusher() writes a repeated batch no second time', async () => {
  const batch = batchNow(1)
  expect(await edges[0]?.post(batch)).toEqual(stored)
  await edges[0]?.settled()
  const before = project.requests.length
  expect(await edges[1]?.post(batch)).toEqual({ http: 200, status: 'repeated' })
  await edges[1]?.settled()
  expect(project.requests).toHaveLength(before)
})

test('livePusher() keeps to its pace under load from both isolates, and the last batch is pushed', async () => {
  const startedAt = performance.now()
  const process = randomUUID()
  let sent = 0
  while (performance.now() - startedAt < 2_500) {
    const posts = edges.map((edge) => edge.post(batchNow(++sent, [], process)))
    expect(await Promise.all(posts)).toEqual([stored, stored])
  }
  await Promise.all(edges.map((edge) => edge.settled()))
  const seconds = (performance.now() - startedAt) / 1_000
  expect(project.pushes.length).toBeLessThanOrEqual(Math.ceil(seconds * 4) + 1)
  expect(project.pushes.length).toBeGreaterThan(1)
  expect(lastPush()?.running).toMatchObject([{ process, seq: sent }])
  expect(countedBy(project.pushes.map(({ push }) => push))).toBe(sent)
  const revs = project.pushes.map(({ push }) => push.rev)
  expect(revs).toEqual([...revs].sort(compareIds))
  expect(new Set(revs).size).toBeGreaterThan(1)
  expect(edges.flatMap(({ log }) => log)).toEqual([])
  // A batch costs three commands at most, a push six; of those that wait for it, one at a time has two more, and two.
  const names = commandNames()
  expect(names.length).toBeLessThanOrEqual(sent * 3 + project.pushes.length * (6 + 4 * edges.length))
})

test('livePusher() pushes the last of a burst from either isolate, however it falls', async () => {
  for (let round = 0; round < 12; round += 1) {
    project.reset()
    const batches = Array.from({ length: 1 + (round % 5) }, (_, n) => batchNow(n + 1))
    const last = batches.at(-1)
    for (const [n, batch] of batches.entries()) {
      const posted = edges[(round + n) % 2]?.post(batch)
      if (round % 3 !== 0) await posted
      if (round % 4 === 0) await pause(round * 5)
    }
    await eventually(() => countedBy(project.pushes.map(({ push }) => push)) === batches.length, 10_000)
    await eventually(
      () => project.pushes.some(({ push }) => push.running.some(({ process }) => process === last?.process.id)),
      10_000,
    )
    await Promise.all(edges.map((edge) => edge.settled()))
  }
})

test('livePusher() pushes the first error at once while the turn is taken, and the next in its turn', async () => {
  const slow = [project.openEdge({ pushMs: 3_000 }), project.openEdge({ pushMs: 3_000 })] as const
  const usualAt = performance.now()
  await slow[0].post(batchNow(1))
  await eventually(() => project.pushes.length === 1)
  const at = performance.now()
  await slow[1].post(batchNow(1, [anErrorNow()]))
  await eventually(() => project.pushes.length === 2)
  const [usual, error] = project.pushes.map((push) => push.at) as [number, number]
  expect(error - at).toBeLessThan(Math.max(150, 3 * (usual - usualAt)))
  expect(error - usual).toBeLessThan(3_000)
  expect(lastPush()?.errors).toHaveLength(1)
  expect(lastPush()?.ended).toHaveLength(2)
  // However long this machine took, the half second is not over.
  project.redis('SET', 'telltale:push:error', '1', 'PX', '3000')
  await slow[0].post(batchNow(2, [anErrorNow()]))
  await Promise.all(slow.map((edge) => edge.settled()))
  // The first took the turn with it, so the second waited a whole one.
  expect((project.pushes[2]?.at ?? 0) - error).toBeGreaterThan(2_900)
  expect(project.pushes).toHaveLength(3)
  expect(lastPush()?.errors).toHaveLength(2)
})

test('livePusher() does no harm where two isolates push at once', async () => {
  // No turn is ever taken.
  project.redisFault = () => {
    project.redis('DEL', 'telltale:push')
    return 'none'
  }
  const posts = Array.from({ length: 30 }, (_, n) => edges[n % 2]?.post(batchNow(n + 1)))
  expect(await Promise.all(posts)).toEqual(posts.map(() => stored))
  await Promise.all(edges.map((edge) => edge.settled()))
  expect(project.pushes.length).toBeGreaterThan(10)
  const greatest = [...project.pushes].sort((a, b) => compareIds(a.push.rev, b.push.rev)).at(-1)?.push
  expect(countedBy(greatest === undefined ? [] : [greatest])).toBe(30)
})

test.each<RedisFault>(['refuse', 'lose', 'garbage'])(
  'livePusher() leaves every ack as it is when Redis does %s at any request, and recovers',
  async (fault) => {
    for (let n = 0; n < 4; n += 1) {
      project.reset()
      const faulty = project.openEdge()
      project.redisFault = (request) => (request === n ? fault : 'none')
      expect(await faulty.post(batchNow(1))).toEqual(stored)
      await faulty.settled()
      expect(faulty.log).toEqual([expect.stringMatching(/^hot tier: Cannot /)])
      // While this isolate leaves Redis alone, another does not.
      expect(await faulty.post(batchNow(2))).toEqual(stored)
      const before = project.pushes.length
      await pause(260)
      expect(await edges[0]?.post(batchNow(3))).toEqual(stored)
      await edges[0]?.settled()
      expect(project.pushes.length).toBe(before + 1)
      expect(lastPush()?.running.some(({ seq }) => seq === 3)).toBe(true)
    }
  },
)

test('livePusher() leaves the ack of a batch that waits as it is when Redis fails, and the next push brings it', async () => {
  for (let n = 0; n < 3; n += 1) {
    project.reset()
    project.redis('SET', 'telltale:push', '1', 'PX', '100')
    const faulty = project.openEdge()
    project.redisFault = (request) => (request === n ? 'lose' : 'none')
    expect(await faulty.post(batchNow(1))).toEqual(stored)
    await faulty.settled()
    expect([project.requests.length, faulty.log.length, project.pushes.length]).toEqual([n + 1, 1, 0])
    await pause(260)
    expect(await edges[1]?.post(batchNow(2))).toEqual(stored)
    await eventually(() => countedBy(project.pushes.map(({ push }) => push)) === 2, 10_000)
  }
})

test('livePusher() names the minutes of what Redis missed once it is back, and gives it up for a while only', async () => {
  let isAway = true
  project.redisFault = () => (isAway ? 'hang' : 'none')
  const edge = project.openEdge({ redisMsMax: 500 })
  const missed = batchNow(1)
  expect(await edge.post(missed)).toEqual(stored)
  // The ack did not wait for what Redis would say.
  expect(edge.log).toEqual([])
  await edge.settled()
  expect(await edge.post(batchNow(2))).toEqual(stored)
  expect(project.requests).toHaveLength(1)
  isAway = false
  await pause(3_100)
  expect(await edge.post(batchNow(3))).toEqual(stored)
  await edge.settled()
  const minute = Math.floor(missed.made_at_us / 60_000_000) * 60
  expect(lastPush()?.stale).toContain(minute)
  expect(lastPush()?.running).toMatchObject([{ seq: 3 }])
  expect(edge.log).toEqual(['hot tier: Cannot add batch: Redis is not reached, or refuses the request'])
})

test('livePusher() leaves acks and Redis as they are while Realtime is down, and the next push heals', async () => {
  project.broadcastStatus = () => 503
  const [one, two] = edges as [Edge, Edge]
  expect(await one.post(batchNow(1))).toEqual(stored)
  await one.settled()
  expect(one.log).toEqual(['push: Cannot push to telltale:live: it answers 503'])
  expect(await one.post(batchNow(2))).toEqual(stored)
  await one.settled()
  // No turn is asked for that could not be used.
  expect(commandNames().slice(-2)).toEqual(['xadd', 'expire'])
  project.broadcastStatus = () => 202
  await pause(260)
  expect(await two.post(batchNow(3))).toEqual(stored)
  await two.settled()
  expect(countedBy(project.pushes.map(({ push }) => push))).toBe(3)
})

test('livePusher() begins anew from the last minute where the state is lost or not to be read', async () => {
  const [edge] = edges as [Edge]
  for (const [n, text] of ['', '{', '{"version":1}', '{"version":2,"rev":"1-0"}', 'null'].entries()) {
    await edge.post(batchNow(n + 1))
    await edge.settled()
    project.redis('SET', 'telltale:state', text)
    await pause(260)
  }
  project.redis('XADD', 'telltale:batches', '*', 'b', '{"windows":[{"second":1}]}')
  project.redis('XADD', 'telltale:batches', '*', 'other', 'x')
  await edge.post(batchNow(6))
  await edge.settled()
  expect(countedBy(project.pushes.map(({ push }) => push))).toBe(6)
  expect(edge.log).toEqual([])
})

test('livePusher() reads on where more was added than one read takes, and stays within its bytes', async () => {
  const windows = (n: number) => {
    const cell = { count: 1, errors: 0, bytes_in: 0, bytes_out: 0, tokens_in: 0, tokens_out: 0 }
    const latency = { z: 0, sum: 1_000, b: { [n % 900]: 1 } }
    const keys = ['all', ...Array.from({ length: 3 }, (_, k) => `tool:${n}-${k}`)]
    return [
      {
        second: Math.floor(Date.now() / 1_000),
        series: Object.fromEntries(keys.map((key) => [key, { ...cell, latency }])),
      },
    ]
  }
  const running = { process: randomUUID(), seq: 1, list: [], total: 0 }
  for (let n = 0; n < 1_200; n += 1) {
    const batch = { windows: windows(n), running: { ...running, seq: n + 1 }, ended: [], errors: [], stale: [] }
    project.redis('XADD', 'telltale:batches', 'MAXLEN', '~', String(hotBatchesMax), '*', 'b', JSON.stringify(batch))
  }
  await edges[0]?.post(batchNow(1))
  await edges[0]?.settled()
  expect(
    lastPush()
      ?.running.map(({ seq }) => seq)
      .sort(),
  ).toEqual([1, 1_200])
  expect(Buffer.byteLength(JSON.stringify(lastPush()))).toBeLessThanOrEqual(pushBytesMax)
  expect(Object.keys(lastPush()?.windows.at(-1)?.series ?? {})).toContain('tool:chat')
  expect(edges[0]?.log).toEqual([])
})
