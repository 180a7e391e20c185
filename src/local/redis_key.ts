import { asInt64, optionOf } from './redis_argument.ts'
import type { Commands, Run } from './redis_command.ts'
import { matchesGlob } from './redis_glob.ts'
import { CommandError, okReply, syntaxError } from './redis_reply.ts'

const remove: Run = ([, ...names], keys) => names.filter((key) => keys.find(key) !== null && keys.remove(key)).length

const exists: Run = ([, ...names], keys) => names.filter((key) => keys.find(key) !== null).length

const type: Run = ([, key = ''], keys) => ({ status: typeNameOf(keys.find(key)) })

function typeNameOf(value: unknown): string {
  return value === null ? 'none' : typeof value === 'string' ? 'string' : 'stream'
}

const list: Run = ([, pattern = ''], keys) => {
  const names = []
  for (const { key } of keys.names()) if (matchesGlob(pattern, key)) names.push(key)
  return names
}

const scan: Run = ([, cursor = '', ...options], keys) => {
  const after = cursorOf(cursor)
  const { pattern, typeName, count } = scanOptionsOf(options)
  const names: string[] = []
  let seen = 0
  let last = after
  for (const { key, value, born } of keys.names(after)) {
    if (seen >= count) return [`${last}`, names]
    seen += 1
    last = born
    if (matchesGlob(pattern, key) && (typeName === null || typeName === typeNameOf(value))) names.push(key)
  }
  return ['0', names]
}

function cursorOf(text: string): number {
  const digits = /^[+-]?(\d+)$|^$/.exec(text)
  if (digits === null || BigInt(digits[1] ?? 0) >= 2n ** 64n) throw new CommandError('ERR invalid cursor')
  return Number(text)
}

type ScanOptions = { readonly pattern: string; readonly typeName: string | null; readonly count: number }

function scanOptionsOf(options: readonly string[]): ScanOptions {
  let chosen: ScanOptions = { pattern: '*', typeName: null, count: 10 }
  for (let i = 0; i < options.length; i += 2) {
    const option = optionOf(options[i] as string)
    const text = options[i + 1]
    if (text === undefined) throw syntaxError()
    if (option === 'MATCH') chosen = { ...chosen, pattern: text }
    else if (option === 'TYPE') chosen = { ...chosen, typeName: text.toLowerCase() }
    else if (option === 'COUNT') chosen = { ...chosen, count: Number(asInt64(text)) }
    else throw syntaxError()
    if (chosen.count < 1) throw syntaxError()
  }
  return chosen
}

const flush: Run = ([, ...options], keys) => {
  const [option] = options
  if (options.length > 1 || (option !== undefined && !['ASYNC', 'SYNC'].includes(optionOf(option)))) throw syntaxError()
  keys.clear()
  return okReply
}

/** Commands on keys of any type. @see https://redis.io/docs/latest/commands/?group=generic */
export const keyCommands: Commands = {
  del: { arity: -2, run: remove },
  unlink: { arity: -2, run: remove },
  exists: { arity: -2, run: exists },
  type: { arity: 2, run: type },
  keys: { arity: 2, run: list },
  scan: { arity: -2, run: scan },
  dbsize: { arity: 1, run: (_, keys) => keys.size },
  flushdb: { arity: -1, run: flush },
  flushall: { arity: -1, run: flush },
}
