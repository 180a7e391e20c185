import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Batch } from '../src/core/record.ts'
import { mergeSeries, type Series } from '../src/core/window.ts'
import type { KilledIngest, KillPoint } from './killed_ingest_fixture.ts'
import { arbitraryBatch } from './span_fixture.ts'
import { createDataDir, type RunningStack, startTelltale } from './stack_fixture.ts'

// Invariant 2 through the whole path: whatever happens to the batches on their way, the rows end the same.

const dayUs = 86_400_000_000
const nowUs = Date.now() * 1_000
const midnightUs = Math.floor(nowUs / dayUs) * dayUs
const seed = 20_261_123

const dirs = [createDataDir(), createDataDir()]
const scratch = mkdtempSync(join(tmpdir(), 'telltale-killed-'))
const clients: Client[] = []
let reference: RunningStack
let often: RunningStack

beforeAll(async () => {
  ;[reference, often] = (await Promise.all(dirs.map(({ dir }) => startTelltale(dir)))) as [RunningStack, RunningStack]
})

afterAll(async () => {
  await Promise.all(clients.map((client) => client.end()))
  await Promise.all([reference?.stop('SIGTERM'), often?.stop('SIGTERM')])
  for (const { remove } of dirs) remove()
  rmSync(scratch, { recursive: true, force: true })
})

test('a batch sent 1, 2 or 10 times, in any order, across midnight, leaves the same rows', async () => {
  const batches = generatedBatches(midnightUs - 1_000_000, 2_000_000, 24)
  for (const batch of batches) expect(await statusOf(reference, batch)).toBe('stored')
  const order = shuffled(batches.flatMap((batch, i) => Array<Batch>([1, 2, 10][i % 3] as number).fill(batch)))
  for (let i = 0; i < order.length; i += 4) {
    await Promise.all(order.slice(i, i + 4).map((batch) => statusOf(often, batch)))
  }
  await expectSameRows()
})

const killPoints: readonly KillPoint[] = [
  ...[1, 2, 3].flatMap((call) => (['before', 'sent', 'answered'] as const).map((phase) => ({ call, phase }))),
  { phase: 'accepted' },
]

test('an ingest process killed at any await of accept_batch leaves nothing that the retry does not heal', async () => {
  // Each on a day of its own that has no partition yet, so that every kill meets all three requests.
  const batches = killPoints.map((_, i) => {
    const [batch] = generatedBatches(midnightUs - (4 + i) * dayUs, 60_000_000, 1, 100 + i)
    return { ...(batch as Batch), made_at_us: nowUs }
  })
  for (const [i, batch] of batches.entries()) {
    expect(await killedWhileAccepting(batch, killPoints[i] as KillPoint)).toBe('SIGKILL')
    expect(['stored', 'repeated']).toContain(await statusOf(often, batch))
    expect(await statusOf(often, batch)).toBe('repeated')
    expect(await statusOf(reference, batch)).toBe('stored')
  }
  await expectSameRows()
})

/** Batches of three processes, each with one source; spans of few traces, so that traces are merged from many batches. */
function generatedBatches(base_us: number, spread_us: number, count: number, more = 0): readonly Batch[] {
  const arbitrary = arbitraryBatch({ base_us, spread_us, recordsMax: 20 })
  return fc.sample(arbitrary, { seed: seed + more, numRuns: count }).map((batch, i) => ({
    ...batch,
    // The generator draws them apart; a process has one source, and never uses a sequence number twice.
    source: { service: 'exai', instance: batch.process.id, environment: 'test', version: '1' },
    made_at_us: nowUs,
    seq: 1 + i + 100 * more,
    records: batch.records.filter((record) => record.type !== 'span' || record.name !== ''),
  }))
}

async function statusOf(stack: RunningStack, batch: Batch): Promise<string> {
  const answer = await fetch(stack.env.TELLTALE_INGEST_URL as string, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${stack.env.TELLTALE_INGEST_KEY}`,
      'content-type': 'application/json',
      // However slow the machine is, no list of what runs is old when it is sent.
      'telltale-sent-at': String(batch.made_at_us),
    },
    body: JSON.stringify(batch),
  })
  const ack = (await answer.json()) as { status: string; rejected: unknown[] }
  expect([answer.status, ack.rejected]).toEqual([200, []])
  return ack.status
}

/** The signal that ended the process. */
async function killedWhileAccepting(batch: Batch, kill: KillPoint): Promise<unknown> {
  const { SUPABASE_URL: url = '', SUPABASE_SECRET_KEY: secretKey = '', TELLTALE_INGEST_KEY: key = '' } = often.env
  const file = join(scratch, `${batch.batch_id}.json`)
  const keyId = key.split('_')[1] as string
  writeFileSync(
    file,
    JSON.stringify({ url, secretKey, keyId, body: JSON.stringify(batch), nowUs, kill } satisfies KilledIngest),
  )
  const program = fileURLToPath(new URL('./killed_ingest_fixture.ts', import.meta.url))
  const child = spawn(process.execPath, [program, file], { stdio: ['ignore', 'inherit', 'inherit'] })
  const [, signal] = await once(child, 'exit')
  return signal
}

async function expectSameRows(): Promise<void> {
  const [expected, actual] = await Promise.all([rowsOf(reference), rowsOf(often)])
  expect(expected.traces?.length).toBeGreaterThan(0)
  expect(expected.errors?.length).toBeGreaterThan(0)
  expect(actual).toEqual(expected)
}

/** Per table, the columns that depend on when and how often a batch came rather than on what it says. */
const volatile: Readonly<Record<string, readonly string[]>> = {
  traces: ['day', 'revision', 'changed_at', 'changed_xid'],
  errors: ['day'],
  messages: ['day'],
  gauges: ['day'],
  error_groups: ['noticed_at'],
  sources: ['created_at'],
  admitted_names: ['admitted_at'],
  processes: ['first_seen_at', 'last_seen_at', 'renewed_at', 'clock_offset_us'],
  batches: ['received_at', 'key_id'],
}

type Rows = { readonly [table: string]: readonly string[] }

async function rowsOf(stack: RunningStack): Promise<Rows> {
  const client = new Client({ connectionString: stack.env.DATABASE_URL as string })
  await client.connect()
  clients.push(client)
  const rows: { [table: string]: readonly string[] } = {}
  for (const [table, columns] of Object.entries(volatile)) {
    const text = `select (to_jsonb(t) - $1::text[])::text as row from telltale.${table} as t order by 1`
    rows[table] = (await client.query(text, [columns])).rows.map(({ row }) => row)
  }
  // A minute is a bag of parts, which the tick may have compacted: what counts is their sum.
  const parts = await client.query('select minute::text, source_id, series from telltale.rollup_minutes')
  const sums = new Map<string, Series>()
  for (const { minute, source_id, series } of parts.rows) {
    const key = `${minute} ${source_id}`
    sums.set(key, mergeSeries(sums.get(key) ?? {}, series))
  }
  rows.minutes = [...sums].map(([key, series]) => `${key} ${JSON.stringify(sorted(series))}`).sort()
  return rows
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return entries.map(([key, inner]) => [key, sorted(inner)])
}

function shuffled<T>(items: readonly T[]): T[] {
  return fc.sample(fc.shuffledSubarray([...items], { minLength: items.length }), { seed, numRuns: 1 })[0] as T[]
}
