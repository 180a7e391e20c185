import { asInt64, int64Max, int64Min, optionOf } from './redis_argument.ts'
import type { Commands, Run } from './redis_command.ts'
import { CommandError, invalidExpiry } from './redis_reply.ts'

type Condition = 'NX' | 'XX' | 'GT' | 'LT'

function expireIn(name: 'expire' | 'pexpire'): Run {
  return (args, keys) => {
    const [, key = '', text = ''] = args
    const conditions = conditionsOf(args.slice(3))
    const given = asInt64(text)
    const ms = name === 'expire' ? given * 1_000n : given
    const at = ms + BigInt(keys.now)
    if (ms > int64Max || ms < int64Min || at > int64Max) throw invalidExpiry(name)
    if (keys.find(key) === null) return 0
    if (![...conditions].every((condition) => holds(condition, Number(at), keys.expiryOf(key)))) return 0
    if (at <= keys.now) keys.remove(key)
    else keys.expire(key, Number(at))
    return 1
  }
}

function conditionsOf(options: readonly string[]): ReadonlySet<Condition> {
  const conditions = new Set<Condition>()
  for (const text of options) {
    const option = optionOf(text)
    if (option !== 'NX' && option !== 'XX' && option !== 'GT' && option !== 'LT') {
      throw new CommandError(`ERR Unsupported option ${text}`)
    }
    conditions.add(option)
  }
  if (conditions.has('NX') && conditions.size > 1) {
    throw new CommandError('ERR NX and XX, GT or LT options at the same time are not compatible')
  }
  if (conditions.has('GT') && conditions.has('LT')) {
    throw new CommandError('ERR GT and LT options at the same time are not compatible')
  }
  return conditions
}

/** A key that never ends ends later than any other. */
function holds(condition: Condition, at: number, current: number | null): boolean {
  if (condition === 'NX') return current === null
  if (condition === 'XX') return current !== null
  if (condition === 'GT') return current !== null && at > current
  return current === null || at < current
}

/** -2: no such key; -1: it never ends. */
function timeLeft(unitMs: number): Run {
  return ([, key = ''], keys) => {
    if (keys.find(key) === null) return -2
    const at = keys.expiryOf(key)
    return at === null ? -1 : Math.floor((Math.max(0, at - keys.now) + unitMs / 2) / unitMs)
  }
}

const persist: Run = ([, key = ''], keys) => {
  if (keys.find(key) === null || keys.expiryOf(key) === null) return 0
  keys.expire(key, null)
  return 1
}

/** When keys end. @see https://redis.io/docs/latest/commands/expire/ */
export const expiryCommands: Commands = {
  expire: { arity: -3, run: expireIn('expire') },
  pexpire: { arity: -3, run: expireIn('pexpire') },
  ttl: { arity: 2, run: timeLeft(1_000) },
  pttl: { arity: 2, run: timeLeft(1) },
  persist: { arity: 2, run: persist },
}
