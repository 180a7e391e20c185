import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export type DemoOptions = {
  /** Has TELLTALE_INGEST_URL and TELLTALE_INGEST_KEY. */
  readonly env: { readonly [name: string]: string | undefined }
  /** Stops the demonstration when it aborts. */
  readonly signal?: AbortSignal
  /** One line each: what the demonstration has to say. */
  readonly log: (line: string) => void
  /** Asked every few seconds: whether the store has heard of anything but the demonstration, which then stops. */
  readonly real?: () => Promise<boolean>
}

export type Demo = {
  /** Ends the demonstration and everything that it started, within 2 s. */
  stop(): Promise<void>
  /** Resolves when it has ended, for whatever reason. Never rejects. */
  readonly done: Promise<void>
}

const stopMsMax = 1_500
const realPollMs = 3_000

/**
 * Shows traffic where there is none yet: starts a client that plays with real MCP servers, recorded by the tap and the
 * reporter in the environment `demo`. The client ends when the pipe to its stdin closes: it cannot outlive us.
 */
export function startDemo(options: DemoOptions): Demo {
  const { env, signal, log, real } = options
  const script = fileURLToPath(new URL('./demo_client.ts', import.meta.url))
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script], {
    env: { ...process.env, ...env, TELLTALE_ENVIRONMENT: 'demo' },
    stdio: ['pipe', 'ignore', 'pipe'],
    windowsHide: true,
  })
  child.stdin.on('error', () => undefined)
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    for (const line of text.split('\n')) if (line !== '') log(line)
  })

  const done = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
    child.once('error', (error) => {
      log(`demo: Cannot start: ${error.message}`)
      resolve()
    })
  })
  const stop = () => {
    child.stdin.end()
    const timer = setTimeout(() => child.kill('SIGKILL'), stopMsMax)
    return done.finally(() => clearTimeout(timer))
  }
  const onAbort = () => void stop()
  if (signal?.aborted) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })
  const poll = real ? setInterval(() => void leaveWhen(real, stop, log), realPollMs) : undefined
  poll?.unref()
  void done.then(() => {
    clearInterval(poll)
    signal?.removeEventListener('abort', onAbort)
  })
  return { stop, done }
}

async function leaveWhen(
  real: () => Promise<boolean>,
  stop: () => Promise<void>,
  log: DemoOptions['log'],
): Promise<void> {
  const heard = await real().catch(() => false)
  if (!heard) return
  log('demo: real traffic has arrived, the demonstration ends')
  await stop()
}
