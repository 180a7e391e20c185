import fc from 'fast-check'
import { expect, test } from 'vitest'
import { stackBytesMax, stackCausesMax } from '../src/core/limit.ts'
import { parseStack } from '../src/core/stack_frame.ts'
import type { StackFrame } from '../src/core/stack_part.ts'
import { cpuMsOf } from './cost_fixture.ts'

function frameOf(line: string): StackFrame | undefined {
  return parseStack(`Error: x\n${line}`)[0]?.frames[0]
}

test.each<[string, string | null, string | null, number | null, boolean]>([
  ['    at readFile (/app/src/store/file.ts:12:34)', '/app/src/store/file.ts', 'readFile', 12, true],
  ['    at async Store.read (/app/src/store/file.ts:12:34)', '/app/src/store/file.ts', 'Store.read', 12, true],
  ['    at new Store (/app/src/store/file.ts:12:34) {', '/app/src/store/file.ts', 'Store', 12, true],
  ['    at Object.<anonymous> (C:\\me\\x y (z)\\file.js:1:2)', 'C:\\me\\x y (z)\\file.js', null, 1, true],
  ['    at C:\\Program Files (x86)\\app\\file.js:1:2', 'C:\\Program Files (x86)\\app\\file.js', null, 1, true],
  ['    at async file:///C:/app/file.mjs?v=9:7:1', 'file:///C:/app/file.mjs', null, 7, true],
  ['    at Store.read [as load] (/c#/file.js:1:2)', '/c#/file.js', 'Store.read', 1, true],
  ['    at eval (eval at run (/app/x.js:3:5), <anonymous>:1:1)', '/app/x.js', 'eval', 3, true],
  ['    at async Promise.all (index 0)', null, 'Promise.all', null, false],
  ['    at Array.map (<anonymous>)', null, 'Array.map', null, false],
  ['    at new Promise (<anonymous>)', null, 'Promise', null, false],
  ['    at wasm://wasm/0a1b:wasm-function[3]:0x12', null, null, null, false],
  ['    at least one of a/b at 10:30', null, null, null, false],
  ['    at run (node:internal/timers:581:17)', 'node:internal/timers', 'run', 581, false],
  ['    at emit (events.js:400:28)', 'events.js', 'emit', 400, false],
  ['    at next (/app/node_modules/hono/dist/hono.js:5:6)', '/app/node_modules/hono/dist/hono.js', 'next', 5, false],
  ['    at fn (C:\\app\\node_modules\\x\\y.js:5:6)', 'C:\\app\\node_modules\\x\\y.js', 'fn', 5, false],
  ['    at __webpack_require__ (webpack/bootstrap:19:1)', 'webpack/bootstrap', '__webpack_require__', 19, false],
  ['    at go (webpack:///./src/go.ts:19:1)', 'webpack:///./src/go.ts', 'go', 19, true],
  ['    at run (ext:core/01_core.js:19:1)', 'ext:core/01_core.js', 'run', 19, false],
  ['  File "/app/src/daemon/ws_server.py", line 88, in _call', '/app/src/daemon/ws_server.py', '_call', 88, true],
  ['  File "C:\\x\\server.py", line 8, in <module>', 'C:\\x\\server.py', '<module>', 8, true],
  ['  File "<string>", line 1', '<string>', null, 1, true],
  ['  File "<frozen importlib._bootstrap>", line 1, in _load', '<frozen importlib._bootstrap>', '_load', 1, false],
  [
    '  File "/usr/lib/python3.11/asyncio/tasks.py", line 4, in wait',
    '/usr/lib/python3.11/asyncio/tasks.py',
    'wait',
    4,
    false,
  ],
  [
    '  File "C:\\Python311\\Lib\\json\\decoder.py", line 4, in f',
    'C:\\Python311\\Lib\\json\\decoder.py',
    'f',
    4,
    false,
  ],
  ['  File "/v/site-packages/httpx/_c.py", line 4, in <lambda>', '/v/site-packages/httpx/_c.py', null, 4, false],
  ['  File "/v/dist-packages/x.py", line 4, in f', '/v/dist-packages/x.py', 'f', 4, false],
  ['readFile@http://host/src/file.js:12:34', 'http://host/src/file.js', 'readFile', 12, true],
  ['async*read/<@http://host/file.js?v=1:12:34', 'http://host/file.js', 'read', 12, true],
  ['@http://host/@scope/file.js:12:34', 'http://host/@scope/file.js', null, 12, true],
  ['module code@http://host/file.js:12:34', 'http://host/file.js', null, 12, true],
])('parseStack() reads %s', (line, file, name, number, inApp) => {
  expect(frameOf(line)).toEqual({ file, function: name, line: number, in_app: inApp })
})

/** File, function, line and whether it is own, innermost first. */
const framesOf = (text: string) =>
  parseStack(text).map(({ frames }) => frames.map((frame) => [frame.file, frame.function, frame.line, frame.in_app]))

test('parseStack() reads a panic of Go, without other goroutines and what started it', () => {
  const text = [
    'panic: runtime error: index out of range [5] with length 3',
    '',
    'goroutine 34 [running]:',
    'panic({0x6b2d60?, 0xc0000b4018?})',
    '\t/usr/local/go/src/runtime/panic.go:914 +0x21f',
    'github.com/exai/proxy/wire.Parse({0xc000012345, 0x3})',
    '\tC:/exai/wire/parse.go:19 +0x1d',
    'main.(*Proxy).ServeHTTP(0xc0001, {0x7f, 0xc2}, ...)',
    '\t/home/me/go/pkg/mod/github.com/exai/x@v1.2.3/main.go:88 +0x1d',
    'created by net/http.(*Server).Serve in goroutine 1',
    '\t/usr/local/go/src/net/http/server.go:3086 +0x5cb',
    '',
    'goroutine 1 [chan receive]:',
    'main.main()',
    '\t/app/main.go:9 +0x1d',
  ].join('\n')
  expect(framesOf(text)).toEqual([
    [
      ['/usr/local/go/src/runtime/panic.go', 'panic', 914, false],
      ['C:/exai/wire/parse.go', 'github.com/exai/proxy/wire.Parse', 19, true],
      ['/home/me/go/pkg/mod/github.com/exai/x@v1.2.3/main.go', 'main.(*Proxy).ServeHTTP', 88, false],
    ],
  ])
})

test('parseStack() reads an exception of Java and its cause', () => {
  const text = [
    'org.exai.ProviderException: kimi failed',
    '\tat org.exai.queue.Queue.lambda$offer$3(Queue.java:71)',
    '\tat java.base/java.util.Optional.ifPresent(Optional.java:178)',
    '\tat java.base@21.0.1/jdk.internal.misc.Unsafe.park(Native Method)',
    '\tat app//org.exai.tool.Tool$$SpringCGLIB$$0.call(<generated>)',
    '\tat org.springframework.web.Filter.doFilter(Filter.java:31)',
    'Caused by: java.net.ConnectException: refused',
    '\tat org.exai.Http.send(Http.kt:21)',
    '\t... 23 more',
  ].join('\n')
  expect(framesOf(text)).toEqual([
    [
      ['org/exai/queue/Queue.java', 'Queue.offer', 71, true],
      ['java/util/Optional.java', 'Optional.ifPresent', 178, false],
      [null, 'Unsafe.park', null, false],
      [null, 'Tool.call', null, false],
      ['org/springframework/web/Filter.java', 'Filter.doFilter', 31, false],
    ],
    [['org/exai/Http.kt', 'Http.send', 21, true]],
  ])
  expect(parseStack(text)[1]?.error_type).toBe('java.net.ConnectException')
})

test('parseStack() reads a backtrace of Rust', () => {
  const text = [
    "thread 'main' panicked at src/vocab.rs:12:14:",
    'stack backtrace:',
    '   0: rust_begin_unwind',
    '             at /rustc/07dca489ac2d933c78d3c5158e3f43beefeb02ce/library/std/src/panicking.rs:645:5',
    '   1: tokenizer::vocab::load::{{closure}}::h0123456789abcdef',
    '             at ./src/vocab.rs:12:14',
    '   2: tokio::run',
    '             at /home/me/.cargo/registry/src/index.crates.io-6f17d22bba15001f/tokio-1.38.0/src/run.rs:9:5',
  ].join('\n')
  expect(framesOf(text)[0]).toEqual([
    ['/rustc/07dca489ac2d933c78d3c5158e3f43beefeb02ce/library/std/src/panicking.rs', 'rust_begin_unwind', 645, false],
    ['./src/vocab.rs', 'tokenizer::vocab::load', 12, true],
    [expect.stringContaining('.cargo'), 'tokio::run', 9, false],
  ])
})

test('parseStack() keeps the line of source below a Python frame, and knows a bundle', () => {
  const [part] = parseStack('Traceback (most recent call last):\n  File "/a.py", line 1, in f\n    g(\n    ^^\nE: x')
  expect([part?.error_type, part?.frames[0]?.source]).toEqual(['E', 'g('])
  expect(parseStack('Traceback (most recent call last):\n  File "/a.py", line 1, in f\nE: x')[0]?.error_type).toBe('E')
  expect(frameOf('    at t.n (https://host/index.js:1:20413)')?.minified).toBe(true)
})

test('parseStack() does not take an address in a message for a frame', () => {
  expect(parseStack('Error: cannot reach postgres://me:pw@db.local:5432')[0]?.frames).toEqual([])
})

/** Types, and functions innermost first. */
function shapeOf(text: string): [string | null, ...(string | null)[]][] {
  return parseStack(text).map(({ error_type, frames }) => [error_type, ...frames.map((frame) => frame.function)])
}

test('parseStack() reads the causes that Node prints, outermost error first', () => {
  const text = [
    'ProviderError: no answer',
    'from kimi',
    '    at call (/app/src/provider.ts:1:1)',
    '    at main (/app/src/main.ts:1:1) {',
    '  code: 7,',
    '  [cause]: TypeError [ERR_X]: fetch failed',
    '      at fetch (/app/src/net.ts:1:1) {',
    '    [cause]: Error: ECONNREFUSED',
    '        at connect (/app/src/net.ts:9:1)',
    '  }',
    '}',
  ].join('\r\n')
  expect(shapeOf(text)).toEqual([
    ['ProviderError', 'call', 'main'],
    ['TypeError [ERR_X]', 'fetch'],
    ['Error', 'connect'],
  ])
})

test('parseStack() reads `Caused by:`', () => {
  const text = 'Error: a\n    at f (/x/a.js:1:1)\nCaused by: RangeError: b\n    at g (/x/b.js:1:1)'
  expect(shapeOf(text)).toEqual([
    ['Error', 'f'],
    ['RangeError', 'g'],
  ])
})

test('parseStack() turns Python round: the error that was raised, innermost call first, then its causes', () => {
  const text = [
    'Traceback (most recent call last):',
    '  File "/app/net.py", line 3, in fetch',
    '    return client.send(',
    '           ^^^^^^^^^^^^',
    '  File "/app/net.py", line 9, in send',
    '    raise TimeoutError',
    'TimeoutError',
    '',
    'The above exception was the direct cause of the following exception:',
    '',
    'Traceback (most recent call last):',
    '  File "/app/provider.py", line 5, in call',
    '    fetch()',
    'exai.ProviderError: no answer: kimi',
    '',
    'During handling of the above exception, another exception occurred:',
    '',
    'Traceback (most recent call last):',
    '  File "/app/main.py", line 1, in main',
    '    call()',
    '  File "/app/main.py", line 7, in report',
    '    log()',
    '  [Previous line repeated 993 more times]',
    'KeyError: "x"',
  ].join('\n')
  expect(shapeOf(text)).toEqual([
    ['KeyError', 'report', 'main'],
    ['exai.ProviderError', 'call'],
    ['TimeoutError', 'send', 'fetch'],
  ])
})

test('parseStack() reads an exception group: the group, then its members', () => {
  const text = [
    '  + Exception Group Traceback (most recent call last):',
    '  |   File "/app/main.py", line 1, in main',
    '  |     raise group',
    '  | ExceptionGroup: several (2 sub-exceptions)',
    '  +-+---------------- 1 ----------------',
    '    | Traceback (most recent call last):',
    '    |   File "/app/a.py", line 2, in a',
    '    |     raise ValueError(1)',
    '    | ValueError: 1',
    '    +---------------- 2 ----------------',
    '    | TimeoutError: 2',
    '    | ',
    '    | The above exception was the direct cause of the following exception:',
    '    | ',
    '    | Traceback (most recent call last):',
    '    |   File "/app/b.py", line 2, in b',
    '    | TypeError: 2',
    '    +------------------------------------',
  ].join('\n')
  expect(shapeOf(text)).toEqual([['ExceptionGroup', 'main'], ['ValueError', 'a'], ['TypeError', 'b'], ['TimeoutError']])
})

test('parseStack() never throws, and keeps at most so many exceptions', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'at ',
      '(',
      ')',
      ':1:2',
      '\n',
      'File "',
      '", line 1, in ',
      '[cause]: ',
      ' | ',
      '+---- 1 ----',
      '@',
      'Error: ',
    ),
    fc.constantFrom(
      'Traceback (most recent call last):\n',
      'During handling of the above exception\n',
      '/',
      '\\',
      '<',
      'eval at ',
    ),
    fc.string({ maxLength: 4 }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const parts = parseStack(pieces.join(''))
      expect(parts.length).toBeLessThanOrEqual(stackCausesMax)
    }),
    { numRuns: 500 },
  )
})

const hostile = {
  'one line of 64 KiB': 'a'.repeat(stackBytesMax),
  'one line that opens and opens': `at ${' ('.repeat(stackBytesMax / 2)}`,
  'ten thousand frames': '    at f (/app/x.js:1:1)\n'.repeat(10_000),
  'ten thousand Python frames': `Traceback (most recent call last):\n${'  File "/a/x.py", line 1, in f\n'.repeat(10_000)}E: x`,
  'a stack without an end': 'x'.repeat(4 * stackBytesMax),
  'only digits and colons': `at ${':1'.repeat(stackBytesMax / 2)}`,
  'only aliases': `at f${' [as x'.repeat(9_000)}`,
  'only margins': ' | | |'.repeat(10_000),
  'only spaces': ' '.repeat(stackBytesMax),
  'only minus signs': `+-+${'-'.repeat(stackBytesMax)}`,
  'only slashes before an at': `${'/'.repeat(2_000)}x@a.js:1:1\n`.repeat(30),
  'only pythons': `  File "${'/python'.repeat(9_000)}", line 1, in f`,
  'only newlines': '\n'.repeat(stackBytesMax),
  'only causes': '[cause]: E: x\n'.repeat(5_000),
  'only letters of a name': 'é.'.repeat(stackBytesMax / 2),
}

test.each(Object.entries(hostile))('parseStack() answers %s in bounded time', (_, text) => {
  expect(cpuMsOf(() => parseStack(text))).toBeLessThan(400)
})

test('parseStack() keeps both ends of a stack that is too long', () => {
  const text = `Error: x\n    at first (/a.js:1:1)\n${'    at f (/x.js:1:1)\n'.repeat(9_000)}    at last (/b.js:1:1)`
  const frames = parseStack(text)[0]?.frames ?? []
  expect([frames[0]?.function, frames.at(-1)?.function]).toEqual(['first', 'last'])
})
