import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const builtDir = join(root, 'dist', 'web')
const stampName = 'built_from.txt'

/** What the page is made of: its own files, the pure code that it shares, and the versions of its packages. */
const sources = ['web', 'src/core', 'src/wire', 'vite.config.ts', 'package-lock.json']

/**
 * Builds the dashboard's files unless they were built from what is here now, and answers their directory. Two that build
 * at once do no harm: each builds aside, and what is whole takes the place.
 * @throws Error with what the build said
 */
export async function buildDashboard(): Promise<string> {
  const wanted = hashOfSources()
  if (readStamp(builtDir) === wanted) return builtDir
  const aside = join(root, 'dist', `web-${process.pid}-${Date.now().toString(36)}`)
  try {
    await runVite(aside)
    // Somebody else may have built the same meanwhile, and serve it already.
    if (readStamp(builtDir) === wanted) return builtDir
    writeFileSync(join(aside, stampName), wanted)
    mkdirSync(join(root, 'dist'), { recursive: true })
    rmSync(builtDir, { recursive: true, force: true })
    renameSync(aside, builtDir)
  } catch (error) {
    if (readStamp(builtDir) !== wanted) throw error
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
  return builtDir
}

function hashOfSources(): string {
  const hash = createHash('sha256')
  for (const source of sources) {
    const path = join(root, source)
    if (!existsSync(path)) continue
    for (const file of filesBelow(path)) {
      hash
        .update(`${file.slice(root.length).split(sep).join('/')}\0`)
        .update(readFileSync(file))
        .update('\0')
    }
  }
  return hash.digest('hex')
}

function filesBelow(path: string): string[] {
  try {
    const entries = readdirSync(path, { recursive: true, withFileTypes: true })
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOTDIR') return [path]
    throw error
  }
}

function readStamp(dir: string): string | null {
  try {
    return readFileSync(join(dir, stampName), 'utf8')
  } catch {
    return null
  }
}

/** In a process of its own, whose memory goes when it has built. */
function runVite(outDir: string): Promise<void> {
  const vite = fileURLToPath(new URL('bin/vite.js', import.meta.resolve('vite/package.json')))
  return new Promise((resolve, reject) => {
    const args = [vite, 'build', '--outDir', outDir, '--logLevel', 'warn']
    // Whatever runs this, tests included, the page gets the libraries' production builds.
    const env = { ...process.env, NODE_ENV: 'production' }
    const child = spawn(process.execPath, args, {
      cwd: root,
      env,
      windowsHide: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const output: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
    child.on('error', reject)
    child.on('close', (code) => {
      const said = Buffer.concat(output).toString().trim().replaceAll(root, '')
      if (code === 0) resolve()
      else reject(new Error(`Cannot build the dashboard: vite ended with ${code}: ${said}`))
    })
  })
}
