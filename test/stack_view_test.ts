import fc from 'fast-check'
import { expect, test } from 'vitest'
import { stackBytesMax } from '../src/core/limit.ts'
import { frameCountsOf, stackLinesOf } from '../web/view/stack_view.ts'
import { cpuMsOf } from './cost_fixture.ts'

function kindsOf(lines: readonly string[]): string[] {
  return stackLinesOf(lines.join('\n')).map(({ kind }) => kind)
}

test('stackLinesOf() tells own code from libraries, and both from the exceptions that Node prints', () => {
  const text = [
    ['error', 'ProviderError: no answer'],
    ['text', 'from kimi: at least one of a/b'],
    ['own', '    at call (/app/src/provider.ts:1:1)'],
    ['library', '    at next (/app/node_modules/hono/dist/hono.js:5:6)'],
    ['library', '    at async Promise.all (index 0)'],
    ['library', '    at run (node:internal/timers:581:17) {'],
    ['text', '  code: 7,'],
    ['cause', '  [cause]: TypeError [ERR_X]: fetch failed'],
    ['own', '      at fetch (/app/src/net.ts:1:1)'],
    ['text', '}'],
  ] as const
  expect(kindsOf(text.map(([, line]) => line))).toEqual(text.map(([kind]) => kind))
})

test('stackLinesOf() reads Python: the code below a frame belongs to it, the exception comes last', () => {
  const text = [
    ['text', 'Traceback (most recent call last):'],
    ['own', '  File "/app/net.py", line 3, in fetch'],
    ['own_code', '    return client.send('],
    ['own_code', '           ^^^^^^^^^^^^'],
    ['library', '  File "/usr/lib/python3.11/asyncio/tasks.py", line 4, in wait'],
    ['library_code', '    raise TimeoutError'],
    ['error', 'TimeoutError'],
    ['text', ''],
    ['cause', 'The above exception was the direct cause of the following exception:'],
    ['text', ''],
    ['text', 'Traceback (most recent call last):'],
    ['own', '  File "/app/provider.py", line 5, in call'],
    ['error', 'exai.ProviderError: no answer: kimi'],
    ['text', 'detail: the second line of a message is no exception'],
  ] as const
  expect(kindsOf(text.map(([, line]) => line))).toEqual(text.map(([kind]) => kind))
})

test('stackLinesOf() reads the members of an exception group', () => {
  const text = [
    ['text', '  + Exception Group Traceback (most recent call last):'],
    ['own', '  |   File "/app/main.py", line 1, in main'],
    ['error', '  | ExceptionGroup: two failed (2 sub-exceptions)'],
    ['cause', '  +-+---------------- 1 ----------------'],
    ['text', '    | Traceback (most recent call last):'],
    ['own', '    |   File "/app/a.py", line 1, in a'],
    ['own_code', '    |     a()'],
    ['error', '    | ValueError: a'],
    ['cause', '    +---------------- 2 ----------------'],
  ] as const
  expect(kindsOf(text.map(([, line]) => line))).toEqual(text.map(([kind]) => kind))
})

test('stackLinesOf() reads what Firefox and Safari print', () => {
  expect(kindsOf(['read@http://host/src/file.js:12:34', 'see me@host.example'])).toEqual(['own', 'text'])
})

test('stackLinesOf() keeps every line as it came, whatever it is', () => {
  const line = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('    at ', 'File "', '  | ', '<script>alert(1)</script>', '\u202eevil', '[cause]:'),
  )
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const text = lines.join('\n').replaceAll('\r', '')
      const shown = stackLinesOf(text).map((each) => each.text)
      expect(shown.join('\n').trimEnd()).toBe(text.trimEnd())
    }),
  )
})

test('stackLinesOf() takes time in proportion to the text', () => {
  const hostile = [' | '.repeat(30_000), '@'.repeat(90_000), '+-'.repeat(45_000), '    at a (b\n'.repeat(9_000)]
  for (const text of hostile) {
    expect(cpuMsOf(() => void stackLinesOf(text))).toBeLessThan(500)
    expect(stackLinesOf(text).reduce((sum, line) => sum + line.text.length, 0)).toBeLessThanOrEqual(stackBytesMax)
  }
})

test('frameCountsOf() counts frames and not the code quoted below them', () => {
  const text =
    '  File "/app/net.py", line 3, in fetch\n    return client.send(\n  File "/usr/lib/python3.11/a.py", line 4, in b'
  expect(frameCountsOf(stackLinesOf(text))).toEqual({ own: 1, all: 2 })
})
