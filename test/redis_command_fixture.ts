import fc from 'fast-check'

// Sequences of commands: few keys, so that they meet each other's values, and arguments of which some are wrong.

export type RedisCommand = readonly string[]

const key = fc.constantFrom('a', 'b', 'c', 'é')
const value = fc.constantFrom(
  '',
  '0',
  '-7',
  '10',
  '9223372036854775807',
  'text',
  'ü€😀',
  '007',
  ' 1',
  '+1',
  '-0',
  '1.5',
)
const integer = fc.constantFrom(
  '0',
  '1',
  '2',
  '5',
  '-1',
  '-3',
  '100',
  '9223372036854775807',
  '9223372036854775808',
  'x',
)
const smallCount = fc.constantFrom('0', '1', '2', '3', '-1', '-2', 'x', '')

/** Ids close to each other, at the ends, and badly written. */
const id = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.nat(9), fc.nat(3)).map(([ms, sequence]) => `${ms}-${sequence}`) },
  { weight: 2, arbitrary: fc.nat(9).map(String) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '0-0',
      '-',
      '+',
      '',
      '1-',
      '-1',
      '1-1-1',
      '01-02',
      ' 3-1',
      '+3-+1',
      '1--1',
      '1--01',
      'abc',
      '5-18446744073709551615',
      '18446744073709551615-0',
      '18446744073709551616-1',
      `${'0'.repeat(128)}1-1`,
    ),
  },
)
const newId = fc.oneof(
  { weight: 5, arbitrary: id },
  { weight: 3, arbitrary: fc.nat(9).map((ms) => `${ms}-*`) },
  { weight: 1, arbitrary: fc.constantFrom('*-1', '1-**', 'x-*') },
)
const end = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('-', '+') },
  { weight: 4, arbitrary: id },
  { weight: 2, arbitrary: id.map((text) => `(${text}`) },
  { weight: 1, arbitrary: fc.constantFrom('(', '(-', '((1', '(18446744073709551615-18446744073709551615') },
)

function anyCase(text: string): fc.Arbitrary<string> {
  return fc.constantFrom(text, text.toLowerCase(), text[0] + text.slice(1).toLowerCase())
}

/** Seconds so far apart that no two expiries of one sequence meet, whatever time passes between two servers. */
const farSeconds = fc.integer({ min: 1, max: 5_000 }).map((n) => n * 1_000)
const anySeconds = fc.oneof(
  { weight: 5, arbitrary: farSeconds.map(String) },
  { weight: 1, arbitrary: fc.constantFrom('0', '-1', 'x', '', '9223372036854775807', '9223372036854775', '-9e3') },
)
const anyMs = fc.oneof(
  { weight: 5, arbitrary: farSeconds.map((n) => `${n * 1_000}`) },
  { weight: 1, arbitrary: fc.constantFrom('0', '-1', 'x', '9223372036854775807', '-9223372036854775808') },
)
const anyInstant = fc.oneof(
  { weight: 5, arbitrary: farSeconds.map((n) => 4_102_444_800 + n) },
  { weight: 1, arbitrary: fc.constantFrom(0, -5) },
)

const setOption = fc.oneof(
  ...['NX', 'XX', 'GET', 'KEEPTTL'].map((name) => anyCase(name).map((text) => [text])),
  fc.tuple(anyCase('EX'), anySeconds),
  fc.tuple(anyCase('PX'), anyMs),
  fc.tuple(
    anyCase('EXAT'),
    anyInstant.map((s) => `${s}`),
  ),
  fc.tuple(
    anyCase('PXAT'),
    anyInstant.map((s) => `${s * 1_000}`),
  ),
  fc.constantFrom(['EX'], ['NXX'], ['PERSIST']),
)
const set = fc
  .tuple(key, value, fc.array(setOption, { maxLength: 3 }))
  .map(([name, text, options]) => ['SET', name, text, ...options.flat()])

const expire = fc
  .tuple(
    fc.oneof(fc.tuple(anyCase('EXPIRE'), key, anySeconds), fc.tuple(anyCase('PEXPIRE'), key, anyMs)),
    fc.array(fc.constantFrom('NX', 'xx', 'GT', 'LT', 'no'), { maxLength: 2 }),
  )
  .map(([start, options]) => [...start, ...options])

const bound = fc.oneof(
  fc.tuple(fc.constantFrom(['MAXLEN'], ['maxlen', '='], ['MAXLEN', '~']), integer),
  fc.tuple(fc.constantFrom(['MINID'], ['minid', '='], ['MINID', '~']), id),
)
const trimOptions = fc
  .tuple(
    fc.array(bound, { maxLength: 2 }),
    fc.oneof(
      { weight: 4, arbitrary: fc.constant([]) },
      smallCount.map((n) => ['LIMIT', n]),
    ),
  )
  .map(([bounds, limit]) => [...bounds.flatMap(([start, text]) => [...start, text]), ...limit])

const fields = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 2 }).map((pairs) => pairs.flat()),
  },
  { weight: 1, arbitrary: fc.constantFrom([], ['odd']) },
)
const xadd = fc
  .tuple(key, fc.constantFrom([], [], ['NOMKSTREAM']), fc.oneof(fc.constant([]), trimOptions), newId, fields)
  .map(([name, nomk, trim, given, pairs]) => ['XADD', name, ...nomk, ...trim, given, ...pairs])

const countOption = fc.oneof(
  { weight: 3, arbitrary: fc.constant<string[]>([]) },
  { weight: 2, arbitrary: fc.tuple(anyCase('COUNT'), smallCount) },
  { weight: 1, arbitrary: fc.constantFrom(['COUNT'], ['BOUNT', '1']) },
)
const range = fc
  .tuple(fc.constantFrom('XRANGE', 'XREVRANGE', 'xrange'), key, end, end, countOption)
  .map(([name, ...rest]) => [name, ...rest.flat()])
const xread = fc
  .tuple(countOption, fc.array(fc.tuple(key, fc.oneof(id, fc.constantFrom('$', '>'))), { minLength: 1, maxLength: 3 }))
  .map(([count, streams]) => [
    'XREAD',
    ...count,
    'STREAMS',
    ...streams.map(([name]) => name),
    ...streams.map(([, after]) => after),
  ])

const onKeys = fc
  .tuple(fc.constantFrom('DEL', 'UNLINK', 'EXISTS', 'MGET', 'mget'), fc.array(key, { maxLength: 3 }))
  .map(([name, names]) => [name, ...names])
const onKey = fc
  .tuple(fc.constantFrom('GET', 'GETDEL', 'TYPE', 'TTL', 'PTTL', 'PERSIST', 'INCR', 'DECR', 'XLEN', 'Get'), key)
  .map(([name, one]) => [name, one])
const whole = fc.oneof(
  fc.constantFrom(['PING'], ['PING', 'x'], ['PING', 'x', 'y'], ['ECHO', 'ü'], ['ECHO'], ['DBSIZE'], ['DBSIZE', 'x']),
  fc.constantFrom(['FLUSHALL'], ['FLUSHDB', 'async'], ['FLUSHDB', 'x'], ['FLUSHALL', 'SYNC', 'x'], ['TIME', 'x']),
  fc.constantFrom(['XREAD', 'STREAMS', 'a'], ['XREAD', 'COUNT', '1', 'a', '0'], ['XREAD', 'GROUP', 'g', 'c', 'x']),
  fc.constantFrom(['XREAD', 'NOACK', 'STREAMS', 'a', '0'], ['XREAD', 'STREAMS', 'a', 'b', '0'], ['KEYS'], ['SCAN']),
)

/** Bytes of all kinds, as text: what no command has as its name. */
const unknown = fc
  .array(fc.oneof(fc.string({ maxLength: 150, unit: 'binary' }), fc.constantFrom('a\r\nb', 'x\0y', 'é'.repeat(70))), {
    minLength: 1,
    maxLength: 4,
  })
  .map(([name, ...rest]) => [`no${name}`, ...rest])

/** One command of any kind that the embedded Redis knows, right or wrong, and sometimes one that it does not. */
export const anyCommand: fc.Arbitrary<RedisCommand> = fc.oneof(
  { weight: 4, arbitrary: set },
  { weight: 3, arbitrary: expire },
  { weight: 8, arbitrary: xadd },
  { weight: 4, arbitrary: range },
  { weight: 3, arbitrary: fc.tuple(key, trimOptions).map(([name, trim]) => ['XTRIM', name, ...trim]) },
  { weight: 2, arbitrary: fc.tuple(key, fc.array(id, { maxLength: 3 })).map(([name, ids]) => ['XDEL', name, ...ids]) },
  { weight: 3, arbitrary: xread },
  { weight: 4, arbitrary: onKeys },
  { weight: 6, arbitrary: onKey },
  { weight: 1, arbitrary: fc.tuple(key, integer).map(([name, by]) => ['INCRBY', name, by]) },
  { weight: 2, arbitrary: whole },
  { weight: 1, arbitrary: unknown },
)

/** Patterns of KEYS over keys of few letters: all that may stand in one, closed or not. */
export const anyPattern = fc
  .array(fc.constantFrom('a', 'b', 'é', '*', '?', '[', ']', '^', '-', '\\', '**', '[a-b]', '[^a]', '[b-a]', '\\*'), {
    maxLength: 6,
  })
  .map((parts) => parts.join(''))

export const anyKey = fc
  .array(fc.constantFrom('a', 'b', 'c', 'é', '*', '-', ']', '\\'), { maxLength: 5 })
  .map((parts) => parts.join(''))
