// `npm test`: plain JavaScript for Node 18 and later. Installs what the tests need, checks types and manner, runs the
// tests on the project's Node, and sees that nothing is left running. Arguments go to vitest.
// TELLTALE_REQUIRE=postgres,... names what may not be skipped.
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { installOnce } from '../bin/install.mjs'
import { offersOf } from './offer.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const leftoverGraceMs = 3000

const tally = { passed: 0, failed: 0, skipped: 0 }

async function main(args) {
  const node = (await installOnce(root, { dev: true })) ?? process.execPath
  const required = (process.env.TELLTALE_REQUIRE ?? '').split(',').filter(Boolean)
  const path = [join(root, 'node_modules', '.bin'), process.env.PATH ?? '']
  const places = {}
  const offers = offersOf(root)
  for (const name of new Set([...Object.keys(offers), ...required])) {
    const { folder, env = {}, reason } = offers[name] ?? { reason: 'nothing here knows how to offer it' }
    if (folder) path.splice(1, 0, folder)
    Object.assign(places, env)
    if (reason && required.includes(name)) fail(`${name} is required: ${reason}`)
    else if (reason) skip(`what needs ${name}: ${reason}`)
  }

  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'telltale-test-'))
  // A PostgreSQL that tests start runs as another user, and must be able to walk to its data.
  chmodSync(folder, 0o755)
  const mark = `TELLTALE_TEST_RUN=${randomUUID()}`
  const [markName, markValue] = mark.split('=')
  const env = {
    ...process.env,
    ...places,
    PATH: path.join(delimiter),
    TMPDIR: folder,
    TEMP: folder,
    TMP: folder,
    [markName]: markValue,
  }
  try {
    for (const project of ['.', 'web', 'test/e2e']) {
      await check(node, `types of ${project}`, ['node_modules/typescript/bin/tsc', '--noEmit', '-p', project], env)
    }
    await check(node, 'manner', ['node_modules/@biomejs/biome/bin/biome', 'check', '.'], env)
    await runVitest(node, args, env, folder)
  } finally {
    await stopLeftovers(mark, folder)
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function check(node, name, args, env) {
  const status = await run(node, args, env)
  if (status === 0) tally.passed += 1
  else fail(`${name}: ${args[0]} ended with ${status}`)
}

async function runVitest(node, args, env, folder) {
  const file = join(folder, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  const status = await run(node, ['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...args], env)
  const report = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null
  const failedBefore = tally.failed
  tally.passed += report?.numPassedTests ?? 0
  tally.failed += report?.numFailedTests ?? 0
  tally.skipped += (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0)
  // A file that cannot be loaded, or an error outside of every test, fails no test by itself.
  if (status !== 0 && tally.failed === failedBefore) fail(`tests: vitest ended with ${status}`)
}

function run(node, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(node, args, { cwd: root, env, stdio: 'inherit' })
    running = child
    child.on('error', reject)
    child.on('close', (code, signal) => resolve(signal ?? code))
  })
}

/** Ends what this run left behind, and fails with its names. */
async function stopLeftovers(mark, folder) {
  if (process.platform !== 'linux') return skip('the search for left processes: it reads /proc')
  const until = Date.now() + leftoverGraceMs
  let left = leftovers(mark, folder)
  while (left.length > 0 && Date.now() < until) {
    await wait(100)
    left = leftovers(mark, folder)
  }
  for (const { pid, command } of left) {
    fail(`left running: ${pid} ${command}`)
    kill(pid, 'SIGTERM')
  }
  if (left.length === 0) {
    tally.passed += 1
    return
  }
  await wait(1000)
  for (const { pid } of leftovers(mark, folder)) kill(pid, 'SIGKILL')
}

/** Processes that carry this run's mark, or, as PostgreSQL overwrites its environment, live in this run's folder. */
function leftovers(mark, folder) {
  const found = []
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    try {
      const place = `/proc/${pid}`
      const command = readFileSync(`${place}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      const state = /^State:\s*(\S)/m.exec(readFileSync(`${place}/status`, 'utf8'))?.[1]
      if (state === 'Z') continue
      const ours =
        command.includes(folder) ||
        readFileSync(`${place}/environ`, 'utf8').split('\0').includes(mark) ||
        readlinkSync(`${place}/cwd`).startsWith(folder)
      if (ours) found.push({ pid, command: command.slice(0, 200) })
    } catch {
      // It ended meanwhile, or belongs to somebody else.
    }
  }
  return found
}

function kill(pid, signal) {
  try {
    process.kill(pid, signal)
  } catch {
    // It ended by itself.
  }
}

function fail(text) {
  tally.failed += 1
  console.error(`failed: ${text}`)
}

function skip(text) {
  tally.skipped += 1
  console.error(`skipped: ${text}`)
}

let running = null
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => running?.kill(signal))

try {
  await main(process.argv.slice(2))
} catch (error) {
  fail(error instanceof Error ? error.message : String(error))
}
console.log(`\n${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`)
process.exitCode = tally.failed === 0 ? 0 : 1
