import type { SpillDisk } from '../src/reporter/delivery/spill_disk.ts'
import { readEntries } from '../src/reporter/delivery/spill_entry.ts'

/** What goes wrong at one operation. `torn`: half is written, and it cannot be cut back. */
export type DiskFault = 'full' | 'torn' | 'crash_before' | 'crash_after' | 'crash_torn'

/** One process's sight of the files: dead after a crash, then it does nothing any more. */
export type DiskSight = SpillDisk & { readonly dead: () => boolean; readonly kill: () => void }

type File = { bytes: Buffer; modifiedMs: number }

/** A directory in memory that processes share, that fails as it is told, and that outlives them. */
export class FaultyDisk {
  readonly files = new Map<string, File>()
  /** The operations to come: what goes wrong at each, undefined where nothing does. */
  plan: (DiskFault | undefined)[] = []
  nowMs = 1_789_000_000_000

  /** Batches without an answer, by id: the records that they carry as JSON text. */
  unanswered(bodyText: (body: Uint8Array, encoding: string | null) => string): Map<string, string> {
    const waiting = new Map<string, string>()
    for (const { bytes } of this.files.values()) {
      const answered = new Set<string>()
      for (const entry of readEntries(bytes)) {
        if (entry.kind === 'answered') answered.add(entry.batchId)
        if (entry.kind === 'batch') {
          const { batchId, body, encoding } = entry.batch
          waiting.set(batchId, bodyText(body, encoding))
        }
      }
      for (const id of answered) waiting.delete(id)
    }
    return waiting
  }

  sight(crashed: () => void): DiskSight {
    let dead = false
    const die = (): never => {
      if (!dead) {
        dead = true
        crashed()
      }
      throw new Error('the process is dead')
    }
    /** `part` is what a torn operation leaves behind. */
    const operation = <T>(whole: () => T, part: () => void = () => undefined): T => {
      if (dead) return die()
      const fault = this.plan.shift()
      if (fault === 'crash_before') return die()
      if (fault === 'crash_torn') {
        part()
        return die()
      }
      if (fault === 'torn') part()
      if (fault === 'torn' || fault === 'full') throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
      const done = whole()
      return fault === 'crash_after' ? die() : done
    }
    const fileAt = (path: string): File => {
      const file = this.files.get(path)
      if (!file) throw Object.assign(new Error(`no ${path}`), { code: 'ENOENT' })
      return file
    }
    const put = (path: string, bytes: Uint8Array, at: number, fresh: boolean) => {
      if (fresh && this.files.has(path)) throw Object.assign(new Error('it exists'), { code: 'EEXIST' })
      const before = fresh ? Buffer.alloc(0) : fileAt(path).bytes.subarray(0, at)
      this.files.set(path, { bytes: Buffer.concat([before, bytes]), modifiedMs: this.nowMs })
    }
    return {
      dead: () => dead,
      kill: () => {
        dead = true
      },
      makeDir: () => operation(() => undefined),
      list: () => operation(() => [...this.files.keys()].map((path) => path.slice(path.lastIndexOf('/') + 1))),
      stateOf: (path) =>
        operation(() => {
          const file = this.files.get(path)
          return file ? { bytes: file.bytes.length, modifiedMs: file.modifiedMs } : null
        }),
      write: (path, bytes, at, fresh) =>
        operation(
          () => put(path, bytes, at, fresh),
          () => put(path, bytes.subarray(0, Math.floor(bytes.length / 2)), at, fresh),
        ),
      read: (path, at, length) => operation(() => Buffer.from(fileAt(path).bytes.subarray(at, at + length))),
      rename: (from, to) =>
        operation(() => {
          const file = fileAt(from)
          this.files.delete(from)
          this.files.set(to, file)
        }),
      remove: (path) =>
        operation(() => {
          fileAt(path)
          this.files.delete(path)
        }),
      touch: (path, nowMs) =>
        operation(() => {
          fileAt(path).modifiedMs = nowMs
        }),
    }
  }
}
