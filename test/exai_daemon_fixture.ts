import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

// The small daemon and shim of our own that behave as the first operator's do, faults included.
const daemonScript = fileURLToPath(new URL('./exai/scripts/ws/run_ws_daemon.py', import.meta.url))
const shimScript = fileURLToPath(new URL('./exai/scripts/runtime/run_ws_shim.py', import.meta.url))

export type ExaiOptions = {
  /** A Python that has `websockets`, as `python_fixture.ts` offers one. */
  readonly python: string
  /**
   * EXAI_WS_TOKEN, EXAI_JWT_REQUIRED=1, EXAI_CONNECTIONS_MAX, EXAI_CALLS_PER_SECOND_MAX, EXAI_PROGRESS_INTERVAL (s),
   * EXAI_CALL_TIMEOUT (s), EXAI_HEALTH_INTERVAL (s), EXAI_CACHE_TTL (s), EXAI_GLOBAL_MAX, EXAI_KIMI_MAX, EXAI_GLM_MAX,
   * EXAI_SLOW_MS, EXAI_API_MS, EXAI_STORAGE_MS, KIMI_API_URL, GLM_API_URL, EXAI_MESSAGES_FILE (JSONL of what is saved),
   * EXAI_HEALTH_FILE; PYTHONHASHSEED decides whether the monitor's sample has all sends or none.
   */
  readonly env?: { readonly [name: string]: string }
  /** What Python runs before the script, such as `['src/python/telltale.py']`. */
  readonly under?: readonly string[]
}

export type ExaiDaemon = {
  /** `ws://127.0.0.1:<port>` */
  readonly url: string
  readonly port: number
  readonly child: ChildProcess
  /** What it wrote to stderr so far. */
  readonly complaints: () => string
  /** Ends it as `docker stop` does and answers its exit code. */
  readonly close: () => Promise<number | null>
}

/** Starts the daemon on a free port and waits until it listens. Tools: test/exai/tools/registry_of_tools.py. */
export async function startExaiDaemon(options: ExaiOptions): Promise<ExaiDaemon> {
  const child = spawn(options.python, [...(options.under ?? []), daemonScript], {
    env: { ...process.env, EXAI_WS_PORT: '0', PYTHONDONTWRITEBYTECODE: '1', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  let complained = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complained += chunk.toString()
  })
  const left = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      const ready = /exai ready ws:\/\/[^:]+:(\d+)/.exec(said)
      if (ready) resolve(Number(ready[1]))
    })
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`Cannot start the daemon: it left with ${code}. ${complained}`)))
  })
  const close = () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    return left
  }
  return { url: `ws://127.0.0.1:${port}`, port, child, complaints: () => complained, close }
}

/** The command that starts the shim on stdio, and the environment by which it finds the daemon on `port`. */
export function exaiShimCommand(options: ExaiOptions & { readonly port: number }): {
  readonly command: string
  readonly args: readonly string[]
  readonly env: { readonly [name: string]: string }
} {
  return {
    command: options.python,
    args: [...(options.under ?? []), shimScript],
    env: { EXAI_WS_PORT: String(options.port), PYTHONDONTWRITEBYTECODE: '1', ...options.env },
  }
}

export type ExaiShim = {
  readonly child: ChildProcess
  /** Sends a JSON-RPC request and answers the line with its id, parsed. */
  readonly ask: (method: string, params: unknown) => Promise<Record<string, unknown>>
  readonly close: () => Promise<void>
}

/** Starts the shim on stdio and speaks MCP with it. Nothing is dialled before the first list or call. */
export function startExaiShim(options: ExaiOptions & { readonly port: number }): ExaiShim {
  const { command, args, env } = exaiShimCommand(options)
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting = new Map<number, (answer: Record<string, unknown>) => void>()
  let rest = ''
  let last = 0
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const answer = JSON.parse(line) as Record<string, unknown>
      waiting.get(answer.id as number)?.(answer)
      waiting.delete(answer.id as number)
    }
  })
  const ask = (method: string, params: unknown) =>
    new Promise<Record<string, unknown>>((resolve) => {
      const id = ++last
      waiting.set(id, resolve)
      child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`)
    })
  const close = () =>
    new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
      child.stdin.end()
    })
  return { child, ask, close }
}
