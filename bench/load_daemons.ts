// Daemons, as their reporters send: one batch at a time each, at their pace; one that is put off is kept and sent again
// after a wait that doubles, and the next has all that happened meanwhile. Asked by push_load.ts and page_frames.ts.
import { randomBytes, randomUUID } from 'node:crypto'
import { Agent, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { batchRecordsMax, reporterBatchRecordsMax, retryBaseMs, retryMsMax } from '../src/core/limit.ts'
import { type BenchProcess, benchProcess, daemonBatch, sessionOf } from './daemon_batch.ts'
import { answerAsks } from './load_child.ts'

export type LoadShape = {
  readonly daemons: number
  readonly paceMs: number
  /** What happens in a daemon within its pace. */
  readonly callsPerBatch: number
}

/** Since the question before. */
export type LoadTaken = {
  readonly batches: number
  readonly calls: number
  /** Answers of 429, 503 and none at all, after each of which the batch was kept and sent again. */
  readonly putOff: number
  /** By batch id, ms since the epoch: after the commit, before the hot tier. */
  readonly ackedAt: readonly (readonly [string, number])[]
}

type Running = ReturnType<typeof runningCall>
type Daemon = { readonly process: BenchProcess; readonly number: number; running: Running[]; stopped: boolean }

const layers = ['shim', 'tool', 'api'] as const
const runningWanted = 2
const callsPerError = 40
/** A generator whose batches are larger than a reporter's fills them to the edge's own bound. */
const callsMaxOf = (wanted: number) =>
  Math.floor(
    (wanted * layers.length > reporterBatchRecordsMax ? batchRecordsMax - 1 : reporterBatchRecordsMax) / layers.length,
  )
const { TELLTALE_INGEST_URL: ingestUrl = '', TELLTALE_INGEST_KEY: ingestKey = '' } = process.env
const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
const daemons: Daemon[] = []
const acks: [string, number][] = []
let shape: LoadShape = { daemons: 0, paceMs: 1_000, callsPerBatch: 1 }
let putOff = 0
let callsTaken = 0
let calls = 0

const nowUs = () => Math.round((performance.timeOrigin + performance.now()) * 1_000)

answerAsks<Partial<LoadShape>>((change): LoadTaken => {
  shape = { ...shape, ...change }
  for (const daemon of daemons.splice(shape.daemons)) daemon.stopped = true
  while (daemons.length < shape.daemons) {
    const daemon = { process: benchProcess(nowUs()), number: daemons.length, running: [], stopped: false }
    daemons.push(daemon)
    void run(daemon)
  }
  const answer = { batches: acks.length, calls: callsTaken, putOff, ackedAt: acks.splice(0) }
  putOff = 0
  callsTaken = 0
  return answer
})

async function run(daemon: Daemon): Promise<void> {
  await pause(Math.random() * shape.paceMs)
  let since = performance.now() - shape.paceMs
  while (!daemon.stopped) {
    const began = performance.now()
    const happened = Math.round(((began - since) / shape.paceMs) * shape.callsPerBatch)
    const callsNow = Math.max(1, Math.min(happened, callsMaxOf(shape.callsPerBatch)))
    since = began
    const { batchId, body } = batchOf(daemon, callsNow)
    for (let failures = 0; !daemon.stopped && !(await isTaken(body, failures)); failures += 1) putOff += 1
    if (daemon.stopped) return
    acks.push([batchId, Date.now()])
    callsTaken += callsNow
    await pause(Math.max(0, shape.paceMs - (performance.now() - began)))
  }
}

function batchOf(daemon: Daemon, callsNow: number): { readonly batchId: string; readonly body: string } {
  const at = nowUs()
  const batch = daemonBatch(daemon.process, callsNow * layers.length, at, layers)
  // Each call runs for some batches, as an AI call does.
  daemon.running = daemon.running.filter(({ start_us }) => at - start_us < 6_000_000)
  if (daemon.running.length < runningWanted) daemon.running.push(runningCall(daemon.process, at))
  const isFaulty = Math.floor((calls + callsNow) / callsPerError) > Math.floor(calls / callsPerError)
  calls += callsNow
  const whole = {
    ...batch,
    source: { ...batch.source, instance: `daemon-${daemon.number}` },
    running: daemon.running,
    running_total: daemon.running.length,
    records: isFaulty ? [...batch.records, errorOf(batch.records[0]?.trace_id ?? null, at)] : batch.records,
  }
  return { batchId: batch.batch_id, body: JSON.stringify(whole) }
}

function runningCall(process: BenchProcess, at: number) {
  return {
    trace_id: randomBytes(16).toString('hex'),
    span_id: randomBytes(8).toString('hex'),
    layer: 'api',
    name: 'POST /chat/completions',
    tool: 'chat',
    session: sessionOf(process),
    start_us: at,
  }
}

function errorOf(traceId: string | null, at: number) {
  const frames = Array.from({ length: 12 }, (_, i) => `    at step${i} (/srv/daemon/src/provider_${i}.ts:${10 + i}:7)`)
  return {
    type: 'error',
    error_id: randomUUID(),
    at_us: at,
    trace_id: traceId,
    span_id: null,
    error_type: 'ProviderError',
    message: 'Cannot complete: the provider answered 529',
    traceback: ['ProviderError: Cannot complete: the provider answered 529', ...frames].join('\n'),
    context: {},
  }
}

/** One attempt; where it was put off, after the wait of a reporter that has failed so often. */
async function isTaken(body: string, failures: number): Promise<boolean> {
  const { status, retryAfter } = await post(body).catch(() => ({ status: 0, retryAfter: 0 }))
  if (status === 200) return true
  if (status !== 0 && status !== 429 && status < 500) throw new Error(`Cannot send batch: it is answered ${status}`)
  const delay = Math.min(retryMsMax, retryBaseMs * 2 ** failures)
  await pause(Math.max(retryAfter * 1_000, delay * (0.5 + Math.random() / 2)))
  return false
}

function post(body: string): Promise<{ readonly status: number; readonly retryAfter: number }> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${ingestKey}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'telltale-sent-at': String(nowUs()),
    }
    const sent = request(ingestUrl, { method: 'POST', agent, headers }, (answer) => {
      answer.resume()
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, retryAfter: Number(answer.headers['retry-after'] ?? 1) }),
      )
      answer.on('error', reject)
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
