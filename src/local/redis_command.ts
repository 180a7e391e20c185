import type { Keyspace } from './redis_keyspace.ts'
import type { Reply } from './redis_reply.ts'

/** Carries a command out on its arguments, the name first. Throws CommandError when it cannot. */
export type Run = (args: readonly string[], keys: Keyspace) => Reply

/** A command by its name in lower case. */
export type Command = {
  /** How many arguments it takes, its name included; negative: at least so many. */
  readonly arity: number
  /** Refused while the memory is full. */
  readonly grows?: true
  readonly run: Run
}

export type Commands = Readonly<Record<string, Command>>
