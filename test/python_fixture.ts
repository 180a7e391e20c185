import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

// Python for tests: the host's own for what needs the standard library only, and environments with packages from PyPI.

const root = fileURLToPath(new URL('..', import.meta.url))
const windows = process.platform === 'win32'
const required = (process.env.TELLTALE_REQUIRE ?? '').split(',').includes('python')
const buildMsMax = 300_000
const lockStaleMs = 30_000
const unreachedMsMax = 600_000

/** No package came from PyPI, or from the index that stands in its place. */
class OutOfReach extends Error {
  override readonly name = 'OutOfReach'
}

/** The folder of telltale.py. */
export const pythonFolder = join(root, 'src', 'python')
export const telltalePy = join(pythonFolder, 'telltale.py')

/** Each set of pinned packages: `sdk` has mcp 2, websockets and OpenTelemetry, `fastmcp` mcp 1 and websockets. */
const requirements = { sdk: 'python_requirement.txt', fastmcp: 'fastmcp_requirement.txt' } as const
export type PackageSet = keyof typeof requirements

export type PythonRun = { readonly code: number | null; readonly out: string; readonly err: string }

const found = findPython()

function findPython(): { readonly path: string; readonly version: string } | { readonly reason: string } {
  const names = [process.env.TELLTALE_PYTHON, 'python3', 'python'].filter((name) => name !== undefined)
  let reason = 'no python3 is here'
  for (const name of names) {
    try {
      const ask = 'import sys; print(sys.executable); print("%d.%d" % sys.version_info[:2])'
      const printed = execFileSync(name, ['-c', ask], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      const [path = '', version = ''] = printed.trim().split(/\r?\n/)
      const [major = 0, minor = 0] = version.split('.').map(Number)
      if (major === 3 && minor >= 9) return { path, version }
      reason = `${name} is ${version}, wanted 3.9 or newer`
    } catch {
      // The next name may do.
    }
  }
  return { reason }
}

/** Why tests with Python cannot run here; null when they can or must. */
export const noPythonReason: string | null = 'reason' in found && !required ? found.reason : null
if (noPythonReason) console.error(`skipped: what needs python: ${noPythonReason}`)

function pythonPath(): string {
  if ('reason' in found) throw new Error(`Cannot run Python: ${found.reason}`)
  return found.path
}

/** Starts `python ARGS` with telltale importable. `python` by default the host's own. The caller ends it. */
export function spawnPython(
  args: readonly string[],
  { env = {}, python = pythonPath(), ...options }: SpawnOptions & { python?: string; env?: NodeJS.ProcessEnv } = {},
): ChildProcess {
  const own = { PYTHONPATH: pythonFolder, PYTHONDONTWRITEBYTECODE: '1', PYTHONUNBUFFERED: '1', PYTHONUTF8: '1' }
  return spawn(python, args, { ...options, env: { ...process.env, ...own, ...env } })
}

/** Runs `python ARGS` (or, as `-c`, one text of code) to its end, killed after `msMax`. */
export async function runPython(
  args: readonly string[] | string,
  options: SpawnOptions & { python?: string; env?: NodeJS.ProcessEnv; msMax?: number } = {},
): Promise<PythonRun> {
  const { msMax = 25_000, ...rest } = options
  const child = spawnPython(typeof args === 'string' ? ['-c', args] : args, {
    ...rest,
    timeout: msMax,
    killSignal: 'SIGKILL',
  })
  let out = ''
  let err = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text))
  child.stdin?.end()
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out, err }
}

/**
 * A Python with pinned packages, built once from PyPI under node_modules/.cache and kept. `reason` says why there is
 * none; where python is required it throws in place of that, unless PyPI is out of reach.
 */
export async function pythonWith(
  set: PackageSet,
): Promise<{ readonly python: string; readonly reason: null } | { readonly python: null; readonly reason: string }> {
  try {
    return { python: await environmentOf(set), reason: null }
  } catch (error) {
    if (required && !(error instanceof OutOfReach)) throw error
    const reason = `no Python with ${requirements[set]}: ${error instanceof Error ? error.message : String(error)}`
    console.error(`skipped: what needs ${reason}`)
    return { python: null, reason }
  }
}

async function environmentOf(set: PackageSet): Promise<string> {
  const path = pythonPath()
  const file = join(root, 'test', requirements[set])
  const identity = `${'version' in found ? found.version : ''} ${path}\n${readFileSync(file, 'utf8')}`
  const hash = createHash('sha256').update(identity).digest('hex').slice(0, 16)
  const folder = join(root, 'node_modules', '.cache', `telltale-python-${hash}`)
  const python = windows ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python')
  const ready = join(folder, 'telltale_ready')
  const lock = `${folder}.lock`
  const unreached = `${folder}.unreached`
  mkdirSync(join(root, 'node_modules', '.cache'), { recursive: true })
  const until = Date.now() + buildMsMax
  while (!existsSync(ready)) {
    if (Date.now() > until) throw new Error('Cannot build the environment: another run holds it for too long')
    if (!takeLock(lock)) {
      await new Promise((resolve) => setTimeout(resolve, 200))
      continue
    }
    const beat = setInterval(() => utimesSync(lock, new Date(), new Date()), lockStaleMs / 6)
    try {
      if (existsSync(ready)) break
      // Not each file of tests has to wait for it anew.
      if (isYoung(unreached)) throw new OutOfReach(readFileSync(unreached, 'utf8'))
      rmSync(folder, { recursive: true, force: true })
      await must(path, ['-m', 'venv', folder])
      const quiet = ['--quiet', '--disable-pip-version-check', '--no-input', '--retries', '1', '--timeout', '20']
      await must(python, ['-m', 'pip', 'install', ...quiet, '-r', file])
      writeFileSync(ready, '')
    } catch (error) {
      if (error instanceof OutOfReach) writeFileSync(unreached, error.message)
      throw error
    } finally {
      clearInterval(beat)
      rmSync(lock, { recursive: true, force: true })
    }
  }
  return python
}

function isYoung(path: string): boolean {
  return existsSync(path) && Date.now() - statSync(path).mtimeMs < unreachedMsMax
}

/** True for whoever may build. A lock that nobody renews is from a run that was killed. */
function takeLock(lock: string): boolean {
  try {
    if (Date.now() - statSync(lock).mtimeMs > lockStaleMs) rmSync(lock, { recursive: true, force: true })
  } catch {
    // There is none.
  }
  try {
    mkdirSync(lock)
    return true
  } catch {
    return false
  }
}

async function must(python: string, args: readonly string[]): Promise<void> {
  const { code, out, err } = await runPython(args, { python, msMax: buildMsMax, env: { PYTHONDONTWRITEBYTECODE: '' } })
  if (code === 0) return
  const text = `${err}${out}`.trim()
  // What pip says when an index answers nothing: it knows no version of what every index has.
  if (/\(from versions: none\)|NewConnectionError|NameResolutionError|ConnectTimeoutError/.test(text)) {
    throw new OutOfReach('PyPI is out of reach')
  }
  const said = text.split('\n').at(-1) ?? ''
  throw new Error(
    `Cannot ${args.includes('venv') ? 'make a virtual environment' : 'install from PyPI'}: ${said.slice(0, 300)}`,
  )
}
