import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { heldLineBytesMax, heldLineMsMax } from '../src/core/limit.ts'
import { lineGate } from '../src/tap/line_gate.ts'

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

/** A gate, what it was shown and what it let pass. */
function gateOf(read: (text: string | null) => string | null = () => null) {
  const lines: (string | null)[] = []
  const passed: Buffer[] = []
  const gate = lineGate((line) => {
    lines.push(line.text)
    return read(line.text)
  })
  const write = (bytes: Uint8Array) => void passed.push(Buffer.from(bytes))
  return {
    lines,
    push: (bytes: string | Uint8Array) => gate.push(Buffer.from(bytes), write),
    end: () => gate.end(write),
    passed: () => Buffer.concat(passed),
    writes: passed,
  }
}

test('lineGate() passes the same bytes in the same order, however they are cut, and shows every line', () => {
  const piece = fc.constantFrom('{"a":1}', '\n', '\n', '\r\n', 'plain', '[', '\u{1f600}', ' ', '{"b":"ü"}\n')
  const bytes = fc.oneof(
    piece.map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 6 }).map((part) => Buffer.from(part)),
  )
  fc.assert(
    fc.property(
      fc.array(bytes),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      fc.nat(9),
      (parts, sizes, late) => {
        const all = Buffer.concat(parts)
        const gate = gateOf()
        for (let at = 0, n = 0; at < all.length; n++) {
          const size = sizes[n % sizes.length] as number
          gate.push(all.subarray(at, at + size))
          if (n % 10 === late) vi.advanceTimersByTime(heldLineMsMax)
          at += size
        }
        gate.end()
        expect(gate.passed().equals(all)).toBe(true)
        const lines = all.toString().split('\n')
        if (lines.at(-1) === '') lines.pop()
        expect(gate.lines.join('\n')).toBe(lines.join('\n'))
      },
    ),
    { numRuns: 500 },
  )
})

test('lineGate() lets each whole line pass as it was answered, the lines of one chunk in one write', () => {
  const gate = gateOf((text) => (text?.includes('"change"') ? text.replace('change', 'changed') : null))
  gate.push('{"change":1}\r\n{"keep":2}\n{"cha')
  expect(gate.passed().toString()).toBe('{"changed":1}\r\n{"keep":2}\n')
  expect(gate.writes).toHaveLength(1)
  gate.push('nge":3}\n')
  expect(gate.passed().toString()).toBe('{"changed":1}\r\n{"keep":2}\n{"changed":3}\n')
})

test('lineGate() makes nothing wait that may be no line: other text, a long start, a late end', () => {
  const change = (text: string | null) => `${text}!`
  const text = gateOf(change)
  text.push('prompt> ')
  expect(text.passed().toString()).toBe('prompt> ')
  const long = gateOf(change)
  long.push(`{"x":"${'y'.repeat(heldLineBytesMax)}`)
  expect(long.passed().length).toBe(heldLineBytesMax + 6)
  long.push('"}\n{"z":1}\n')
  expect(long.passed().toString().slice(-12)).toBe('"}\n{"z":1}!\n')
  const late = gateOf(change)
  late.push('{"a":')
  vi.advanceTimersByTime(heldLineMsMax - 1)
  expect(late.passed().toString()).toBe('')
  vi.advanceTimersByTime(1)
  expect(late.passed().toString()).toBe('{"a":')
  late.push('1}\n{"b":2}\n')
  expect(late.passed().toString()).toBe('{"a":1}\n{"b":2}!\n')
})

test('lineGate() holds nothing back from a framing that is not by lines', () => {
  const gate = gateOf()
  const body = '{"jsonrpc":"2.0","id":1,"method":"initialize"}'
  gate.push(`Content-Length: ${body.length}\r\n\r\n${body}`)
  expect(gate.passed().toString()).toContain(body)
})

test('lineGate() never puts a text in the place of bytes that are none', () => {
  const gate = gateOf((text) => text)
  const bytes = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d, 0x0a])
  gate.push(bytes)
  expect(gate.passed().equals(bytes)).toBe(true)
})
