import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestHarness } from 'wrangler'
import { buildDashboard } from '../src/local/dashboard_build.ts'

/** The functions, each with a Deno entry in a folder of its name. */
export const functionNames = ['ingest', 'tick', 'live', 'why', 'mcp'] as const
export type FunctionName = (typeof functionNames)[number]

/** One place where the functions run, as its callers see it. */
export type EdgeRuntime = {
  readonly name: string
  /** Where the function answers, without a slash at the end. */
  addressOf(name: FunctionName): string
  /** What it wrote about its requests, for a test that failed. */
  printed(): string
  close(): Promise<void>
}

/** What the functions read of their environment, as SUPABASE_URL. */
export type Settings = Readonly<Record<string, string>>

const startMsMax = 30_000
const root = fileURLToPath(new URL('..', import.meta.url))
const requireHere = createRequire(import.meta.url)

/** Nothing of ours asks who uses it, what is newer, or where it runs; and what they note down is thrown away. */
function quietEnv(dir: string): Record<string, string> {
  return {
    DENO_DIR: join(dir, 'deno'),
    DENO_NO_UPDATE_CHECK: '1',
    DENO_NO_PROMPT: '1',
    NO_COLOR: '1',
    XDG_CONFIG_HOME: join(dir, 'config'),
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_SEND_ERROR_REPORTS: 'false',
    WRANGLER_HIDE_BANNER: 'true',
    WRANGLER_WRITE_LOGS: 'false',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  }
}

/** A directory for what runtimes leave behind. */
export function createEdgeDir(): { readonly dir: string; remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'telltale-edge-'))
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }) }
}

/** Why Deno cannot run here; null when it can or must. */
export function noDenoReason(): string | null {
  return isRequired('deno') || denoPath() !== null ? null : 'the package deno has no binary for this machine'
}

/** Why workerd cannot run here; null when it can or must. */
export function noWorkerdReason(): string | null {
  if (isRequired('workerd')) return null
  try {
    return existsSync((requireHere('workerd') as { default: string }).default) ? null : 'workerd has no binary here'
  } catch {
    return 'the package workerd has no binary for this machine'
  }
}

function isRequired(name: string): boolean {
  return (process.env.TELLTALE_REQUIRE ?? '').split(',').includes(name)
}

/** The binary itself: the script that npm links would wait for it, and end without it. */
function denoPath(): string | null {
  try {
    return (requireHere('deno/install_api.cjs') as { runInstall(): string }).runInstall()
  } catch {
    return null
  }
}

/** Packages come from node_modules alone, and only in the versions that deno.json asks for. */
const denoFlags = ['--no-lock', '--cached-only', '--node-modules-dir=manual']

function denoConfigOf(name: string): readonly string[] {
  return [...denoFlags, '--config', join(root, 'functions', name, 'deno.json')]
}

function entryOf(name: string): string {
  return join(root, 'functions', name, 'index.ts')
}

/** What `deno check` says of a function's entry with its own deno.json, and how it ended. */
export async function checkEntry(name: FunctionName, dir: string): Promise<{ code: number | null; printed: string }> {
  return await run(denoPath() ?? 'deno', ['check', ...denoConfigOf(name), entryOf(name)], dir)
}

/** Each function in a Deno of its own, as on Supabase, where an entry sees `/<name>/...`. */
export async function startDeno(settings: Settings, dir: string): Promise<EdgeRuntime> {
  const started = functionNames.map((name) => startEntry(name, settings, dir))
  const close = async () => void (await Promise.all(started.map(({ child }) => end(child))))
  try {
    const urls = await Promise.all(started.map(({ url }) => url))
    return {
      name: 'deno',
      addressOf: (name) => `${urls[functionNames.indexOf(name)]}/${name}`,
      printed: () => started.map(({ printed }) => printed()).join('\n'),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function startEntry(name: FunctionName, settings: Settings, dir: string) {
  const rights = ['--no-prompt', '--allow-env', '--allow-net=127.0.0.1']
  const child = launch(denoPath() ?? 'deno', ['run', ...rights, ...denoConfigOf(name), entryOf(name)], dir, {
    ...settings,
    DENO_SERVE_ADDRESS: 'tcp:127.0.0.1:0',
  })
  const printed = recorded(child)
  const url = new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Cannot start deno: it says ${printed()}`)), startMsMax)
    child.stderr?.on('data', () => {
      const found = /Listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(printed())?.[1]
      if (found === undefined) return
      clearTimeout(timer)
      resolve(found)
    })
    child.on('close', (code) => {
      clearTimeout(timer)
      reject(new Error(`Cannot start deno: it ended with ${code}: ${printed()}`))
    })
  })
  return { child, printed, url }
}

/** What `wrangler deploy` would upload, in `outDir`: the dashboard is built first. */
export async function buildWorker(dir: string): Promise<{ code: number | null; printed: string; outDir: string }> {
  await buildDashboard()
  const outDir = join(dir, 'worker')
  const wrangler = requireHere.resolve('wrangler/package.json').replace(/package\.json$/, 'bin/wrangler.js')
  const args = [wrangler, 'deploy', '--dry-run', '--config', join(root, 'wrangler.toml'), '--outdir', outDir]
  return { ...(await run(process.execPath, args, dir)), outDir }
}

/** wrangler.toml's Worker as it was built into `outDir`, in the real workerd. */
export async function startWorkerd(
  settings: Settings,
  { dir, outDir }: { dir: string; outDir: string },
): Promise<EdgeRuntime & { readonly url: string; tickByCron(): Promise<string> }> {
  Object.assign(process.env, quietEnv(dir), { WRANGLER_LOG: 'none' })
  const { createTestHarness } = await import('wrangler')
  // Beside copies of its files: a dashboard that is built meanwhile takes the place of the one that was uploaded.
  const place = join(dir, 'deployed')
  for (const name of ['wrangler.toml', 'dist/web']) cpSync(join(root, name), join(place, name), { recursive: true })
  symlinkSync(join(root, 'functions'), join(place, 'functions'), 'junction')
  const harness: TestHarness = createTestHarness({
    root: place,
    workers: [{ configPath: join(place, 'wrangler.toml'), prebuiltWorkerDir: outDir, secrets: { ...settings } }],
  })
  const { url } = await harness.listen()
  return {
    name: 'workerd',
    url: url.origin,
    addressOf: (name) => `${url.origin}/functions/v1/${name}`,
    printed: () =>
      harness
        .getLogs()
        .map(({ message }) => message)
        .join('\n'),
    tickByCron: async () => (await harness.getWorker().scheduled({ cron: '* * * * *' })).outcome,
    close: () => harness.close(),
  }
}

async function run(file: string, args: readonly string[], dir: string) {
  const child = launch(file, args, dir, {})
  const printed = recorded(child)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, printed: printed() }
}

/** A child with nothing of this environment but where programs and temporary files are. */
function launch(file: string, args: readonly string[], dir: string, env: Settings): ChildProcess {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'TMP', 'SystemRoot', 'LOCALAPPDATA', 'TELLTALE_TEST_RUN']
  const base = Object.fromEntries(kept.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])))
  const child = spawn(file, args, {
    cwd: dir,
    env: { ...base, ...quietEnv(dir), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    windowsHide: true,
  })
  // Whatever becomes of the tests, it does not outlive them.
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('close', () => process.off('exit', kill))
  return child
}

function recorded(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (part) => (text += part))
  return () => text
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'close')
}
