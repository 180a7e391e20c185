import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  hotEndedMax,
  hotErrorsMax,
  hotRunningMax,
  interruptedSecondsMin,
  liveMinutesMax,
  liveProcessesMax,
} from '../src/core/limit.ts'
import type {
  ActiveSession,
  EndedTrace,
  LiveData,
  LiveError,
  LiveGauge,
  ProcessRunning,
  RecentBatch,
} from '../src/core/live_snapshot.ts'
import type { Batch, Gauge, RunningCall } from '../src/core/record.ts'
import { mergeSeries, minutePartsOf, type Series } from '../src/core/window.ts'
import { type Caller, type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, anError, aSpan, dayUs, minuteUs, nowUs, rowsOf, traceId } from './rows_fixture.ts'

/** What JSON a field is; with `?` it may be null. A type with a field more, or less, does not compile here. */
type Kind = 'string' | 'number' | 'object' | 'array' | 'boolean' | 'string?' | 'number?' | 'object?'
type Shape<T> = { readonly [K in keyof T]-?: Kind }

const shapes = {
  data: {
    at_us: 'number',
    minutes: 'array',
    running: 'array',
    sessions: 'array',
    gauges: 'array',
    ended: 'array',
    errors: 'array',
    batches: 'array',
    ingest_lag_ms: 'object?',
    gaps: 'object',
    last_received_at_us: 'number?',
    real: 'boolean',
  } satisfies Shape<LiveData>,
  running: {
    process: 'string',
    started_at_us: 'number',
    seq: 'number',
    received_at_us: 'number',
    service: 'string',
    environment: 'string',
    total: 'number',
    list: 'array',
  } satisfies Shape<ProcessRunning>,
  call: {
    trace_id: 'string',
    span_id: 'string',
    layer: 'string',
    name: 'string',
    tool: 'string?',
    session: 'string?',
    start_us: 'number',
  } satisfies Shape<RunningCall>,
  sessions: {
    session_key: 'string',
    service: 'string',
    environment: 'string',
    client: 'string?',
    calls: 'number',
    running: 'number',
    last_at_us: 'number',
    tool: 'string?',
    model: 'string?',
    tokens_in: 'number?',
    tokens_out: 'number?',
  } satisfies Shape<ActiveSession>,
  gauges: {
    process: 'string',
    service: 'string',
    environment: 'string',
    instance: 'string',
    name: 'string',
    labels: 'object',
    at_us: 'number',
    value: 'number',
  } satisfies Shape<LiveGauge>,
  ended: {
    trace_id: 'string',
    started_at_us: 'number',
    at_us: 'number',
    name: 'string',
    tool: 'string?',
    provider: 'string?',
    model: 'string?',
    outcome: 'string?',
    duration_ms: 'number',
    layers: 'object',
    session_key: 'string?',
    call_number: 'number?',
    service: 'string',
    environment: 'string',
  } satisfies Shape<EndedTrace>,
  errors: {
    error_id: 'string',
    at_us: 'number',
    trace_id: 'string?',
    span_id: 'string?',
    fingerprint: 'string',
    error_type: 'string',
    message: 'string',
    culprit: 'string?',
    traceback: 'string?',
    service: 'string',
    environment: 'string',
  } satisfies Shape<LiveError>,
  batches: {
    batch_id: 'string',
    service: 'string',
    environment: 'string',
    received_at_us: 'number',
    records: 'number',
  } satisfies Shape<RecentBatch>,
  lag: { p50: 'number', max: 'number' } satisfies Shape<NonNullable<LiveData['ingest_lag_ms']>>,
  gaps: { processes: 'number', missing: 'number', dropped: 'number' } satisfies Shape<LiveData['gaps']>,
}

function expectShape(value: unknown, shape: { readonly [key: string]: Kind }): void {
  const fields = value as Record<string, unknown>
  expect(Object.keys(fields).sort()).toEqual(Object.keys(shape).sort())
  for (const [key, kind] of Object.entries(shape)) {
    const found = fields[key] === null ? 'null' : Array.isArray(fields[key]) ? 'array' : typeof fields[key]
    if (found !== 'null' || !kind.endsWith('?')) expect(`${key}: ${found}`).toBe(`${key}: ${kind.replace('?', '')}`)
  }
}

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await open()
      await database.rpc('make_partitions', { days: [-2, -1, 0, 1].map((n) => dayOf(nowUs + n * dayUs)) })
    })
    afterAll(() => database.close())
    afterEach(() =>
      database.query(`truncate telltale.traces, telltale.trace_days, telltale.errors, telltale.gauges, telltale.viewers,
        telltale.members, telltale.rollup_minutes, telltale.processes, telltale.batches, telltale.sources cascade`),
    )

    const dayOf = (us: number) => new Date(us / 1_000).toISOString().slice(0, 10)
    const read = (args: Record<string, unknown> = {}, caller?: Caller) =>
      database.rpc('live_data', args, caller) as Promise<LiveData>
    const put = (batch: Batch) => database.rpc('ingest_batch', { batch: rowsOf(batch) })
    const otherProcess = () => ({ ...aBatch().process, id: randomUUID() })
    const span = (n: number, changes: Parameters<typeof aSpan>[0] = {}) =>
      aSpan({ trace_id: traceId(n), start_us: nowUs - 1_000_000 + n, end_us: nowUs - 500_000 + n, ...changes })
    const running = (n: number, changes: Partial<RunningCall> = {}): RunningCall => ({
      trace_id: traceId(n),
      span_id: '00000000000000b2',
      layer: 'api',
      name: 'chat',
      tool: 'chat',
      session: null,
      start_us: nowUs - 1_000,
      ...changes,
    })
    const gauge = (changes: Partial<Gauge> = {}): Gauge => ({
      type: 'gauge',
      name: 'redis_memory_mb',
      at_us: nowUs,
      value: 3,
      labels: {},
      ...changes,
    })

    test('live_data() has every key of its type and no other, full or empty', async () => {
      const empty = await read()
      expectShape(empty, shapes.data)
      expect([empty.ingest_lag_ms, empty.last_received_at_us, empty.real]).toEqual([null, null, false])
      const session = { key: 's', rule: 'mcp' as const }
      const call = running(9, { session: 's' })
      await put(
        aBatch([span(1, { session }), anError({ at_us: nowUs }), gauge()], {
          running: [call],
          running_total: 1,
          seq: 2,
        }),
      )
      const data = await read()
      expectShape(data, shapes.data)
      for (const list of ['running', 'sessions', 'gauges', 'ended', 'errors', 'batches'] as const) {
        expect(data[list].length, list).toBe(1)
        expectShape(data[list][0], shapes[list])
      }
      expectShape(data.running[0]?.list[0], shapes.call)
      expect(data.running[0]?.list).toEqual([call])
      expectShape(data.ingest_lag_ms, shapes.lag)
      expectShape(data.gaps, shapes.gaps)
      expect(data.gaps).toEqual({ processes: 1, missing: 1, dropped: 0 })
      expect(data.batches[0]?.records).toBe(3)
      expect(data.real).toBe(true)
      expect(Math.abs(data.at_us - Date.now() * 1_000)).toBeLessThan(60_000_000)
    })

    test('live_data() is real only when more than the demo ever sent', async () => {
      await put(aBatch([], { source: { ...aBatch().source, environment: 'demo' } }))
      expect((await read()).real).toBe(false)
    })

    test('live_data() answers the minutes as TypeScript counts them, of all sources together', async () => {
      const at = (minutes: number) => nowUs - minutes * minuteUs
      const batches = [0, 1, 1, 30, 59, 62].map((minutes, n) =>
        aBatch([span(n, { start_us: at(minutes) - 1_000 * n, end_us: at(minutes) })], {
          source: { ...aBatch().source, instance: `i${n}` },
          process: otherProcess(),
        }),
      )
      for (const batch of batches) await put(batch)
      const wanted = (first: number) => {
        const merged = new Map<number, Series>()
        for (const { minute, series } of batches.flatMap(minutePartsOf)) {
          if (minute * 1e6 > at(first + 1)) merged.set(minute, mergeSeries(merged.get(minute) ?? {}, series))
        }
        return [...merged].sort(([a], [b]) => a - b).map(([minute, series]) => ({ minute, series }))
      }
      expect((await read()).minutes).toEqual(wanted(liveMinutesMax))
      expect((await read({ minutes: 2 })).minutes).toEqual(wanted(2))
      for (const minutes of [-1, liveMinutesMax + 1, null]) {
        const asked = read({ minutes })
        await expect(asked).rejects.toMatchObject({ code: '22023', hint: expect.stringMatching('0 to 60') })
      }
    })

    test('live_data() lists no more than a page can hold, the newest first', async () => {
      const spans = Array.from({ length: 70 }, (_, n) => span(n, { session: { key: `s${n}`, rule: 'mcp' } }))
      const errors = Array.from({ length: 30 }, (_, n) => anError({ at_us: nowUs - n }))
      const gauges = Array.from({ length: 250 }, (_, n) => gauge({ labels: { pool: String(n) } }))
      const calls = Array.from({ length: 150 }, (_, n) => running(1_000 + n))
      await put(aBatch([...spans, ...errors, ...gauges], { running: calls, running_total: 3_000 }))
      for (let seq = 2; seq < 60; seq++) await put(aBatch([], { seq, running: calls, running_total: 3_000 }))
      for (let n = 0; n < liveProcessesMax + 5; n++) await put(aBatch([], { process: otherProcess() }))
      const data = await read()
      const lengths = [data.ended, data.errors, data.sessions, data.batches, data.gauges].map(({ length }) => length)
      expect(lengths).toEqual([hotEndedMax, hotErrorsMax, 50, 50, 200])
      for (const { list, from } of [
        { list: data.ended.map(({ at_us }) => at_us), from: nowUs - 500_000 + 69 },
        { list: data.errors.map(({ at_us }) => at_us), from: nowUs },
        { list: data.batches.map(({ received_at_us }) => received_at_us), from: undefined },
        { list: data.sessions.map(({ last_at_us }) => last_at_us), from: undefined },
      ]) {
        expect(list).toEqual([...list].sort((a, b) => b - a))
        if (from !== undefined) expect(list[0]).toBe(from)
      }
      expect(data.running.length).toBe(liveProcessesMax)
      const busy = data.running.filter(({ total }) => total > 0)
      expect(busy).toMatchObject([{ total: 3_000, seq: 59, list: calls.slice(0, hotRunningMax) }])
    })

    test('live_data() lists what runs as long as its process renews it, and an empty list where it ended', async () => {
      await put(aBatch([], { running: [running(1)], running_total: 1 }))
      await put(aBatch([], { running: [], running_total: 0, seq: 2 }))
      await put(aBatch([], { running: [running(2)], running_total: 1, process: otherProcess() }))
      const lists = async () => (await read()).running.map(({ seq, list }) => [seq, list.length]).sort()
      expect(await lists()).toEqual([
        [1, 1],
        [2, 0],
      ])
      await database.query(`update telltale.processes set pace_ms = $1 where running_seq = 1`, [30_000])
      await database.query(`update telltale.processes set renewed_at = renewed_at - $1::interval`, [
        `${interruptedSecondsMin + 1} seconds`,
      ])
      expect(await lists()).toEqual([[1, 1]])
      await database.query(`update telltale.processes set renewed_at = renewed_at - $1::interval`, ['60 seconds'])
      expect(await lists()).toEqual([])
    })

    test('live_data() adds a session up, tells the same key of two services apart, and forgets it in ten minutes', async () => {
      const session = { key: 's', rule: 'mcp' as const }
      const tokens = { session, layer: 'api', tokens_in: 5, tokens_out: 2 }
      await put(
        aBatch(
          [
            span(1, { ...tokens, tool: 'first' }),
            span(2, { ...tokens, tool: 'last', model: 'k2', attributes: { 'mcp.client.name': 'inspector' } }),
            span(3),
          ],
          {
            running: [running(9, { session: 's' }), running(8, { session: 'fresh' })],
            running_total: 2,
          },
        ),
      )
      await put(
        aBatch([span(4, { session })], { source: { ...aBatch().source, service: 'shim' }, process: otherProcess() }),
      )
      const found = (await read()).sessions
      const of = (service: string, key: string) => found.find((s) => s.service === service && s.session_key === key)
      expect(found.length).toBe(3)
      const last = { tool: 'last', model: 'k2', tokens_in: 10, tokens_out: 4 }
      expect(of('exai', 's')).toMatchObject({ calls: 2, running: 1, client: 'inspector', ...last })
      expect(of('exai', 'fresh')).toMatchObject({ calls: 1, running: 1, tool: null, tokens_in: null, client: null })
      expect(of('shim', 's')).toMatchObject({ calls: 1, running: 0, last_at_us: nowUs - 500_000 + 4 })
      await database.query(`update telltale.traces set changed_at = changed_at - interval '11 minutes'`)
      expect((await read()).sessions.map(({ session_key }) => session_key).sort()).toEqual(['fresh', 's'])
    })

    test('live_data() has the last value of each gauge of the last ten minutes', async () => {
      const labels = { pool: 'a' }
      await put(
        aBatch([
          gauge({ at_us: nowUs - 2_000_000, value: 1 }),
          gauge({ value: 2 }),
          gauge({ labels, at_us: nowUs - 9 * minuteUs, value: 5 }),
          gauge({ name: 'a', labels, at_us: nowUs - 11 * minuteUs }),
          gauge({ name: 'z', value: 7 }),
        ]),
      )
      expect((await read()).gauges.map(({ name, labels, value }) => [name, labels, value])).toEqual([
        ['redis_memory_mb', {}, 2],
        ['redis_memory_mb', labels, 5],
        ['z', {}, 7],
      ])
    })

    test('live_data() cuts a traceback to 4 KB, at the end of a character', async () => {
      const texts = [
        'x'.repeat(5_000),
        `x${'é'.repeat(3_000)}`,
        '\u{1f600}'.repeat(1_500),
        'é'.repeat(2_048),
        'short',
        null,
      ]
      await put(aBatch(texts.map((traceback, n) => anError({ at_us: nowUs - n, traceback }))))
      const found = (await read()).errors.map(({ traceback }) => traceback)
      const cut = [texts[0]?.slice(0, 4_096), texts[1]?.slice(0, 2_048), texts[2]?.slice(0, 2_048), ...texts.slice(3)]
      expect(found).toEqual(cut)
    })

    test('live_data() sets a clock right that is off by seconds, and no smaller offset', async () => {
      const offsetUs = 40_000_000
      const late = aBatch([], { made_at_us: Date.now() * 1_000 - offsetUs })
      await database.rpc('ingest_batch', {
        batch: rowsOf(late, { sent_at_us: late.made_at_us, received_at_us: late.made_at_us + offsetUs }),
      })
      expect((await read()).ingest_lag_ms?.max).toBeLessThan(10_000)
      const slow = aBatch([], { made_at_us: Date.now() * 1_000 - offsetUs, process: otherProcess() })
      await database.rpc('ingest_batch', {
        batch: rowsOf(slow, { sent_at_us: slow.made_at_us + offsetUs, received_at_us: slow.made_at_us + offsetUs }),
      })
      expect((await read()).ingest_lag_ms?.max).toBeGreaterThanOrEqual(offsetUs / 1_000)
    })

    test('live_data() notes that the page of a member looks, and of nobody else', async () => {
      const sub = randomUUID()
      const member: Caller = { role: 'authenticated', sub }
      const viewer_id = randomUUID()
      await expect(read({ viewer_id }, member)).rejects.toMatchObject({ code: '42501' })
      await database.query('insert into telltale.members (user_id) values ($1)', [sub])
      await read({}, member)
      await read({ viewer_id })
      expect(await database.rpc('is_watched')).toBe(false)
      await read({ viewer_id }, member)
      expect(await database.query('select viewer_id, user_id from telltale.viewers')).toEqual([
        { viewer_id, user_id: sub },
      ])
      expect(await database.rpc('is_watched')).toBe(true)
    })
  })
}
