import { hostDisk } from './spill_disk.ts'
import { destinationOf, outboxDirOf } from './spill_place.ts'
import { SpillStore } from './spill_store.ts'

type Env = { readonly [name: string]: string | undefined }

/** The outbox on the disk of a reporter to this address; null where the host has turned the disk off. */
export function spillFor(
  outboxDir: string | undefined,
  env: Env,
  ingestUrl: string,
  processId: string,
  warn: (kind: string, text: string) => void,
  drop: (reason: string, records: number) => void,
): SpillStore | null {
  // What the process itself says holds where `env` is of the host's own making and does not say.
  const told = { TELLTALE_OUTBOX_DIR: process.env.TELLTALE_OUTBOX_DIR, ...env }
  const dir = outboxDirOf(outboxDir, told)
  if (dir === null) return null
  return new SpillStore({
    disk: hostDisk,
    dir,
    destination: destinationOf(ingestUrl),
    processId,
    nowMs: Date.now,
    warn,
    drop,
  })
}
