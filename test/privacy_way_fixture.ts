import { spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createReporter, type Reporter } from '../src/reporter/reporter.ts'
import type { SeededSecret } from './secret_seed_fixture.ts'

export type Env = Readonly<Record<string, string>>
/**
 * One way in: sends all of the secrets in every field that it has, and answers when all is stored: with what it printed
 * itself, and what it left on the disk.
 */
export type WayIn = (secrets: readonly SeededSecret[], env: Env) => Promise<string>
/** Gives the secrets out one after another, from the first again after the last. */
export type Supply = { readonly left: number; text(): string; bag(): { readonly [name: string]: unknown } }

export function supplyOf(secrets: readonly SeededSecret[]): Supply {
  let at = 0
  const next = () => secrets[at++ % secrets.length] as SeededSecret
  return {
    get left() {
      return secrets.length - at
    },
    text: () => next().text,
    bag() {
      const [a, b, c] = [next(), next(), next()]
      const more = { plain: a.text, [a.name]: a.value, [b.text]: 1, deep: [{ deeper: b.text, [b.name]: [b.value] }] }
      return {
        ...more,
        headers: [[c.name, c.value]],
        env: [{ name: c.name, value: c.value }],
        json: JSON.stringify({ x: c.text }),
      }
    },
  }
}

export const hex = (bytes: number) => randomBytes(bytes).toString('hex')

/** Batches by POST, as from a sender that takes nothing out. */
export const byBatch: WayIn = async (secrets, env) => {
  const supply = supplyOf(secrets)
  const process_ = { id: randomUUID(), started_at_us: Date.now() * 1_000 }
  for (let seq = 1; supply.left > 0; seq += 1) {
    const s = supply.text
    const records = Array.from({ length: 8 }, () => recordsOf(supply)).flat()
    const open = {
      trace_id: hex(16),
      span_id: hex(8),
      layer: s(),
      name: s(),
      tool: s(),
      session: s(),
      start_us: Date.now() * 1_000,
    }
    const body = {
      batch_id: randomUUID(),
      made_at_us: Date.now() * 1_000,
      source: { service: s(), instance: s(), environment: s(), version: s() },
      process: { ...process_, host: s(), pid: 1, sdk: s() },
      seq,
      counters: { recorded: records.length, dropped: { [s()]: 1 } },
      running: [open],
      running_total: 1,
      records,
    }
    const said = await post(env, '', 'application/json', JSON.stringify(body))
    if ((JSON.parse(said) as { rejected: unknown[] }).rejected.length > 0) throw new Error(`Cannot store all: ${said}`)
  }
  return ''
}

/** A record of each type. */
export function recordsOf(supply: Supply): readonly object[] {
  const s = supply.text
  const at_us = Date.now() * 1_000
  const trace_id = hex(16)
  const span_id = hex(8)
  const names = { name: s(), request_id: s(), tool: s(), provider: s(), model: s(), holder: s() }
  const times = { start_us: at_us - 5_000, end_us: at_us, outcome: 'tool_error', entry: true }
  const span = { type: 'span', trace_id, span_id, layer: s(), ...names, ...times, session: { key: s(), rule: 'mcp' } }
  const traceback = `Error: ${s()}\n    at f (/srv/x.js:1:1)\n${s()}`
  const place = { at_us, trace_id, span_id }
  const said = {
    conversation_id: s(),
    role: s(),
    model_used: s(),
    provider_used: s(),
    tool_name: s(),
    thinking_mode: s(),
  }
  const heard = { connection_type: s(), direction: s(), script_name: s(), function_name: s(), data_size_bytes: 1 }
  const failed = { error: s(), error_type: s(), error_traceback: traceback }
  return [
    { ...span, attributes: supply.bag(), own: s() },
    {
      type: 'error',
      error_id: randomUUID(),
      ...place,
      error_type: s(),
      message: `Cannot: ${s()}`,
      traceback,
      context: supply.bag(),
    },
    { type: 'message', message_id: randomUUID(), ...place, ...said, token_usage: supply.bag(), metadata: supply.bag() },
    { type: 'event', event_id: randomUUID(), ...place, ...heard, ...failed, metadata: supply.bag() },
    { type: 'event', event_id: randomUUID(), ...place, ...heard, metadata: supply.bag() },
    {
      type: 'gauge',
      name: s().slice(0, 250),
      at_us,
      value: 1,
      labels: { plain: s().slice(0, 250), password: 'zq7x0kz1' },
    },
  ]
}

/** Answers what the edge said, which may be busy for a while. @throws when it took nothing */
export async function post(
  env: Env,
  path: string,
  type: string,
  body: string | Uint8Array<ArrayBuffer>,
): Promise<string> {
  const headers = { authorization: `Bearer ${env.TELLTALE_INGEST_KEY}`, 'content-type': type }
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetch(`${env.TELLTALE_INGEST_URL}${path}`, { method: 'POST', headers, body })
    const said = await answer.text()
    if (answer.status === 200) return said
    if (answer.status !== 503 || attempt === 10) throw new Error(`Cannot send ${path}: ${answer.status} ${said}`)
    await new Promise((resolve) => setTimeout(resolve, 200 * attempt))
  }
}

/** The TypeScript reporter. */
export const byReporter: WayIn = async (secrets, env) => {
  const supply = supplyOf(secrets)
  const s = supply.text
  const names = { service: s(), instance: s(), environment: s(), version: s() }
  const said: string[] = []
  const reporter = createReporter({
    ingestUrl: env.TELLTALE_INGEST_URL,
    ingestKey: env.TELLTALE_INGEST_KEY,
    ...names,
    env: {},
    outboxDir: env.TELLTALE_OUTBOX_DIR ?? 'none',
    flushOnExit: false,
    warn: (text) => said.push(text),
  })
  while (supply.left > 0) recordEverywhere(reporter, supply)
  await reporter.flush()
  await reporter.close(env.TELLTALE_OUTBOX_DIR === undefined ? 10_000 : 500)
  return said.join('\n')
}

function recordEverywhere(reporter: Reporter, supply: Supply): void {
  const s = supply.text
  const bag = () => supply.bag() as never
  const fields = () => ({
    tool: s(),
    provider: s(),
    model: s(),
    requestId: s(),
    session: s(),
    holder: s(),
    attributes: bag(),
  })
  const root = reporter.startTrace({ name: s(), layer: s(), ...fields() })
  const wait = reporter.wait(root, { name: s(), holder: s(), attributes: bag() })
  const failure = new Error(`Cannot call: ${s()}`, { cause: new AggregateError([new TypeError(s())], s()) })
  reporter.captureError(failure, { span: root, errorType: s(), context: bag() })
  reporter.captureError(supply.bag(), { traceback: `Error: ${s()}\n    at f (x.ts:1:1)`, context: bag() })
  const said = {
    conversation_id: s(),
    role: s(),
    model_used: s(),
    provider_used: s(),
    tool_name: s(),
    thinking_mode: s(),
  }
  reporter.recordMessage({ ...said, token_usage: bag(), metadata: bag() }, root)
  const heard = { connection_type: s(), direction: s(), script_name: s(), function_name: s() }
  reporter.recordEvent({ ...heard, error: s(), error_type: s(), error_traceback: s(), metadata: bag() })
  reporter.gauge(s(), 1, { a: s(), [s()]: 'b' })
  wait.end('timeout', fields())
  root.end('tool_error', { ...fields(), name: s() })
}

const wrapScript = fileURLToPath(new URL('./wrap_fixture.ts', import.meta.url))
// Answers each call with what it was asked, in turn as content, as an error of the tool and as one of the protocol.
const echoServer = `let n = 0
require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, params } = JSON.parse(line), text = JSON.stringify(params.arguments)
  const result = { content: [{ type: 'text', text }], structuredContent: params.arguments, isError: n % 3 === 1 }
  const answer = n++ % 3 === 2 ? { error: { code: -32000, message: text, data: params.arguments } } : { result }
  console.log(JSON.stringify({ jsonrpc: '2.0', id, ...answer }))
  if (n % 20 === 0) console.log('stray ' + text)
}).on('close', () => { process.stderr.write(process.env.SECRET_WORDS); process.exitCode = 3 })`

/** The stdio tap, with the content of all tools. */
export const byWrap: WayIn = async (secrets, env) => {
  const supply = supplyOf(secrets)
  const s = supply.text
  const names = ['--service', s(), '--environment', s(), '--instance', s(), '--session', s()]
  const words = [wrapScript, 'wrap', ...names, '--content', 'tool=*', '--', process.execPath, '-e', echoServer]
  const own = { TELLTALE_INGEST_URL: env.TELLTALE_INGEST_URL, TELLTALE_INGEST_KEY: env.TELLTALE_INGEST_KEY }
  const lastWords = `last words ${s()}`
  const tap = spawn(process.execPath, words, { env: { ...process.env, ...own, SECRET_WORDS: lastWords } })
  let answers = 0
  let complaints = ''
  tap.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()))
  tap.stdout.on('data', (chunk: Buffer) => (answers += chunk.toString().split('\n').length - 1))
  const ended = once(tap, 'close')
  for (let id = 1; supply.left > 0; id += 1) {
    const meta = { progressToken: s(), [s()]: s() }
    const call = { name: s(), arguments: { ...supply.bag(), prompt: s() }, _meta: meta }
    tap.stdin.write(
      `${JSON.stringify({ jsonrpc: '2.0', id: `${id} ${s()}`, method: id % 9 === 0 ? s() : 'tools/call', params: call })}\n`,
    )
  }
  tap.stdin.end()
  await ended
  if (answers === 0) throw new Error('Cannot send through the tap: nothing was answered')
  if (!complaints.includes(lastWords)) throw new Error('Cannot hear what the server wrote to stderr')
  return complaints.replace(lastWords, '')
}
