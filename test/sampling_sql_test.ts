import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Batch, Span, TelltaleRecord } from '../src/core/record.ts'
import { minutePartsOf } from '../src/core/window.ts'
import { type Caller, stoppedClock, type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, anError, aSpan, dayUs, minuteUs, nowUs, rowsOf, traceId } from './rows_fixture.ts'
import { arbitraryBatch } from './span_fixture.ts'
import { cellOfParts, expectStats, statsOf } from './stats_fixture.ts'

type Step = { readonly done: number; readonly more: boolean }

const hourUs = 60 * minuteUs
/** The start of an hour some hours ago, when all that is stored here was recorded. */
const atUs = Math.floor(nowUs / hourUs) * hourUs - 6 * hourUs

/** A request of a tool, with a call of a model inside. */
function request(n: number, changes: Partial<Span> = {}): Span[] {
  const span = aSpan({ trace_id: traceId(n), start_us: atUs, end_us: atUs + 100_000, ...changes })
  const inner = {
    span_id: '00000000000000b2',
    parent_span_id: span.span_id,
    entry: false,
    layer: 'api',
    provider: 'kimi',
  }
  return [span, { ...span, ...inner, tool: null, outcome: 'ok', end_us: span.start_us + 60_000 }]
}

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    let setClock: (us: number) => Promise<void>
    const member = randomUUID()
    const viewer: Caller = { role: 'authenticated', sub: member }
    beforeAll(async () => {
      database = await open()
      const days = [-3, -2, -1, 0, 1].map((n) => new Date((nowUs + n * dayUs) / 1_000).toISOString().slice(0, 10))
      await database.rpc('make_partitions', { days })
      await database.query('insert into telltale.members (user_id) values ($1)', [member])
      setClock = await stoppedClock(database, atUs)
      await database.rpc('set_sampling', { rules: {} })
    })
    afterAll(() => database.close())
    afterEach(async () => {
      await database.query(`truncate telltale.traces, telltale.trace_days, telltale.errors, telltale.error_groups,
        telltale.rollup_minutes, telltale.rollup_hours, telltale.hours_due, telltale.processes, telltale.batches,
        telltale.sources, telltale.trace_joins, telltale.sampling cascade`)
      await setClock(atUs)
      await database.query('insert into telltale.sampling default values')
    })

    const put = (batch: Batch) => database.rpc('ingest_batch', { batch: rowsOf(batch) })
    let seq = 0
    const store = (records: readonly TelltaleRecord[]) => {
      seq += 1
      return put(aBatch(records, { seq, batch_id: randomUUID(), made_at_us: atUs }))
    }
    const rules = (set: object) => database.rpc('set_sampling', { rules: { baseline_share: 0, ...set } })
    const decide = () => database.rpc('tick_decide_sampling') as Promise<Step>
    /** Until nothing is left to decide; how many were emptied. */
    const decideAll = async () => {
      let done = 0
      for (;;) {
        const step = await decide()
        done += step.done
        if (!step.more) return done
      }
    }
    const emptied = async () =>
      (await database.query('select trace_id from telltale.traces where sampled is not null order by trace_id')).map(
        ({ trace_id }) => trace_id,
      )
    const later = (minutes: number) => setClock(atUs + minutes * minuteUs)

    test('tick_decide_sampling() lets every trace keep its spans unless the operator says otherwise', async () => {
      await store(request(1))
      await later(60)
      expect(await decide()).toEqual({ done: 0, more: false })
      expect(await database.rpc('sampling_rules', {}, viewer)).toMatchObject({ baseline_share: 1, emptied: 0 })
    })

    test('tick_decide_sampling() empties spans alone, of a trace that was not touched for five minutes', async () => {
      await rules({ keep_slow: false })
      await store(request(1))
      const [before] = await database.query('select to_jsonb(t) as row from telltale.traces as t')
      await later(4.9)
      expect(await decide()).toEqual({ done: 0, more: false })
      await store([aSpan({ trace_id: traceId(1), start_us: atUs, end_us: atUs + 100_000 })])
      await later(5.1)
      expect(await decide()).toEqual({ done: 0, more: false })
      await later(10)
      expect(await decide()).toEqual({ done: 1, more: false })
      expect(await decide()).toEqual({ done: 0, more: false })
      const [after] = await database.query('select to_jsonb(t) as row from telltale.traces as t')
      const { spans, sampled, revision, changed_at, changed_xid, ...rest } = (after?.row ?? {}) as Record<
        string,
        unknown
      >
      expect(spans).toEqual({})
      expect(sampled).toMatchObject({ span_id: '00000000000000a1', start_us: atUs, end_us: atUs + 100_000 })
      expect(before?.row).toMatchObject(rest)
      expect(rest).toMatchObject({ span_count: 2, layers: { api: 60, tool: 40 } })
      const answer = (await database.rpc('trace', { trace_id: traceId(1) })) as { trace: Record<string, unknown> }
      expect(answer.trace).toMatchObject({ sampled: true, spans: [], layers: { api: 60, tool: 40 } })
      expect(await database.rpc('traces')).toMatchObject({ rows: [{ sampled: true }] })
      expect(await database.query('select from telltale.spans')).toEqual([])
      expect(await database.rpc('sampling_rules')).toMatchObject({ emptied: 1 })
    })

    test('tick_decide_sampling() keeps what failed, what has an error, what is pinned, and all that is joined to it', async () => {
      await rules({ keep_slow: false })
      await store([
        ...request(1),
        ...request(2, { outcome: 'timeout' }),
        ...request(3),
        anError({ trace_id: traceId(3), at_us: atUs }),
        ...request(4),
        ...request(5),
        ...request(6),
        ...request(7, { end_us: null, outcome: null }),
        ...request(8, { outcome: 'cancelled' }),
      ])
      expect(await database.rpc('pin_trace', { trace_id: traceId(4).toUpperCase() }, viewer)).toBe(true)
      expect(await database.rpc('pin_trace', { trace_id: traceId(99) }, viewer)).toBe(false)
      // What failed inside of 5 is part of 5 and of 6.
      await database.query(
        `insert into telltale.trace_joins (inner_trace_id, outer_trace_id, outer_span_id, rule, day)
         select $1, $2, '00000000000000a1', 'session', telltale.today() union all
         select $2, $3, '00000000000000a1', 'session', telltale.today()`,
        [traceId(2), traceId(5), traceId(6)],
      )
      await later(6)
      expect(await decideAll()).toBe(2)
      expect(await emptied()).toEqual([traceId(1), traceId(8)])
      expect(await database.rpc('pin_trace', { trace_id: traceId(4), pinned: false }, viewer)).toBe(true)
      await rules({ keep_errors: false, keep_slow: false })
      await database.query(`update telltale.sampling set decided_to = 'epoch'`)
      expect(await decideAll()).toBe(5)
    })

    test('tick_decide_sampling() keeps what is slower than 99 of 100 of its own tool, and all where that is not known', async () => {
      await rules({})
      const spans = Array.from({ length: 200 }, (_, n) =>
        aSpan({ trace_id: traceId(n), tool: 'fast', start_us: atUs, end_us: atUs + 1_000 * (n + 1) }),
      )
      await store([
        ...spans,
        aSpan({ trace_id: traceId(300), tool: 'rare', start_us: atUs, end_us: atUs + 1_000 }),
        aSpan({ trace_id: traceId(301), tool: null, start_us: atUs, end_us: atUs + 1_000 }),
      ])
      await later(6)
      await database.rpc('tick_compact_minutes')
      await database.rpc('tick_recompute_hours')
      const [limit] = await database.query('select 1 as one')
      expect(limit).toEqual({ one: 1 })
      await decideAll()
      const left = (await database.query('select trace_id from telltale.traces where sampled is null order by 1')).map(
        ({ trace_id }) => trace_id,
      )
      expect(left).toContain(traceId(199))
      expect(left).toContain(traceId(300))
      expect(left).not.toContain(traceId(301))
      expect(left).not.toContain(traceId(190))
      expect(left.length).toBeLessThanOrEqual(6)
    })

    test('tick_decide_sampling() keeps what lies in an anomaly of a series that counts it', async () => {
      const [found] = await database.query(`select to_regclass('telltale.anomalies') is null as missing`)
      if (found?.missing) {
        await database.query(`create table telltale.anomalies (service text, environment text, series_key text,
          started_at timestamptz, last_at timestamptz, ended_at timestamptz)`)
        await database.query(
          `insert into telltale.anomalies values ('exai', 'test', 'tool:chat', telltale.at_of($1), telltale.at_of($2), null)`,
          [atUs, atUs + 2 * minuteUs],
        )
      } else {
        const id = randomUUID()
        await database.query(
          `insert into telltale.incidents (incident_id, service, environment, series_key, metric, score, anomalies, started_at, last_at)
           values ($1, 'exai', 'test', 'tool:chat', 'p95_ms', 1, 1, telltale.at_of($2), telltale.at_of($3))`,
          [id, atUs, atUs + 2 * minuteUs],
        )
        await database.query(
          `insert into telltale.anomalies (anomaly_id, service, environment, series_key, metric, score, expected, seen, started_at, last_at, incident_id)
           values ($1, 'exai', 'test', 'tool:chat', 'p95_ms', 1, '{"low": 0, "mid": 1, "high": 2}', 9, telltale.at_of($2), telltale.at_of($3), $1)`,
          [id, atUs, atUs + 2 * minuteUs],
        )
      }
      await rules({ keep_slow: false })
      await store([
        ...request(1, { tool: 'chat' }),
        ...request(2, { tool: 'listen' }),
        ...request(3, { tool: 'chat', start_us: atUs + 10 * minuteUs, end_us: atUs + 11 * minuteUs }),
      ])
      await later(30)
      await decideAll()
      expect(await emptied()).toEqual([traceId(2), traceId(3)])
      if (found?.missing) await database.query('drop table telltale.anomalies')
      else await database.query('delete from telltale.incidents')
    })

    test('tick_decide_sampling() keeps a share by chance, in bounded steps, and decides the same when asked again', async () => {
      await rules({ baseline_share: 0.3, keep_slow: false })
      const ids = Array.from({ length: 1_200 }, () => randomUUID().replaceAll('-', ''))
      for (const part of [ids.slice(0, 700), ids.slice(700)]) {
        await store(part.map((trace_id) => aSpan({ trace_id, start_us: atUs, end_us: atUs + 5 })))
      }
      await later(6)
      const steps = [await decide(), await decide(), await decide()]
      expect(steps.map(({ more }) => more)).toEqual([true, true, false])
      const gone = await emptied()
      // Six times the standard deviation of a binomial.
      expect(Math.abs(gone.length - 840)).toBeLessThan(96)
      await database.query(`update telltale.sampling set decided_to = 'epoch'`)
      expect(await decideAll()).toBe(0)
      expect(await emptied()).toEqual(gone)
    })

    test('spans that come after a trace was emptied move its times and outcome, never its breakdown', async () => {
      await rules({ keep_slow: false })
      await store([...request(1), ...request(2), ...request(3)])
      await later(6)
      expect(await decideAll()).toBe(3)
      const late = (n: number, changes: Partial<Span>) =>
        aSpan({ trace_id: traceId(n), entry: false, parent_span_id: '00000000000000a1', start_us: atUs, ...changes })
      await store([
        // An inner span that ends later; the head's own end again, later and failed; the recorder further out.
        late(1, { span_id: '00000000000000c3', start_us: atUs - 50, end_us: atUs + 900_000 }),
        late(2, { span_id: '00000000000000a1', entry: true, end_us: atUs + 200_000, outcome: 'timeout' }),
        late(3, {
          span_id: '0000000000000001',
          entry: true,
          parent_span_id: null,
          start_us: atUs - 9_000,
          end_us: atUs + 300_000,
        }),
      ])
      const rows =
        await database.query(`select telltale.us_of(started_at) as started, telltale.us_of(ended_at) as ended,
        duration_ms, outcome, layers, span_count, spans, revision from telltale.traces order by trace_id`)
      const same = { layers: { api: 60, tool: 40 }, span_count: 2, spans: {}, revision: 2 }
      expect(rows).toEqual([
        { started: atUs - 50, ended: atUs + 900_000, duration_ms: 100, outcome: 'ok', ...same },
        { started: atUs, ended: atUs + 200_000, duration_ms: 200, outcome: 'timeout', ...same },
        { started: atUs - 9_000, ended: atUs + 300_000, duration_ms: 309, outcome: 'ok', ...same },
      ])
      // An end that is weaker than the one known changes nothing.
      await store([late(2, { span_id: '00000000000000a1', entry: true, end_us: atUs + 150_000, outcome: 'ok' })])
      const [row] = await database.query(`select outcome, duration_ms from telltale.traces where trace_id = $1`, [
        traceId(2),
      ])
      expect(row).toEqual({ outcome: 'timeout', duration_ms: 200 })
      await later(20)
      expect(await decideAll()).toBe(0)
    })

    test('every number from windows and rollups is exact, whatever was sampled, and what comes after', async () => {
      const shape = { base_us: atUs, spread_us: 20 * minuteUs, recordsMax: 30, types: ['span', 'event'] as const }
      const batches = fc
        .sample(arbitraryBatch(shape), { numRuns: 30, seed: 4 })
        .map((batch) => ({ ...batch, batch_id: randomUUID(), process: { ...batch.process, id: randomUUID() } }))
      await rules({ baseline_share: 0.2, keep_errors: false, keep_slow: false })
      const filter = { from: atUs - minuteUs, to: atUs + 25 * minuteUs }
      const steps = ['compact_minutes', 'recompute_hours', 'decide_sampling']
      const check = async (sent: readonly Batch[]) => {
        const parts = sent.flatMap(minutePartsOf)
        const view = (await database.rpc('overview', { filter })) as Record<string, unknown> & {
          from_us: number
          to_us: number
        }
        const [from, to] = [view.from_us / 1e6, view.to_us / 1e6]
        expectStats(view.total, statsOf(cellOfParts(parts, ['all'], from, to), to - from))
        for (const list of ['layers', 'tools', 'providers', 'models', 'calls', 'connections', 'caches']) {
          for (const { key, ...stats } of view[list] as { key: string }[]) {
            const cell = cellOfParts(parts, [`${list.slice(0, -1)}:${key}`], from, to)
            expectStats(stats, statsOf(cell, to - from), `${list} ${key}`)
          }
        }
      }
      for (const batch of batches.slice(0, 20)) await put(batch)
      await setClock(atUs + 40 * minuteUs)
      for (const step of steps) await database.rpc(`tick_${step}`)
      expect((await emptied()).length).toBeGreaterThan(0)
      await check(batches.slice(0, 20))
      for (const batch of batches.slice(20)) await put(batch)
      await setClock(atUs + 80 * minuteUs)
      for (const step of steps) await database.rpc(`tick_${step}`)
      await check(batches)
    })

    test.each([[{ baseline_share: 1.01 }], [{ baseline_share: '0.5' }], [{ keep_errors: 1 }], [{ keep: true }], [[]]])(
      'set_sampling() refuses %j with 22023 and a hint',
      async (wrong) => {
        const [text] = [JSON.stringify(wrong)]
        await expect(database.query('select telltale.set_sampling($1::jsonb)', [text])).rejects.toMatchObject({
          code: '22023',
        })
      },
    )
  })
}
