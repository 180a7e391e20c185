import * as fs from 'node:fs'

/** What the outbox asks of a file system. Synchronous: each call is small, and at the host's exit nothing else works. */
export type SpillDisk = {
  /** Makes the directory, for this user only; throws where it belongs to another. */
  readonly makeDir: (dir: string) => void
  /** Names in the directory; none where it is not there. */
  readonly list: (dir: string) => readonly string[]
  /** Null where it is not there. */
  readonly stateOf: (path: string) => { readonly bytes: number; readonly modifiedMs: number } | null
  /**
   * Writes at an offset; what was behind it is cut off. `fresh`: makes the file, which was not there. Where it fails
   * nothing is left of what was written. Throws ENOENT where the file is gone.
   */
  readonly write: (path: string, bytes: Uint8Array, at: number, fresh: boolean) => void
  readonly read: (path: string, at: number, length: number) => Buffer
  readonly rename: (from: string, to: string) => void
  readonly remove: (path: string) => void
  readonly touch: (path: string, nowMs: number) => void
}

/** Whether it failed because the file is not there (any more). */
export function isGone(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'ENOENT'
}

export const hostDisk: SpillDisk = {
  makeDir(dir) {
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 })
    const owner = process.getuid?.()
    if (owner !== undefined && fs.statSync(dir).uid !== owner) throw new Error(`${dir} belongs to another user`)
  },
  list(dir) {
    try {
      return fs.readdirSync(dir)
    } catch (error) {
      if (isGone(error)) return []
      throw error
    }
  },
  stateOf(path) {
    const state = fs.lstatSync(path, { throwIfNoEntry: false })
    return state?.isFile() ? { bytes: state.size, modifiedMs: state.mtimeMs } : null
  },
  write(path, bytes, at, fresh) {
    const file = fs.openSync(path, fresh ? 'wx+' : 'r+', 0o600)
    try {
      if (!fresh) fs.ftruncateSync(file, at)
      writeWhole(file, bytes, at)
    } catch (error) {
      // A batch that is there in part is no batch: back to what was good.
      fs.ftruncateSync(file, at)
      if (fresh) fs.unlinkSync(path)
      throw error
    } finally {
      fs.closeSync(file)
    }
  },
  read(path, at, length) {
    const file = fs.openSync(path, 'r')
    try {
      const bytes = Buffer.allocUnsafe(length)
      let read = 0
      while (read < length) {
        const more = fs.readSync(file, bytes, read, length - read, at + read)
        if (more === 0) break
        read += more
      }
      return bytes.subarray(0, read)
    } finally {
      fs.closeSync(file)
    }
  },
  rename: fs.renameSync,
  remove: fs.unlinkSync,
  touch: (path, nowMs) => fs.utimesSync(path, nowMs / 1_000, nowMs / 1_000),
}

function writeWhole(file: number, bytes: Uint8Array, at: number): void {
  let written = 0
  while (written < bytes.length) {
    const more = fs.writeSync(file, bytes, written, bytes.length - written, at + written)
    if (more === 0) throw new Error('the disk takes no more')
    written += more
  }
}
