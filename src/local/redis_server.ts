import { redisBytesMax } from '../core/limit.ts'
import type { Commands, Run } from './redis_command.ts'
import type { Keyspace } from './redis_keyspace.ts'
import { wrongArity } from './redis_reply.ts'

/** The Redis whose replies and error texts these are. */
const version = '7.0.15'

const ping: Run = (args) => {
  if (args.length > 2) throw wrongArity('ping')
  return args[1] ?? { status: 'PONG' }
}

/** Seconds and the microseconds of the second. */
const time: Run = (_, { now }) => [`${Math.floor(now / 1_000)}`, `${Math.floor(now % 1_000) * 1_000}`]

const sections: Readonly<Record<string, (keys: Keyspace) => readonly string[]>> = {
  server: () => ['# Server', `redis_version:${version}`, 'redis_mode:standalone', `process_id:${process.pid}`],
  memory: ({ bytes }) => [
    '# Memory',
    `used_memory:${bytes}`,
    `maxmemory:${redisBytesMax}`,
    'maxmemory_policy:noeviction',
  ],
  keyspace: ({ size }) => ['# Keyspace', ...(size === 0 ? [] : [`db0:keys=${size}`])],
}

const info: Run = ([, ...given], keys) => {
  const names = given.map((name) => name.toLowerCase())
  const all = names.length === 0 || names.some((name) => ['all', 'default', 'everything'].includes(name))
  const chosen = Object.entries(sections).filter(([name]) => all || names.includes(name))
  return chosen.map(([, linesOf]) => `${linesOf(keys).join('\r\n')}\r\n`).join('\r\n')
}

/** Commands about the server itself. @see https://redis.io/docs/latest/commands/?group=server */
export const serverCommands: Commands = {
  ping: { arity: -1, run: ping },
  echo: { arity: 2, run: ([, text = '']) => text },
  time: { arity: 1, run: time },
  info: { arity: -1, run: info },
}
