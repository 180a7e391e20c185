import { Redis } from '@upstash/redis/cloudflare'
import { isObject } from '../../src/core/json_object.ts'
import {
  errorPushMs,
  finishedSecondsMax,
  hotBatchesMax,
  hotBatchesReadMax,
  hotSecondsKept,
  liveSecondsShown,
  redisMsMax,
  snapshotBatchesMax,
} from '../../src/core/limit.ts'
import type { HotBatch } from '../../src/core/live_snapshot.ts'
import type { HotEntry, HotView, LiveState } from '../../src/core/live_state.ts'
import type { Window } from '../../src/core/window.ts'
import { isStreamId, parseHotBatch, parseLiveState, parseWindow } from '../../src/wire/parse_hot.ts'
import { type HotStore, type MemoryMeter, StoreError, type TurnRequest } from './port.ts'

export type RedisAccess = {
  /** UPSTASH_REDIS_REST_URL; a path is kept. */
  readonly url: string
  readonly token: string
  /** How long an answer is waited for, in ms; default redisMsMax. */
  readonly msMax?: number
}

/** Every key, each of which expires. */
const keys = {
  batches: 'telltale:batches',
  seconds: 'telltale:seconds',
  state: 'telltale:state',
  turn: 'telltale:push',
  errorTurn: 'telltale:push:error',
  wait: 'telltale:push:wait',
} as const

/** How much longer than its wait a waiter is believed in: it may have been stopped with its isolate. */
const waitSlackMs = 250

type Pipeline = ReturnType<Redis['pipeline']>
type Answer = { readonly result: unknown; readonly error: string | null }

/** Upstash Redis over its REST interface. Each method is one request. */
export class UpstashHotStore implements HotStore, MemoryMeter {
  readonly instance: string
  readonly #redis: Redis

  constructor({ url, token, msMax = redisMsMax }: RedisAccess) {
    this.instance = new URL(url).host
    this.#redis = new Redis({
      url,
      token,
      // `retry: false` still tries twice, and an XADD that is tried twice is counted twice.
      retry: { retries: 0 },
      // As a function, or an attempt that timed out would answer the reason as if it were Redis's result.
      signal: () => AbortSignal.timeout(msMax),
      // Fetch refuses more than 64 KiB with keepalive, and connections are kept without.
      keepAlive: false,
      // Replies stay text, which is parsed here: ids, numbers and JSON alike would be parsed by guess.
      automaticDeserialization: false,
      responseEncoding: false,
      enableAutoPipelining: false,
      enableTelemetry: false,
    })
  }

  async add(
    batch: HotBatch,
    request: TurnRequest | null,
  ): Promise<{ readonly id: string; readonly turn: 'regular' | 'urgent' | null }> {
    const commands = this.#redis
      .pipeline()
      .xadd(keys.batches, '*', { b: JSON.stringify(batch) }, trimmedTo(hotBatchesMax))
      .expire(keys.batches, hotSecondsKept)
    if (request !== null) commands.set(keys.turn, '1', { nx: true, px: request.everyMs })
    if (request?.urgent) commands.set(keys.errorTurn, '1', { nx: true, px: errorPushMs })
    const [id, , regular, urgent] = await resultsOf('add batch', commands)
    if (!isStreamId(id)) throw misread('add batch')
    return { id, turn: regular === 'OK' ? 'regular' : urgent === 'OK' ? 'urgent' : null }
  }

  async joinWait(everyMs: number): Promise<{ readonly isFirst: boolean; readonly waitMs: number }> {
    const commands = this.#redis
      .pipeline()
      .set(keys.wait, '1', { nx: true, px: everyMs + waitSlackMs })
      .pttl(keys.turn)
    const [joined, left] = await resultsOf('join wait', commands)
    // Negative where the turn has ended meanwhile.
    return { isFirst: joined === 'OK', waitMs: Math.min(Math.max(Number(left) || 0, 0), everyMs) }
  }

  async takeTurn(everyMs: number): Promise<boolean> {
    const commands = this.#redis.pipeline().del(keys.wait).set(keys.turn, '1', { nx: true, px: everyMs })
    return (await resultsOf('take turn', commands))[1] === 'OK'
  }

  async readState(everyMs: number | null): Promise<LiveState | null> {
    const commands = this.#redis.pipeline()
    if (everyMs !== null) commands.set(keys.turn, '1', { px: everyMs })
    const results = await resultsOf('read state', commands.get(keys.state))
    return stateOf(results.at(-1))
  }

  async readEntries(after: string): Promise<{ readonly entries: readonly HotEntry[]; readonly more: boolean }> {
    const commands = this.#redis.pipeline().xrange(keys.batches, idAfter(after), '+', hotBatchesReadMax)
    const [found] = await resultsOf('read entries', commands)
    const entries = entriesOf(found, 'b', parseHotBatch)
    const more = Array.isArray(found) && found.length >= hotBatchesReadMax && entries.length > 0
    return { entries: entries.map(([id, batch]) => ({ id, batch })), more }
  }

  async writeState(state: LiveState, finished: readonly Window[]): Promise<void> {
    const commands = this.#redis.pipeline()
    for (const window of finished) {
      const fields = { w: JSON.stringify(window) }
      commands.xadd(keys.seconds, `${window.second}-0`, fields, trimmedTo(finishedSecondsMax))
    }
    if (finished.length > 0) commands.expire(keys.seconds, hotSecondsKept)
    commands.set(keys.state, JSON.stringify(state), { ex: hotSecondsKept })
    // Redis refuses a second that is there already, or older than the last: another pusher wrote it, and the same.
    await resultsOf('write state', commands, (index) => index < finished.length)
  }

  async readHot(): Promise<HotView> {
    const commands = this.#redis
      .pipeline()
      .get(keys.state)
      .xrevrange(keys.seconds, '+', '-', liveSecondsShown)
      .xrevrange(keys.batches, '+', '-', snapshotBatchesMax)
    const [state, seconds, entries] = await resultsOf('read hot tier', commands)
    return {
      state: stateOf(state),
      seconds: entriesOf(seconds, 'w', parseWindow).map(([, window]) => window),
      entries: entriesOf(entries, 'b', parseHotBatch).map(([id, batch]) => ({ id, batch })),
    }
  }

  async readUsage(): Promise<{ readonly memoryBytes: number | null; readonly keyCount: number }> {
    const failed = () => {
      throw new StoreError('unavailable', 'Cannot read usage: Redis is not reached, or refuses the request')
    }
    const [info, keys] = await Promise.all([this.#redis.exec<unknown>(['INFO', 'memory']), this.#redis.dbsize()]).catch(
      failed,
    )
    const keyCount = Number(keys)
    if (!Number.isSafeInteger(keyCount) || keyCount < 0) throw misread('read usage')
    // Upstash tells what the data takes, Redis what its process does.
    const bytes = /^(?:total_data_size|used_memory):(\d+)/m.exec(typeof info === 'string' ? info : '')?.[1]
    return { memoryBytes: bytes === undefined ? null : Number(bytes), keyCount }
  }
}

function trimmedTo(threshold: number) {
  return { trim: { type: 'MAXLEN', threshold, comparison: '~' } } as const
}

/** Results in the order of the commands. A refusal fails the whole, but for commands that may be refused. */
async function resultsOf(what: string, commands: Pipeline, mayFail = (_index: number) => false): Promise<unknown[]> {
  let answers: unknown
  try {
    answers = await commands.exec({ keepErrors: true })
  } catch {
    // The client's own message quotes the commands, which hold what was sent.
    throw new StoreError('unavailable', `Cannot ${what}: Redis is not reached, or refuses the request`)
  }
  if (!Array.isArray(answers) || answers.length !== commands.length()) throw misread(what)
  return answers.map((answer: unknown, index) => {
    if (!isAnswer(answer)) throw misread(what)
    if (answer.error && !mayFail(index)) {
      const code = /^[A-Z]{2,20}\b/.exec(answer.error)?.[0] ?? 'an error'
      throw new StoreError('unavailable', `Cannot ${what}: Redis answers ${code}`, { code })
    }
    return answer.result
  })
}

function isAnswer(value: unknown): value is Answer {
  return isObject(value) && (value.error == null || typeof value.error === 'string')
}

function misread(what: string): StoreError {
  return new StoreError('unavailable', `Cannot ${what}: the answer of Redis is not understood`)
}

function stateOf(text: unknown): LiveState | null {
  return typeof text === 'string' ? parseLiveState(text) : null
}

/** Stream entries as Redis lists them, `[[id, [field, value, ...]], ...]`; those that cannot be read are left out. */
function entriesOf<T>(found: unknown, field: string, parse: (text: string) => T | null): [string, T][] {
  if (!Array.isArray(found)) return []
  return found.flatMap((entry: unknown): [string, T][] => {
    if (!Array.isArray(entry) || !isStreamId(entry[0]) || !Array.isArray(entry[1])) return []
    const text: unknown = entry[1][entry[1].indexOf(field) + 1]
    const value = typeof text === 'string' ? parse(text) : null
    return value === null ? [] : [[entry[0], value]]
  })
}

/** The least id that is greater: not every Redis knows ranges that leave their start out. */
function idAfter(id: string): string {
  const [ms, n] = id.split('-')
  return `${ms}-${Number(n) + 1}`
}
