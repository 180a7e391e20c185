import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from './ingest_fixture.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const posix = process.platform !== 'win32'
// A Node that cannot run TypeScript: what an older host looks like to the launcher.
const oldNode = ['--no-strip-types']

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'telltale-bin-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

// One package, a folder of the clone itself: npm needs no network for it.
const manifest = { name: 'clone', version: '1.0.0', type: 'module', dependencies: { left: 'file:left' } }
const lockfile = {
  name: 'clone',
  version: '1.0.0',
  lockfileVersion: 3,
  packages: {
    '': { name: 'clone', version: '1.0.0', dependencies: manifest.dependencies },
    left: { version: '1.0.0' },
    'node_modules/left': { resolved: 'left', link: true },
  },
}

/** A clone with our launcher and a main of the test's own. */
function cloneWith(name: string, main: string, files: { readonly [path: string]: string } = {}): string {
  const clone = join(folder, name)
  for (const part of ['src/cli', 'left']) mkdirSync(join(clone, part), { recursive: true })
  cpSync(join(root, 'bin'), join(clone, 'bin'), { recursive: true })
  cpSync(join(root, 'src', 'cli', 'launcher_leash.ts'), join(clone, 'src', 'cli', 'launcher_leash.ts'))
  const all = {
    'package.json': JSON.stringify(manifest),
    'package-lock.json': JSON.stringify(lockfile),
    'left/package.json': '{"name": "left", "version": "1.0.0"}',
    'src/cli/main.ts': `import { obeyLauncher } from './launcher_leash.ts'\nobeyLauncher()\n${main}`,
    ...files,
  }
  for (const [path, text] of Object.entries(all)) writeFileSync(join(clone, path), text)
  return clone
}

/** The same, with the project's packages, and so with its Node, in place. */
function installedClone(name: string, main: string): string {
  const clone = cloneWith(name, main, { 'package-lock.json': readFileSync(join(root, 'package-lock.json'), 'utf8') })
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'), 'junction')
  return clone
}

function launch(clone: string, args: readonly string[], node: readonly string[], options: SpawnOptions = {}) {
  const script = join(clone, 'bin', 'telltale.mjs')
  return spawn(process.execPath, [...node, script, ...args], { cwd: tmpdir(), stdio: 'pipe', ...options })
}

async function endOf(child: ChildProcess, input = '') {
  let out = ''
  let err = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  child.stdin?.end(input)
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.once('close', (code, signal) => resolve([code, signal])),
  )
  return { code, signal, out, err }
}

test.each([
  ['in place', []],
  ['on the Node of node_modules', oldNode],
])('telltale.mjs %s passes arguments, bytes and the exit code, and adds nothing', async (_name, node) => {
  const main = `
    const strip: boolean = true
    process.stdout.write(JSON.stringify(process.argv.slice(2)) + process.features.typescript + '\\n')
    process.stdin.on('data', (chunk) => process.stdout.write(chunk)).on('end', () => { process.exitCode = 7 })`
  const clone = installedClone(`echo-${node.length}`, main)
  const end = await endOf(launch(clone, ['wrap', '--', 'a b', '--version', ''], node), 'one\r\ntwo\0')
  expect(end).toEqual({ code: 7, signal: null, out: '["wrap","--","a b","--version",""]strip\none\r\ntwo\0', err: '' })
})

const waiting = `
  const sent: string[] = []
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => {
    sent.push(signal)
    setTimeout(() => { console.log('stopped by ' + sent.join(' and ')); process.exit(3) }, 400)
  })
  setInterval(() => undefined, 1000)
  console.log('ready ' + process.pid)`

async function ready(child: ChildProcess): Promise<number> {
  let out = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  await eventually(() => /ready \d+\n/.test(out), 10_000)
  return Number(/ready (\d+)/.exec(out)?.[1])
}

test.runIf(posix)('telltale.mjs passes a signal on once, also one that both processes receive', async () => {
  const clone = installedClone('signal', waiting)
  const one = launch(clone, [], oldNode)
  await ready(one)
  one.kill('SIGTERM')
  expect(await endOf(one)).toMatchObject({ code: 3, out: 'stopped by SIGTERM\n' })

  const both = launch(clone, [], oldNode, { detached: true })
  await ready(both)
  process.kill(-(both.pid ?? 0), 'SIGINT')
  expect(await endOf(both)).toMatchObject({ code: 3, out: 'stopped by SIGINT\n' })
})

test.runIf(posix)(
  'telltale.mjs dies by the signal that its inner process died by, with a listener or without',
  async () => {
    const clone = installedClone('default', "setInterval(() => undefined, 1000)\nconsole.log('ready ' + process.pid)")
    const told = launch(clone, [], oldNode)
    await ready(told)
    told.kill('SIGTERM')
    expect(await endOf(told)).toMatchObject({ code: null, signal: 'SIGTERM' })

    const killed = launch(clone, [], oldNode)
    process.kill(await ready(killed), 'SIGKILL')
    expect(await endOf(killed)).toMatchObject({ code: null, signal: 'SIGKILL' })
  },
)

test.runIf(posix)('telltale.mjs leaves no inner process behind when it is killed outright', async () => {
  const clone = installedClone('orphan', waiting)
  const outer = launch(clone, [], oldNode)
  const inner = await ready(outer)
  expect(inner).not.toBe(outer.pid)
  outer.kill('SIGKILL')
  await eventually(() => !alive(inner), 3_000)
})

test.runIf(posix).each([
  ['in place', []],
  ['on the Node of node_modules', oldNode],
])('telltale.mjs %s stops when the shell that npm ran it in is gone', async (_name, node) => {
  const clone = installedClone(`shell-${node.length}`, waiting)
  const line = [process.execPath, ...node, join(clone, 'bin', 'telltale.mjs')].map((word) => `'${word}'`).join(' ')
  const env = { ...process.env, npm_lifecycle_event: 'start' }
  const shell = spawn('sh', ['-c', `${line}; true`], { env, stdio: 'pipe' })
  const inner = await ready(shell)
  shell.kill('SIGTERM')
  expect(await endOf(shell)).toMatchObject({ out: 'stopped by SIGTERM\n' })
  await eventually(() => !alive(inner), 3_000)
})

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('telltale.mjs installs what is missing, tells it on stderr alone, and does not do it twice', async () => {
  const clone = cloneWith('bare', "console.log('ran')")
  const first = await endOf(launch(clone, [], []))
  expect(first).toMatchObject({ code: 0, out: 'ran\n' })
  expect(first.err).toMatch(/^telltale: installing packages.*\ntelltale: installed in \d+ s\n$/)
  expect(await endOf(launch(clone, [], []))).toMatchObject({ code: 0, out: 'ran\n', err: '' })

  writeFileSync(join(clone, 'package-lock.json'), JSON.stringify(lockfile, null, 2))
  // Another text that wants the same is satisfied by what is there.
  expect(await endOf(launch(clone, [], []))).toMatchObject({ code: 0, out: 'ran\n', err: '' })
})

test('telltale.mjs lets one of several install, and waits for it', async () => {
  const clone = cloneWith('crowd', "console.log('ran')")
  const ends = await Promise.all([1, 2, 3].map(() => endOf(launch(clone, [], []))))
  for (const end of ends) expect(end).toMatchObject({ code: 0, out: 'ran\n' })
  expect(ends.filter((end) => end.err.includes('installing packages'))).toHaveLength(1)
  expect(existsSync(join(clone, '.telltale', 'install.lock'))).toBe(false)
})

test('telltale.mjs takes over from an installation that died', async () => {
  const clone = cloneWith('widow', "console.log('ran')")
  const dead = spawn(process.execPath, ['-e', ''])
  await endOf(dead)
  mkdirSync(join(clone, '.telltale'))
  writeFileSync(join(clone, '.telltale', 'install.lock'), `${dead.pid}\n`)
  expect(await endOf(launch(clone, [], []))).toMatchObject({ code: 0, out: 'ran\n' })
})

test('telltale.mjs says what npm could not do, and ends with 1', async () => {
  const clone = cloneWith('broken', "console.log('ran')", {
    'package.json': JSON.stringify({ ...manifest, dependencies: { ...manifest.dependencies, right: 'file:right' } }),
  })
  const end = await endOf(launch(clone, [], []))
  expect(end).toMatchObject({ code: 1, out: '' })
  expect(end.err).toContain('Cannot install what telltale needs: npm ended with 1')
})
