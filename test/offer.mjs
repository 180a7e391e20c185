import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'

// What tests need beside npm's packages, and where this machine has it. Plain JavaScript for Node 18 and later.

const windows = process.platform === 'win32'
const answerMsMax = 30_000
/** What Debian's packages ask before they start what they bring. */
const policyFile = '/usr/sbin/policy-rc.d'

/**
 * Each thing that tests may need: found, with the folder to put on the path or the variables that name it, or missing,
 * with the reason. On Debian, as root, what is missing is installed, and none of it started.
 * @param {string} root the folder of package.json, its packages installed
 * @returns {Record<string, {folder?: string, env?: Record<string, string>, reason?: string}>}
 */
export function offersOf(root) {
  const found = new Map(Object.keys(system).map((name) => [name, system[name].find()]))
  const missing = [...found.keys()].filter((name) => !found.get(name))
  const reason = missing.length > 0 ? installSystem(missing) : null
  for (const name of missing) found.set(name, system[name].find())
  const offers = [...found].map(([name, offer]) => [name, offer ?? { reason: `${system[name].lack}, and ${reason}` }])
  return { ...Object.fromEntries(offers), deno: packaged(root, 'deno'), workerd: packaged(root, 'workerd') }
}

const system = {
  postgres: {
    packages: ['postgresql', 'postgresql-client'],
    lack: 'no postgres binaries are here',
    find: findPostgres,
  },
  redis: { packages: ['redis-server'], lack: 'no redis-server is here', find: findRedis },
  chromium: { packages: ['chromium'], lack: 'no Chromium is here', find: findChromium },
  python: {
    packages: ['python3', 'python3-venv'],
    lack: 'no Python from 3.9 on that can make virtual environments is here',
    find: findPython,
  },
}

function findPostgres() {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [...versions.map((version) => join(debian, version, 'bin')), ...pathFolders()]
  const folder = folders.find((place) => ['postgres', 'initdb'].every((name) => existsSync(join(place, fileOf(name)))))
  return folder ? { folder } : null
}

function findRedis() {
  return pathFolders().some((place) => existsSync(join(place, fileOf('redis-server')))) ? {} : null
}

/** One that runs: Ubuntu has a `chromium-browser` that only says what to install. */
function findChromium() {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'].map(fileOf)
  const named = [process.env.TELLTALE_CHROMIUM, process.env.CHROMIUM_PATH].filter((path) => path && isAbsolute(path))
  const macos = ['Google Chrome', 'Chromium'].map((name) => `/Applications/${name}.app/Contents/MacOS/${name}`)
  const paths = [...named, ...pathFolders().flatMap((place) => names.map((name) => join(place, name))), ...macos]
  const path = paths.find((candidate) => existsSync(candidate) && (windows || answers(candidate, ['--version'])))
  return path ? { env: { TELLTALE_CHROMIUM: path } } : null
}

function findPython() {
  const ask = 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))'
  return [process.env.TELLTALE_PYTHON, 'python3', 'python'].some((name) => name && answers(name, ['-c', ask]))
    ? {}
    : null
}

function packaged(root, name) {
  const file = join(root, 'node_modules', '.bin', windows ? `${name}.cmd` : name)
  return answers(file, ['--version']) ? {} : { reason: `npm's package ${name} has no binary that runs here` }
}

function answers(file, args) {
  const env = { ...process.env, DENO_NO_UPDATE_CHECK: '1' }
  const command = windows ? `"${file}"` : file
  return spawnSync(command, args, { env, shell: windows, stdio: 'ignore', timeout: answerMsMax }).status === 0
}

function pathFolders() {
  return (process.env.PATH ?? '').split(delimiter).filter(Boolean)
}

function fileOf(name) {
  return windows ? `${name}.exe` : name
}

/** Why something may still be missing. One call for all, and where it refuses, one for each. */
function installSystem(names) {
  if (process.platform !== 'linux' || process.getuid() !== 0 || !existsSync('/usr/bin/apt-get')) {
    return 'only root on Debian can install what is missing'
  }
  const packages = names.flatMap((name) => system[name].packages)
  console.error(`installing ${packages.join(' ')} ...`)
  const install = (wanted) => apt('install', '-y', '--no-install-recommends', ...wanted)
  withoutStarting(() => {
    if (install(packages)) return
    apt('update')
    if (!install(packages)) for (const name of names) install(system[name].packages)
  })
  return 'apt-get could not install it'
}

/** Runs what installs while nothing may be started: a server of the operator's may have the port. */
function withoutStarting(installAll) {
  const ours = !existsSync(policyFile)
  if (ours)
    writeFileSync(policyFile, '#!/bin/sh\n# Here while the tests of telltale install packages.\nexit 101\n', {
      mode: 0o755,
    })
  try {
    installAll()
  } finally {
    if (ours) rmSync(policyFile, { force: true })
  }
}

function apt(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  // apt-get's own words go to stderr, and its input is nobody.
  return spawnSync('/usr/bin/apt-get', ['-q', ...args], { env, stdio: ['ignore', 2, 2] }).status === 0
}
