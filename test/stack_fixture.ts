import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readLocalEnvFile } from '../src/local/local_env.ts'

export type RunningStack = {
  readonly url: string
  readonly env: Readonly<Record<string, string>>
  /** From the start of the process to its line `telltale ready`. */
  readonly readyMs: number
  /** All that it printed so far, on either stream. */
  readonly printed: () => string
  /** Signals the process alone, as an operator does, and answers its exit code. */
  stop(signal: NodeJS.Signals): Promise<number | null>
  /** Kills its whole process group at once, with no chance to tidy up. */
  killGroup(): Promise<void>
}

const launcher = fileURLToPath(new URL('../bin/telltale.mjs', import.meta.url))

/** What `node bin/telltale.mjs ARGS` prints and how it ends. */
export async function runTelltale(args: readonly string[], env: Record<string, string> = {}) {
  const child = launch(args, env)
  let printed = ''
  let errors = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (printed += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, printed, errors }
}

/** `telltale start --no-demo` in processes of its own, once it is ready. @throws with what it printed when it ends before. */
export async function startTelltale(
  dataDir: string,
  { port = 0, env = {}, json = false }: { port?: number; env?: Record<string, string>; json?: boolean } = {},
): Promise<RunningStack> {
  const startedAt = performance.now()
  const args = ['start', '--no-demo', '--port', String(port), '--data-dir', dataDir]
  const child = launch(json ? [...args, '--json'] : args, env)
  const exited = once(child, 'exit') as Promise<[number | null]>
  let printed = ''
  const url = await new Promise<string>((resolve, reject) => {
    const read = (text: string) => {
      printed += text
      const ready = (json ? /^\{"url":"([^"]+)".*\}$/m : /^telltale ready (\S+)$/m).exec(printed)?.[1]
      if (ready !== undefined) resolve(ready)
    }
    child.stdout?.setEncoding('utf8').on('data', read)
    child.stderr?.setEncoding('utf8').on('data', read)
    void exited.then(([code]) => reject(new Error(`telltale start ended with ${code}: ${printed}`)))
  })
  return {
    url,
    env: readLocalEnvFile(dataDir),
    readyMs: performance.now() - startedAt,
    printed: () => printed,
    async stop(signal) {
      child.kill(signal)
      return (await exited)[0]
    },
    async killGroup() {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
      await exited
    },
  }
}

function launch(args: readonly string[], env: Record<string, string>): ChildProcess {
  // A group of its own, as a terminal gives each job.
  return spawn(process.execPath, [launcher, ...args], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...cleanEnv(), ...env },
  })
}

/** Nothing of a stack that the developer runs. */
function cleanEnv(): NodeJS.ProcessEnv {
  const dropped = /^(TELLTALE_|SUPABASE_|DATABASE_URL$|PORT$|HOST$)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !dropped.test(name)))
}

export function createDataDir(): { readonly dir: string; remove(): void } {
  const parent = mkdtempSync(join(tmpdir(), 'telltale-stack-'))
  return { dir: join(parent, 'data dir'), remove: () => rmSync(parent, { recursive: true, force: true }) }
}

export type LiveBatch = { readonly batchId: string; readonly traceId: string; readonly body: string }

/** One call of a tool, just ended, as a batch: an entry span and the span of its API call. */
export function liveBatch(seq = 1): LiveBatch {
  const batchId = randomUUID()
  const traceId = randomBytes(16).toString('hex')
  const [entry, inner] = [randomBytes(8).toString('hex'), randomBytes(8).toString('hex')]
  const endUs = Date.now() * 1_000
  const span = { type: 'span', trace_id: traceId, outcome: 'ok' }
  const body = {
    batch_id: batchId,
    made_at_us: endUs,
    source: { service: 'stack-test', instance: 'a', environment: 'test', version: '1' },
    process: { id: processId, started_at_us: startedAtUs, sdk: 'test/1', host: 'here', pid: 1 },
    seq,
    counters: { recorded: 2 * seq, dropped: {} },
    running: [],
    running_total: 0,
    records: [
      {
        ...span,
        span_id: entry,
        layer: 'tool',
        name: 'chat',
        tool: 'chat',
        entry: true,
        start_us: endUs - 9_000,
        end_us: endUs,
      },
      {
        ...span,
        span_id: inner,
        parent_span_id: entry,
        layer: 'api',
        name: 'POST',
        start_us: endUs - 8_000,
        end_us: endUs - 1_000,
      },
    ],
  }
  return { batchId, traceId, body: JSON.stringify(body) }
}

const processId = randomUUID()
const startedAtUs = Date.now() * 1_000

/** One attempt at a batch; null when no answer came. */
export async function postBatch(env: Readonly<Record<string, string>>, { body }: LiveBatch): Promise<Response | null> {
  try {
    return await fetch(env.TELLTALE_INGEST_URL ?? '', {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${env.TELLTALE_INGEST_KEY}`,
        'Content-Type': 'application/json',
        'Telltale-Sent-At': String(Date.now() * 1_000),
      },
      body,
      signal: AbortSignal.timeout(10_000),
    })
  } catch {
    return null
  }
}
