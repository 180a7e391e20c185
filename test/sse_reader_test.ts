import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type SseEvent, SseReader } from '../src/wire/sse_reader.ts'

function eventsOf(chunks: readonly Uint8Array[], bytesMax?: number): SseEvent[] {
  const events: SseEvent[] = []
  const reader = new SseReader((event) => events.push(event), bytesMax)
  for (const chunk of chunks) reader.push(chunk)
  return events
}

function readAll(text: string, bytesMax?: number): SseEvent[] {
  return eventsOf([Buffer.from(text)], bytesMax)
}

test('SseReader reads what the specification says, and nothing that is not ended by a blank line', () => {
  const data = (text: string) => ({ type: 'message', data: text, bytes: Buffer.byteLength(text), resumable: false })
  const cases: [string, SseEvent[]][] = [
    ['data: a\n\n', [data('a')]],
    ['\ufeffdata:a\r\rdata: b\r\n\r\n', [data('a'), data('b')]],
    ['data:  two\ndata\ndata: é\n\n', [data(' two\n\né')]],
    [': keep alive\n\n:\n\n', []],
    ['event: endpoint\ndata: /m\n\n', [{ ...data('/m'), type: 'endpoint' }]],
    ['id: 7\ndata: \n\ndata: x\n\n', [{ ...data(''), resumable: true }, data('x')]],
    ['id: 7\nretry: 5\n\n', [{ ...data(''), resumable: true }]],
    ['event: lone\n\ndata: x\n\ndata: unfinished\n', [data('x')]],
    ['nonsense\ndata: x\n\n', [data('x')]],
  ]
  for (const [text, events] of cases) expect(readAll(text), JSON.stringify(text)).toEqual(events)
})

test('SseReader gives the same events however the bytes are cut', () => {
  const piece = fc.constantFrom(
    'data: ',
    'data: é\u{1f600}',
    'event: e',
    'id: 1',
    '\n',
    '\r\n',
    '\r',
    '\n\n',
    ': c',
    'x',
    ' ',
  )
  fc.assert(
    fc.property(fc.array(piece), fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }), (pieces, sizes) => {
      const bytes = Buffer.from(pieces.join(''))
      const chunks: Buffer[] = []
      for (let at = 0, n = 0; at < bytes.length; n++) {
        const size = sizes[n % sizes.length] as number
        chunks.push(bytes.subarray(at, at + size))
        at += size
      }
      expect(eventsOf(chunks)).toEqual(eventsOf([bytes]))
    }),
    { numRuns: 1_000 },
  )
})

test('SseReader counts what is too long to keep and reads on', () => {
  const long = 'y'.repeat(50)
  for (const text of [
    `data: ${long}\n\ndata: z\n\n`,
    `data: ${long.slice(25)}\ndata: ${long.slice(25)}\n\ndata: z\n\n`,
  ]) {
    const [first, second] = readAll(text, 40)
    expect([first?.data, (first?.bytes ?? 0) > 40, second?.data]).toEqual([null, true, 'z'])
  }
})
