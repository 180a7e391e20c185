import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Span } from '../src/core/record.ts'
import type { Predecessor, WhyData, WhyTrace } from '../src/core/why/why_data.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, aSpan, dayUs, noonUs, nowUs, processId, rowsOf, traceId } from './rows_fixture.ts'

const otherProcess = '018f0000-0000-7000-8000-00000000000b'
const hourUs = 3_600_000_000

/** A call: ms from noon on, its session and its process. */
type Call = {
  readonly at: number
  readonly ms: number | null
  readonly session: string | null
  readonly process: string
  readonly tool: string
}

const spanOf = ({ at, ms, session, tool }: Call, n: number): Span =>
  aSpan({
    trace_id: traceId(n + 1),
    span_id: (n + 1).toString(16).padStart(16, '0'),
    start_us: noonUs + at * 1_000,
    end_us: ms === null ? null : noonUs + (at + ms) * 1_000,
    outcome: ms === null ? null : 'ok',
    session: session === null ? null : { key: session, rule: 'mcp' },
    tool,
  })

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await open()
      const days = [-4, -3, -2, -1, 0].map((n) => new Date((nowUs + n * dayUs) / 1_000).toISOString().slice(0, 10))
      await database.rpc('make_partitions', { days })
    })
    afterAll(() => database.close())
    const empty = () =>
      database.query(`truncate telltale.traces, telltale.trace_days, telltale.trace_joins, telltale.errors,
        telltale.rollup_minutes, telltale.processes, telltale.batches, telltale.sources cascade`)
    afterEach(empty)

    let seq = 0
    const put = async (spans: readonly Span[], process = processId) => {
      const batch = aBatch(spans, { batch_id: randomUUID(), seq: ++seq })
      await database.rpc('ingest_batch', { batch: rowsOf({ ...batch, process: { ...batch.process, id: process } }) })
    }
    const putCalls = async (calls: readonly Call[]) => {
      for (const process of [processId, otherProcess]) {
        const spans = calls.map(spanOf).filter((_, n) => calls[n]?.process === process)
        if (spans.length > 0) await put(spans, process)
      }
    }
    const gather = (filter: Record<string, unknown> = {}, more: Record<string, unknown> = {}) =>
      database.rpc('why_data', { filter, ...more }) as Promise<WhyData>

    test('why_data() tells of each call its place in its session, what came before it, and what else ran', async () => {
      const arbitraryCall = fc.record({
        at: fc.integer({ min: 0, max: 2_000 }),
        ms: fc.option(fc.integer({ min: 1, max: 900 }), { freq: 8 }),
        session: fc.option(fc.constantFrom('s1', 's2', 's3'), { freq: 5 }),
        process: fc.constantFrom(processId, otherProcess),
        tool: fc.constantFrom('chat', 'read'),
      })
      const generated = fc.uniqueArray(arbitraryCall, { selector: ({ at }) => at, minLength: 1, maxLength: 40 })
      await fc.assert(
        fc.asyncProperty(generated, async (calls) => {
          await empty()
          await putCalls(calls)
          const { traces, matched } = await gather()
          const ended = calls.filter(({ ms }) => ms !== null)
          expect(matched).toBe(ended.length)
          expect(traces.map(factsOf)).toEqual(
            [...ended].sort((a, b) => a.at - b.at).map((call) => expectedOf(call, calls)),
          )
        }),
        { numRuns: 12 },
      )
    })

    test('why_data() keeps to what a filter names, and still knows the calls before', async () => {
      await putCalls([
        { at: 0, ms: 50, session: 's', process: processId, tool: 'read' },
        { at: 100, ms: 50, session: 's', process: processId, tool: 'chat' },
      ])
      const { traces, processes, question } = await gather({ tool: 'chat', service: 'exai' })
      expect(traces).toMatchObject([{ tool: 'chat', call_number: 2, previous: { tool: 'read', gap_ms: 50 } }])
      expect(processes[processId]).toMatchObject({ service: 'exai', version: '1.0.0', host: 'box' })
      expect(question).toMatchObject({ call_number: null, from_us: noonUs + 100_000 - dayUs })
      expect(await gather({ service: 'other' })).toMatchObject({ matched: 0, traces: [], processes: {} })
    })

    test('why_data() counts a session from its beginning, though that lies before the range', async () => {
      await putCalls([0, 1, 2].map((n) => ({ at: n * 1_000, ms: 5, session: 's', process: processId, tool: 'chat' })))
      const { traces } = await gather({ from: noonUs + 2_000_000 + hourUs - hourUs, to: noonUs + 3_000_000 })
      expect(traces).toMatchObject([{ call_number: 3 }])
      await put([spanOf({ at: 3 * 3_600_000, ms: 5, session: 's', process: processId, tool: 'chat' }, 9)])
      expect((await gather({ from: noonUs + 2.5 * hourUs })).traces).toMatchObject([{ call_number: 4, previous: null }])
    })

    test('why_data() leaves out what is no call, unless nothing is', async () => {
      await put([aSpan({ trace_id: traceId(1), name: 'tools/list', tool: null })])
      expect((await gather()).matched).toBe(1)
      await put([aSpan({ trace_id: traceId(2) })])
      expect((await gather()).traces).toMatchObject([{ trace_id: traceId(2) }])
    })

    test('why_data() samples the same calls each time, half of them of those that are asked about', async () => {
      const calls = Array.from({ length: 300 }, (_, n) => ({
        at: n * 10,
        ms: n % 30 === 0 ? 500 : 5,
        session: null,
        process: processId,
        tool: 'chat',
      }))
      await putCalls(calls)
      const asked = await gather({ above_ms: 100 }, { traces_max: 40 })
      expect(asked.matched).toBe(300)
      const isSlow = ({ duration_ms }: WhyTrace) => duration_ms > 100
      expect(asked.traces.filter(isSlow)).toHaveLength(10)
      expect(asked.traces).toHaveLength(40)
      const weightOf = (traces: readonly WhyTrace[]) => traces.reduce((sum, { weight }) => sum + weight, 0)
      expect(weightOf(asked.traces)).toBeCloseTo(300, 6)
      expect(weightOf(asked.traces.filter(isSlow))).toBeCloseTo(10, 6)
      expect(await gather({ above_ms: 100 }, { traces_max: 40 })).toEqual({
        ...asked,
        question: { ...asked.question, to_us: expect.any(Number) },
      })
      const found = await gather({}, { traces_max: 40 })
      expect(found.traces).toHaveLength(40)
      expect(weightOf(found.traces)).toBeCloseTo(300, 6)
    })

    test('why_data() leaves out calls whose spans were let go, which those that are left stand for', async () => {
      const calls = Array.from({ length: 20 }, (_, n) => ({
        at: n * 10,
        ms: n % 2 === 0 ? 500 : 5,
        session: 's',
        process: processId,
        tool: 'chat',
      }))
      await putCalls(calls)
      const quick = [2, 4, 6, 8, 10].map((n) => traceId(n))
      await database.query(`update telltale.traces set spans = '{}', sampled = '{}' where trace_id = any ($1)`, [quick])
      const { traces, matched } = await gather({ above_ms: 100 })
      expect(matched).toBe(20)
      expect(traces).toHaveLength(15)
      expect(traces.every(({ spans }) => Object.keys(spans).length > 0)).toBe(true)
      for (const [isSlow, weight] of [
        [true, 1],
        [false, 2],
      ] as const) {
        const side = traces.filter(({ duration_ms }) => duration_ms > 100 === isSlow)
        expect(side.map((trace) => trace.weight)).toEqual(side.map(() => weight))
      }
      // Places are told among all calls.
      expect(traces.find(({ trace_id }) => trace_id === traceId(5))).toMatchObject({
        call_number: 5,
        previous: { trace_id: traceId(4) },
      })
    })

    test('why_data() shows a call that two recorders saw once, with the spans of both', async () => {
      await put([aSpan({ trace_id: traceId(1), span_id: '00000000000000a1', layer: 'shim' })])
      await put([aSpan({ trace_id: traceId(2), span_id: '00000000000000b1', layer: 'tool' })], otherProcess)
      await database.query(
        `insert into telltale.trace_joins (inner_trace_id, outer_trace_id, outer_span_id, rule, day)
        select $1, $2, '00000000000000a1', 'session', day from telltale.trace_days where trace_id = $1`,
        [traceId(2), traceId(1)],
      )
      const { traces, processes } = await gather()
      expect(traces.map(({ trace_id }) => trace_id)).toEqual([traceId(1)])
      expect(Object.keys(traces[0]?.spans ?? {}).sort()).toEqual(['00000000000000a1', '00000000000000b1'])
      expect(Object.keys(processes).sort()).toEqual([processId, otherProcess])
      expect((await gather({ trace_id: traceId(2) })).question.trace_id).toBe(traceId(1))
    })

    const refusals: [string, Record<string, unknown>, string][] = [
      ['two ways to name the slow ones', { call_number: 3, above_ms: 10 }, 'in more than one way'],
      ['a call number of 0', { call_number: 0 }, 'call_number is 0'],
      ['half a call', { call_number: 1.5 }, 'call_number is 1.5'],
      ['no number', { above_ms: 'NaN' }, 'above_ms is'],
      ['no instant', { after: 'yesterday' }, 'after is'],
      ['a trace that is not there', { trace_id: traceId(99) }, 'no trace has the id'],
      ['an empty region', { region: { min_ms: 5, max_ms: 5 } }, 'region is empty'],
      ['a region of another shape', { region: { left: 5 } }, 'has a key "left"'],
      ['a range that ends before it begins', { from: noonUs, to: noonUs - 1 }, 'from is not before to'],
      ['a key that is unknown', { color: 'red' }, 'has a key "color"'],
    ]
    for (const [what, filter, message] of refusals) {
      test(`why_data() refuses ${what} with 22023`, async () => {
        await expect(gather(filter)).rejects.toMatchObject({ code: '22023', message: expect.stringContaining(message) })
      })
    }
    test('why_data() refuses a sample of none and one too large', async () => {
      for (const traces_max of [0, 5001])
        await expect(gather({}, { traces_max })).rejects.toMatchObject({ code: '22023' })
      expect((await gather({}, { traces_max: 5000 })).matched).toBe(0)
    })
  })
}

function factsOf({ trace_id, call_number, running, previous, before }: WhyTrace) {
  return { trace_id, call_number, running, previous, before }
}

/** The same by looking through all calls. */
function expectedOf(call: Call, calls: readonly Call[]) {
  const earlier = calls.filter(({ at }) => at < call.at)
  const inSession = earlier.filter(({ session }) => session === call.session)
  const inProcess = earlier.filter(({ process }) => process === call.process)
  const lastOf = (found: readonly Call[]): Predecessor | null => {
    const last = found.toSorted((a, b) => b.at - a.at)[0]
    if (last === undefined) return null
    return {
      trace_id: traceId(calls.indexOf(last) + 1),
      tool: last.tool,
      outcome: last.ms === null ? null : 'ok',
      gap_ms: last.ms === null ? null : call.at - last.at - last.ms,
    }
  }
  return {
    trace_id: traceId(calls.indexOf(call) + 1),
    call_number: call.session === null ? null : inSession.length + 1,
    running: inProcess.filter(({ at, ms }) => ms === null || at + ms > call.at).length,
    previous: call.session === null ? null : lastOf(inSession),
    before: lastOf(inProcess),
  }
}
