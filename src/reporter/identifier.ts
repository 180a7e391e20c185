import { randomFillSync } from 'node:crypto'

// Random bytes are drawn 64 KiB at a time and turned into digits 4 KiB at a time: an id then costs a slice, and one that
// is kept for long keeps few others with it.
const pool = Buffer.allocUnsafe(65_536)
const digitBytes = 4_096
let drawn = pool.length
let digits = ''
let used = 0

function randomHex(bytes: number): string {
  if (used + bytes * 2 > digits.length) {
    if (drawn === pool.length) {
      randomFillSync(pool)
      drawn = 0
    }
    digits = pool.toString('hex', drawn, drawn + digitBytes)
    drawn += digitBytes
    used = 0
  }
  used += bytes * 2
  return digits.slice(used - bytes * 2, used)
}

/** 32 random hex digits, never all zero (W3C trace id). */
export function newTraceId(): string {
  const id = randomHex(16)
  return id === '00000000000000000000000000000000' ? newTraceId() : id
}

/** 16 random hex digits, never all zero (W3C span id). */
export function newSpanId(): string {
  const id = randomHex(8)
  return id === '0000000000000000' ? newSpanId() : id
}

/** A UUID of version 7: ms since the epoch, then random bits (RFC 9562, 5.7). */
export function newUuidV7(nowMs: number = Date.now()): string {
  const time = Math.max(0, Math.trunc(nowMs)).toString(16).padStart(12, '0').slice(-12)
  const random = randomHex(10)
  const variant = ((Number.parseInt(random.slice(3, 4), 16) & 0x3) | 0x8).toString(16)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-${variant}${random.slice(4, 7)}-${random.slice(7, 19)}`
}
