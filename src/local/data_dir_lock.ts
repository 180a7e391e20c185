import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** The data directory belongs to another living process. */
export class DataDirInUse extends Error {
  override readonly name = 'DataDirInUse'
  /** Null when its holder has not said who it is. */
  readonly pid: number | null

  constructor(owner: Owner | null) {
    const who = owner === null ? 'another process' : `process ${owner.pid} (${owner.command})`
    super(`Cannot open data directory: it is in use by ${who}`)
    this.pid = owner?.pid ?? null
  }
}

type Owner = { readonly pid: number; readonly command: string }

const sqliteBusy = 5
const commandLengthMax = 200
/** A lock that nothing refers to would be closed, and so lost, when garbage is collected. */
const held = new Set<DatabaseSync>()

/** Only for the message of whoever comes second; the lock itself is the operating system's. */
function readOwner(path: string): Owner | null {
  try {
    const owner: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof owner !== 'object' || owner === null || !('pid' in owner) || !('command' in owner)) return null
    return typeof owner.pid === 'number' && typeof owner.command === 'string'
      ? { pid: owner.pid, command: owner.command }
      : null
  } catch {
    return null // Missing, or just being written.
  }
}

/**
 * Takes the data directory for this process, for two that open one PGlite directory silently lose rows.
 * It is an exclusive transaction on the SQLite file `lock.sqlite`, hence a file lock of the operating system (fcntl on
 * POSIX, LockFileEx on Windows): taken atomically, gone in the instant its process dies by whatever cause, and blind
 * to reused pids, reboots and pid namespaces of containers. `lock.json` beside it says who holds it.
 * @returns what releases it.
 * @throws DataDirInUse
 */
export function lockDataDir(dir: string): () => void {
  mkdirSync(dir, { recursive: true })
  const ownerPath = join(dir, 'lock.json')
  const lock = new DatabaseSync(join(dir, 'lock.sqlite'), { timeout: 0 })
  try {
    lock.exec('pragma journal_mode = memory; begin exclusive')
  } catch (error) {
    lock.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === sqliteBusy) {
      throw new DataDirInUse(readOwner(ownerPath))
    }
    throw error
  }
  const owner: Owner = { pid: process.pid, command: process.argv.join(' ').slice(0, commandLengthMax) }
  writeFileSync(ownerPath, JSON.stringify(owner))
  held.add(lock)
  return () => {
    if (held.delete(lock)) lock.close()
  }
}
