import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

// Plain JavaScript for Node 18 and later: this runs before anything is installed.

const windows = process.platform === 'win32'

/**
 * Installs what package-lock.json names unless it is there already, and answers the path of a Node that runs the
 * project's TypeScript as it is, or null when this one does. Says what it does on stderr only.
 * Two processes that install at once take turns.
 * @param {string} root the folder of package.json
 * @param {{dev: boolean}} wish whether the tools of development are needed too
 * @returns {Promise<string | null>}
 * @throws {Error} when npm fails
 */
export async function installOnce(root, { dev }) {
  const modern = Boolean(process.features.typescript)
  if (!installed(root, dev) || (!modern && nodePath(root) === null)) {
    const unlock = await lock(join(root, '.telltale', 'install.lock'))
    try {
      if (!installed(root, dev)) await installPackages(root, dev, unlock.guard)
      if (!modern && nodePath(root) === null) await installNode(root, unlock.guard)
    } finally {
      unlock()
    }
  }
  return modern ? null : nodePath(root)
}

/** Whether node_modules is what package-lock.json says. Without that file npm put us here, and has seen to it. */
function installed(root, dev) {
  const text = readText(join(root, 'package-lock.json'))
  if (text === null) return true
  const stamp = parse(readText(stampPath(root)))
  const hash = hashOf(text)
  if (stamp?.lock === hash && (stamp.dev || !dev) && existsSync(join(root, 'node_modules', '.package-lock.json'))) {
    return true
  }
  const wanted = parse(text)?.packages ?? {}
  const present = parse(readText(join(root, 'node_modules', '.package-lock.json')))?.packages ?? {}
  const holds = (withDev) =>
    Object.entries(wanted).every(
      ([path, entry]) =>
        path === '' ||
        entry.optional ||
        entry.devOptional ||
        (entry.dev && !withDev) ||
        (present[path] && present[path].version === entry.version),
    )
  if (!holds(dev)) return false
  writeStamp(root, hash, dev || holds(true))
  return true
}

async function installPackages(root, dev, guard) {
  say(`telltale: installing ${dev ? 'packages and tools' : 'packages'}, this takes a moment ...`)
  const began = Date.now()
  await run(...npmCommand(['ci', ...(dev ? ['--include=dev'] : ['--omit=dev']), '--loglevel=error']), root, guard)
  writeStamp(root, hashOf(readText(join(root, 'package-lock.json'))), dev)
  say(`telltale: installed in ${Math.round((Date.now() - began) / 1000)} s`)
}

/** npm may run no install scripts, and the package `node` fetches its binary in one. */
async function installNode(root, guard) {
  say('telltale: fetching the Node that it runs on ...')
  await run(process.execPath, ['installArchSpecificPackage.js'], join(root, 'node_modules', 'node'), guard)
  if (nodePath(root) === null) throw new Error('Cannot find the Node that telltale runs on: npm fetched no binary')
}

/** @returns {string | null} */
function nodePath(root) {
  const path = join(root, 'node_modules', 'node', 'bin', windows ? 'node.exe' : 'node')
  return existsSync(path) ? path : null
}

/** npm's own script where it told us its place, since Windows starts `npm.cmd` only through a shell. */
function npmCommand(args) {
  const script = process.env.npm_execpath
  if (script?.endsWith('npm-cli.js') && existsSync(script)) return [process.execPath, [script, ...args]]
  return ['npm', args]
}

function run(command, args, cwd, guard) {
  return new Promise((resolve, reject) => {
    const shell = windows && command === 'npm'
    const child = spawn(command, args, { cwd, shell, windowsHide: true, stdio: ['ignore', 'pipe', 'pipe'] })
    const output = []
    child.stdout.on('data', (chunk) => output.push(chunk))
    child.stderr.on('data', (chunk) => output.push(chunk))
    if (child.pid !== undefined) guard(child.pid)
    child.on('error', (error) => reject(new Error(`Cannot run ${command}: ${error.message}`)))
    child.on('close', (code, signal) => {
      if (code === 0) return resolve()
      say(Buffer.concat(output).toString().trim())
      reject(new Error(`Cannot install what telltale needs: npm ended with ${signal ?? code}`))
    })
  })
}

/**
 * Takes a lock file that holds the process ids of its holder and of the npm that it started: an npm that outlives
 * its starter still holds it. A lock whose processes are all gone is taken over.
 */
async function lock(path) {
  mkdirSync(dirname(path), { recursive: true })
  for (let waiting = false; ; waiting = true) {
    try {
      writeFileSync(path, `${process.pid}\n`, { flag: 'wx' })
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    const seen = readText(path)
    const pids = (seen ?? '').split('\n').filter(Boolean).map(Number)
    if (seen !== null && pids.length > 0 && !pids.some(alive)) takeAway(path, seen)
    else {
      if (!waiting) say('telltale: waiting for another installation to end ...')
      await wait(200)
    }
  }
  const unlock = () => rmSync(path, { force: true })
  unlock.guard = (pid) => writeFileSync(path, `${process.pid}\n${pid}\n`)
  return unlock
}

/** Removes a dead holder's lock. The rename lets one of several waiters win; who caught a living lock puts it back. */
function takeAway(path, seen) {
  const aside = `${path}.${process.pid}`
  try {
    renameSync(path, aside)
    if (readText(aside) === seen) rmSync(aside)
    else renameSync(aside, path)
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
}

function alive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function stampPath(root) {
  return join(root, 'node_modules', '.telltale-install')
}

function writeStamp(root, hash, dev) {
  try {
    writeFileSync(stampPath(root), `${JSON.stringify({ lock: hash, dev })}\n`)
  } catch {
    // A folder that we may not write to is looked at again next time.
  }
}

function hashOf(text) {
  return createHash('sha256').update(text).digest('hex')
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function parse(text) {
  try {
    return JSON.parse(text ?? 'null')
  } catch {
    return null
  }
}

function say(text) {
  process.stderr.write(`${text}\n`)
}
