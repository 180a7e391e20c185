import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Batch, Span } from '../src/core/record.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, anError, aSpan, dayUs, nowUs, rowsOf, traceId } from './rows_fixture.ts'

// A shim's tap, a daemon's tap and a reporter, of which none told the next of its trace.
const recorders = {
  shim: { id: '018f0000-0000-7000-8000-0000000000a1', service: 'shim', host: 'desk' },
  daemon: { id: '018f0000-0000-7000-8000-0000000000a2', service: 'daemon', host: 'desk' },
  tool: { id: '018f0000-0000-7000-8000-0000000000a3', service: 'exai', host: 'desk' },
} as const
const replica = { ...recorders.shim, id: '018f0000-0000-7000-8000-0000000000a5', host: 'rack' }
type Recorder = { readonly id: string; readonly service: string; readonly host: string }

const calledUs = nowUs - 10_000_000
const hash = (text: string) => ({ 'telltale.argument_hash': text })
const joins = `select inner_trace_id as inside, outer_trace_id as outside, rule from telltale.trace_joins order by 1`

type Trace = {
  readonly trace: {
    readonly trace_id: string
    readonly layers: { readonly [layer: string]: number }
    readonly provider: string | null
    readonly joined: readonly { readonly trace_id: string; readonly rule: string }[]
    readonly spans: readonly (Record<string, unknown> & { readonly span_id: string })[]
  }
  readonly errors: readonly unknown[]
}

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await open()
      const days = [-2, -1, 0].map((n) => new Date((nowUs + n * dayUs) / 1_000).toISOString().slice(0, 10))
      await database.rpc('make_partitions', { days })
    })
    afterAll(() => database.close())
    afterEach(() =>
      database.query(`truncate telltale.traces, telltale.trace_days, telltale.trace_joins, telltale.clock_shifts,
        telltale.errors, telltale.error_groups, telltale.rollup_minutes, telltale.processes, telltale.batches,
        telltale.sources cascade`),
    )

    let seq = 0
    const store = (from: Recorder, records: Batch['records'], environment = 'test') =>
      database.rpc('ingest_batch', {
        batch: rowsOf(
          aBatch(records, {
            seq: ++seq,
            source: { service: from.service, instance: 'a', environment, version: null },
            process: { id: from.id, started_at_us: nowUs - dayUs, host: from.host, pid: 7, sdk: 'telltale-js/0.1.0' },
          }),
        ),
      })
    /** A call as one recorder saw it: from and to in ms after the first. */
    const call = (n: number, layer: string, from: number, to: number, changes: Partial<Span> = {}): Span =>
      aSpan({
        trace_id: traceId(n),
        span_id: n.toString(16).padStart(16, 'e'),
        layer,
        tool: 'chat',
        start_us: calledUs + from * 1_000,
        end_us: calledUs + to * 1_000,
        attributes: hash('aaaa'),
        ...changes,
      })
    const step = () => database.rpc('tick_join_traces')
    const trace = async (n: number) => (await database.rpc('trace', { trace_id: traceId(n) })) as Trace
    const listed = async () =>
      ((await database.rpc('traces', {})) as { rows: { trace_id: string }[] }).rows.map((row) => row.trace_id).sort()

    test('tick_join_traces() shows as one request what three recorders saw of it', async () => {
      await store(recorders.tool, [
        call(3, 'tool', 20, 80),
        call(3, 'api', 30, 70, {
          span_id: '00000000000000f1',
          entry: false,
          provider: 'kimi',
          parent_span_id: '3'.padStart(16, 'e'),
        }),
        anError({ trace_id: traceId(3), at_us: calledUs }),
      ])
      await store(recorders.shim, [call(1, 'shim', 0, 100)])
      await store(recorders.daemon, [call(2, 'websocket', 10, 90)])
      await step()
      expect(await database.query(joins)).toEqual([
        { inside: traceId(2), outside: traceId(1), rule: 'arguments' },
        { inside: traceId(3), outside: traceId(2), rule: 'arguments' },
      ])
      for (const n of [1, 2, 3]) {
        const { trace: whole, errors } = await trace(n)
        expect(whole.trace_id).toBe(traceId(1))
        expect(whole.layers).toEqual({ shim: 20, websocket: 20, tool: 20, api: 40 })
        expect(whole.provider).toBe('kimi')
        expect(whole.joined.map((joined) => joined.trace_id)).toEqual([traceId(2), traceId(3)])
        expect(whole.spans.map((span) => [span.layer, span.entry ?? false, span.inferred ?? null])).toEqual([
          ['shim', true, null],
          ['websocket', false, 'arguments'],
          ['tool', false, 'arguments'],
          ['api', false, null],
        ])
        expect(errors.length).toBe(1)
      }
      expect(await listed()).toEqual([traceId(1)])
      const [row] = await database.query(
        `select layers, provider, span_count from telltale.traces where trace_id = '${traceId(1)}'`,
      )
      expect(row).toEqual({ layers: { shim: 20, websocket: 20, tool: 20, api: 40 }, provider: 'kimi', span_count: 4 })
      expect(await step()).toEqual({ done: 0, more: false })
    })

    test('tick_join_traces() sums up again when one of the two changes', async () => {
      await store(recorders.shim, [call(1, 'shim', 0, 100)])
      await store(recorders.tool, [call(3, 'tool', 20, 80)])
      await step()
      await store(recorders.tool, [
        call(3, 'storage', 60, 70, {
          span_id: '00000000000000f2',
          entry: false,
          parent_span_id: '3'.padStart(16, 'e'),
        }),
      ])
      await step()
      await store(recorders.shim, [
        call(1, 'shim', 5, 10, {
          span_id: '00000000000000f3',
          entry: false,
          kind: 'wait',
          parent_span_id: '1'.padStart(16, 'e'),
        }),
      ])
      await step()
      const [row] = await database.query(`select layers, wait_ms from telltale.traces where trace_id = '${traceId(1)}'`)
      expect(row).toEqual({ layers: { shim: 40, tool: 50, storage: 10 }, wait_ms: 5 })
      expect(await step()).toEqual({ done: 0, more: false })
    })

    test('tick_join_traces() gives each of several calls with the same arguments its own', async () => {
      await store(recorders.shim, [call(1, 'shim', 0, 100), call(2, 'shim', 7, 107), call(3, 'shim', 14, 114)])
      await store(recorders.tool, [call(5, 'tool', 9, 95), call(4, 'tool', 2, 90), call(6, 'tool', 16, 99)])
      for (let turn = 0; turn < 3; turn++) await step()
      expect(await database.query(joins)).toEqual([
        { inside: traceId(4), outside: traceId(1), rule: 'arguments' },
        { inside: traceId(5), outside: traceId(2), rule: 'arguments' },
        { inside: traceId(6), outside: traceId(3), rule: 'arguments' },
      ])
    })

    test('tick_join_traces() joins by session where one side does not know the arguments', async () => {
      const session = { key: 'thread-1', rule: 'continuation' } as const
      await store(recorders.shim, [call(1, 'shim', 0, 100, { session })])
      await store(recorders.tool, [call(2, 'tool', 10, 90, { session, attributes: {} })])
      await step()
      expect(await database.query(joins)).toEqual([{ inside: traceId(2), outside: traceId(1), rule: 'session' }])
    })

    test('tick_join_traces() joins a call that went on after its shim had answered', async () => {
      await store(recorders.shim, [call(1, 'shim', 0, 5), call(2, 'shim', 100, 101)])
      await store(recorders.daemon, [call(3, 'websocket', 1, 90), call(4, 'websocket', 104, 180)])
      await step()
      expect(await database.query(joins)).toEqual([
        { inside: traceId(3), outside: traceId(1), rule: 'arguments' },
        { inside: traceId(4), outside: traceId(2), rule: 'arguments' },
      ])
    })

    test('tick_join_traces() joins by session where no side knows the arguments, and finds the request by it', async () => {
      const session = { key: 'thread-1', rule: 'continuation' } as const
      const later = { key: 'thread-2', rule: 'continuation' } as const
      await store(recorders.shim, [call(1, 'shim', 0, 100, { session, attributes: {} }), call(5, 'shim', 200, 300)])
      await store(recorders.tool, [
        call(2, 'tool', 10, 90, { session, attributes: {} }),
        call(6, 'tool', 210, 290, { session: later, call_number: 4 }),
      ])
      await step()
      expect(await database.query(joins)).toEqual([
        { inside: traceId(2), outside: traceId(1), rule: 'session' },
        { inside: traceId(6), outside: traceId(5), rule: 'arguments' },
      ])
      const found = (await database.rpc('traces', { filter: { session: later.key } })) as { rows: unknown[] }
      expect(found.rows).toMatchObject([{ trace_id: traceId(5), call_number: 4 }])
    })

    test('tick_join_traces() puts a recorder between two that were joined before it was heard of', async () => {
      await store(recorders.shim, [call(1, 'shim', 0, 100)])
      await store(recorders.tool, [call(3, 'tool', 20, 80)])
      await step()
      await store(recorders.daemon, [call(2, 'websocket', 10, 90)])
      for (let turn = 0; turn < 2; turn++) await step()
      expect(await database.query(joins)).toEqual([
        { inside: traceId(2), outside: traceId(1), rule: 'arguments' },
        { inside: traceId(3), outside: traceId(2), rule: 'arguments' },
      ])
      expect((await trace(3)).trace.layers).toEqual({ shim: 20, websocket: 20, tool: 60 })
    })

    test('tick_join_traces() gives of two calls that overlap each the one that ended in it', async () => {
      await store(recorders.shim, [call(1, 'shim', 0, 1_000), call(2, 'shim', 5, 105)])
      await store(recorders.tool, [call(3, 'tool', 20, 995), call(4, 'tool', 25, 100)])
      for (let turn = 0; turn < 2; turn++) await step()
      expect(await database.query(joins)).toEqual([
        { inside: traceId(3), outside: traceId(1), rule: 'arguments' },
        { inside: traceId(4), outside: traceId(2), rule: 'arguments' },
      ])
    })

    test('tick_join_traces() joins never in a circle, when what was inside turns out to have been outside', async () => {
      const tap = { ...recorders.tool, id: '018f0000-0000-7000-8000-0000000000a4' }
      const interrupted = { outcome: 'interrupted' } as const
      await store(tap, [call(1, 'tool', 0, 100)])
      await store(recorders.tool, [call(2, 'tool', 1, 90, interrupted)])
      await step()
      await store(recorders.tool, [call(2, 'tool', -1, 200)])
      for (let turn = 0; turn < 2; turn++) await step()
      expect(await listed()).toEqual([traceId(1)])
      expect((await trace(2)).trace.spans.length).toBe(2)
    })

    test('tick_join_traces() compares a bounded number of calls that are alike at a time, and joins them all in the end', async () => {
      const many = Array.from({ length: 40 }, (_, n) => n)
      await store(
        recorders.shim,
        many.map((n) => call(1 + n, 'shim', n * 200, n * 200 + 100)),
      )
      await store(
        recorders.tool,
        many.map((n) => call(101 + n, 'tool', n * 200 + 10, n * 200 + 90)),
      )
      expect(await step()).toMatchObject({ done: 64 })
      expect(await step()).toMatchObject({ done: 16 })
      expect((await database.query(joins)).map((row) => [row.inside, row.outside])).toEqual(
        many.map((n) => [traceId(101 + n), traceId(1 + n)]),
      )
    })

    test('tick_join_traces() joins a call that went on for minutes after its shim had given it up', async () => {
      await store(recorders.shim, [call(1, 'shim', -300_000, -240_000)])
      await database.query(`update telltale.traces set changed_at = now() - interval '4 minutes'`)
      await store(recorders.daemon, [call(2, 'websocket', -299_000, 0)])
      await store(recorders.tool, [call(3, 'tool', -100, 0)])
      await step()
      expect(await database.query(joins)).toEqual([
        { inside: traceId(2), outside: traceId(1), rule: 'arguments' },
        { inside: traceId(3), outside: traceId(2), rule: 'arguments' },
      ])
    })

    const strangers: readonly (readonly [string, Partial<Span>, Recorder, string])[] = [
      ['of another tool', { tool: 'other' }, recorders.tool, 'test'],
      ['of another environment', {}, recorders.tool, 'production'],
      ['with other arguments', { attributes: hash('bbbb') }, recorders.tool, 'test'],
      [
        'that began after it had ended',
        { start_us: calledUs + 450_000, end_us: calledUs + 460_000 },
        recorders.tool,
        'test',
      ],
      ['that began before', { start_us: calledUs - 50_000 }, recorders.tool, 'test'],
      ['of the same process', {}, recorders.shim, 'test'],
      ['of another service in the same layer', { layer: 'shim' }, recorders.tool, 'test'],
      ['of the same service and layer on another host', { layer: 'shim' }, replica, 'test'],
      ['with a parent that is known', { parent_span_id: '00000000000000d1' }, recorders.tool, 'test'],
    ]
    for (const [what, changes, from, environment] of strangers) {
      test(`tick_join_traces() does not join a call ${what}`, async () => {
        await store(recorders.shim, [call(1, 'shim', 0, 100)])
        const span = call(2, 'tool', 10, 90, changes)
        const parent = aSpan({
          ...span,
          span_id: '00000000000000d1',
          parent_span_id: null,
          tool: null,
          layer: 'daemon',
          attributes: {},
        })
        await store(from, changes.parent_span_id ? [span, parent] : [span], environment)
        expect(await step()).toEqual({ done: 0, more: false })
        expect((await listed()).length).toBe(2)
      })
    }

    test('tick_join_traces() allows for what two machines do not know of their clocks', async () => {
      const far = { ...recorders.tool, host: 'server' }
      await store(recorders.shim, [call(1, 'shim', 0, 100)])
      await store(far, [call(2, 'tool', 1_500, 1_580)])
      await store({ ...far, id: '018f0000-0000-7000-8000-0000000000a9' }, [call(3, 'tool', 4_000, 4_080)])
      await step()
      expect(await database.query(joins)).toEqual([{ inside: traceId(2), outside: traceId(1), rule: 'arguments' }])
    })

    test('tick_measure_clocks() stores how far a clock is off, and trace() says what to add', async () => {
      const aheadMs = 5_000
      const child = { parent_span_id: '1'.padStart(16, 'e'), entry: false } as const
      await store(recorders.shim, [call(1, 'shim', 0, 100)])
      await store(recorders.daemon, [
        call(1, 'websocket', aheadMs + 10, aheadMs + 90, { ...child, span_id: '2'.padStart(16, 'e') }),
      ])
      await store(recorders.tool, [
        call(1, 'tool', 20, 80, {
          parent_span_id: '2'.padStart(16, 'e'),
          entry: false,
          span_id: '3'.padStart(16, 'e'),
        }),
      ])
      expect(await database.rpc('tick_measure_clocks')).toEqual({ done: 2, more: false })
      const shifts = 'select process_id, shift_us, width_us from telltale.clock_shifts order by process_id'
      expect(await database.query(shifts)).toEqual([
        { process_id: recorders.daemon.id, shift_us: -aheadMs * 1_000, width_us: 10_000 },
        { process_id: recorders.tool.id, shift_us: aheadMs * 1_000, width_us: 10_000 },
      ])
      const { trace: whole } = await trace(1)
      expect(Object.fromEntries(whole.spans.map((span) => [span.layer, span.shift_us]))).toEqual({
        shim: 0,
        websocket: -aheadMs * 1_000,
        tool: 0,
      })
    })

    test('tick_measure_clocks() leaves clocks alone that may as well agree', async () => {
      await store(recorders.shim, [call(1, 'shim', 0, 100)])
      const child = { parent_span_id: '1'.padStart(16, 'e'), entry: false, span_id: '2'.padStart(16, 'e') }
      await store(recorders.daemon, [call(1, 'websocket', 3, 60, child)])
      await database.rpc('tick_measure_clocks')
      expect(await database.query('select shift_us, samples from telltale.clock_shifts')).toEqual([
        { shift_us: 0, samples: 1 },
      ])
    })

    test('message_completeness counts the nulls of each field by day', async () => {
      const said = {
        type: 'message',
        at_us: calledUs,
        trace_id: null,
        span_id: null,
        conversation_id: 'c',
        metadata: { a: 1 },
      } as const
      const known = {
        role: 'assistant',
        model_used: 'kimi-k2',
        provider_used: 'kimi',
        response_time_ms: 1,
        tool_name: 'chat',
        thinking_mode: 'low',
        token_usage: { total: 3 },
      }
      const unknown = {
        role: 'user',
        model_used: null,
        provider_used: null,
        response_time_ms: null,
        tool_name: 'chat',
        thinking_mode: null,
        token_usage: null,
      }
      await store(recorders.tool, [
        { ...said, ...known, message_id: 'm1' },
        { ...said, ...unknown, message_id: 'm2' },
      ])
      const rows = await database.query(`select field, messages, missing, missing_share::text as share
        from telltale.message_completeness where day = '${new Date(calledUs / 1_000).toISOString().slice(0, 10)}' order by field`)
      expect(
        Object.fromEntries(rows.map((row) => [row.field, [Number(row.messages), Number(row.missing), row.share]])),
      ).toEqual({
        conversation_id: [2, 0, '0.0000'],
        metadata: [2, 0, '0.0000'],
        model_used: [2, 1, '0.5000'],
        provider_used: [2, 1, '0.5000'],
        response_time_ms: [2, 1, '0.5000'],
        role: [2, 0, '0.0000'],
        thinking_mode: [2, 1, '0.5000'],
        token_usage: [2, 1, '0.5000'],
        tool_name: [2, 0, '0.0000'],
        trace_id: [2, 2, '1.0000'],
      })
    })
  })
}
