/**
 * What a command answers. Strings hold bytes, one a character (latin1), as Redis is binary safe; a status is told apart
 * from a value because REST encodes them differently.
 * @see https://redis.io/docs/latest/develop/reference/protocol-spec/
 */
export type Reply = string | number | bigint | null | Status | Failure | readonly Reply[]
export type Status = { readonly status: string }
export type Failure = { readonly error: string }

/** A command that cannot be carried out; its message is the whole text of Redis, such as `ERR syntax error`. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}

export const okReply: Status = { status: 'OK' }

export function syntaxError(): CommandError {
  return new CommandError('ERR syntax error')
}

export function wrongType(): CommandError {
  return new CommandError('WRONGTYPE Operation against a key holding the wrong kind of value')
}

export function wrongArity(name: string): CommandError {
  return new CommandError(`ERR wrong number of arguments for '${name}' command`)
}

export function invalidExpiry(name: string): CommandError {
  return new CommandError(`ERR invalid expire time in '${name}' command`)
}

export function outOfMemory(): CommandError {
  return new CommandError("OOM command not allowed when used memory > 'maxmemory'.")
}
