import { execFile } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const required = (process.env.TELLTALE_REQUIRE ?? '').split(',').includes('postgres')

function serverBinDir(): string | null {
  const root = '/usr/lib/postgresql'
  if (!existsSync(root)) return null
  const [newest] = readdirSync(root).sort((a, b) => Number(b) - Number(a))
  return newest === undefined ? null : join(root, newest, 'bin')
}

/** Why tests against a PostgreSQL server cannot run here; null when they can or must. */
export function noPostgresReason(): string | null {
  return required || serverBinDir() !== null ? null : 'no PostgreSQL server is installed'
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** A PostgreSQL server of its own, thrown away by `stop`. As root it runs as the user nobody. */
export async function startPostgres(): Promise<{ url: string; stop(): Promise<void> }> {
  const bin = serverBinDir()
  if (bin === null) throw new Error('Cannot start PostgreSQL: no server is installed')
  const dir = mkdtempSync(join(tmpdir(), 'telltale-postgres-'))
  const nobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
  if ('uid' in nobody) chownSync(dir, 65534, 65534)
  chmodSync(dir, 0o700)
  const data = join(dir, 'data')
  const port = await freePort()
  await run(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'], {
    cwd: dir,
    ...nobody,
  })
  const settings = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off`
  await run(join(bin, 'pg_ctl'), ['-D', data, '-w', '-l', join(dir, 'log'), '-o', settings, 'start'], {
    cwd: dir,
    ...nobody,
  })
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    async stop() {
      await run(join(bin, 'pg_ctl'), ['-D', data, '-w', '-m', 'immediate', 'stop'], { cwd: dir, ...nobody })
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
