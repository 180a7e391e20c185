import { createHash } from 'node:crypto'
import { homedir } from 'node:os'
import { join } from 'node:path'

type Env = { readonly [name: string]: string | undefined }

/** The owner of a segment file, and its place among its owner's. */
export type SegmentName = { readonly destination: string; readonly processId: string; readonly n: number }

const form = /^([0-9a-f]{16})-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(\d{6})\.outbox$/

/** What the files of one ingest address begin with: 16 hex digits, so that two addresses may share a directory. */
export function destinationOf(ingestUrl: string): string {
  return createHash('sha256').update(ingestUrl).digest('hex').slice(0, 16)
}

export function segmentNameOf({ destination, processId, n }: SegmentName): string {
  return `${destination}-${processId}-${String(n).padStart(6, '0')}.outbox`
}

/** Null for any other file: those are never touched. */
export function parseSegmentName(name: string): SegmentName | null {
  const [, destination, processId, n] = form.exec(name) ?? []
  return destination && processId ? { destination, processId, n: Number(n) } : null
}

/** Where batches wait on the disk: TELLTALE_OUTBOX_DIR, else the place of the platform; null for `none`. */
export function outboxDirOf(
  given: string | undefined,
  env: Env,
  platform: NodeJS.Platform = process.platform,
): string | null {
  const told = given ?? env.TELLTALE_OUTBOX_DIR
  if (told === 'none') return null
  if (told) return told
  if (platform === 'win32') {
    return join(env.LOCALAPPDATA || join(homedir(), 'AppData', 'Local'), 'telltale', 'outbox')
  }
  if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'telltale', 'outbox')
  return join(env.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'telltale', 'outbox')
}
