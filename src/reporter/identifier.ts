import { randomFillSync } from 'node:crypto'

// Random bytes are drawn 4 KiB at a time: a span then costs a slice, not a system call.
const pool = Buffer.allocUnsafe(4_096)
let used = pool.length

function randomHex(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return pool.toString('hex', used - bytes, used)
}

/** 32 random hex digits, never all zero (W3C trace id). */
export function newTraceId(): string {
  const id = randomHex(16)
  return /^0+$/.test(id) ? newTraceId() : id
}

/** 16 random hex digits, never all zero (W3C span id). */
export function newSpanId(): string {
  const id = randomHex(8)
  return /^0+$/.test(id) ? newSpanId() : id
}

/** A UUID of version 7: ms since the epoch, then random bits (RFC 9562, 5.7). */
export function newUuidV7(nowMs: number = Date.now()): string {
  const time = Math.max(0, Math.trunc(nowMs)).toString(16).padStart(12, '0').slice(-12)
  const random = randomHex(10)
  const variant = ((Number.parseInt(random.slice(3, 4), 16) & 0x3) | 0x8).toString(16)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-${variant}${random.slice(4, 7)}-${random.slice(7, 19)}`
}
