import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../bin/telltale.mjs', import.meta.url))

/** The embedded stack as an operator starts it: another process, an empty data directory, no demo. */
export type StackProcess = { readonly env: Readonly<Record<string, string>>; readonly stop: () => Promise<void> }

export async function startStackProcess(): Promise<StackProcess> {
  const dir = await mkdtemp(join(tmpdir(), 'telltale-bench-'))
  const child = spawn(process.execPath, [program, 'start', '--no-demo'], {
    env: { ...process.env, PORT: String(await freePort()), TELLTALE_DATA_DIR: dir },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await ready(child)
  const text = await readFile(join(dir, 'local.env'), 'utf8')
  const env = Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line.includes('=') && !line.startsWith('#'))
      .map((line) => [
        line.slice(0, line.indexOf('=')),
        line.slice(line.indexOf('=') + 1).replace(/^(['"])(.*)\1$/, '$2'),
      ]),
  )
  return {
    env,
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGTERM')
      await ended
      await rm(dir, { recursive: true, force: true })
    },
  }
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = ''
    child.once('exit', (code) => reject(new Error(`Cannot start the stack: it ended with ${code}`)))
    child.stdout?.on('data', (chunk) => {
      said += chunk
      if (said.includes('telltale ready')) resolve()
    })
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject()))
    })
  })
}
