import { asInt64, optionOf } from './redis_argument.ts'
import type { Commands, Run } from './redis_command.ts'
import { CommandError, type Reply, syntaxError, wrongArity } from './redis_reply.ts'
import type { Stream, StreamEntry, Trim } from './redis_stream.ts'
import {
  asRangeEnd,
  asStreamId,
  type EntryId,
  type StreamId,
  streamIdMax,
  streamIdOf,
  textOfStreamId,
} from './redis_stream_id.ts'
import { parseTrimOptions } from './redis_stream_trim.ts'

const xadd: Run = (args, keys) => {
  const { trim, opensStream, entry, next } = parseTrimOptions(args, { adding: true })
  const fields = args.slice(next + 1)
  if (fields.length === 0 || fields.length % 2 === 1) throw wrongArity('xadd')
  if (entry?.chosen && entry.id === 0n) throw new CommandError('ERR The ID specified in XADD must be greater than 0-0')
  const [, key = ''] = args
  const stream = keys.findStream(key) ?? (opensStream ? keys.createStream(key) : null)
  if (stream === null) return null
  const id = nextIdOf(stream, entry, keys.now)
  stream.append(id, fields)
  if (trim !== null) stream.trim(trim)
  return textOfStreamId(id)
}

function nextIdOf({ newest }: Stream, wanted: EntryId | null, now: number): StreamId {
  if (newest === streamIdMax) {
    throw new CommandError('ERR The stream has exhausted the last possible ID, unable to add more items')
  }
  const early = streamIdOf(BigInt(now), 0n)
  if (wanted === null) return early > newest ? early : newest + 1n
  const sameMs = newest >> 64n === wanted.id >> 64n
  const id = !wanted.chosen && sameMs ? newest + 1n : wanted.id
  // The next sequence of a full millisecond would lie in another one.
  if (id <= newest || (!wanted.chosen && id >> 64n !== wanted.id >> 64n)) {
    throw new CommandError('ERR The ID specified in XADD is equal or smaller than the target stream top item')
  }
  return id
}

const xtrim: Run = (args, keys) => {
  const { trim } = parseTrimOptions(args, { adding: false })
  return keys.findStream(args[1] ?? '')?.trim(trim as Trim) ?? 0
}

const xdel: Run = ([, key = '', ...texts], keys) => {
  const stream = keys.findStream(key)
  if (stream === null) return 0
  const ids = texts.map((text) => asStreamId(text))
  return ids.filter((id) => stream.remove(id)).length
}

/** XRANGE, or XREVRANGE, whose ends come in the other order. */
function rangeOf(direction: 'onwards' | 'back'): Run {
  return ([, key = '', first = '', second = '', ...options], keys) => {
    const back = direction === 'back'
    const from = asRangeEnd(back ? second : first, 'start')
    const to = asRangeEnd(back ? first : second, 'end')
    const count = countOf(options)
    const stream = keys.findStream(key)
    if (stream === null) return []
    if (count === 0) return null
    return (back ? stream.rangeBack(from, to, count) : stream.range(from, to, count)).map(replyOf)
  }
}

function countOf(options: readonly string[]): number {
  let count = Number.POSITIVE_INFINITY
  for (let i = 0; i < options.length; i += 2) {
    const text = options[i + 1]
    if (optionOf(options[i] as string) !== 'COUNT' || text === undefined) throw syntaxError()
    const given = asInt64(text)
    // A negative COUNT is one of none, not of all.
    count = given < 0n ? 0 : Number(given)
  }
  return count
}

function replyOf({ id, fields }: StreamEntry): Reply {
  return [textOfStreamId(id), fields]
}

const xread: Run = (args, keys) => {
  const { count, names, texts } = readOptionsOf(args)
  const wanted = names.map((name, i): [string, Stream | null, StreamId] => {
    const stream = keys.findStream(name)
    const text = texts[i] ?? ''
    if (text === '$') return [name, stream, stream?.newest ?? 0n]
    if (text === '>') {
      throw new CommandError(
        'ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.',
      )
    }
    return [name, stream, asStreamId(text)]
  })
  const found = wanted.flatMap(([name, stream, after]) => {
    const entries = after === streamIdMax ? [] : (stream?.range(after + 1n, streamIdMax, count) ?? [])
    return entries.length === 0 ? [] : [[name, entries.map(replyOf)]]
  })
  return found.length === 0 ? null : found
}

type ReadOptions = { readonly count: number; readonly names: readonly string[]; readonly texts: readonly string[] }

function readOptionsOf(args: readonly string[]): ReadOptions {
  let count = Number.POSITIVE_INFINITY
  for (let i = 1; i < args.length; i += 1) {
    const option = optionOf(args[i] as string)
    const text = args[i + 1]
    if (option === 'STREAMS' && text !== undefined) return { count, ...streamsOf(args.slice(i + 1)) }
    if (option === 'COUNT' && text !== undefined) {
      const given = asInt64(text)
      count = given <= 0n ? Number.POSITIVE_INFINITY : Number(given)
      i += 1
    } else if (option === 'NOACK' || (option === 'GROUP' && args[i + 2] !== undefined)) {
      throw new CommandError(`ERR The ${option} option is only supported by XREADGROUP. You called XREAD instead.`)
    } else if (option === 'BLOCK' && text !== undefined) {
      // Over REST nobody can wait: Upstash has no blocking commands either.
      throw new CommandError("ERR Command is not available: 'XREAD' with BLOCK")
    } else {
      throw syntaxError()
    }
  }
  throw syntaxError()
}

function streamsOf(list: readonly string[]): Omit<ReadOptions, 'count'> {
  if (list.length % 2 === 1) {
    throw new CommandError("ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.")
  }
  return { names: list.slice(0, list.length / 2), texts: list.slice(list.length / 2) }
}

/** Commands on streams. @see https://redis.io/docs/latest/commands/?group=stream */
export const streamCommands: Commands = {
  xadd: { arity: -5, grows: true, run: xadd },
  xlen: { arity: 2, run: ([, key = ''], keys) => keys.findStream(key)?.length ?? 0 },
  xrange: { arity: -4, run: rangeOf('onwards') },
  xrevrange: { arity: -4, run: rangeOf('back') },
  xtrim: { arity: -4, run: xtrim },
  xdel: { arity: -3, run: xdel },
  xread: { arity: -4, run: xread },
}
