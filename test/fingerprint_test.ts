import fc from 'fast-check'
import { expect, test } from 'vitest'
import { culpritOf, type Failure, fingerprintOf } from '../src/core/fingerprint.ts'
import { stackBytesMax } from '../src/core/limit.ts'
import { messageCodesOf, messagePatternOf } from '../src/core/message_pattern.ts'
import { cpuMsOf } from './cost_fixture.ts'

function failureWith(fields: Partial<Failure>): Failure {
  return { error_type: 'Error', message: 'boom', traceback: null, ...fields }
}

type Place = { readonly root: string; readonly slash: '/' | '\\'; readonly packages: string; readonly line: number }

const linux: Place = { root: '/app/', slash: '/', packages: '/app/node_modules/', line: 10 }
const places: { readonly [name: string]: Place } = {
  'Docker on Linux': linux,
  'other line numbers': { ...linux, line: 977 },
  Windows: { root: 'C:\\Users\\me\\Projects\\exai\\', slash: '\\', packages: 'C:\\x\\node_modules\\', line: 11 },
  'another drive': { root: 'D:\\exai (x86)\\', slash: '\\', packages: 'D:\\node_modules\\', line: 12 },
  'a home': { root: '/home/me/work/exai/', slash: '/', packages: '/usr/lib/node_modules/', line: 13 },
  'a home whose projects lie in src': {
    root: '/home/me/src/exai/',
    slash: '/',
    packages: '/x/node_modules/',
    line: 13,
  },
  'a Mac': { root: '/Users/me/exai/', slash: '/', packages: '/Users/me/exai/node_modules/', line: 14 },
  'the usual image': { root: '/usr/src/app/', slash: '/', packages: '/usr/src/app/node_modules/', line: 15 },
  'file URLs': { root: 'file:///C:/exai/', slash: '/', packages: 'file:///C:/exai/node_modules/', line: 16 },
}

/** The same failure as Node prints it at another place. */
function nodeFailureAt({ root, slash, packages, line }: Place, files = ['server.ts', 'src/store/file.ts']): Failure {
  const [outer = '', inner = ''] = files.map((file) => root + file.replaceAll('/', slash))
  const traceback = [
    `StoreError: Cannot read row ${line}`,
    `    at readFile (${inner}:${line}:5)`,
    `    at async Object.load (${inner}?v=${line}:${line + 3}:5)`,
    `    at async next (${packages}hono${slash}dist${slash}hono.js:${line}:9)`,
    `    at async ${outer}:${line}:1`,
    `    at process.processTicksAndRejections (node:internal/process/task_queues:${line}:5) {`,
    '  [cause]: TypeError: fetch failed',
    `      at send (${inner}:${line + 40}:11)`,
    '}',
  ].join('\n')
  return { error_type: 'StoreError', message: `Cannot read row ${line}`, traceback }
}

/** The same failure as Python prints it at another place. */
function pythonFailureAt({ root, slash, line }: Place): Failure {
  const file = (path: string): string => root.replace('file:///', '') + path.replaceAll('/', slash)
  const traceback = [
    'Traceback (most recent call last):',
    `  File "${file('src/net.py')}", line ${line}, in fetch`,
    '    return client.send()',
    ...(line > 12 ? ['           ^^^^^^^^^^^^^'] : []),
    'TimeoutError: read',
    '',
    'The above exception was the direct cause of the following exception:',
    '',
    'Traceback (most recent call last):',
    `  File "${file('server.py')}", line ${line}, in main`,
    `  File "${file('src/net.py')}", line ${line + 1}, in call`,
    `exai.ProviderError: call ${line} failed`,
  ].join(slash === '\\' ? '\r\n' : '\n')
  return { error_type: 'exai.ProviderError', message: `call ${line} failed`, traceback }
}

const reference = fingerprintOf(nodeFailureAt(linux))

test.each(Object.entries(places))('fingerprintOf() is the same on %s', (_, place) => {
  expect(fingerprintOf(nodeFailureAt(place))).toBe(reference)
  expect(fingerprintOf(pythonFailureAt(place))).toBe(fingerprintOf(pythonFailureAt(linux)))
  const one = ['src/store/file.ts', 'src/store/file.ts']
  expect(fingerprintOf(nodeFailureAt(place, one))).toBe(fingerprintOf(nodeFailureAt(linux, one)))
  const plain = ['server.ts', 'server.ts']
  expect(fingerprintOf(nodeFailureAt(place, plain))).toBe(fingerprintOf(nodeFailureAt(linux, plain)))
})

test('fingerprintOf() is v1 and 32 hex digits, and does not change between versions of this code', () => {
  expect(reference).toMatch(/^v1:[0-9a-f]{32}$/)
  expect(reference).toBe('v1:dfbac13ed430b4eb2690c8e8a41e51e9')
  expect(fingerprintOf(failureWith({ message: 'Cannot open 7' }))).toBe('v1:a81bdcb1d07ab69df9ebff92edcda696')
})

test.each<[string, (failure: Failure) => Failure]>([
  ['type', (failure) => ({ ...failure, error_type: 'RangeError' })],
  ['function', (failure) => ({ ...failure, traceback: `${failure.traceback}`.replace('readFile', 'writeFile') })],
  ['file', (failure) => ({ ...failure, traceback: `${failure.traceback}`.replace('file.ts', 'table.ts') })],
  ['directory', (failure) => ({ ...failure, traceback: `${failure.traceback}`.replace('src/store', 'src/route') })],
  [
    'type of cause',
    (failure) => ({ ...failure, traceback: `${failure.traceback}`.replace('TypeError', 'RangeError') }),
  ],
  ['cause at all', (failure) => ({ ...failure, traceback: `${failure.traceback}`.split('  [cause]')[0] as string })],
])('fingerprintOf() is another with another %s', (_, changed) => {
  expect(fingerprintOf(changed(nodeFailureAt(linux)))).not.toBe(reference)
})

test('fingerprintOf() does not see packages, the depth of a recursion, or hashes of a build', () => {
  const frames = (...lines: string[]): string =>
    fingerprintOf(failureWith({ traceback: ['Error: x', ...lines.map((line) => `    at ${line}`)].join('\n') }))
  const base = frames('f (/app/src/a.js:1:1)', 'g (/app/src/b.js:1:1)')
  expect(frames('x (/app/node_modules/x/y.js:1:1)', 'f (/app/src/a.js:2:2)', 'g (/app/src/b.js:1:1)')).toBe(base)
  expect(frames('f (/app/src/a.js:1:1)', 'f (/app/src/a.js:1:1)', 'g (/app/src/b.js:1:1)')).toBe(base)
  expect(frames('f$1 (/app/src/a.js:1:1)', 'new g (/app/src/b.js:1:1)')).toBe(base)
  expect(frames('f (/app/dist/a-3f2a9c1b.js:1:1)')).toBe(frames('f (/app/dist/a-99ff9c1b.js:1:1)'))
})

test('fingerprintOf() does not count how many members of a group failed alike', () => {
  const member = (n: number): string => `    +---------------- ${n} ----------------\n    | ValueError: ${n}\n`
  const group = (members: string): string => {
    const begin = '  + Exception Group Traceback (most recent call last):\n  |   File "/app/main.py", line 1, in main\n'
    const traceback = `${begin}  | ExceptionGroup: several\n  +-+---------------- 1 ----------------\n    | ValueError: 1\n${members}`
    return fingerprintOf(failureWith({ error_type: 'ExceptionGroup', traceback }))
  }
  expect(group(member(2) + member(3))).toBe(group(''))
  expect(group(member(2).replace('ValueError', 'KeyError'))).not.toBe(group(''))
})

test('fingerprintOf() without an in-app frame goes by type and message pattern', () => {
  const of = (message: string, error_type = 'Error'): string => fingerprintOf(failureWith({ message, error_type }))
  expect(of('Cannot open C:\\Users\\me\\a.txt: row 17')).toBe(of('Cannot open /home/you/c.txt: row 9'))
  expect(of('Cannot open the file')).not.toBe(of('Cannot close the file'))
  expect(of('same', 'A')).not.toBe(of('same', 'B'))
  const native = failureWith({ message: 'row 3', traceback: 'Error: row 3\n    at run (node:internal/timers:1:1)' })
  expect(fingerprintOf(native)).toBe(of('row 4'))
})

test.each<[string, string]>([
  ['Timeout after 30000 ms (attempt 2/3)', 'Timeout after <n> (attempt <n>/<n>)'],
  ['No row 6f1c1c5e-0b1a-4f0e-9a55-0f3de1b1a001 in 0xDEADBEEF', 'No row <n> in <n>'],
  ['request req_8fK2x9LmQ1 refused', 'request <n> refused'],
  [`Unknown key "a b" in 'c d', can't go on, don't ask`, `Unknown key <text> in <text>, can't go on, don't ask`],
  ['GET https://api.z.ai/v4/chat?key=1 answered 500', 'GET <url> answered <n>'],
  ['open /var/lib/x.db and C:\\Program Files\\x.db', 'open <path> and <path>'],
  ['read and/or write\n  failed', 'read and/or write failed'],
  ['took 1m32s, 350ms or -1.5 s of 12 KiB', 'took <n>, <n> or <n> of <n>'],
  ['since 2026-11-30T01:02:03.5+00:00 or 2026-11-30 01:02', 'since <n> or <n>'],
  ['peer [2001:db8::1]:443, ::1 or 10.0.0.7:6379 left', 'peer <n>, <n> or <n> left'],
  ['no a.b@mail.example.org at db.example.org:5432', 'no <n> at <n>'],
  ['model glm-4.6 of job_17 or kimi-k2-0711-preview', 'model <n> of <n> or <n>'],
  ['core::result in 12345678-aaaa-4bbb-8ccc-0123456789ab/a.md', 'core::result in <path>'],
  ['', ''],
])('messagePatternOf(%j)', (message, pattern) => {
  expect(messagePatternOf(message)).toBe(pattern)
})

test.each<[string, readonly string[]]>([
  ['connect ECONNREFUSED 10.0.0.1:6379', ['ECONNREFUSED']],
  ['ERR_INVALID_URL or CERTIFICATE_VERIFY_FAILED', ['CERTIFICATE_VERIFY_FAILED', 'ERR_INVALID_URL']],
  ['[Errno 13] Permission denied', ['13']],
  ['SQLSTATE[23505]: duplicate', ['23505']],
  ['Request failed with status code 404', ['404']],
  ['upstream answered 502', ['5xx']],
  ['HTTP 503: busy', ['5xx']],
  ['took 404 ms, row 500', []],
  ['{"error":{"code":"1302","message":"x"},"request_id":"20261130"}', ['1302']],
  [`Error code: 429 - {'error': {'type': 'rate_limit', 'param': None}}`, ['429', 'rate_limit']],
  ['[type=missing, input_value=7]', ['missing']],
  ['{"type":"object","code":123456789}', []],
  ['GET the JSON of a URL', []],
  ['a=1 code=a code=b code=c code=d code=e', ['a', 'b', 'c', 'd']],
])('messageCodesOf(%j)', (message, codes) => {
  expect(messageCodesOf(message)).toEqual(codes)
})

const traced = (lines: readonly string[], error_type = 'Error', message = 'x'): string =>
  fingerprintOf({ error_type, message, traceback: [`${error_type}: ${message}`, ...lines].join('\n') })

test('fingerprintOf() does not see who called, but who called an assertion', () => {
  const of = (...names: string[]) =>
    traced(names.map((name, i) => `    at ${name} (/app/src/${i === 0 ? 'a' : name}.js:1:1)`))
  expect(of('read', 'main', 'trace')).toBe(of('read', 'resume'))
  expect(of('requireText', 'chat', 'main')).toBe(of('requireText', 'chat', 'resume'))
  expect(of('requireText', 'chat')).not.toBe(of('requireText', 'search'))
  expect(of('required', 'chat')).toBe(of('required', 'search'))
})

test('fingerprintOf() tells two statements of a function apart where Python prints them, but not by their line', () => {
  const of = (line: number, source: string) =>
    traced([
      'Traceback (most recent call last):',
      `  File "/app/src/a.py", line ${line}, in send`,
      `    ${source}`,
      '    ^^^^',
      'E: x',
    ])
  expect(of(3, 'raise E("closed")')).toBe(of(9, 'raise E("closed")'))
  expect(of(3, 'raise E("closed")')).not.toBe(of(3, 'raise E("full")'))
})

test('fingerprintOf() of a stack that overflowed is that of the frames that repeat, whichever was the last', () => {
  const of = (...names: string[]) =>
    traced(
      names.map((name) => `    at ${name} (/app/src/a.js:1:1)`),
      'RangeError',
      'Maximum call stack size exceeded',
    )
  expect(of('a', 'b', 'a', 'b', 'a')).toBe(of('leaf', 'b', 'a', 'b', 'a', 'main'))
  expect(of('a', 'b', 'a', 'b')).not.toBe(of('a', 'c', 'a', 'c'))
})

test('fingerprintOf() of a bundle without names goes by its message', () => {
  const of = (name: string, column: number, message: string) =>
    traced([`    at ${name} (https://host/assets/index-3f2a9c1b.js:1:${column})`], 'Error', message)
  expect(of('a', 20_000, 'Cannot draw 7')).toBe(of('Zt', 31_313, 'Cannot draw 8'))
  expect(of('a', 20_000, 'Cannot draw')).not.toBe(of('a', 20_000, 'Cannot read'))
})

test('fingerprintOf() tells the codes of one statement apart', () => {
  const of = (message: string) => traced(['    at connect (/app/src/pool.ts:1:1)'], 'Error', message)
  expect(of('connect ECONNREFUSED 10.0.0.1:1')).toBe(of('connect ECONNREFUSED 10.0.0.2:2'))
  expect(of('connect ECONNREFUSED 10.0.0.1:1')).not.toBe(of('connect ETIMEDOUT 10.0.0.1:1'))
})

test('culpritOf() is the innermost in-app frame, below the project', () => {
  for (const place of Object.values(places)) {
    expect(culpritOf(nodeFailureAt(place))).toBe('readFile (src/store/file.ts)')
    expect(culpritOf(pythonFailureAt(place))).toBe('call (src/net.py)')
  }
  const traceback = 'Error: x\n    at file:///app/src/main.ts:1:1'
  expect(culpritOf(failureWith({ traceback }))).toBe('src/main.ts')
})

test('culpritOf() is null without an in-app frame', () => {
  expect(culpritOf(failureWith({}))).toBeNull()
  expect(culpritOf(failureWith({ traceback: 'Error: x\n    at run (node:net:1:1)' }))).toBeNull()
})

test('fingerprintOf() and culpritOf() answer anything, the same each time', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('at f (/a/b.js:1:2)', '  File "x/y.py", line 1, in f'),
  )
  fc.assert(
    fc.property(text, fc.array(text), (message, lines) => {
      const failure = failureWith({ message, traceback: lines.join('\n') })
      expect(fingerprintOf(failure)).toBe(fingerprintOf({ ...failure }))
      expect([null, 'string']).toContain(culpritOf(failure) === null ? null : 'string')
    }),
    { numRuns: 300 },
  )
})

const long = stackBytesMax
test.each<[string, Partial<Failure>]>([
  ['a message of one letter', { message: 'a'.repeat(long) }],
  ['a message of quotes', { message: `'"`.repeat(long / 2) }],
  ['a message of slashes', { message: '/'.repeat(long) }],
  ['a message of dots', { message: 'a.'.repeat(long / 2) }],
  ['a message of colons', { message: '1:'.repeat(long / 2) }],
  ['a message of digits', { message: '1'.repeat(long) }],
  ['a message of quantities', { message: '1m'.repeat(long / 2) }],
  ['a message of names', { message: 'A_'.repeat(long / 2) }],
  ['a message of hex', { message: 'a1-'.repeat(long / 3) }],
  [
    'ten thousand different frames',
    { traceback: Array.from({ length: 10_000 }, (_, n) => `    at f${n} (/a/${n}/x.js:1:1)`).join('\n') },
  ],
  ['a path of slashes', { traceback: `    at f (${'/.'.repeat(1_000)}x.js:1:1)\n`.repeat(32) }],
  ['a path of hex', { traceback: `    at f (/${'a1'.repeat(900)}:1:1)\n`.repeat(35) }],
  ['a path of backslashes', { traceback: `    at f (${'\\'.repeat(2_000)}:1:1)\n`.repeat(32) }],
  ['a scheme without end', { traceback: `    at f (${'a+'.repeat(1_000)}:1:1)\n`.repeat(32) }],
])('fingerprintOf() answers %s in bounded time', (_, fields) => {
  expect(cpuMsOf(() => fingerprintOf(failureWith(fields)))).toBeLessThan(500)
})
