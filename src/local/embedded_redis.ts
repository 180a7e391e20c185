import { redisSweepMs } from '../core/limit.ts'
import type { Command, Commands } from './redis_command.ts'
import { expiryCommands } from './redis_expiry.ts'
import { keyCommands } from './redis_key.ts'
import { Keyspace } from './redis_keyspace.ts'
import { CommandError, type Failure, outOfMemory, type Reply, wrongArity } from './redis_reply.ts'
import { serverCommands } from './redis_server.ts'
import { streamCommands } from './redis_stream_command.ts'
import { stringCommands } from './redis_string.ts'

/** Part of Redis 7 in memory: strings, streams, and when they end. Arguments and replies are bytes, one a character. */
export type Redis = {
  /** One command, its name first. What it refuses is `{error}`, with the text of Redis. */
  call(args: readonly string[]): Reply
  /**
   * All or nothing: the failure when one is unknown, has too few arguments or finds no room, and null when all ran. One
   * that fails as it runs stops no other. `take` is given each reply before the next command runs.
   */
  transact(commands: readonly (readonly string[])[], take: (reply: Reply) => void): Failure | null
  close(): void
}

export type RedisOptions = {
  /** In ms since 1970. */
  readonly clock?: () => number
  /** What keys and values may take. */
  readonly bytesMax?: number
}

const commands: ReadonlyMap<string, Command> = new Map(
  [stringCommands, streamCommands, expiryCommands, keyCommands, serverCommands].flatMap((group: Commands) =>
    Object.entries(group),
  ),
)

export function createRedis({ clock = Date.now, bytesMax }: RedisOptions = {}): Redis {
  const keys = new Keyspace(bytesMax)
  const now = () => Math.floor(clock())
  const timer = setInterval(() => {
    keys.now = now()
    keys.sweep()
  }, redisSweepMs)
  timer.unref()
  return {
    call(args) {
      keys.now = now()
      return answerOf(() => admittedCommand(args, keys).run(args, keys))
    },
    transact(list, take) {
      keys.now = now()
      const refused = list.map((args) => answerOf(() => admittedCommand(args, keys) && null)).find(isFailure)
      if (refused !== undefined) return refused
      for (const args of list) take(answerOf(() => admittedCommand(args, keys).run(args, keys)))
      return null
    },
    close() {
      clearInterval(timer)
      keys.clear()
    },
  }
}

function answerOf(act: () => Reply): Reply {
  try {
    return act()
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    // A line of the protocol: no text in an error may end it.
    return { error: error.message.replace(/[\r\n]/g, ' ') }
  }
}

export function isFailure(reply: Reply): reply is Failure {
  return typeof reply === 'object' && reply !== null && 'error' in reply
}

/** @throws CommandError */
function knownCommand(args: readonly string[]): Command {
  const [given = ''] = args
  const name = given.toLowerCase()
  const command = commands.get(name)
  if (command === undefined) throw unknownCommand(args)
  if (command.arity < 0 ? args.length < -command.arity : args.length !== command.arity) throw wrongArity(name)
  return command
}

function unknownCommand([name = '', ...args]: readonly string[]): CommandError {
  const untilNul = (text: string) => text.split('\0', 1)[0] ?? ''
  let shown = ''
  for (const arg of args) {
    if (shown.length >= 128) break
    shown += `'${untilNul(arg).slice(0, 128 - shown.length)}' `
  }
  return new CommandError(`ERR unknown command '${untilNul(name).slice(0, 128)}', with args beginning with: ${shown}`)
}

/** @throws CommandError when there is no such command, or what it would add finds no room. */
function admittedCommand(args: readonly string[], keys: Keyspace): Command {
  const command = knownCommand(args)
  const bytes = () => args.reduce((sum, text) => sum + text.length, 0)
  if (command.grows && keys.isFull(bytes())) throw outOfMemory()
  return command
}
