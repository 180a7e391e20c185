// How many spans a second go from a reporter's POST to a committed row through the whole embedded path, and where the
// time goes. Everything is printed side by side from one run. Usage: node bench/ingest_path.ts [batches]
import { gzipSync } from 'node:zlib'
import { Client } from 'pg'
import { batchRowsOf } from '../functions/action/accept_batch.ts'
import { redactBatch } from '../functions/action/redact_batch.ts'
import { ingestApp } from '../functions/route/ingest.ts'
import { PostgresStore } from '../functions/store/postgres.ts'
import { parseBatch } from '../src/wire/parse_batch.ts'
import { benchProcess, type DaemonBatch, daemonBatch } from './daemon_batch.ts'
import { startStackProcess } from './stack_process.ts'

const batches = Number(process.argv[2] ?? 400)
const spansWanted = 500
const senders = 4

const clock = () => Math.round((performance.timeOrigin + performance.now()) * 1_000)
const stack = await startStackProcess()
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
  await stack.stop()
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

/** One batch at a time, each stage alone: what the stages cost, and what HTTP, queues and the rest add. */
async function shares(count: number): Promise<void> {
  const store = new PostgresStore({
    url: stack.env.SUPABASE_URL as string,
    secretKey: stack.env.SUPABASE_SECRET_KEY as string,
  })
  const source = benchProcess(clock())
  const ms = { 'JSON.parse': 0, 'parse and check': 0, redact: 0, derive: 0, rpc: 0, 'of it SQL': 0 }
  const arrival = { keyId: await keyId(), sentAtUs: null, receivedAtUs: clock(), flushMs: 250 }
  for (let i = 0; i < count; i++) {
    const text = JSON.stringify(daemonBatch(source, spansWanted, clock()))
    ms['JSON.parse'] += timed(() => JSON.parse(text))
    let parsed: ReturnType<typeof parseBatch> | undefined
    ms['parse and check'] += timed(() => {
      parsed = parseBatch(text, clock())
    })
    if (!parsed?.ok) throw new Error('Cannot measure: the batch was refused')
    const { value } = parsed
    const redacting = timed(() => redactBatch(value.batch))
    ms.redact += redacting
    let rows: ReturnType<typeof batchRowsOf> | undefined
    ms.derive += timed(() => {
      rows = batchRowsOf(value, arrival)
    })
    ms.derive -= redacting
    if (rows === undefined) throw new Error('Cannot measure: no rows')
    const twin = JSON.stringify({ ...rows, batch_id: crypto.randomUUID() })
    const before = performance.now()
    await store.ingestBatch(rows)
    const between = performance.now()
    await sql.query('select telltale.ingest_batch($1::jsonb)', [twin])
    ms.rpc += between - before
    ms['of it SQL'] += performance.now() - between
  }
  const total = ms['parse and check'] + ms.redact + ms.derive + ms.rpc
  console.log(`shares of one batch on its own (${(total / count).toFixed(1)} ms):`)
  for (const [name, sum] of Object.entries(ms)) {
    console.log(
      `  ${name.padEnd(16)} ${(sum / count).toFixed(2).padStart(7)} ms  ${((100 * sum) / total).toFixed(0)} %`,
    )
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

function timed(work: () => unknown): number {
  const began = performance.now()
  work()
  return performance.now() - began
}

async function keyId(): Promise<string> {
  const { rows } = await sql.query('select key_id from telltale.ingest_keys limit 1')
  return String(rows[0].key_id)
}

async function storedBytes(): Promise<number> {
  await sql.query('vacuum')
  const { rows } = await sql.query(
    `select sum(pg_total_relation_size(c.oid)) as bytes from pg_class c
     join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'telltale' and c.relkind = 'r'`,
  )
  return Number(rows[0].bytes)
}
