import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type HotSource, hotBatchOf, minuteOf } from '../src/core/hot_batch.ts'
import { jsonBytesOf } from '../src/core/json_size.ts'
import { hotBatchBytesMax, hotEndedMax, hotErrorsMax, hotRunningMax, hotStaleMinutesMax } from '../src/core/limit.ts'
import type { Batch, TelltaleRecord } from '../src/core/record.ts'
import { windowsOf } from '../src/core/window.ts'
import { parseHotBatch } from '../src/wire/parse_hot.ts'
import { aBatch, anError, aSpan, noonUs, processId, rowsOf } from './rows_fixture.ts'
import { arbitraryBatch, fixtureBaseUs } from './span_fixture.ts'

function sourceOf(batch: Batch, changes: Partial<HotSource> = {}): HotSource {
  const { traces, errors } = rowsOf(batch)
  const records = batch.records.length
  const times = { receivedAtUs: batch.made_at_us + 1_000, sentAtUs: null, flushMs: 250 }
  return { batch, traces, errors, records, renamed: {}, ...times, ...changes }
}

const atNoon = { made_at_us: noonUs + 1_000_000 }

test('hotBatchOf() keeps what the live view needs of a batch', () => {
  const records = [aSpan({ session: { key: 's', rule: 'mcp' }, call_number: 3 }), anError({ message: 'boom' })]
  const running = [{ trace_id: 'a', span_id: 'b', layer: 'tool', name: 'n', tool: null, session: null, start_us: 1 }]
  const hot = hotBatchOf(sourceOf(aBatch(records, { ...atNoon, seq: 7, running, running_total: 4 })))
  const from = { service: 'exai', environment: 'test' }
  expect(hot).toMatchObject({ ...from, instance: 'a', records: 2, stale: [] })
  expect(hot.windows).toEqual(windowsOf({ records }))
  expect(hot.running).toEqual({
    ...from,
    process: processId,
    started_at_us: expect.any(Number),
    seq: 7,
    received_at_us: atNoon.made_at_us + 1_000,
    total: 4,
    list: running,
  })
  expect(hot.ended).toEqual([
    {
      ...from,
      trace_id: aSpan().trace_id,
      started_at_us: noonUs,
      at_us: noonUs + 5_000,
      name: 'tools/call',
      tool: 'read_file',
      provider: null,
      model: null,
      outcome: 'ok',
      duration_ms: 5,
      layers: { tool: 5 },
      session_key: 's',
      call_number: 3,
    },
  ])
  expect(hot.errors).toMatchObject([{ ...from, message: 'boom', fingerprint: expect.stringMatching(/^v1:/) }])
  expect(parseHotBatch(JSON.stringify(hot))).toEqual(hot)
})

test('hotBatchOf() lists a trace when its head ends, not when a part of it does', () => {
  const inner = aSpan({ entry: false, parent_span_id: '00000000000000a9' })
  const open = aSpan({ end_us: null, outcome: null })
  const child = aSpan({ span_id: '00000000000000a2', entry: false, parent_span_id: open.span_id })
  const root = aSpan({ entry: false })
  const endedOf = (...records: TelltaleRecord[]) => hotBatchOf(sourceOf(aBatch(records, atNoon))).ended.length
  expect([endedOf(inner), endedOf(open, child), endedOf(root), endedOf(root, child)]).toEqual([0, 0, 1, 1])
})

test('hotBatchOf() counts what was not admitted under its other name', () => {
  const records = [aSpan({ tool: 'a' }), aSpan({ tool: 'b', span_id: '00000000000000a2' }), aSpan({ tool: 'toString' })]
  const renamed = { 'tool:a': 'tool:other', 'tool:b': 'tool:other' }
  const series = hotBatchOf(sourceOf(aBatch(records, atNoon), { renamed })).windows[0]?.series ?? {}
  expect(Object.keys(series).sort()).toEqual(['all', 'call:unknown', 'layer:tool', 'tool:other', 'tool:toString'])
  expect(series['tool:other']?.count).toBe(2)
})

test('hotBatchOf() takes no running list that was old when it was sent', () => {
  const batch = aBatch([], { ...atNoon, seq: 9, running_total: 3 })
  const seqOf = (sentAtUs: number | null, receivedAtUs: number) =>
    hotBatchOf(sourceOf(batch, { sentAtUs, receivedAtUs })).running.seq
  const minuteLater = batch.made_at_us + 60_000_000
  expect([seqOf(minuteLater, minuteLater), seqOf(minuteLater + 1, minuteLater)]).toEqual([9, 0])
  // A sender whose clock is wrong sends what is fresh by that clock.
  expect([seqOf(batch.made_at_us, minuteLater * 2), seqOf(null, minuteLater + 1)]).toEqual([9, 0])
})

test('hotBatchOf() counts the seconds of a clock that is off by minutes where they belong', () => {
  const secondsOf = (aheadUs: number) => {
    const made_at_us = noonUs + aheadUs + 5_000
    const batch = aBatch([aSpan({ start_us: noonUs + aheadUs, end_us: noonUs + aheadUs + 4_000 })], { made_at_us })
    const source = sourceOf(batch, { sentAtUs: made_at_us, receivedAtUs: noonUs + 6_000 })
    return hotBatchOf(source).windows.map(({ second }) => second - noonUs / 1_000_000)
  }
  expect([0, 7, -4].map((minutes) => secondsOf(minutes * 60_000_000))).toEqual([[0], [0], [0]])
  expect(secondsOf(30_000_000)).toEqual([30])
})

test('hotBatchOf() names the minutes of seconds that are not of now, the newest of them', () => {
  const at = (us: number, n: number) => aSpan({ start_us: us, end_us: us, span_id: n.toString(16).padStart(16, '0') })
  const many = Array.from({ length: 100 }, (_, n) => at(noonUs - n * 60_000_000, n + 1))
  const hot = hotBatchOf(sourceOf(aBatch([...many, at(noonUs + 7_200_000_000, 999)], atNoon)))
  expect(hot.windows.map(({ second }) => second * 1_000_000)).toEqual([noonUs])
  expect(hot.stale).toHaveLength(hotStaleMinutesMax)
  expect(hot.stale.at(-1)).toBe((noonUs + 7_200_000_000) / 1_000_000)
  expect(hot.stale.at(-2)).toBe(noonUs / 1_000_000 - 60)
})

test('hotBatchOf() cuts tracebacks first, then lists, then windows, and stays within its bytes', () => {
  const line = '  File "/srv/app/tool.py", line 1, in call\n'
  const traceback = `Traceback (most recent call last):\n${line.repeat(400)}ValueError: \u{1f600}`
  const few = hotBatchOf(sourceOf(aBatch([aSpan(), anError({ traceback })], atNoon)))
  expect(few.errors[0]?.traceback).toMatch(/^Traceback.*\u2026.*ValueError: \u{1f600}$/su)
  expect(few.windows).toHaveLength(1)

  const errors = Array.from({ length: 30 }, (_, n) =>
    anError({ traceback, message: 'm'.repeat(700), at_us: noonUs + n }),
  )
  const several = hotBatchOf(sourceOf(aBatch([aSpan(), ...errors], atNoon)))
  expect(several.windows).toHaveLength(1)
  expect(several.errors).toHaveLength(hotErrorsMax / 2)
  expect(several.errors[0]).toMatchObject({
    at_us: noonUs + 29,
    traceback: null,
    message: expect.stringContaining('m'),
  })
  expect(jsonBytesOf(several)).toBeLessThanOrEqual(hotBatchBytesMax)

  const spans = Array.from({ length: 900 }, (_, n) => {
    const end_us = noonUs - (n % 50) * 1_000_000
    return aSpan({
      span_id: (n + 1).toString(16).padStart(16, '0'),
      start_us: end_us - n * n,
      end_us,
      tool: `tool ${n % 40}`,
    })
  })
  const wide = hotBatchOf(sourceOf(aBatch([...spans, ...errors], atNoon)))
  expect(jsonBytesOf(wide)).toBeLessThanOrEqual(hotBatchBytesMax)
  expect(wide.errors.length).toBeGreaterThan(0)
  expect(wide.windows.at(-1)?.second).toBe(noonUs / 1_000_000)
  expect(wide.windows.length).toBeLessThan(50)
  expect(wide.stale).toEqual([noonUs / 1_000_000 - 60])
})

test('hotBatchOf() stays within its bytes whatever the names are', () => {
  const name = '\u0001'.repeat(256)
  const layers = Array.from({ length: 16 }, (_, n) => `${'\u0002'.repeat(250)}${n}`)
  const call = { trace_id: 'a'.repeat(32), span_id: 'b'.repeat(16), layer: name, name, tool: name, session: name }
  const session = { key: name, rule: 'mcp' } as const
  const facts = { name, session, tool: name, provider: name, model: name }
  const spans = layers.map((layer, n) => aSpan({ ...facts, layer, span_id: `${n}`.padStart(16, 'c') }))
  const batch = aBatch([...spans, anError({ error_type: name, message: name })], {
    ...atNoon,
    source: { service: name, environment: name, instance: name, version: null },
    running: Array.from({ length: 1_000 }, (_, n) => ({ ...call, start_us: n })),
    running_total: 5_000,
  })
  const hot = hotBatchOf(sourceOf(batch))
  expect(jsonBytesOf(hot)).toBeLessThanOrEqual(hotBatchBytesMax)
  expect(hot.running.total).toBe(5_000)
})

test('hotBatchOf() keeps each second whole or names its minute, within its bounds', () => {
  const shape = { base_us: fixtureBaseUs, spread_us: 150_000_000, recordsMax: 60 }
  fc.assert(
    fc.property(arbitraryBatch(shape), fc.nat(300), (batch, copies) => {
      const running = Array.from({ length: copies }, (_, n) => ({
        trace_id: `${n}`,
        span_id: '',
        layer: 'tool',
        name: 'x'.repeat(n),
        tool: null,
        session: null,
        start_us: n,
      }))
      const hot = hotBatchOf(sourceOf({ ...batch, running, running_total: copies }))
      expect(jsonBytesOf(hot)).toBeLessThanOrEqual(hotBatchBytesMax)
      expect(hot.running.list.length).toBeLessThanOrEqual(hotRunningMax)
      expect(hot.ended.length).toBeLessThanOrEqual(hotEndedMax)
      expect(hot.errors.length).toBeLessThanOrEqual(hotErrorsMax)
      const kept = new Map(hot.windows.map((window) => [window.second, window]))
      for (const window of windowsOf(batch)) {
        if (!hot.stale.includes(minuteOf(window.second))) expect(kept.get(window.second)).toEqual(window)
        else if (kept.has(window.second)) expect(kept.get(window.second)).toEqual(window)
      }
      expect(parseHotBatch(JSON.stringify(hot))).not.toBeNull()
    }),
    { numRuns: 150 },
  )
})
