import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Command, InvalidArgumentError } from 'commander'
import type { Stack } from '../local/stack.ts'

export type StartOptions = {
  readonly demo: boolean
  readonly port?: number
  readonly host?: string
  readonly dataDir?: string
  readonly json?: boolean
}

const defaultPort = 8080
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** `telltale start`: the embedded stack, until a signal ends it. */
export function registerStart(program: Command): void {
  program
    .command('start')
    .description('start the embedded stack and say where it listens')
    .option('--no-demo', 'no traffic of our own while the store is empty')
    .option('--port <n>', 'port to listen on, 0 for any free one (default: PORT, or 8080)', parsePort)
    .option('--host <address>', 'address to listen on (default: HOST, or 127.0.0.1)')
    .option('--json', 'say where it listens as one JSON object: url, env_path, pid, open_url')
    .option('--data-dir <path>', 'where everything is kept (default: TELLTALE_DATA_DIR, or .telltale of the clone)')
    .addHelpText('after', '\nTELLTALE_DATABASE_URL takes a PostgreSQL server in place of the embedded one.')
    .addHelpText('after', 'TELLTALE_REDIS_REST_URL, TELLTALE_REDIS_REST_TOKEN take an Upstash database as its Redis.')
    .addHelpText('after', 'TELLTALE_ALLOW_PRIVATE_DESTINATIONS=1 lets alerts be sent to private addresses.')
    .addHelpText('after', 'TELLTALE_ALLOWED_HOSTS (comma list) lets requests name further hosts.')
    .action((options: StartOptions) => startCommand(options))
}

/**
 * Starts the stack, says `telltale ready <url>` on stdout, or the same as JSON, and resolves when a signal has stopped it cleanly. A second
 * signal ends the process at once.
 */
async function startCommand(options: StartOptions): Promise<void> {
  const stop = new AbortController()
  const onSignal = (signal: NodeJS.Signals) => {
    if (stop.signal.aborted) process.exit(signal === 'SIGINT' ? 130 : 143)
    stop.abort()
  }
  for (const signal of stopSignals) process.on(signal, onSignal)
  // A closed terminal or pipe is no reason to stop recording.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  try {
    await runUntil(stop.signal, options)
  } finally {
    for (const signal of stopSignals) process.off(signal, onSignal)
  }
}

async function runUntil(stopped: AbortSignal, options: StartOptions): Promise<void> {
  const [{ startStack }, { dataDirOf }] = await Promise.all([
    import('../local/stack.ts'),
    import('../local/local_env.ts'),
  ])
  const { env } = process
  const host = options.host ?? env.HOST
  const redis = redisOf(env.TELLTALE_REDIS_REST_URL, env.TELLTALE_REDIS_REST_TOKEN)
  const stack = await startStack({
    dataDir: dataDirOf(options.dataDir === undefined ? env : { TELLTALE_DATA_DIR: options.dataDir }),
    port: options.port ?? portOf(env.PORT),
    allowedHosts: listOf(env.TELLTALE_ALLOWED_HOSTS),
    log,
    allowsPrivateDestinations: env.TELLTALE_ALLOW_PRIVATE_DESTINATIONS === '1',
    ...(host ? { host } : {}),
    ...(env.TELLTALE_DATABASE_URL ? { databaseUrl: env.TELLTALE_DATABASE_URL } : {}),
    ...(redis === null ? {} : { redis }),
  })
  try {
    await say(stack, options.json === true)
    const demo = options.demo ? await startDemoWhileEmpty(stack, stopped) : null
    if (!stopped.aborted) await new Promise((resolve) => stopped.addEventListener('abort', resolve, { once: true }))
    await demo?.stop()
  } finally {
    await stack.close()
  }
}

async function say({ url, env, envPath }: Stack, json: boolean): Promise<void> {
  const command = `node ${nearPath(fileURLToPath(new URL('../../bin/telltale.mjs', import.meta.url)))}`
  log(`keys and addresses are in ${nearPath(envPath)}`)
  log(`record an MCP server (stdio): ${command} wrap -- CMD ARGS...`)
  log(`follow its calls: ${command} tail`)
  if (!json) process.stdout.write(`telltale ready ${url}\n`)
  const openUrl = await signInUrl(env)
  if (json) process.stdout.write(`${JSON.stringify({ url, env_path: envPath, pid: process.pid, open_url: openUrl })}\n`)
  // On standard error alone: standard output often goes to a log, and this signs in.
  if (openUrl !== null && !json)
    log(`open ${openUrl}  (signs in once, within ten minutes; \`telltale open\` makes another)`)
}

/** Null when no link could be made: everything else works without one. */
async function signInUrl(env: Stack['env']): Promise<string | null> {
  try {
    const { createSignInLink } = await import('./open.ts')
    return (await createSignInLink(env)).url
  } catch (error) {
    log(error instanceof Error ? error.message : String(error))
    return null
  }
}

/** As short as it can be typed here. */
function nearPath(path: string): string {
  const near = relative(process.cwd(), path)
  return near.startsWith('..') ? path : near
}

/** Traffic of our own, until somebody's real traffic arrives. */
async function startDemoWhileEmpty({ env }: Stack, signal: AbortSignal) {
  const [{ startDemo }, { stackClientOf }] = await Promise.all([
    import('../demo/run_demo.ts'),
    import('./stack_client.ts'),
  ])
  const client = stackClientOf(env)
  const real = async () => {
    const status = await client.rpc('store_status', {})
    return typeof status === 'object' && status !== null && 'real' in status && status.real === true
  }
  const isReal = await real().catch(() => false)
  return isReal ? null : startDemo({ env, signal, log, real })
}

function log(line: string): void {
  process.stderr.write(`telltale: ${line}\n`)
}

function listOf(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** Both or neither. UPSTASH_... are not asked: who has read local.env into the shell has the embedded Redis in them. */
function redisOf(url: string | undefined, token: string | undefined): { url: string; token: string } | null {
  if (!url && !token) return null
  if (!url || !/^https?:\/\/[^\s'\\?#]+$/.test(url)) {
    throw new Error(`Cannot use TELLTALE_REDIS_REST_URL: it is ${url ? 'no http address' : 'not set'}`)
  }
  if (!token || !/^[^\s'\\]+$/.test(token)) {
    throw new Error(`Cannot use TELLTALE_REDIS_REST_TOKEN: it is ${token ? 'no token' : 'not set'}`)
  }
  return { url: url.replace(/\/+$/, ''), token }
}

function portOf(text: string | undefined): number {
  if (!text) return defaultPort
  const port = asPort(text)
  if (port === null) throw new Error(`Cannot use PORT: ${text} is not a port from 0 to 65535`)
  return port
}

/** @throws InvalidArgumentError when the text is no port. */
function parsePort(text: string): number {
  const port = asPort(text)
  if (port === null) throw new InvalidArgumentError('It is not a port from 0 to 65535.')
  return port
}

function asPort(text: string): number | null {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : null
}
