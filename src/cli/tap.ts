import { randomUUID } from 'node:crypto'
import type { Command } from 'commander'
import { err, ok, type Result } from '../core/result.ts'
import type { Reporter } from '../reporter/reporter.ts'
import type { SocketObserver } from '../tap/ws_observer.ts'
import { readTapSetting, type TapOptions, type TapSetting, warn } from './tap_setting.ts'

type Address = { readonly host: string; readonly port: number }
type TapCommandOptions = TapOptions & { readonly listen: string; readonly target: string; readonly json?: boolean }
type RunningTap = { readonly port: number; readonly close: () => Promise<void> }

const schemes: ReadonlySet<string> = new Set(['ws:', 'wss:', 'http:', 'https:'])

/** `telltale tap --listen ADDR --target URL`: a proxy in front of a server that listens, recorded on its way past. */
export function registerTap(program: Command): void {
  program
    .command('tap')
    .description('stand in front of a server that listens (ws, wss, http, https) and record every request to it')
    .requiredOption('--listen <address>', 'where clients connect, such as 127.0.0.1:3010')
    .requiredOption('--target <url>', 'the server, such as ws://127.0.0.1:3011')
    .option('--service <name>', 'name of the server (default: its host and port)')
    .option('--layer <name>', 'the layer that the server is (default: websocket, or tool behind http)')
    .option('--environment <name>', 'such as production or staging')
    .option('--instance <name>', 'which copy of the server (default: the host name)')
    .option('--session <key>', 'session of calls that name none')
    .option('--inner', 'another Telltale recorder further out has recorded each request already')
    .option('--no-context', 'leave every byte alone: by default calls are sent on with a trace context')
    .option(
      '--content <rule>',
      'record arguments and results too, of tool=NAME (* stands for anything); may be repeated',
      (rule: string, before: readonly string[]) => [...before, rule],
      [],
    )
    .option('--json', 'print the line that says it listens as JSON')
    .action(async (options: TapCommandOptions) => await tap(options))
}

/** Runs until SIGTERM or SIGINT. @throws when the options cannot be read or the address is taken. */
async function tap(options: TapCommandOptions): Promise<void> {
  const listen = valueOrThrow(parseAddress(options.listen))
  const target = valueOrThrow(parseTarget(options.target))
  const [setting, { tapExitFlushMsMax }] = await Promise.all([
    readTapSetting(options, target.host),
    import('../core/limit.ts'),
  ])
  const isSocket = target.protocol === 'ws:' || target.protocol === 'wss:'
  const running = await (isSocket ? startSocketTap : startExchangeTap)(listen, target, setting)
  sayReady({ ...listen, port: running.port }, target, options.json ?? false)
  await stopped()
  await running.close()
  await setting?.reporter.close(tapExitFlushMsMax)
  process.exit(0)
}

async function startSocketTap(listen: Address, target: URL, setting: TapSetting | null): Promise<RunningTap> {
  const [{ startWsTap }, { ExaiObserver }] = await Promise.all([
    import('../tap/ws_tap.ts'),
    import('../tap/exai_observer.ts'),
  ])
  if (!setting) return await startWsTap({ listen, target, observerOf: null, warn })
  const { connectionGaugeMs } = await import('../core/limit.ts')
  const observerOf = (): SocketObserver => new ExaiObserver({ ...setting, connectionId: randomUUID() })
  const connections = connectionGauge(setting.reporter, connectionGaugeMs)
  return await startWsTap({ listen, target, observerOf, connections, warn })
}

async function startExchangeTap(listen: Address, target: URL, setting: TapSetting | null): Promise<RunningTap> {
  const { startHttpTap } = await import('../tap/http_tap.ts')
  return await startHttpTap({ listen, target, observer: setting, warn })
}

/** Records how many connections are open, after each change, at most once in `gapMs`. */
function connectionGauge(reporter: Reporter, gapMs: number): (count: number) => void {
  let latest = 0
  let due = false
  return (count) => {
    latest = count
    if (due) return
    due = true
    setTimeout(() => {
      due = false
      reporter.gauge('websocket_connections', latest)
    }, gapMs).unref()
  }
}

/** `host:port`, `[::1]:port` or a port alone, which is one of this machine. */
function parseAddress(text: string): Result<Address> {
  const found = /^(?:(?:\[([^\]]+)\]|([^:]*)):)?(\d{1,5})$/.exec(text.trim())
  const port = Number(found?.[3])
  if (!found || port > 65_535) return err(`Cannot listen on ${text}: it is no HOST:PORT`)
  return ok({ host: found[1] || found[2] || '127.0.0.1', port })
}

function parseTarget(text: string): Result<URL> {
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || !schemes.has(url.protocol)) {
    return err(`Cannot tap ${text}: it is no URL of ws, wss, http or https`)
  }
  return ok(url)
}

function valueOrThrow<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.error)
  return result.value
}

function sayReady({ host, port }: Address, target: URL, asJson: boolean): void {
  const scheme = target.protocol.startsWith('ws') ? 'ws' : 'http'
  const listening = `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
  // Whoever started it may have logins in the URL.
  const server = `${target.protocol}//${target.host}${target.pathname === '/' ? '' : target.pathname}`
  const line = asJson ? JSON.stringify({ listening, target: server }) : `telltale tap ${listening} -> ${server}`
  process.stdout.write(`${line}\n`)
}

/** Resolves at the first signal that asks this process to end; any other after it ends it at once. */
function stopped(): Promise<void> {
  const signals: readonly NodeJS.Signals[] =
    process.platform === 'win32' ? ['SIGINT', 'SIGBREAK', 'SIGHUP'] : ['SIGTERM', 'SIGINT', 'SIGHUP']
  return new Promise((resolve) => {
    const stop = () => {
      for (const signal of signals) process.off(signal, stop)
      resolve()
    }
    for (const signal of signals) process.on(signal, stop)
  })
}
