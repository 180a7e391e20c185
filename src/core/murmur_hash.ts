/**
 * MurmurHash3 x86_128 (Austin Appleby, public domain) of a text's UTF-8 bytes with seed 0, as 32 hex digits. Not for
 * secrets: it spreads well but withstands no attacker. Unpaired surrogates hash as U+FFFD.
 *
 * Source: https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp
 */
export function murmurHashOf(text: string): string {
  const bytes = utf8Of(text)
  const lanes: Lanes = [0, 0, 0, 0]
  const body = bytes.length - (bytes.length % 16)
  for (let at = 0; at < body; at += 16) {
    for (let lane = 0; lane < 4; lane += 1) {
      mixKey(lanes, lane as Lane, wordAt(bytes, at + lane * 4, 4))
      const { turn, plus } = steps[lane as Lane]
      const next = lanes[((lane + 1) % 4) as Lane]
      lanes[lane as Lane] = (Math.imul(rotated(lanes[lane as Lane], turn) + next, 5) + plus) | 0
    }
  }
  for (let lane = 3; lane >= 0; lane -= 1) {
    const left = Math.min(4, bytes.length - body - lane * 4)
    if (left > 0) mixKey(lanes, lane as Lane, wordAt(bytes, body + lane * 4, left))
  }
  return finished(lanes, bytes.length)
}

type Lanes = [number, number, number, number]
type Lane = 0 | 1 | 2 | 3

const c = [0x239b961b, 0xab0e9789, 0x38b34ae5, 0xa1e38b93] as const

/** Of each lane: how far its key is turned between the two products, and how its state moves on after a block. */
const steps = [
  { key: 15, turn: 19, plus: 0x561ccd1b },
  { key: 16, turn: 17, plus: 0x0bcaa747 },
  { key: 17, turn: 15, plus: 0x96cd1c35 },
  { key: 18, turn: 13, plus: 0x32ac3b17 },
] as const

function mixKey(lanes: Lanes, lane: Lane, word: number): void {
  const first = c[lane]
  const second = c[((lane + 1) % 4) as Lane]
  lanes[lane] ^= Math.imul(rotated(Math.imul(word, first), steps[lane].key), second)
}

function finished(lanes: Lanes, length: number): string {
  const mixed = lanes.map((lane) => lane ^ length) as Lanes
  spread(mixed)
  for (let lane = 0; lane < 4; lane += 1) mixed[lane as Lane] = avalanche(mixed[lane as Lane])
  spread(mixed)
  return mixed.map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('')
}

function spread(lanes: Lanes): void {
  lanes[0] = (lanes[0] + lanes[1] + lanes[2] + lanes[3]) | 0
  for (const lane of [1, 2, 3] as const) lanes[lane] = (lanes[lane] + lanes[0]) | 0
}

function avalanche(word: number): number {
  const half = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  const whole = Math.imul(half ^ (half >>> 13), 0xc2b2ae35)
  return whole ^ (whole >>> 16)
}

function rotated(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}

/** Up to four bytes, little-endian. */
function wordAt(bytes: readonly number[], at: number, count: number): number {
  let word = 0
  for (let i = count - 1; i >= 0; i -= 1) word = (word << 8) | (bytes[at + i] as number)
  return word
}

function utf8Of(text: string): number[] {
  const bytes: number[] = []
  for (const character of text) {
    const point = character.codePointAt(0) as number
    const scalar = point >= 0xd800 && point <= 0xdfff ? 0xfffd : point
    if (scalar < 0x80) bytes.push(scalar)
    else if (scalar < 0x800) bytes.push(0xc0 | (scalar >> 6), 0x80 | (scalar & 63))
    else if (scalar < 0x10000) bytes.push(0xe0 | (scalar >> 12), 0x80 | ((scalar >> 6) & 63), 0x80 | (scalar & 63))
    else {
      bytes.push(0xf0 | (scalar >> 18), 0x80 | ((scalar >> 12) & 63))
      bytes.push(0x80 | ((scalar >> 6) & 63), 0x80 | (scalar & 63))
    }
  }
  return bytes
}
