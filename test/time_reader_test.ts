import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isRoot, selfTimesOf } from '../src/core/breakdown.ts'
import { heatNamesMax, treeDepthMax, treeNodesMax } from '../src/core/limit.ts'
import type { Span } from '../src/core/record.ts'
import type { StoredSpans } from '../src/core/trace.ts'
import { type LensTrace, quantileOf, storedTraces, sumOf, waitsOf, withOwnTraces } from './lens_fixture.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, aSpan, dayUs, minuteUs, noonUs, nowUs, rowsOf, traceId } from './rows_fixture.ts'
import { arbitraryBatch, spanIdOf } from './span_fixture.ts'

type Step = readonly [kind: string, layer: string, name: string]
type Node = {
  readonly path: readonly Step[]
  readonly n: number
  readonly spans: number
  readonly folded: number
  readonly total_ms: number
  readonly share: number
  readonly self_ms: number
  readonly wait_ms: number
  readonly work_ms: number
  readonly rest_ms: number
  readonly p50_ms: number
  readonly p95_ms: number
}
type Tree = {
  readonly matched: number
  readonly read: number
  readonly emptied: number
  readonly total_ms: number
  readonly unexplained: { readonly total_ms: number; readonly share: number; readonly n: number }
  readonly nodes: readonly Node[]
}
type Heat = {
  readonly matched: number
  readonly read: number
  readonly columns: readonly { readonly key: string | null; readonly n: number; readonly filter: object | null }[]
  readonly rows: readonly {
    readonly key: string | null
    readonly min_ms: number | null
    readonly filter: object | null
  }[]
  readonly cells: readonly ({ readonly x: number; readonly y: number; readonly n: number } & {
    readonly [figure: string]: number
  })[]
}
type Held = {
  readonly wait_ms: number
  readonly rows: readonly {
    readonly [field: string]: unknown
    readonly total_ms: number
    readonly n: number
    readonly share: number
  }[]
  readonly rest: { readonly n: number; readonly total_ms: number }
}

const range = { from: noonUs - 10 * minuteUs, to: noonUs + 20 * minuteUs }

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    let stored: LensTrace[]
    beforeAll(async () => {
      database = await open()
      const days = [-3, -2, -1, 0, 1].map((n) => new Date((nowUs + n * dayUs) / 1_000).toISOString().slice(0, 10))
      await database.rpc('make_partitions', { days })
      const batches = fc.sample(
        fc.oneof(
          arbitraryBatch({ base_us: noonUs, spread_us: 4 * minuteUs, types: ['span'] }),
          arbitraryBatch({ base_us: noonUs, spread_us: 9_000, types: ['span'], spanIds: 20 }),
        ),
        60,
      )
      for (const [i, batch] of batches.entries()) {
        const own = {
          ...withOwnTraces(batch, i),
          batch_id: randomUUID(),
          process: { ...batch.process, id: randomUUID() },
        }
        await database.rpc('ingest_batch', { batch: rowsOf(own) })
      }
      stored = await storedTraces(database)
    })
    afterAll(() => database.close())

    const put = (spans: readonly Span[]) => database.rpc('ingest_batch', { batch: rowsOf(aBatch(spans)) })
    const tree = (depth: number | null, filter: object = range) =>
      database.rpc('time_tree', { filter, depth }) as Promise<Tree>
    const heat = (x: string, y: string, more: object = {}) =>
      database.rpc('heatmap', { filter: { ...range, ...more }, x, y }) as Promise<Heat>
    const holders = (filter: object = range) => database.rpc('holders', { filter }) as Promise<Held>
    const tracesIn = async (filter: object) => {
      const { rows } = (await database.rpc('traces', { filter, n: 1_000 })) as {
        rows: { trace_id: string; duration_ms: number | null }[]
      }
      const counted = new Set(stored.map(({ trace_id }) => trace_id))
      return rows.filter(({ trace_id }) => counted.has(trace_id)).length
    }

    test.each([1, 2, 3, treeDepthMax])(
      'time_tree() to a depth of %i accounts for all time: its shares add up to 1',
      async (depth) => {
        const { nodes, unexplained, total_ms, read, matched } = await tree(depth)
        expect([matched, read]).toEqual([stored.length, stored.length])
        expect(total_ms).toBeCloseTo(sumOf(stored.map(({ layers }) => sumOf(Object.values(layers)))), 2)
        const tops = nodes.filter(({ path }) => path.length === 1)
        expect(sumOf(tops.map(({ share }) => share)) + unexplained.share).toBeCloseTo(1, 3)
        expect(sumOf(tops.map((node) => node.total_ms)) + unexplained.total_ms).toBeCloseTo(total_ms, 1)
        expect(sumOf(nodes.map(({ self_ms, rest_ms }) => self_ms + rest_ms)) + unexplained.total_ms).toBeCloseTo(
          total_ms,
          1,
        )
        expect(Math.max(...nodes.map(({ path }) => path.length))).toBeLessThanOrEqual(depth)
        expect(nodes.length).toBeLessThanOrEqual(treeNodesMax)
        const waited = sumOf(stored.map(({ wait_ms }) => wait_ms))
        expect(sumOf(tops.map(({ wait_ms }) => wait_ms))).toBeCloseTo(waited, 2)
      },
    )

    test.each([2, treeDepthMax])(
      'time_tree() to a depth of %i has the nodes that walking each trace gives',
      async (depth) => {
        const { nodes } = await tree(depth)
        const wanted = new Map<string, { us: number[]; own: number; spans: number }>()
        for (const { spans } of stored) {
          const mine = new Map<string, number>()
          for (const { path, us } of pathsOf(spans, depth)) {
            for (let level = 1; level <= path.length; level += 1) {
              const key = JSON.stringify(path.slice(0, level))
              mine.set(key, (mine.get(key) ?? 0) + us)
            }
            const key = JSON.stringify(path)
            const node = wanted.get(key) ?? { us: [], own: 0, spans: 0 }
            wanted.set(key, { ...node, own: node.own + us, spans: node.spans + 1 })
          }
          for (const [key, us] of mine) wanted.get(key)?.us.push(us)
        }
        expect(wanted.size).toBeGreaterThan(40)
        expect(nodes.length).toBe(Math.min(treeNodesMax, wanted.size))
        for (const node of nodes) {
          const { us, own, spans } = wanted.get(JSON.stringify(node.path)) ?? { us: [], own: -1, spans: -1 }
          expect([node.n, node.spans]).toEqual([us.length, spans])
          expect(node.total_ms).toBeCloseTo(sumOf(us) / 1_000, 2)
          expect(node.self_ms).toBeCloseTo(own / 1_000, 2)
          expect(node.work_ms + node.wait_ms).toBeCloseTo(node.total_ms, 2)
          expect([node.p50_ms, node.p95_ms]).toEqual([0.5, 0.95].map((q) => (quantileOf(us, q) ?? 0) / 1_000))
        }
      },
    )

    test('heatmap() of latency by time has every call in one cell, and the filter of a cell finds its calls', async () => {
      for (const [x, more] of [
        ['time', {}],
        ['time', { to: noonUs + 90_000_000 }],
        ['tool', {}],
      ] as const) {
        const { columns, rows, cells, read } = await heat(x, 'latency', more)
        expect(read).toBe(await tracesIn({ ...range, ...more }))
        expect(sumOf(cells.map(({ n }) => n))).toBe(read)
        expect(sumOf(columns.map(({ n }) => n))).toBe(read)
        for (const cell of cells.slice(0, 15)) {
          const column = columns[cell.x]?.filter
          if (column !== null)
            expect(await tracesIn({ ...range, ...more, ...column, ...rows[cell.y]?.filter })).toBe(cell.n)
        }
      }
      const { columns } = await heat('time', 'latency')
      expect(columns.length).toBe(60)
      expect(columns.map(({ filter }) => filter)).toEqual(
        Array.from({ length: 60 }, (_, i) => ({ from: range.from + i * 30e6, to: range.from + (i + 1) * 30e6 })),
      )
    })

    test.each(['time', 'call_number', 'tool', 'provider', 'model'])(
      'heatmap() of layers by %s adds up to the breakdowns of the calls',
      async (x) => {
        const { columns, rows, cells, read } = await heat(x, 'layer')
        expect(sumOf(columns.map(({ n }) => n))).toBe(read)
        for (const [y, { key }] of rows.entries()) {
          const layer = String(key)
          const all = stored.map(({ layers }) => (Object.hasOwn(layers, layer) ? (layers[layer] as number) : 0))
          const own = cells.filter((cell) => cell.y === y)
          expect(sumOf(own.map(({ self_ms = 0 }) => self_ms))).toBeCloseTo(sumOf(all), 2)
          expect(sumOf(own.map(({ n }) => n))).toBe(all.filter((ms) => ms > 0).length)
        }
        for (const { x: at, y, n } of cells.slice(0, 10)) {
          const column = columns[at]?.filter
          if (column !== null) expect(await tracesIn({ ...range, ...column, ...rows[y]?.filter })).toBe(n)
        }
      },
    )

    test('holders() adds up to the waits of the traces, whoever held what', async () => {
      const { wait_ms, rows, rest } = await holders()
      const waited = sumOf(stored.flatMap((trace) => [...waitsOf(trace).values()])) / 1_000
      expect(wait_ms).toBeCloseTo(waited, 2)
      expect(sumOf(rows.map(({ total_ms }) => total_ms)) + rest.total_ms).toBeCloseTo(waited, 2)
      expect(sumOf(rows.map(({ share }) => share))).toBeCloseTo(1, 4)
    })

    test('holders() says who waited for whom, and for how long', async () => {
      const wait = (n: number, tool: string, ms: number, holder: string | null) => {
        const start_us = noonUs + 3_600e6 + n * 1e6
        const root = aSpan({ trace_id: traceId(n), tool, start_us, end_us: start_us + 500_000 })
        const held = { kind: 'wait', name: 'permit', holder, parent_span_id: root.span_id, entry: false } as const
        return [root, { ...root, ...held, span_id: spanIdOf(99), end_us: start_us + ms * 1_000 }]
      }
      await put(
        [
          wait(1, 'chat', 100, 'debug'),
          wait(2, 'chat', 300, 'debug'),
          wait(3, 'listen', 50, 'debug'),
          wait(4, 'chat', 40, null),
        ].flat(),
      )
      const { rows } = await holders({ from: noonUs + 3_600e6, to: noonUs + 3_700e6 })
      expect(rows).toMatchObject([
        {
          ...{ name: 'permit', layer: 'tool', holder: 'debug', n: 3, traces: 3, total_ms: 450 },
          ...{ p50_ms: 100, p95_ms: 300, max_ms: 300, longest_trace_id: traceId(2) },
          tools: [
            { tool: 'chat', n: 2, total_ms: 400 },
            { tool: 'listen', n: 1, total_ms: 50 },
          ],
        },
        { holder: null, n: 1, total_ms: 40, tools: [{ tool: 'chat', n: 1, total_ms: 40 }] },
      ])
    })

    test('time_tree() shows what no span explains as unexplained, and folds what lies too deep', async () => {
      const at = noonUs + 7_200e6
      const span = (nth: number, parent: number | null, from_ms: number, to_ms: number) =>
        aSpan({
          ...{ trace_id: traceId(9), span_id: spanIdOf(nth), name: `s${nth}`, entry: nth === 0 },
          ...{ parent_span_id: parent === null ? null : spanIdOf(parent) },
          ...{ start_us: at + from_ms * 1_000, end_us: at + to_ms * 1_000 },
        })
      await put([span(0, null, 0, 100), span(1, 0, 10, 60), span(2, 1, 20, 40), span(3, null, 150, 200)])
      const { nodes, unexplained } = await tree(2, { from: at, to: at + 1 })
      expect(unexplained).toEqual({ total_ms: 50, share: 0.25, n: 1 })
      expect(
        nodes.map(({ path, self_ms, folded }) => [path.map(([, , name]) => name).join(), self_ms, folded]),
      ).toEqual([
        ['s0', 50, 0],
        ['s0,s1', 50, 1],
        ['s3', 50, 0],
      ])
    })

    test('time_tree() lets what hangs on a span that still runs stand at the top, with what hangs on it', async () => {
      const at = noonUs + 9_000e6
      const span = (nth: number, parent: number | null, ms: number | null) =>
        aSpan({
          ...{ trace_id: traceId(11), span_id: spanIdOf(nth), name: `s${nth}`, entry: nth === 0, start_us: at },
          ...{
            parent_span_id: parent === null ? null : spanIdOf(parent),
            end_us: ms === null ? null : at + ms * 1_000,
          },
        })
      await put([span(0, null, 100), span(1, 0, null), span(2, 1, 50), span(3, 2, 20)])
      const { nodes } = await tree(null, { from: at, to: at + 1 })
      expect(nodes.map(({ path, self_ms }) => [path.map(([, , name]) => name).join(), self_ms])).toEqual([
        ['s0', 100],
        ['s2', 30],
        ['s2,s3', 20],
      ])
    })

    test('time_tree() reads what kept its spans, and says how many did not', async () => {
      const at = noonUs + 12_000e6
      await put([21, 22, 23].map((n) => aSpan({ trace_id: traceId(n), start_us: at + n, end_us: at + n + 5_000 })))
      await database.query(
        `update telltale.traces set spans = '{}', sampled = spans -> '00000000000000a1' || '{"span_id": "00000000000000a1"}'
        where trace_id = $1`,
        [traceId(22)],
      )
      expect(await tree(null, { from: at, to: at + 100 })).toMatchObject({
        matched: 3,
        read: 2,
        emptied: 1,
        total_ms: 10,
      })
    })

    test('heatmap() gives the names most called a column each, and one to all others and one to those without', async () => {
      const at = noonUs + 10_800e6
      const span = (nth: number, tool: string | null) =>
        aSpan({ trace_id: traceId(100 + nth), tool, start_us: at + nth, end_us: at + nth + 5_000 })
      const tools = Array.from({ length: heatNamesMax + 3 }, (_, i) => `tool ${String.fromCharCode(97 + i)}`)
      await put([...tools, ...tools.slice(0, 2), null].map((tool, i) => span(i, tool)))
      const { columns } = await heat('tool', 'latency', { from: at, to: at + 1_000 })
      expect(columns.map(({ key, n, filter }) => [key, n, filter])).toEqual([
        ...tools.slice(0, heatNamesMax).map((tool, i) => [tool, i < 2 ? 2 : 1, { tool }]),
        ['other', 3, null],
        ['unknown', 1, null],
      ])
    })

    const refused: [string, string, Record<string, unknown>, RegExp][] = [
      ['an unknown key', 'time_tree', { filter: { tol: 'x' } }, /Allowed are: from, to, tool/],
      ['no depth', 'time_tree', { filter: {}, depth: 0 }, /1 to 12/],
      ['too much depth', 'time_tree', { filter: {}, depth: 13 }, /1 to 12/],
      ['another axis', 'heatmap', { filter: {}, x: 'host' }, /time, call_number, tool/],
      ['no axis', 'heatmap', { filter: {}, x: null }, /time, call_number, tool/],
      ['another figure', 'heatmap', { filter: {}, y: 'tokens' }, /layer or latency/],
      ['a bound that is none', 'heatmap', { filter: { max_duration_ms: 'slow' } }, /is a number/],
      [
        'a range that ends before it begins',
        'holders',
        { filter: { from: noonUs, to: noonUs - 1 } },
        /from is before to/,
      ],
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

/** The path of every ended span, as span_paths() has it, by going up from each. */
function pathsOf(spans: StoredSpans, depth: number): { readonly path: readonly Step[]; readonly us: number }[] {
  const selves = selfTimesOf(spans)
  return [...selves].map(([id, us]) => {
    const path: Step[] = []
    const seen = new Set<string>()
    let at: string | undefined = id
    while (at !== undefined && selves.has(at) && !seen.has(at)) {
      seen.add(at)
      const span: StoredSpans[string] | undefined = spans[at]
      path.unshift([span?.kind ?? 'work', String(span?.layer), String(span?.name)])
      at = isRoot(spans, at) ? undefined : span?.parent_span_id
    }
    // What goes round in a circle, or hangs on one, stands alone.
    const circles = at !== undefined && seen.has(at)
    return { path: circles ? path.slice(-1) : path.slice(0, depth), us }
  })
}
