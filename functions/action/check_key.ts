import { keyCacheEntriesMax, keyCacheMs } from '../../src/core/limit.ts'
import { err, ok, type Result } from '../../src/core/result.ts'
import type { BatchStore, KeyRow } from '../store/port.ts'

/** `unknown`: no key, not a key, or a wrong one. `revoked`: it was a right one. */
export type KeyRefusal = 'unknown' | 'revoked'

/** The id of the ingest key that an Authorization header holds, or why it opens nothing. Throws StoreError. */
export type KeyCheck = (authorization: string | null) => Promise<Result<string, KeyRefusal>>

/** `tt_<key_id>_<secret>`: 12 of [a-z0-9], then 32 bytes as base64url. */
const keyForm = /^bearer +(tt_([a-z0-9]{12})_[A-Za-z0-9_-]{43})$/i
const headerLengthMax = 128

type Cached = { readonly row: KeyRow | null; readonly untilUs: number }

/**
 * Checks ingest keys against their hashes. What the store said about an id is kept for keyCacheMs, good or not, so a
 * right key keeps working that long while the store is away; without it an unreached store throws (503, never 401).
 * `clock` gives µs since the epoch.
 */
export function keyChecker(store: Pick<BatchStore, 'readKey'>, clock: () => number): KeyCheck {
  // Apart, so that guesses at ids never push out keys that are.
  const found = new Map<string, Cached>()
  const missing = new Map<string, Cached>()
  const reading = new Map<string, Promise<KeyRow | null>>()
  /** Of right keys alone, by their text: hashing is the dearest part of a check. */
  const hashes = new Map<string, string>()

  async function readRow(keyId: string): Promise<KeyRow | null> {
    const cached = found.get(keyId) ?? missing.get(keyId)
    if (cached !== undefined && cached.untilUs > clock()) return cached.row
    const pending = reading.get(keyId) ?? store.readKey(keyId).finally(() => reading.delete(keyId))
    reading.set(keyId, pending)
    const row = await pending
    const [into, from] = row === null ? [missing, found] : [found, missing]
    from.delete(keyId)
    keep(into, keyId, { row, untilUs: clock() + keyCacheMs * 1_000 })
    return row
  }

  return async (authorization) => {
    const parsed = parseKey(authorization)
    if (parsed === null) return err('unknown')
    const known = hashes.get(parsed.key)
    const [row, hash] = await Promise.all([readRow(parsed.keyId), known ?? sha256Hex(parsed.key)])
    if (row === null || !isSameHash(hash, row.key_hash)) return err('unknown')
    if (known === undefined) keep(hashes, parsed.key, hash)
    return row.revoked ? err('revoked') : ok(row.key_id)
  }
}

function parseKey(authorization: string | null): { readonly key: string; readonly keyId: string } | null {
  if (authorization === null || authorization.length > headerLengthMax) return null
  const match = keyForm.exec(authorization.trim())
  // Only the scheme is case-insensitive (RFC 9110, 11.1).
  if (match === null || match[2] !== match[2]?.toLowerCase() || match[1]?.startsWith('tt_') !== true) return null
  return { key: match[1], keyId: match[2] as string }
}

/** Keeps the newest keyCacheEntriesMax. */
function keep<T>(cache: Map<string, T>, key: string, entry: T): void {
  cache.delete(key)
  cache.set(key, entry)
  if (cache.size <= keyCacheEntriesMax) return
  const oldest = cache.keys().next()
  if (!oldest.done) cache.delete(oldest.value)
}

/** sha256 of the text, as 64 hex digits. */
export async function sha256Hex(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Compares two hashes in a time that does not depend on where they differ. */
export function isSameHash(a: string, b: string): boolean {
  const other = b.toLowerCase()
  let difference = a.length ^ other.length
  for (let i = 0; i < a.length; i += 1) difference |= a.charCodeAt(i) ^ other.charCodeAt(i)
  return difference === 0
}
