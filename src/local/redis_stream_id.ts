import { CommandError } from './redis_reply.ts'

/**
 * The id of a stream entry as one number: the milliseconds in the upper 64 bits, the sequence in the lower, so that ids
 * compare and count on as Redis has them.
 */
export type StreamId = bigint

const uint64Max = 2n ** 64n - 1n
export const streamIdMax: StreamId = 2n ** 128n - 1n

export function streamIdOf(ms: bigint, sequence: bigint): StreamId {
  return (ms << 64n) | sequence
}

export function textOfStreamId(id: StreamId): string {
  return `${id >> 64n}-${id & uint64Max}`
}

/**
 * `<ms>` or `<ms>-<sequence>`; without a sequence `sequence` stands in.
 * @throws CommandError
 */
export function asStreamId(text: string, sequence: 'least' | 'greatest' = 'least'): StreamId {
  const [ms, given] = partsOf(text)
  const rest = given === null ? (sequence === 'least' ? 0n : uint64Max) : parseUint64(given)
  return idOf(parseUint64(ms), rest)
}

/** An id for a new entry; not `chosen` is the sequence of `<ms>-*`, which the stream finds. */
export type EntryId = { readonly id: StreamId; readonly chosen: boolean }

/** @throws CommandError */
export function asEntryId(text: string): EntryId {
  const [ms, sequence] = partsOf(text)
  if (sequence === '*') return { id: idOf(parseUint64(ms), 0n), chosen: false }
  return { id: asStreamId(text), chosen: true }
}

/**
 * An end of a range: an id, `-`, `+`, or an id after `(`, which is left out itself.
 * @throws CommandError
 */
export function asRangeEnd(text: string, end: 'start' | 'end'): StreamId {
  const sequence = end === 'start' ? 'least' : 'greatest'
  if (text.length > 1 && text.startsWith('(')) {
    const id = asStreamId(text.slice(1), sequence)
    if (id === (end === 'start' ? streamIdMax : 0n)) throw new CommandError(`ERR invalid ${end} ID for the interval`)
    return end === 'start' ? id + 1n : id - 1n
  }
  const whole = untilNul(text)
  if (text.length <= idLengthMax && whole === '-') return 0n
  if (text.length <= idLengthMax && whole === '+') return streamIdMax
  return asStreamId(text, sequence)
}

const idLengthMax = 127

function partsOf(text: string): [ms: string, sequence: string | null] {
  if (text.length > idLengthMax) throw invalidId()
  const whole = untilNul(text)
  const dash = whole.indexOf('-')
  return dash < 0 ? [whole, null] : [whole.slice(0, dash), whole.slice(dash + 1)]
}

function untilNul(text: string): string {
  const end = text.indexOf('\0')
  return end < 0 ? text : text.slice(0, end)
}

/** As C's strtoull, to which Redis leaves what is not written plainly: blanks, a plus and leading zeros pass. */
function parseUint64(text: string): bigint | null {
  const [, sign, digits] = /^[ \t\n\v\f\r]*([+-]?)(\d+)$/.exec(text) ?? []
  if (digits === undefined || /^-[1-9]/.test(text)) return null
  const value = BigInt(digits)
  if (value > uint64Max) return null
  return sign === '-' ? BigInt.asUintN(64, -value) : value
}

function idOf(ms: bigint | null, sequence: bigint | null): StreamId {
  if (ms === null || sequence === null) throw invalidId()
  return streamIdOf(ms, sequence)
}

function invalidId(): CommandError {
  return new CommandError('ERR Invalid stream ID specified as stream command argument')
}
