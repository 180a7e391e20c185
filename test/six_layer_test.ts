import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createClient } from '@supabase/supabase-js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import ws from 'ws'
import { layers } from '../src/core/layer.ts'
import type { Page, SpanRow, TraceDetail, TraceRow } from '../web/view/answer.ts'
import { type ExaiDaemon, exaiShimCommand, startExaiDaemon } from './exai_daemon_fixture.ts'
import { pythonWith, telltalePy } from './python_fixture.ts'
import { createDataDir, type RunningStack, startTelltale } from './stack_fixture.ts'

// One request on its whole way, through parts of which none was changed: client -> shim (stdio, behind `telltale wrap`)
// -> `telltale tap` -> daemon (under telltale.py) -> storage service (OpenTelemetry's SDK). The shim passes no context on.

const { python, reason } = await pythonWith('sdk')
const launcher = fileURLToPath(new URL('../bin/telltale.mjs', import.meta.url))
const storageScript = fileURLToPath(new URL('./otel_storage_fixture.mjs', import.meta.url))
const folder = createDataDir()
const children: ChildProcess[] = []
let stack: RunningStack
let daemon: ExaiDaemon
let shim: ChildProcess

/** Starts a part and answers it with the first line that it prints on stdout. */
async function started(args: readonly string[], env: Record<string, string>): Promise<[ChildProcess, string]> {
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  const [chunk] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer]
  return [child, chunk.toString().split('\n')[0] ?? '']
}

beforeAll(async () => {
  if (python === null) return
  stack = await startTelltale(folder.dir)
  const { TELLTALE_INGEST_URL: url = '', TELLTALE_INGEST_KEY: key = '' } = stack.env
  const own = { TELLTALE_DATA_DIR: folder.dir, TELLTALE_INGEST_URL: url, TELLTALE_INGEST_KEY: key }
  const [, storageUrl] = await started([storageScript], {
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer ${key}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    OTEL_SERVICE_NAME: 'supabase',
    OTEL_BSP_SCHEDULE_DELAY: '200',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_LOGS_EXPORTER: 'none',
  })
  daemon = await startExaiDaemon({
    python,
    under: [telltalePy, '--service', 'exai'],
    env: { ...own, SUPABASE_URL: storageUrl, EXAI_API_MS: '30' },
  })
  const [, said] = await started(
    [launcher, 'tap', '--listen', '127.0.0.1:0', '--target', daemon.url, '--service', 'exai-port', '--json'],
    own,
  )
  const { command, args, env } = exaiShimCommand({ python, port: Number(new URL(JSON.parse(said).listening).port) })
  shim = spawn(process.execPath, [launcher, 'wrap', '--layer', 'shim', '--service', 'shim', '--', command, ...args], {
    env: { ...process.env, ...own, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(shim)
})

afterAll(async () => {
  for (const child of children) child.kill('SIGTERM')
  await Promise.all(children.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit')))
  await daemon?.close()
  await stack?.stop('SIGTERM')
  folder.remove()
})

/** Sends a request to the shim and answers the line that answers it. */
async function ask(id: number, method: string, params: unknown): Promise<void> {
  const answered = new Promise<void>((resolve) => {
    let rest = ''
    const read = (chunk: Buffer) => {
      rest += chunk.toString()
      if (!rest.includes(`"id": ${id}`) && !rest.includes(`"id":${id}`)) return
      shim.stdout?.off('data', read)
      resolve()
    }
    shim.stdout?.on('data', read)
  })
  shim.stdin?.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`)
  await answered
}

test.skipIf(reason !== null)(
  'one request shows all six layers in one trace, though the shim passes no context on',
  async () => {
    await ask(1, 'initialize', {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 't', version: '1' },
    })
    await ask(2, 'tools/call', { name: 'chat', arguments: { prompt: 'why is the third call slow?' } })
    const { SUPABASE_URL: url = '', SUPABASE_SECRET_KEY: key = '' } = stack.env
    const supabase = createClient(url, key, { db: { schema: 'telltale' }, realtime: { transport: ws as never } })
    const whole = async (): Promise<TraceDetail | null> => {
      const listed = await supabase.rpc('traces', { filter: { tool: 'chat' }, cursor: null, n: 10 })
      const { rows } = listed.data as Page<TraceRow>
      const [row] = rows
      if (rows.length !== 1 || !row || !layers.every((layer) => layer in row.layers)) return null
      const answer = (await supabase.rpc('trace', { trace_id: row.trace_id })).data as TraceDetail
      // The storage service sends by itself, when its exporter's turn comes.
      return answer.trace.spans?.some(({ service }) => service === 'supabase') ? answer : null
    }
    let detail: TraceDetail | null = null
    const found = async () => {
      detail = await whole()
      return detail !== null
    }
    await expect.poll(found, { timeout: 25_000, interval: 200 }).toBe(true)
    const { trace, messages } = detail as unknown as TraceDetail
    const spans = trace.spans as readonly SpanRow[]
    const byId = new Map(spans.map((span) => [span.span_id, span]))
    // Each hangs on another, up to the one that the client's request came in by.
    const roots = spans.filter((span) => !byId.has(span.parent_span_id ?? ''))
    expect(roots.map(({ layer, service, entry }) => ({ layer, service, entry }))).toEqual([
      { layer: 'shim', service: 'shim', entry: true },
    ])
    expect(spans.filter((span) => span.entry).length).toBe(1)
    expect(new Set(spans.map((span) => span.service))).toEqual(new Set(['shim', 'exai-port', 'exai', 'supabase']))
    expect(spans.filter((span) => span.inferred).map((span) => [span.service, span.inferred])).toEqual([
      ['exai-port', 'arguments'],
    ])
    expect(messages.length).toBeGreaterThan(0)
    // What the tap derived from the daemon's answer and what the daemon's own reporter saw is one time, counted once.
    const counted = Object.values(trace.layers).reduce((sum, ms) => sum + ms, 0)
    const ends = spans.map(({ end_us }) => end_us ?? 0)
    const wholeMs = (Math.max(...ends) - Math.min(...spans.map(({ start_us }) => start_us))) / 1_000
    expect(counted).toBeLessThanOrEqual(wholeMs + 1)
  },
  40_000,
)
