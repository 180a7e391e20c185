import { asInt64, optionOf } from './redis_argument.ts'
import { CommandError, syntaxError } from './redis_reply.ts'
import type { Trim } from './redis_stream.ts'
import { asEntryId, asStreamId, type EntryId } from './redis_stream_id.ts'

export type TrimOptions = {
  /** Null only where entries are added. */
  readonly trim: Trim | null
  readonly opensStream: boolean
  /** The id that the entry is to have; null: any. */
  readonly entry: EntryId | null
  /** Where the first argument is that is no option: for XADD the id. */
  readonly next: number
}

/** `~` without LIMIT: as many entries as a hundred nodes hold by Redis's defaults. */
const limitByDefault = 10_000

/**
 * The options of XTRIM, and of XADD before its id.
 * @throws CommandError
 */
export function parseTrimOptions(args: readonly string[], { adding }: { readonly adding: boolean }): TrimOptions {
  let keep: Trim['keep'] | null = null
  let whole = false
  let limit: number | null = null
  let opensStream = true
  let entry: EntryId | null = null
  let i = 2
  for (; i < args.length; i += 1) {
    const option = optionOf(args[i] as string)
    const hasMore = i + 1 < args.length
    if ((option === 'MAXLEN' || option === 'MINID') && hasMore) {
      if (keep !== null) throw incompatible()
      const sign = i + 2 < args.length ? args[i + 1] : undefined
      whole = sign === '~'
      i += sign === '~' || sign === '=' ? 2 : 1
      keep = keptOf(option, args[i] as string)
    } else if (option === 'LIMIT' && hasMore) {
      i += 1
      limit = limitOf(args[i] as string)
    } else if (adding && option === 'NOMKSTREAM') {
      opensStream = false
    } else if (adding) {
      // Redis looks at the id before it looks at how the options go together.
      entry = args[i] === '*' ? null : asEntryId(args[i] as string)
      break
    } else {
      throw syntaxError()
    }
  }
  return { trim: trimOf(keep, whole, limit, adding), opensStream, entry, next: i }
}

function keptOf(option: 'MAXLEN' | 'MINID', text: string): Trim['keep'] {
  if (option === 'MINID') return { from: asStreamId(text) }
  const length = asInt64(text)
  if (length < 0n) throw new CommandError('ERR The MAXLEN argument must be >= 0.')
  return { length: Number(length) }
}

function limitOf(text: string): number {
  const limit = asInt64(text)
  if (limit < 0n) throw new CommandError('ERR The LIMIT argument must be >= 0.')
  return Number(limit)
}

function trimOf(keep: Trim['keep'] | null, whole: boolean, limit: number | null, adding: boolean): Trim | null {
  if (keep === null) {
    if (limit !== null && limit > 0) {
      throw new CommandError('ERR syntax error, LIMIT cannot be used without specifying a trimming strategy')
    }
    if (!adding) throw new CommandError('ERR syntax error, XTRIM must be called with a trimming strategy')
  }
  if (limit !== null && !whole) {
    throw new CommandError('ERR syntax error, LIMIT cannot be used without the special ~ option')
  }
  return keep === null ? null : { keep, whole: whole ? { limit: limit ?? limitByDefault } : null }
}

function incompatible(): CommandError {
  return new CommandError('ERR syntax error, MAXLEN and MINID options at the same time are not compatible')
}
