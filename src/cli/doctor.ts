import type { Command } from 'commander'
import { readSettings, type StackSettings, stackClientOf } from './stack_client.ts'
import { safeText } from './tail_line.ts'

/** One thing that telltale needs, and what it is now. */
export type Finding = { readonly name: string; readonly ok: boolean; readonly detail: string }

const answerMsMax = 5_000

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check what telltale needs, and say what is wrong')
    .option('--json', 'one JSON object')
    .action(async (options: { readonly json?: boolean }) => {
      const findings = await examine(await readSettings())
      const healthy = findings.every((finding) => finding.ok)
      const text = findings.map(({ name, ok, detail }) => `${ok ? 'ok ' : 'BAD'}  ${name.padEnd(10)}  ${detail}`)
      process.stdout.write(`${options.json ? JSON.stringify({ healthy, findings }) : text.join('\n')}\n`)
      if (!healthy) process.exitCode = 1
    })
}

/** Looks at each thing, at all of them even where one is wrong. */
async function examine(settings: StackSettings): Promise<readonly Finding[]> {
  return Promise.all([
    finding('node', async () => `${process.version} on ${process.platform} ${process.arch}`),
    finding('settings', async () => settingsText(settings)),
    finding('gateway', () => gatewayText(settings)),
    finding('ingest key', () => keyText(settings)),
    finding('store', () => storeText(settings)),
    finding('redis', () => redisText(settings)),
    finding('dashboard', () => dashboardText(settings)),
  ])
}

async function finding(name: string, look: () => Promise<string>): Promise<Finding> {
  try {
    return { name, ok: true, detail: safeText(await look()) }
  } catch (error) {
    return { name, ok: false, detail: safeText(error instanceof Error ? error.message : String(error)) }
  }
}

const needed = ['TELLTALE_INGEST_URL', 'TELLTALE_INGEST_KEY', 'SUPABASE_URL', 'SUPABASE_SECRET_KEY']

function settingsText(settings: StackSettings): string {
  const missing = needed.filter((name) => !settings[name])
  if (missing.length > 0) throw new Error(`Cannot find ${missing.join(', ')}: neither set nor in local.env`)
  return `ingest at ${settings.TELLTALE_INGEST_URL}`
}

async function gatewayText(settings: StackSettings): Promise<string> {
  const url = settings.TELLTALE_URL
  if (!url) return 'TELLTALE_URL is not set: a hosted stack has none'
  const { status } = await ask(`${url}/healthz`)
  if (status !== 200) throw new Error(`Cannot reach ${url}: it answers ${status}`)
  return `${url} answers`
}

/** An empty object is no batch: who refuses it for that has let the key in. Nothing is stored. */
async function keyText(settings: StackSettings): Promise<string> {
  const { TELLTALE_INGEST_URL: url, TELLTALE_INGEST_KEY: key } = settings
  if (!url || !key) throw new Error('Cannot try the key: it is not set')
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const { status } = await ask(url, { method: 'POST', headers, body: '{}' })
  if (status !== 400 && status !== 422) throw new Error(`Cannot use the ingest key: ${url} answers ${status}`)
  return `${key.split('_').slice(0, 2).join('_')}_... is accepted`
}

async function storeText(settings: StackSettings): Promise<string> {
  const status = await stackClientOf(settings).rpc('store_status', {})
  const {
    traces,
    environments,
    last_received_at: last,
  } = status as {
    readonly traces?: number
    readonly environments?: readonly string[]
    readonly last_received_at?: string | null
  }
  const places = environments?.length ? ` in ${environments.join(', ')}` : ''
  return `${traces ?? 'unknown'} traces${places}, ${last ? `last heard at ${last}` : 'nothing heard yet'}`
}

async function redisText(settings: StackSettings): Promise<string> {
  const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token } = settings
  if (!url || !token) return 'UPSTASH_REDIS_REST_URL is not set here: the functions have their own'
  const { status } = await ask(`${url.replace(/\/+$/, '')}/ping`, { headers: { authorization: `Bearer ${token}` } })
  if (status !== 200) throw new Error(`Cannot use Redis: ${url} answers ${status}, so the live view is degraded`)
  return `${url} answers`
}

async function dashboardText(settings: StackSettings): Promise<string> {
  const url = settings.TELLTALE_URL
  if (!url) return 'TELLTALE_URL is not set: it is where the dashboard was deployed'
  const { status } = await ask(url)
  if (status !== 200) throw new Error(`Cannot open the dashboard: ${url} answers ${status}`)
  return `${url}; \`telltale open\` prints an address that signs in`
}

async function ask(url: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal: AbortSignal.timeout(answerMsMax) })
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error)
    throw new Error(`Cannot reach ${url}: ${cause}`)
  }
}
