import { murmurHashOf } from '../core/murmur_hash.ts'
import type { Json } from '../core/record.ts'

/** 32 hex digits as a UUID of version 8 (RFC 9562, 5.8): its bits are ours, but for those that say so. */
export function uuidOfHex(hex: string): string {
  const variant = '89ab'[Number.parseInt(hex[16] as string, 16) & 3]
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** The id of what has none: the same for the same content, so that sending it again adds nothing. */
export function contentIdOf(kind: string, content: readonly Json[]): string {
  return uuidOfHex(murmurHashOf(JSON.stringify([kind, ...content])))
}

export const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
