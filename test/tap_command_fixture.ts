import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('./tap_fixture.ts', import.meta.url))

export type RunningTap = {
  readonly port: number
  readonly child: ChildProcess
  /** The one line that it printed. */
  readonly line: string
  readonly complaints: () => string
  /** Ends it as an operator would, and answers its exit code and signal. */
  readonly close: (signal?: NodeJS.Signals) => Promise<readonly [number | null, NodeJS.Signals | null]>
}

/** Runs `telltale tap` on a free port in front of `target`, with nothing set but `env`. */
export async function startTapCommand(
  target: string,
  env: { readonly [name: string]: string },
  options: readonly string[] = [],
): Promise<RunningTap> {
  const { PATH = '', HOME = '' } = process.env
  const args = [script, 'tap', '--listen', '127.0.0.1:0', '--target', target, ...options]
  const child = spawn(process.execPath, args, {
    env: { PATH, HOME, TELLTALE_OUTBOX_DIR: 'none', ...env },
    stdio: 'pipe',
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const left = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const line = await Promise.race([
    once(child.stdout, 'data').then(([chunk]) => String(chunk)),
    left.then(([code]) => Promise.reject(new Error(`Cannot start the tap: it left with ${code}. ${said}`))),
  ])
  const port = Number(/:(\d+)(?:"| ->)/.exec(line)?.[1])
  return {
    port,
    child,
    line,
    complaints: () => said,
    close(signal = 'SIGTERM') {
      if (child.exitCode === null) child.kill(signal)
      return left
    },
  }
}
