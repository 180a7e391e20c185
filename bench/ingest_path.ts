// How many spans a second go from a reporter's POST to a committed row through the whole embedded path, and where the
// time goes. Everything is printed side by side from one run. Usage: node bench/ingest_path.ts [batches]

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { Client } from 'pg'
import { batchRowsOf } from '../functions/action/accept_batch.ts'
import { redactBatch } from '../functions/action/redact_batch.ts'
import { ingestApp } from '../functions/route/ingest.ts'
import { PostgresStore } from '../functions/store/postgres.ts'
import { migrate } from '../src/local/migrate.ts'
import { openPgliteDatabase } from '../src/local/pglite_database.ts'
import { parseBatch } from '../src/wire/parse_batch.ts'
import { createDataDir, startTelltale } from '../test/stack_fixture.ts'
import { benchProcess, type DaemonBatch, daemonBatch } from './daemon_batch.ts'

const batches = Number(process.argv[2] ?? 400)
const spansWanted = 500
const senders = 4
const stageNames = ['JSON.parse', 'check', 'redact', 'derive', 'SQL', 'rpc around it'] as const

const clock = () => Math.round((performance.timeOrigin + performance.now()) * 1_000)
const dataDir = createDataDir()
const stack = await startTelltale(dataDir.dir)
const ingestUrl = stack.env.TELLTALE_INGEST_URL as string
const headers = { 'content-type': 'application/json', authorization: `Bearer ${stack.env.TELLTALE_INGEST_KEY}` }
const sql = new Client({ connectionString: stack.env.DATABASE_URL as string })

try {
  await sql.connect()
  await wholePath(40, true)
  const emptyBytes = await storedBytes()
  const plain = await wholePath(batches, false)
  const perSpan = ((await storedBytes()) - emptyBytes) / plain.spans
  const zipped = await wholePath(batches, true)
  console.log(`whole path, ${senders} senders, batches of ${spansOf(sample())} spans:`)
  console.log(`  plain JSON  ${plain.rate.toFixed(0)} spans/s`)
  console.log(`  gzip        ${zipped.rate.toFixed(0)} spans/s  (${(zipped.rate / plain.rate).toFixed(2)} of plain)`)
  console.log(`  on disk     ${perSpan.toFixed(0)} bytes a span, indexes, rollups and batch ids included`)
  await shares(Math.min(batches, 200))
  await calls(20)
} finally {
  await sql.end()
  await stack.stop('SIGTERM')
  dataDir.remove()
}

function sample(): DaemonBatch {
  return daemonBatch(benchProcess(clock()), spansWanted, clock())
}

function spansOf(batch: DaemonBatch): number {
  return batch.records.length
}

async function wholePath(count: number, zip: boolean): Promise<{ readonly rate: number; readonly spans: number }> {
  const queue: (string | Uint8Array<ArrayBuffer>)[] = []
  let spans = 0
  const sources = Array.from({ length: senders }, () => benchProcess(clock()))
  for (let i = 0; i < count; i++) {
    const batch = daemonBatch(sources[i % senders] as (typeof sources)[number], spansWanted, clock())
    spans += spansOf(batch)
    const text = JSON.stringify(batch)
    queue.push(zip ? new Uint8Array(gzipSync(text, { level: 1 })) : text)
  }
  const began = performance.now()
  await Promise.all(
    Array.from({ length: senders }, async () => {
      for (let body = queue.pop(); body !== undefined; body = queue.pop()) await post(body, zip)
    }),
  )
  return { rate: spans / ((performance.now() - began) / 1_000), spans }
}

async function post(body: string | Uint8Array<ArrayBuffer>, zip: boolean): Promise<void> {
  const answer = await fetch(ingestUrl, {
    method: 'POST',
    headers: { ...headers, ...(zip ? { 'content-encoding': 'gzip' } : {}), 'telltale-sent-at': String(clock()) },
    body,
  })
  const text = await answer.text()
  if (answer.status !== 200) throw new Error(`Cannot send batch: ${answer.status} ${text}`)
}

/** One batch at a time, each stage alone. The SQL runs on an embedded database of its own in this process. */
async function shares(count: number): Promise<void> {
  const store = new PostgresStore({
    url: stack.env.SUPABASE_URL as string,
    secretKey: stack.env.SUPABASE_SECRET_KEY as string,
  })
  const dir = await mkdtemp(join(tmpdir(), 'telltale-bench-'))
  const database = await openPgliteDatabase({ dir, password: 'bench' })
  const source = benchProcess(clock())
  const spent = { 'JSON.parse': 0, check: 0, redact: 0, derive: 0, SQL: 0, 'rpc around it': 0 }
  try {
    await migrate(database)
    const day = new Date().toISOString().slice(0, 10)
    await database.query({ text: 'select telltale.make_partitions(array[$1::date - 1, $1::date])', values: [day] })
    for (let i = -20; i < count; i++) {
      const text = JSON.stringify(daemonBatch(source, spansWanted, clock()))
      const took = await stagesOf(text, store, (rows) =>
        database.query({ text: 'select telltale.ingest_batch($1::text::jsonb)', values: [rows], role: 'service_role' }),
      )
      // The first ones warm up.
      if (i >= 0) for (const name of stageNames) spent[name] += took[name]
    }
  } finally {
    await database.close()
    await rm(dir, { recursive: true, force: true })
  }
  const total = Object.values(spent).reduce((sum, ms) => sum + ms, 0)
  console.log(`shares of one batch on its own (${(total / count).toFixed(1)} ms):`)
  for (const [name, ms] of Object.entries(spent)) {
    console.log(`  ${name.padEnd(14)} ${(ms / count).toFixed(2).padStart(6)} ms  ${((100 * ms) / total).toFixed(0)} %`)
  }
}

async function stagesOf(text: string, store: PostgresStore, sqlOf: (rows: string) => Promise<unknown>) {
  const began = performance.now()
  JSON.parse(text)
  const json = performance.now()
  const parsed = parseBatch(text, clock())
  if (!parsed.ok) throw new Error(`Cannot measure: ${parsed.error.detail}`)
  const checked = performance.now()
  redactBatch(parsed.value.batch)
  const redacted = performance.now()
  const arrival = { keyId: 'bench0000000', sentAtUs: null, receivedAtUs: clock(), flushMs: 250 }
  const rows = batchRowsOf(parsed.value, arrival)
  const derived = performance.now()
  await store.ingestBatch(rows)
  const stored = performance.now()
  const rowsText = JSON.stringify(rows)
  const before = performance.now()
  await sqlOf(rowsText)
  const sql = performance.now() - before
  return {
    'JSON.parse': json - began,
    check: checked - json - (json - began),
    redact: redacted - checked,
    derive: derived - redacted - (redacted - checked),
    SQL: sql,
    'rpc around it': stored - derived - sql,
  }
}

/** Requests to Postgres that one batch costs, counted at the store's own fetch. */
async function calls(count: number): Promise<void> {
  let requests = 0
  const counting: typeof fetch = (...args) => {
    requests += 1
    return fetch(...args)
  }
  const store = new PostgresStore({
    url: stack.env.SUPABASE_URL as string,
    secretKey: stack.env.SUPABASE_SECRET_KEY as string,
    fetch: counting,
  })
  const app = ingestApp({ store, clock, flushMs: 250 })
  const source = benchProcess(clock())
  const send = () =>
    app.request('/ingest', { method: 'POST', headers, body: JSON.stringify(daemonBatch(source, 60, clock())) })
  const first = await send()
  if (first.status !== 200) throw new Error(`Cannot measure: ${first.status} ${await first.text()}`)
  const cold = requests
  for (let i = 0; i < count; i++) await send()
  console.log(`Postgres calls a batch: ${((requests - cold) / count).toFixed(2)} (the first of an isolate: ${cold})`)
}

async function storedBytes(): Promise<number> {
  await sql.query('vacuum')
  const { rows } = await sql.query(
    `select sum(pg_total_relation_size(c.oid)) as bytes from pg_class c
     join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'telltale' and c.relkind = 'r'`,
  )
  return Number(rows[0].bytes)
}
