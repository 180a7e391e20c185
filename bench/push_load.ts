// What pushes cost as daemons and viewers multiply: how many there are a second, how large they are, and how long a batch
// takes from its commit to every viewer. The embedded stack, the daemons and the viewers each have a process of their own,
// and share this machine. Usage: node bench/push_load.ts [seconds a row]
import { readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createDataDir, startTelltale } from '../test/stack_fixture.ts'
import { type LoadChild, openChild, quantileOf } from './load_child.ts'
import type { LoadTaken } from './load_daemons.ts'
import type { Delivered } from './load_viewers.ts'

const seconds = Number(process.argv[2] ?? 4)
const viewersByDaemons: readonly (readonly [number, readonly number[]])[] = [
  [1, [1, 10, 100]],
  [10, [1, 10, 100]],
  [100, [1]],
  [1_000, [1, 10, 100]],
]
const paceMs = 1_000
/** A thousand are more than an embedded stack takes: until reporters that are put off have found their own pace. */
const settleMsOf = (daemons: number) => (daemons < 1_000 ? 2_500 : 12_000)
const sampleEveryMs = 500
const sampled = 40

console.log(
  `load before: ${loadavg()[0]?.toFixed(1)} (below 3 is quiet); ${seconds} s a row, one batch a second a daemon`,
)
console.log(
  'daemons viewers | calls/s  taken  batches put off | pushes    KB p50    KB max | deliveries | lag p50     p99 | CPU of the stack',
)
for (const [daemonCount, viewerCounts] of viewersByDaemons) await group(daemonCount, viewerCounts)

/** Over a stack of its own, which holds nothing of what was before. */
async function group(daemonCount: number, viewerCounts: readonly number[]): Promise<void> {
  const dataDir = createDataDir()
  const stack = await startTelltale(dataDir.dir)
  const pid = Number(JSON.parse(readFileSync(join(dataDir.dir, 'lock.json'), 'utf8')).pid)
  const daemons = openChild('load_daemons.ts', stack.env)
  const viewers = openChild('load_viewers.ts', stack.env)
  try {
    for (const viewerCount of viewerCounts) {
      // Viewers come while it is quiet: how long a join takes under load is not the question.
      await daemons.ask({ daemons: 0 })
      const { missing } = await viewers.ask<Delivered>({ viewers: viewerCount })
      if (missing > 0) console.log(`${daemonCount} daemons: ${missing} of ${viewerCount} viewers could not join`)
      else await row({ env: stack.env, pid, daemons, viewers }, daemonCount, viewerCount)
    }
  } finally {
    await Promise.all([daemons.close(), viewers.close()])
    await stack.stop('SIGTERM')
    dataDir.remove()
  }
}

type Scene = {
  readonly env: Readonly<Record<string, string>>
  /** Of the stack. */
  readonly pid: number
  readonly daemons: LoadChild
  readonly viewers: LoadChild
}

async function row({ env, pid, daemons, viewers }: Scene, daemonCount: number, viewerCount: number): Promise<void> {
  await daemons.ask({ daemons: daemonCount, paceMs, callsPerBatch: 1 })
  await pause(settleMsOf(daemonCount))
  await Promise.all([daemons.ask({}), viewers.ask({ viewers: viewerCount })])
  const began = performance.now()
  const cpuBefore = cpuSeconds(pid)
  const entries = await entriesDuring(env, seconds * 1_000)
  const took = (performance.now() - began) / 1_000
  const cpu = (cpuSeconds(pid) - cpuBefore) / took
  const sent = await daemons.ask<LoadTaken>({})
  // What was taken at the end is delivered a moment later.
  const early = await viewers.ask<Delivered>({ viewers: viewerCount })
  await pause(1_000)
  const late = await viewers.ask<Delivered>({ viewers: viewerCount })
  const lags = lagsOf(entries, new Map(sent.ackedAt), early, late)
  const per = (n: number, width = 6) => (n / took).toFixed(1).padStart(width)
  const kb = (q: number) => (quantileOf(early.bytes, q) / 1_000).toFixed(1).padStart(9)
  const ms = (q: number) => `${quantileOf(lags, q).toFixed(0)} ms`.padStart(7)
  console.log(
    `${String(daemonCount).padStart(7)} ${String(viewerCount).padStart(7)} | ${((daemonCount * 1_000) / paceMs).toFixed(1).padStart(7)} ${per(sent.calls)} ${per(sent.batches, 8)} ${per(sent.putOff, 7)} | ${per(early.bytes.length)} ${kb(0.5)} ${kb(1)} | ${per(early.deliveries, 10)} | ${ms(0.5)} ${ms(0.99)} | ${(cpu * 100).toFixed(0).padStart(4)} % of a core`,
  )
}

/** Some of the newest entries of the stream now and then: their ids, by the id of their batch. */
async function entriesDuring(env: Scene['env'], ms: number): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, string>()
  const end = performance.now() + ms
  for (let left = ms; left > 0; left = end - performance.now()) {
    await pause(Math.min(sampleEveryMs, left))
    const answer = await fetch(env.UPSTASH_REDIS_REST_URL ?? '', {
      method: 'POST',
      headers: { authorization: `Bearer ${env.UPSTASH_REDIS_REST_TOKEN}` },
      body: JSON.stringify(['XREVRANGE', 'telltale:batches', '+', '-', 'COUNT', sampled]),
    })
    const { result } = (await answer.json()) as { result: readonly [string, readonly [string, string]][] }
    for (const [id, [, text]] of result) ids.set((JSON.parse(text) as { batch_id: string }).batch_id, id)
  }
  return ids
}

/** From each sampled batch's ack, right after its commit, to the first push to each viewer that has it, in ms. */
function lagsOf(
  entries: ReadonlyMap<string, string>,
  ackedAt: ReadonlyMap<string, number>,
  early: Delivered,
  late: Delivered,
): number[] {
  const msOf = (id: string) => Number.parseInt(id, 10)
  const countOf = (id: string) => Number(id.split('-')[1])
  const holds = (rev: string, id: string) =>
    msOf(rev) > msOf(id) || (msOf(rev) === msOf(id) && countOf(rev) >= countOf(id))
  return early.seen.flatMap((seen, viewer) => {
    const all = [...seen, ...(late.seen[viewer] ?? [])]
    return [...entries].flatMap(([batchId, id]) => {
      const acked = ackedAt.get(batchId)
      const delivery = all.find(([, rev]) => holds(rev, id))
      return acked === undefined || delivery === undefined ? [] : [delivery[0] - acked]
    })
  })
}

/** User and system time of the stack so far; NaN where the system does not tell. */
function cpuSeconds(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return Number.NaN
  }
}
