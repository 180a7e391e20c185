import { expect, test } from 'vitest'
import { ImportReader } from '../src/cli/import_reader.ts'
import { openCallsMax } from '../src/core/limit.ts'
import type { Span } from '../src/core/record.ts'

const nowS = Math.floor(Date.now() / 1_000) - 3_600
const open = () => new ImportReader({ scope: 's', salt: 'salt', nowUs: Date.now() * 1_000, shiftUs: 0 })
const spansOf = (reader: ImportReader, lines: readonly unknown[]) =>
  lines
    .flatMap((line, i) => reader.read(typeof line === 'string' ? line : JSON.stringify(line), i + 1))
    .map(({ record }) => record as Span)
const timesOf = (span: Span) => [(span.start_us - nowS * 1e6) / 1e6, ((span.end_us ?? 0) - nowS * 1e6) / 1e6]
const start = (at: number, request_id?: string) => ({
  event: 'tool_start',
  timestamp: nowS + at,
  tool: 'chat',
  request_id,
})
const end = (at: number, duration_secs: number, request_id?: string) => ({
  event: 'tool_complete',
  timestamp: nowS + at,
  tool: 'chat',
  duration_secs,
  request_id,
})

test('ImportReader pairs an end without an id with the start that lies as far back as the call is said to have taken', () => {
  const reader = open()
  // The first never ended: what follows is not shifted by one for ever.
  const lines = [start(0), start(100), start(101), end(102, 1), end(103, 3), end(200, 2), start(300), end(301, 1)]
  expect(spansOf(reader, lines).map(timesOf)).toEqual([
    [101, 102],
    [100, 103],
    [198, 200],
    [300, 301],
  ])
  expect(reader.openCount).toBe(1)
})

test('ImportReader pairs an end with the last start of its id: the one before was given up', () => {
  const reader = open()
  const error = { event: 'tool_error', timestamp: nowS + 61, tool: 'chat', request_id: 'r', error: 'no' }
  expect(timesOf(spansOf(reader, [start(0, 'r'), start(60, 'r'), error])[0] as Span)).toEqual([60, 61])

  const say = (second: number, from: string, frame: unknown) =>
    `${new Date((nowS + second) * 1_000).toISOString()} [files] [info] Message from ${from}: ${JSON.stringify(frame)}`
  const ask = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'read', arguments: {} } }
  const answer = { jsonrpc: '2.0', id: 1, result: { content: [] } }
  const lines = [say(0, 'client', ask), say(900, 'client', ask), say(901, 'server', answer)]
  expect(spansOf(open(), lines).map(timesOf)).toEqual([[900, 901]])
})

test('ImportReader tells a call that was called off, or ran out of time, from one that failed', () => {
  const whole = (error: string) => ({ tool_name: 'chat', start_ts: nowS, end_ts: nowS + 5, ok: false, error })
  const told = (error: string) =>
    spansOf(open(), [whole(error)]).map((record) => (record.type === 'span' ? record.outcome : record.type))
  expect(told('cancelled')).toEqual(['cancelled'])
  expect(told('CancelledError()')).toEqual(['cancelled'])
  expect(told('Tool execution timed out after 300s')).toEqual(['timeout', 'error'])
  expect(told('Cannot cancel: cancelled orders stay')).toEqual(['tool_error', 'error'])
})

test('ImportReader refuses the end of a call of which no line says when it began', () => {
  const reader = open()
  const lone = { event: 'tool_complete', timestamp: nowS, tool: 'chat', request_id: 'r' }
  expect(spansOf(reader, [start(0, 'r0'), lone])).toEqual([])
  expect(reader.refused).toEqual({ 'it ends a call, and no line says when that began': { count: 1, lines: [2] } })
  expect(spansOf(reader, [{ ...lone, request_id: 'r0' }]).length).toBe(1)
})

test('ImportReader takes as long for each line however many calls are open', () => {
  const reader = open()
  for (let n = 0; n < openCallsMax; n++) reader.read(JSON.stringify(start(n / 1_000, `open${n}`)), n + 1)
  const lines = Array.from({ length: 5_000 }, (_, n) => JSON.stringify(end(50, 1, `other${n}`)))
  const timeOf = (of: ImportReader) => {
    const begun = performance.now()
    for (const line of lines) of.read(line, 1)
    return performance.now() - begun
  }
  timeOf(open())
  const fewMs = Math.min(timeOf(open()), timeOf(open()))
  expect(Math.min(timeOf(reader), timeOf(reader)) / fewMs).toBeLessThan(2)
  expect(reader.openCount).toBe(openCallsMax)
})
