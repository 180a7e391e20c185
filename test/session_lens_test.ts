import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lensTracesMax } from '../src/core/limit.ts'
import { isFailure, type Outcome } from '../src/core/outcome.ts'
import type { Span } from '../src/core/record.ts'
import { type LensTrace, quantileOf, storedTraces, sumOf, waitsOf, withOwnTraces } from './lens_fixture.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, aSpan, dayUs, minuteUs, noonUs, nowUs, processId, rowsOf, traceId } from './rows_fixture.ts'
import { arbitraryBatch } from './span_fixture.ts'

type Cell = { readonly call: string; readonly layer: string } & { readonly [figure: string]: number }
type Previous = {
  readonly n: number
  readonly running: number
  readonly gap_p50_ms: number | null
  readonly list: object[]
}
type Step = {
  readonly changed: boolean
  readonly few: boolean
  readonly p: number
  readonly superiority: number
  readonly change_ms: number
  readonly layer: string
  readonly waiting: boolean
}
type Call = {
  readonly call: string
  readonly n: number
  readonly errors: number
  readonly total_ms: number
  readonly p50_ms: number
  readonly p95_ms: number
  readonly wait_ms: number
  readonly step: Step | null
  readonly previous: Previous | null
}
type Lens = {
  readonly matched: number
  readonly read: number
  readonly waits_unknown: number
  readonly rules: readonly { readonly rule: string | null; readonly sessions: number; readonly n: number }[]
  readonly calls: readonly Call[]
  readonly cells: readonly Cell[]
}
type Row = {
  readonly trace_id: string
  readonly call_number: number
  readonly overlap_ms: number
  readonly previous: object | null
}
type Timeline = { readonly rules: string[]; readonly rows: readonly Row[]; readonly next: string | null }

const range = { from: noonUs - 60 * minuteUs, to: noonUs + 60 * minuteUs }

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await open()
      const days = [-3, -2, -1, 0, 1].map((n) => new Date((nowUs + n * dayUs) / 1_000).toISOString().slice(0, 10))
      await database.rpc('make_partitions', { days })
    })
    afterAll(() => database.close())

    const clear = () =>
      database.query('truncate telltale.traces, telltale.trace_days, telltale.trace_joins, telltale.batches cascade')
    const lens = (more: object = {}, calls = 5) =>
      database.rpc('session_lens', { filter: { ...range, ...more }, calls }) as Promise<Lens>
    const timeline = (session: string, cursor: string | null = null, n = 100) =>
      database.rpc('session_timeline', { session, cursor, n }) as Promise<Timeline>
    const put = (spans: readonly Span[]) => database.rpc('ingest_batch', { batch: rowsOf(aBatch(spans)) })
    /** The nth call of a session, which begins at `at_ms` after noon and takes `ms`. */
    const call = (n: number, session: string | null, at_ms: number, ms: number | null, more: Partial<Span> = {}) =>
      aSpan({
        trace_id: traceId(n),
        start_us: noonUs + at_ms * 1_000,
        end_us: ms === null ? null : noonUs + (at_ms + ms) * 1_000,
        outcome: ms === null ? null : 'ok',
        session: session === null ? null : { key: session, rule: 'mcp' },
        ...more,
      })

    describe('of generated traces', () => {
      let stored: LensTrace[]
      let answer: Lens
      let numbers: ReadonlyMap<string, number | null>
      const bucketOf = (trace: LensTrace) => {
        const number = numbers.get(trace.trace_id) ?? null
        return number === null ? 'unknown' : number > 5 ? '6+' : String(number)
      }
      beforeAll(async () => {
        await clear()
        const batches = fc.sample(arbitraryBatch({ base_us: noonUs, spread_us: 4 * minuteUs, types: ['span'] }), 80)
        for (const [i, batch] of batches.entries()) {
          const own = withOwnTraces(batch, i)
          await database.rpc('ingest_batch', {
            batch: rowsOf({ ...own, batch_id: randomUUID(), process: aBatch().process }),
          })
        }
        stored = await storedTraces(database)
        answer = await lens()
        const { rows } = (await database.rpc('traces', { filter: {}, n: 1_000 })) as { rows: Row[] }
        numbers = new Map(rows.map(({ trace_id, call_number }) => [trace_id, call_number]))
      })

      test('session_lens() puts every trace that counts into the row of its call number', () => {
        expect(stored.length).toBeGreaterThan(50)
        expect([answer.matched, answer.read, answer.waits_unknown]).toEqual([stored.length, stored.length, 0])
        for (const { call: key, n, errors, total_ms, p50_ms, p95_ms, wait_ms } of answer.calls) {
          const own = stored.filter((trace) => bucketOf(trace) === key)
          const durations = own.map(({ duration_ms }) => duration_ms)
          expect(n).toBe(own.length)
          expect(errors).toBe(own.filter(({ outcome }) => isFailure(outcome as Outcome)).length)
          expect(total_ms).toBeCloseTo(sumOf(durations), 3)
          expect([p50_ms, p95_ms]).toEqual([quantileOf(durations, 0.5), quantileOf(durations, 0.95)])
          expect(wait_ms).toBeCloseTo(sumOf(own.map((trace) => trace.wait_ms)), 3)
        }
        expect(sumOf(answer.calls.map(({ n }) => n))).toBe(stored.length)
      })

      test('session_lens() has cells that add up to the layer breakdowns of the traces, work and waits apart', () => {
        const wanted = new Set(
          stored.flatMap((trace) => Object.keys(trace.layers).map((layer) => `${bucketOf(trace)} ${layer}`)),
        )
        expect(new Set(answer.cells.map((cell) => `${cell.call} ${cell.layer}`))).toEqual(wanted)
        for (const cell of answer.cells) {
          const own = stored.filter((trace) => bucketOf(trace) === cell.call)
          const selves = own.map(({ layers }) =>
            Object.hasOwn(layers, cell.layer) ? (layers[cell.layer] as number) : 0,
          )
          const waits = own.map((trace) => (waitsOf(trace).get(cell.layer) ?? 0) / 1_000)
          expect(cell.n).toBe(own.length)
          expect(cell.seen).toBe(selves.filter((ms) => ms > 0).length)
          expect(cell.self_ms).toBeCloseTo(sumOf(selves), 3)
          expect(cell.wait_ms).toBeCloseTo(sumOf(waits), 3)
          expect(cell.work_ms).toBeCloseTo(sumOf(selves) - sumOf(waits), 3)
          expect([cell.p50_ms, cell.p95_ms]).toEqual([quantileOf(selves, 0.5), quantileOf(selves, 0.95)])
          expect([cell.wait_p50_ms, cell.wait_p95_ms]).toEqual([quantileOf(waits, 0.5), quantileOf(waits, 0.95)])
        }
      })

      test('session_lens() and sessions() tell by which rule the sessions were found', async () => {
        const inSession = stored.filter(({ session_key }) => session_key !== null)
        expect(sumOf(answer.rules.filter(({ rule }) => rule !== null).map(({ n }) => n))).toBe(inSession.length)
        const seen: unknown[] = []
        let cursor: string | null = null
        do {
          const args: object = { filter: range, cursor, n: 3 }
          const page = (await database.rpc('sessions', args as never)) as {
            rows: Record<string, never>[]
            next: string | null
          }
          for (const { session_key, calls, total_ms } of page.rows) {
            const own = inSession.filter((trace) => trace.session_key === session_key)
            expect(calls).toBe(own.length)
            expect(total_ms).toBeCloseTo(sumOf(own.map(({ duration_ms }) => duration_ms)), 3)
            seen.push(session_key)
          }
          cursor = page.next
        } while (cursor !== null)
        expect(seen.toSorted()).toEqual([...new Set(inSession.map(({ session_key }) => session_key))].toSorted())
      })

      test('session_timeline() lists every call of a session once, whatever the page', async () => {
        for (const key of new Set(stored.flatMap(({ session_key }) => session_key ?? []))) {
          const whole = await timeline(key)
          const rows: Row[] = []
          let cursor: string | null = null
          do {
            const page: Timeline = await timeline(key, cursor, 2)
            rows.push(...page.rows)
            cursor = page.next
          } while (cursor !== null)
          expect(rows).toEqual(whole.rows)
          for (const { trace_id, call_number } of rows) expect(call_number).toBe(numbers.get(trace_id))
        }
      })
    })

    test('session_lens() and session_timeline() tell what went before: the gap, its outcome, and whether it still ran', async () => {
      await clear()
      await put([
        call(1, 's', 0, 100, { tool: 'chat', outcome: 'timeout' }),
        call(2, 's', 150, 200),
        call(3, 's', 300, 100),
        call(4, 's', 500, null, { tool: 'debug' }),
        call(5, 's', 600, 10),
        call(6, 'other', 50, 10),
        call(7, null, 60, 10),
      ])
      const { calls } = await lens()
      expect(calls.map(({ call: key, n }) => [key, n])).toEqual([
        ['1', 2],
        ['2', 1],
        ['3', 1],
        ['5', 1],
        ['unknown', 1],
      ])
      expect(calls.map(({ previous }) => previous && [previous.n, previous.running, previous.gap_p50_ms])).toEqual([
        null,
        [1, 0, 50],
        [1, 1, -50],
        [1, 1, null],
        null,
      ])
      expect(calls[1]?.previous?.list).toEqual([
        { tool: 'chat', outcome: 'timeout', n: 1, running: 0, gap_p50_ms: 50, p50_ms: 200 },
      ])
      const { rows, rules } = await timeline('s')
      expect(rules).toEqual(['mcp'])
      expect(rows.map(({ call_number, overlap_ms }) => [call_number, overlap_ms])).toEqual([
        [1, 0],
        [2, 0],
        [3, 50],
        [4, 0],
        [5, 10],
      ])
      expect(rows[2]?.previous).toEqual({
        trace_id: traceId(2),
        tool: 'read_file',
        outcome: 'ok',
        gap_ms: -50,
        running: true,
      })
      expect(rows[4]?.previous).toMatchObject({ tool: 'debug', outcome: null, gap_ms: null, running: true })
    })

    test('session_lens() counts what is joined into another with that one, and ranks it nowhere', async () => {
      await clear()
      const inner = '00000000000000b7'
      await put([
        call(1, 's', 0, 100),
        call(2, 's', 200, 100),
        call(3, 's', 210, 80, { span_id: inner, entry: false }),
        call(3, 's', 220, 50, {
          span_id: '00000000000000b8',
          parent_span_id: inner,
          kind: 'wait',
          layer: 'storage',
          entry: false,
        }),
        call(4, 's', 400, 100),
      ])
      await database.query(
        `insert into telltale.trace_joins (inner_trace_id, outer_trace_id, outer_span_id, rule, day)
        select $1, $2, '00000000000000a1', 'session', day from telltale.trace_days where trace_id = $2`,
        [traceId(3), traceId(2)],
      )
      await database.query(
        `update telltale.traces as t set (layers, wait_ms) = (select b.layers, b.wait_ms
          from telltale.breakdowns_of(array[telltale.joined_spans($1)]) as b) where trace_id = $1`,
        [traceId(2)],
      )
      const { calls, cells, waits_unknown } = await lens()
      expect(calls.map(({ call: key, n }) => [key, n])).toEqual([
        ['1', 1],
        ['2', 1],
        ['3', 1],
      ])
      expect(waits_unknown).toBe(0)
      expect(cells.find((cell) => cell.call === '2' && cell.layer === 'storage')).toMatchObject({
        self_ms: 50,
        wait_ms: 50,
        work_ms: 0,
      })
      expect((await timeline('s')).rows.map(({ trace_id }) => trace_id)).toEqual([1, 2, 4].map(traceId))
    })

    test('session_lens() finds the call number at which calls get slower, and where; and none where they do not', async () => {
      await clear()
      const spans: Span[] = []
      // 20 sessions of four calls; the third waits for a permit, and noise is heavy.
      for (let s = 0; s < 20; s += 1) {
        for (let k = 1; k <= 4; k += 1) {
          const id = s * 10 + k
          const noise = ((s * 7 + k * 13) % 20) * ((s * 3 + k) % 9 === 0 ? 40 : 4)
          const at = s * 60_000 + k * 10_000
          const wait = k === 3 ? 900 : 0
          const root = call(id, `s${s}`, at, 200 + noise + wait)
          spans.push(root)
          if (wait > 0)
            spans.push({
              ...call(id, null, at, wait),
              span_id: '00000000000000b2',
              parent_span_id: root.span_id,
              kind: 'wait',
              entry: false,
            })
        }
      }
      await put(spans)
      const { calls } = await lens()
      expect(calls.map(({ step }) => step?.changed ?? null)).toEqual([null, false, true, true])
      expect(calls[2]?.step).toMatchObject({ layer: 'tool', waiting: true, few: false })
      expect(calls[2]?.step?.change_ms).toBeGreaterThan(800)
      expect(calls[3]?.step?.change_ms).toBeLessThan(-800)
      const few = await lens({ session: ['s1', 's2', 's3'] })
      expect(few.calls.map(({ step }) => step && [step.few, step.changed])).toEqual([
        null,
        [true, false],
        [true, false],
        [true, false],
      ])
    })

    test('call_steps() is the rank test of Mann and Whitney, corrected by Holm', async () => {
      const samples = fc.sample(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 12 })), {
          minLength: 2,
          maxLength: 60,
        }),
        40,
      )
      for (const sample of samples) {
        const rows = await database.query('select * from telltale.call_steps($1::int[], $2::float8[])', [
          sample.map(([k]) => k),
          sample.map(([, ms]) => ms),
        ])
        const wanted = [2, 3, 4].flatMap((k) => testedOf(sample, k) ?? [])
        wanted.sort((a, b) => a.p - b.p || a.call - b.call)
        let least = 0
        for (const [i, one] of wanted.entries()) {
          least = Math.max(least, one.p * (wanted.length - i))
          const row = rows.find((each) => each.call === one.call)
          expect(row).toMatchObject({ n: one.n, before_n: one.m })
          expect(row?.superiority).toBeCloseTo(one.superiority, 9)
          expect(row?.p).toBeCloseTo(Math.min(1, least), 5)
        }
        expect(rows.length).toBe(wanted.length)
      }
    })

    test('session_lens() beyond its bound reads a sample, the same each time, and says so', async () => {
      await clear()
      await database.query(
        `insert into telltale.traces (trace_id, day, started_at, duration_ms, wait_ms, process_id, span_count, name, outcome,
          session_key, session_rule, layers, spans)
        select 'd' || lpad(i::text, 31, '0'), $1, telltale.at_of($2::bigint + i), 1 + i % 7, 0, $3, 1, 'x', 'ok', 's' || i / 5, 'mcp',
          '{"tool": 1}', '{}' from generate_series(1, $4::int) as i`,
        [new Date(noonUs / 1_000).toISOString().slice(0, 10), noonUs, processId, lensTracesMax + 500],
      )
      const first = await lens()
      expect([first.matched, first.read]).toEqual([lensTracesMax + 500, lensTracesMax])
      expect(sumOf(first.calls.map(({ n }) => n))).toBe(lensTracesMax)
      expect(await lens()).toEqual(first)
    })

    const refused: [string, string, Record<string, unknown>, RegExp][] = [
      ['an unknown key', 'session_lens', { filter: { tol: 'x' } }, /Allowed are: from, to, tool/],
      ['no call numbers', 'session_lens', { filter: {}, calls: 0 }, /1 to 50/],
      ['too many of them', 'session_lens', { filter: {}, calls: 51 }, /1 to 50/],
      [
        'a range that ends before it begins',
        'session_lens',
        { filter: { from: noonUs, to: noonUs - 1 } },
        /from is before to/,
      ],
      ['no session', 'session_timeline', { session: null }, /key of a session/],
      ['no rows', 'session_timeline', { session: 's', n: 0 }, /1 to 1000/],
      ['a cursor of another function', 'sessions', { filter: {}, cursor: 'e30' }, /the `next` of the page before/],
    ]
    for (const [what, reader, args, hint] of refused) {
      test(`${reader}() refuses ${what} with 22023 and says what is right`, async () => {
        await expect(database.rpc(reader, args)).rejects.toMatchObject({
          code: '22023',
          hint: expect.stringMatching(hint),
        })
      })
    }
  })
}

/** By counting pairs; null where a side is empty. */
function testedOf(sample: readonly (readonly [number, number])[], k: number) {
  const after = sample.filter(([at]) => at === k).map(([, ms]) => ms)
  const before = sample.filter(([at]) => at === k - 1).map(([, ms]) => ms)
  const [n, m] = [after.length, before.length]
  if (n === 0 || m === 0) return null
  const u = sumOf(after.map((a) => sumOf(before.map((b) => (a > b ? 1 : a === b ? 0.5 : 0)))))
  const counts = new Map<number, number>()
  for (const ms of [...after, ...before]) counts.set(ms, (counts.get(ms) ?? 0) + 1)
  const ties = sumOf([...counts.values()].map((t) => t ** 3 - t))
  const variance = ((n * m) / 12) * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
  const z = counts.size === 1 ? 0 : Math.max(0, Math.abs(u - (n * m) / 2) - 0.5) / Math.sqrt(variance)
  return { call: k, n, m, superiority: u / (n * m), p: tailsOf(z) }
}

/** Both tails of a standard normal distribution, by adding up its density. */
function tailsOf(z: number): number {
  const steps = 4_000
  const width = Math.max(0, 12 - z) / steps
  let sum = 0
  for (let i = 0; i < steps; i += 1) sum += Math.exp(-((z + (i + 0.5) * width) ** 2) / 2) * width
  return (2 * sum) / Math.sqrt(2 * Math.PI)
}
