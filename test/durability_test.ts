import fc from 'fast-check'
import pg from 'pg'
import { expect, test } from 'vitest'
import {
  createDataDir,
  type LiveBatch,
  liveBatch,
  postBatch,
  type RunningStack,
  startTelltale,
} from './stack_fixture.ts'

const kills = Number(process.env.TELLTALE_KILLS ?? 3)
const seed = Number(process.env.TELLTALE_SEED ?? 1)
const writers = 4
const killMsMin = 50
const killMsMax = 1_500

/** What this process, which nobody kills, knows of the batches. */
type Ledger = { readonly acked: Map<string, LiveBatch>; readonly unacked: Set<LiveBatch>; seq: number }

/** Sends one batch after another until the stack no longer answers; what has no ack is sent again as it was. */
async function write(env: RunningStack['env'], ledger: Ledger, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    ledger.seq += 1
    const batch = liveBatch(ledger.seq)
    ledger.unacked.add(batch)
    await send(env, ledger, batch)
  }
}

async function send(env: RunningStack['env'], ledger: Ledger, batch: LiveBatch): Promise<boolean> {
  const answer = await postBatch(env, batch)
  const text = await answer?.text().catch(() => null)
  if (answer?.status !== 200 || text === null) return false
  ledger.unacked.delete(batch)
  ledger.acked.set(batch.batchId, batch)
  return true
}

type Stored = { readonly batches: Set<string>; readonly traces: string[]; readonly counted: number }

async function readStored(url: string): Promise<Stored> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const batches = await client.query('select batch_id::text as id from telltale.batches')
    const traces = await client.query('select trace_id as id from telltale.traces')
    const counted = await client.query(
      "select coalesce(sum((series -> 'all' ->> 'count')::int), 0)::int as n from telltale.rollup_minutes",
    )
    return {
      batches: new Set(batches.rows.map(({ id }) => id)),
      traces: traces.rows.map(({ id }) => id),
      counted: counted.rows[0].n,
    }
  } finally {
    await client.end()
  }
}

function assertAllThere(ledger: Ledger, stored: Stored): void {
  const traces = new Set(stored.traces)
  const lost = [...ledger.acked.values()].filter((b) => !stored.batches.has(b.batchId) || !traces.has(b.traceId))
  expect(lost.map(({ batchId }) => batchId)).toEqual([])
  expect(traces.size).toBe(stored.traces.length)
}

test(`kill -9 of the whole group, ${kills} times while it writes, loses no acked batch and stores none twice`, {
  timeout: 60_000 + kills * 30_000,
}, async ({ skip }) => {
  if (process.platform === 'win32') return skip('there are no process groups to kill')
  const { dir, remove } = createDataDir()
  const ledger: Ledger = { acked: new Map(), unacked: new Set(), seq: 0 }
  const moments = fc.sample(fc.integer({ min: killMsMin, max: killMsMax }), { numRuns: kills, seed })
  const readyMs: number[] = []
  let stack: RunningStack | null = null
  try {
    for (const moment of moments) {
      stack = await startTelltale(dir)
      readyMs.push(stack.readyMs)
      assertAllThere(ledger, await readStored(stack.env.DATABASE_URL as string))
      let over = false
      const { env } = stack
      const writing = Array.from({ length: writers }, () => write(env, ledger, () => over))
      await new Promise((resolve) => setTimeout(resolve, moment))
      await stack.killGroup()
      over = true
      await Promise.all(writing)
    }
    stack = await startTelltale(dir)
    readyMs.push(stack.readyMs)
    assertAllThere(ledger, await readStored(stack.env.DATABASE_URL as string))
    // Some were stored and their ack died with the process: sending them again must count nothing twice.
    const { env } = stack
    for (const batch of [...ledger.unacked]) expect(await send(env, ledger, batch)).toBe(true)
    const stored = await readStored(env.DATABASE_URL as string)
    assertAllThere(ledger, stored)
    expect(stored.batches.size).toBe(ledger.acked.size)
    expect(stored.traces).toHaveLength(ledger.acked.size)
    expect(stored.counted).toBe(ledger.acked.size)
    expect(ledger.acked.size).toBeGreaterThan(kills * writers)
    expect(await stack.stop('SIGTERM')).toBe(0)
    const slowest = Math.round(Math.max(...readyMs.slice(1)))
    process.stdout.write(`durability: ${kills} kills, ${ledger.acked.size} batches, slowest start ${slowest} ms\n`)
    expect(slowest).toBeLessThan(20_000)
  } finally {
    await stack?.killGroup()
    remove()
  }
})
