import { CommandError } from './redis_reply.ts'

export const int64Max = 2n ** 63n - 1n
export const int64Min = -(2n ** 63n)

/**
 * A signed integer of 64 bits as Redis writes it: no sign but a minus, no leading zero, no blank.
 * @throws CommandError
 */
export function asInt64(text: string): bigint {
  const value = /^(?:0|-?[1-9]\d{0,18})$/.test(text) ? BigInt(text) : null
  if (value === null || value > int64Max || value < int64Min) {
    throw new CommandError('ERR value is not an integer or out of range')
  }
  return value
}

/** The name of an option: Redis compares them without case, as C strings. */
export function optionOf(argument: string): string {
  const end = argument.indexOf('\0')
  return (end < 0 ? argument : argument.slice(0, end)).toUpperCase()
}
