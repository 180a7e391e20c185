import { asInt64, int64Max, int64Min, optionOf } from './redis_argument.ts'
import type { Commands, Run } from './redis_command.ts'
import type { Keyspace } from './redis_keyspace.ts'
import { CommandError, invalidExpiry, okReply, syntaxError } from './redis_reply.ts'
import { Stream } from './redis_stream.ts'

type ExpiryOption = 'EX' | 'PX' | 'EXAT' | 'PXAT'
type SetOptions = {
  readonly only: 'NX' | 'XX' | null
  readonly answersOld: boolean
  readonly expiry: { readonly option: ExpiryOption; readonly text: string } | 'kept' | null
}

const set: Run = (args, keys) => {
  const [, key = '', value = ''] = args
  const { only, answersOld, expiry } = setOptionsOf(args.slice(3))
  const at = expiry === null || expiry === 'kept' ? null : expiresAt(expiry.option, expiry.text, keys.now)
  const old = answersOld ? keys.findString(key) : null
  const found = keys.find(key) !== null
  if (only === (found ? 'NX' : 'XX')) return old
  keys.put(key, value)
  if (expiry !== 'kept') keys.expire(key, at)
  return answersOld ? old : okReply
}

function setOptionsOf(options: readonly string[]): SetOptions {
  let only: SetOptions['only'] = null
  let answersOld = false
  let expiry: SetOptions['expiry'] = null
  for (let i = 0; i < options.length; i += 1) {
    const option = optionOf(options[i] as string)
    const text = options[i + 1]
    if ((option === 'NX' || option === 'XX') && (only === null || only === option)) {
      only = option
    } else if (option === 'GET') {
      answersOld = true
    } else if (option === 'KEEPTTL' && (expiry === null || expiry === 'kept')) {
      expiry = 'kept'
    } else if (isExpiryOption(option) && text !== undefined && expiry !== 'kept') {
      // The same option again replaces its value; another one beside it is an error.
      if (expiry !== null && expiry.option !== option) throw syntaxError()
      expiry = { option, text }
      i += 1
    } else {
      throw syntaxError()
    }
  }
  return { only, answersOld, expiry }
}

function isExpiryOption(option: string): option is ExpiryOption {
  return option === 'EX' || option === 'PX' || option === 'EXAT' || option === 'PXAT'
}

function expiresAt(option: ExpiryOption, text: string, now: number): number {
  const given = asInt64(text)
  const ms = option.startsWith('EX') ? given * 1_000n : given
  const at = option.endsWith('AT') ? ms : ms + BigInt(now)
  if (given <= 0n || at > int64Max) throw invalidExpiry('set')
  return Number(at)
}

const mget: Run = (args, keys) =>
  args.slice(1).map((key) => {
    const value = keys.find(key)
    return value instanceof Stream ? null : value
  })

const getdel: Run = ([, key = ''], keys) => {
  const value = keys.findString(key)
  if (value !== null) keys.remove(key)
  return value
}

function increase(keys: Keyspace, key: string, by: bigint): bigint {
  const sum = asInt64(keys.findString(key) ?? '0') + by
  if (sum > int64Max || sum < int64Min) throw new CommandError('ERR increment or decrement would overflow')
  keys.put(key, `${sum}`)
  return sum
}

/** Commands on strings. @see https://redis.io/docs/latest/commands/?group=string */
export const stringCommands: Commands = {
  set: { arity: -3, grows: true, run: set },
  get: { arity: 2, run: ([, key = ''], keys) => keys.findString(key) },
  getdel: { arity: 2, run: getdel },
  mget: { arity: -2, run: mget },
  incr: { arity: 2, grows: true, run: ([, key = ''], keys) => increase(keys, key, 1n) },
  decr: { arity: 2, grows: true, run: ([, key = ''], keys) => increase(keys, key, -1n) },
  incrby: { arity: 3, grows: true, run: ([, key = '', by = ''], keys) => increase(keys, key, asInt64(by)) },
}
