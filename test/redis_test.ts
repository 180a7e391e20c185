import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { anyCommand, anyKey, anyPattern, type RedisCommand } from './redis_command_fixture.ts'
import { openEmbeddedRedis, openRealRedis, type RedisRest } from './redis_rest_fixture.ts'
import { noRedisReason } from './redis_server_fixture.ts'

type Answer = { readonly command: RedisCommand; readonly answer: unknown }

async function answersOf({ raw }: RedisRest, commands: readonly RedisCommand[]): Promise<readonly Answer[]> {
  const answers: Answer[] = []
  for (const command of commands) {
    const [name = '', ...args] = command
    const answer = await raw.exec([name, ...args]).catch((error: Error) => ({ error: error.message }))
    answers.push({ command, answer })
  }
  return answers
}

/** Times that are left, when they are near to those of the other side, as those of the other side. */
function asTimedAs(others: readonly Answer[]): (own: Answer, i: number) => Answer {
  return ({ command, answer }, i) => {
    const other = others[i]?.answer
    const tolerance = { TTL: 2, PTTL: 2_000 }[command[0] ?? ''] ?? 0
    const near = typeof answer === 'number' && typeof other === 'number' && answer >= 0 && other >= 0
    return { command, answer: near && Math.abs(answer - other) <= tolerance ? other : answer }
  }
}

/** Ids that the server chose, in whatever order they come, as the number of the entry that they name. */
function withoutClock(answers: readonly Answer[]): readonly Answer[] {
  const chosen = new Map<string, string>()
  return answers.map(({ command, answer }) => {
    const isChosen = command[0] === 'XADD' && command.includes('*') && typeof answer === 'string'
    if (isChosen) chosen.set(answer, `entry ${chosen.size}`)
    const named = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(named)
      return typeof value === 'string' ? (chosen.get(value) ?? value) : value
    }
    return { command, answer: named(answer) }
  })
}

const reason = noRedisReason()

describe.skipIf(reason !== null)(
  `the embedded Redis beside redis-server${reason === null ? '' : `: ${reason}`}`,
  () => {
    let ours: RedisRest
    let theirs: RedisRest

    beforeAll(async () => {
      ours = await openEmbeddedRedis()
      theirs = await openRealRedis()
    })
    afterAll(async () => {
      await ours?.close()
      await theirs?.close()
    })

    async function expectSame(commands: readonly RedisCommand[]): Promise<void> {
      const [own, other] = await Promise.all([ours, theirs].map((rest) => answersOf(rest, [['FLUSHALL'], ...commands])))
      expect(withoutClock(own ?? []).map(asTimedAs(other ?? []))).toEqual(withoutClock(other ?? []))
    }

    async function expectSameFromEmpty(commands: readonly RedisCommand[]): Promise<void> {
      await expectSame([['FLUSHALL'], ...commands])
    }

    test('call() answers any sequence of commands as Redis does', { timeout: 120_000 }, () =>
      fc.assert(fc.asyncProperty(fc.array(anyCommand, { minLength: 1, maxLength: 40 }), expectSameFromEmpty), {
        numRuns: 100,
      }),
    )

    test('xadd() with * names, orders and cuts entries as Redis does', { timeout: 60_000 }, () =>
      fc.assert(fc.asyncProperty(fc.array(clockCommand, { minLength: 5, maxLength: 40 }), expectSameFromEmpty), {
        numRuns: 30,
      }),
    )

    test('xadd() and xtrim() with ~ spare what does not fill a node, as Redis does', { timeout: 60_000 }, () =>
      fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 450 }),
          fc.array(nodeCommand, { maxLength: 12 }),
          async (n, commands) => {
            for (const { raw } of [ours, theirs]) {
              const filling = raw.pipeline().flushall()
              for (let i = 0; i < n; i += 1) filling.xadd('s', '0-*', { f: 'v' })
              await filling.exec()
            }
            await expectSame([...commands, ['XLEN', 's'], ['XRANGE', 's', '-', '+', 'COUNT', '1']])
          },
        ),
        { numRuns: 10 },
      ),
    )

    test('a node that was emptied takes no more entries, as in Redis', async () => {
      const add = (n: number) => Array.from({ length: n }, () => ['XADD', 's', '0-*', 'f', 'v'])
      const emptied = ['XDEL', 's', ...Array.from({ length: 20 }, (_, i) => `0-${i + 101}`)]
      const trims = ['10', '70', '100'].flatMap((n) => [
        ['XTRIM', 's', 'MAXLEN', '~', n],
        ['XLEN', 's'],
      ])
      await expectSameFromEmpty([...add(120), emptied, ...add(100), ...trims])
    })

    test('keys() compares the ends of a range as signed bytes, as Redis does', () =>
      expectSameFromEmpty(
        ['b', '\u007f', 'é'].flatMap((key) => [
          ['FLUSHALL'],
          ['SET', key, ''],
          ...['[a-é]*', '[é-a]*', '[^a-é]*', '?[ -é]'].map((pattern) => ['KEYS', pattern]),
        ]),
      ))

    test('keys() and scan() match patterns as Redis does', { timeout: 60_000 }, () =>
      fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(anyKey, { maxLength: 8 }),
          fc.array(anyPattern, { maxLength: 8 }),
          async (keys, patterns) => {
            await ours.raw.flushall()
            await theirs.raw.flushall()
            for (const key of keys) for (const rest of [ours, theirs]) await rest.raw.set(key, 'x')
            for (const pattern of patterns) {
              const [own, other] = await Promise.all([ours, theirs].map((rest) => rest.raw.keys(pattern)))
              expect(own?.sort(), pattern).toEqual(other?.sort())
              expect(await scanned(ours, pattern), pattern).toEqual(await scanned(theirs, pattern))
            }
          },
        ),
        { numRuns: 60 },
      ),
    )

    test('scan() refuses what Redis refuses', () =>
      expectSame(
        [
          ['x'],
          [''],
          ['-0'],
          [' 0'],
          ['18446744073709551616'],
          ['18446744073709551615'],
          ['0', 'COUNT', '0'],
          ['0', 'COUNT', 'x'],
          ['0', 'MATCH'],
          ['0', 'type', 'STREAM'],
          ['0', 'BY', 'x'],
        ].map((rest) => ['SCAN', ...rest]),
      ))

    test('a key is gone the moment it ends, as in Redis', async () => {
      const ends: readonly RedisCommand[] = [
        ['SET', 'a', '1', 'PX', '30'],
        ['SET', 'b', '1', 'PXAT', '5'],
        ['XADD', 'c', '1-1', 'f', 'v'],
        ['PEXPIRE', 'c', '30'],
        ['SET', 'd', '1', 'PX', '30'],
        ['SET', 'd', '2', 'KEEPTTL'],
        ['SET', 'e', '1', 'PX', '30'],
        ['SET', 'e', '2'],
      ]
      await expectSameFromEmpty(ends)
      const keys = ['a', 'b', 'c', 'd', 'e']
      await new Promise((resolve) => setTimeout(resolve, 60))
      for (const rest of [ours, theirs]) {
        expect(await rest.raw.exec(['EXISTS', ...keys])).toBe(1)
        expect(await rest.raw.exec(['MGET', ...keys])).toEqual([null, null, null, null, '2'])
        expect(await rest.raw.exec(['XADD', 'c', '1-1', 'f', 'v'])).toBe('1-1')
        expect(await rest.raw.exec(['PTTL', 'c'])).toBe(-1)
      }
    })

    test('info() and time() say what Redis says, in its form', async () => {
      for (const rest of [ours, theirs]) {
        const info = String(await rest.raw.exec(['INFO', 'server', 'Memory']))
        expect(info).toMatch(/^# Server\r\nredis_version:7\.0\.\d+\r\n/)
        expect(info).toMatch(/\r\n\r\n# Memory\r\nused_memory:\d+\r\n/)
        expect(await rest.raw.exec(['INFO', 'nothing'])).toBe('')
        const [seconds, micros] = (await rest.raw.exec(['TIME'])) as unknown as [string, string]
        expect(Math.abs(Number(seconds) * 1_000 + Number(micros) / 1_000 - Date.now())).toBeLessThan(2_000)
      }
    })
  },
)

async function scanned({ raw }: RedisRest, pattern: string): Promise<readonly string[]> {
  const found = new Set<string>()
  let cursor = '0'
  do {
    const [next, keys] = await raw.scan(cursor, { match: pattern, count: 3 })
    for (const key of keys) found.add(key)
    cursor = next
  } while (cursor !== '0')
  return [...found].sort()
}

const cut = fc.constantFrom<string[]>([], [], ['MAXLEN', '3'], ['MAXLEN', '=', '0'], ['NOMKSTREAM'])
const clockCommand = fc.oneof(
  { weight: 4, arbitrary: cut.map((options) => ['XADD', 's', ...options, '*', 'f', 'v']) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ['XRANGE', 's', '-', '+'],
      ['XREVRANGE', 's', '+', '-', 'COUNT', '2'],
      ['XREAD', 'COUNT', '2', 'STREAMS', 's', '0'],
      ['XREAD', 'STREAMS', 's', '$'],
      ['XLEN', 's'],
      ['XADD', 's', '5-5', 'f', 'v'],
      ['XTRIM', 's', 'MINID', '6-0'],
    ),
  },
)

const count = fc.nat(500).map(String)
const nodeCommand = fc.oneof(
  count.map((n) => ['XTRIM', 's', 'MAXLEN', '~', n]),
  count.map((n) => ['XTRIM', 's', 'MINID', '~', `0-${n}`]),
  count.map((n) => ['XTRIM', 's', 'MAXLEN', n]),
  fc.tuple(count, count).map(([n, limit]) => ['XTRIM', 's', 'MAXLEN', '~', n, 'LIMIT', limit]),
  count.map((n) => ['XADD', 's', 'MAXLEN', '~', n, '0-*', 'f', 'v']),
  fc.array(count, { minLength: 1, maxLength: 30 }).map((ids) => ['XDEL', 's', ...ids.map((n) => `0-${n}`)]),
)
