import { createHash, randomBytes, randomInt } from 'node:crypto'

/** An ingest key. The text is shown once; the database keeps the hash. */
export type IngestKey = {
  /** 12 of [a-z0-9]. */
  readonly id: string
  /** `tt_<id>_<32 bytes as base64url>` */
  readonly text: string
  /** sha256 of the text, 64 hex digits. */
  readonly hash: string
}

const idLength = 12
const idLetters = 'abcdefghijklmnopqrstuvwxyz0123456789'

export function createIngestKey(): IngestKey {
  const id = Array.from({ length: idLength }, () => idLetters[randomInt(idLetters.length)]).join('')
  return ingestKeyOf(`tt_${id}_${randomBytes(32).toString('base64url')}`)
}

/** @throws when the text has not the form of a key. */
export function ingestKeyOf(text: string): IngestKey {
  const id = /^tt_([a-z0-9]{12})_[A-Za-z0-9_-]{43}$/.exec(text)?.[1]
  if (id === undefined) throw new Error('Cannot read ingest key: it has not the form tt_<id>_<secret>')
  return { id, text, hash: createHash('sha256').update(text).digest('hex') }
}
