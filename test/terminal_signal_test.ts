import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { foregroundOf } from '../src/tap/terminal_signal.ts'
import { eventually } from './ingest_fixture.ts'

const wrapScript = fileURLToPath(new URL('./wrap_fixture.ts', import.meta.url))

// util-linux's `script` gives a terminal; there is no other way to have one here.
const terminal = process.platform === 'linux' && existsSync('/usr/bin/script')

test.skipIf(!terminal)('wrap leaves Ctrl-C to the terminal, so that the server hears it once', async () => {
  const server = `const fs = require('node:fs')
    let heard = 0
    process.on('SIGINT', () => heard++ === 0 && setTimeout(() => { fs.writeFileSync(process.argv[2], String(heard)); process.exit(0) }, 500))
    console.log('up')
    setInterval(() => 0, 1000)`
  const folder = mkdtempSync(join(tmpdir(), 'tap-'))
  const [file, told] = [join(folder, 'server.cjs'), join(folder, 'told')]
  writeFileSync(file, server)
  const words = [process.execPath, wrapScript, 'wrap', '--', process.execPath, file, told]
  const line = words.map((word) => `'${word}'`).join(' ')
  const env = { ...process.env, SHELL: '/bin/sh', TELLTALE_DISABLED: '1' }
  // On pipes but for the terminal that they stand in, as a client starts a server.
  const child = spawn('/usr/bin/script', ['-qefc', `sleep 9 | ${line} 2>&1 | cat`, '/dev/null'], { env, stdio: 'pipe' })
  try {
    let out = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    await eventually(() => out.includes('up'), 10_000)
    child.stdin.write('\x03')
    await eventually(() => existsSync(told) && readFileSync(told, 'utf8') !== '')
    expect(readFileSync(told, 'utf8')).toBe('1')
  } finally {
    child.kill('SIGKILL')
  }
})

test('foregroundOf() reads the group and the terminal from /proc/PID/stat, whatever the command is called', () => {
  expect(foregroundOf('7 (node) S 1 7 5 34816 7 4194304 0')).toBe(true)
  expect(foregroundOf('7 (a) b (c)) S 1 7 5 34816 9 4194304 0')).toBe(false)
  expect(foregroundOf('7 (node) S 1 7 5 0 -1 4194304 0')).toBe(false)
  expect(foregroundOf('')).toBe(false)
})
