import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DataDirInUse, lockDataDir } from '../src/local/data_dir_lock.ts'

const modulePath = fileURLToPath(new URL('../src/local/data_dir_lock.ts', import.meta.url))
const holder = `
  const { lockDataDir } = await import(require('node:url').pathToFileURL(process.argv[2]).href)
  const wait = Number(process.argv[3]) - Date.now()
  if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
  try {
    lockDataDir(process.argv[1])
    console.log('held')
    setInterval(() => gc(), 20) // Nothing here refers to the lock.
  } catch (error) {
    console.log(error.message)
  }
`

let dir = ''
let children: ChildProcess[] = []

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'telltale-lock-'))
})
afterEach(async () => {
  for (const child of children) await killed(child)
  children = []
  rmSync(dir, { recursive: true, force: true })
})

/** A process that takes the lock at a moment; answers the first line that it says. */
async function start(atMs = 0): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(
    process.execPath,
    ['--no-warnings', '--expose-gc', '-e', `(async () => {${holder}})()`, dir, modulePath, `${atMs}`],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  children.push(child)
  const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data')
  return { child, said: String(line).trim() }
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

test('lockDataDir() refuses a second holder and names the first', async () => {
  const { child, said } = await start()
  expect(said).toBe('held')
  expect(() => lockDataDir(dir)).toThrow(DataDirInUse)
  expect(() => lockDataDir(dir)).toThrow(`Cannot open data directory: it is in use by process ${child.pid} (`)
})

test('lockDataDir() refuses a second holder in the same process', () => {
  const release = lockDataDir(dir)
  expect(() => lockDataDir(dir)).toThrow(`it is in use by process ${process.pid} (`)
  release()
})

test('lockDataDir() takes a directory that was released, as often as one likes', () => {
  for (let i = 0; i < 3; i++) {
    const release = lockDataDir(dir)
    release()
    release()
  }
})

test('lockDataDir() takes the directory of a killed process at once', async () => {
  const { child } = await start()
  await killed(child)
  lockDataDir(dir)()
})

test('lockDataDir() does not believe a note about an owner, not even with the pid of a living process', () => {
  writeFileSync(join(dir, 'lock.json'), JSON.stringify({ pid: process.pid, command: 'an earlier life of this pid' }))
  lockDataDir(dir)()
})

test('lockDataDir() still refuses when the note about the owner is damaged', () => {
  const release = lockDataDir(dir)
  writeFileSync(join(dir, 'lock.json'), '{')
  expect(() => lockDataDir(dir)).toThrow('Cannot open data directory: it is in use by another process')
  release()
})

test('lockDataDir() lets exactly one of several starters win over a stale lock', async () => {
  const stale = await start()
  await killed(stale.child)
  const atMs = Date.now() + 1_000
  const starters = await Promise.all(Array.from({ length: 6 }, () => start(atMs)))
  const refused = starters.filter(({ said }) => said.startsWith('Cannot open data directory: it is in use by'))
  expect(starters.filter(({ said }) => said === 'held')).toHaveLength(1)
  expect(refused).toHaveLength(5)
})
