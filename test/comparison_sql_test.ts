import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Outcome } from '../src/core/outcome.ts'
import type { Span } from '../src/core/record.ts'
import { chanceOf } from '../src/demo/chance.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, aSpan, dayUs, minuteUs, noonUs, nowUs, rowsOf } from './rows_fixture.ts'

type Change = {
  readonly difference: number | null
  readonly ratio: number | null
  readonly p: number | null
  readonly differs: boolean | null
}
type Compared = {
  readonly key: string
  readonly a: Record<string, number | null>
  readonly b: Record<string, number | null>
  readonly changes: { readonly [measure: string]: Change }
}
type Comparison = {
  readonly a: { readonly from_us: number; readonly source: string }
  readonly comparisons: number
  readonly noise: number
  readonly total: Compared
} & { readonly [list in (typeof lists)[number]]: readonly Compared[] }
type Trend = {
  readonly points: readonly { readonly at_us: number; readonly count: number }[]
  readonly trends: {
    readonly [measure: string]: {
      readonly per_hour: number
      readonly change: number
      readonly points: number
      readonly p: number | null
      readonly differs: boolean | null
    }
  }
}

const lists = ['layers', 'tools', 'providers', 'models', 'calls'] as const
const hourUs = 60 * minuteUs

let made = 0

/** A call that ends then, and its call of a model, which takes most of the time. */
function call(at: number, us: number, changes: { tool?: string; provider?: string; outcome?: Outcome } = {}): Span[] {
  const { tool = 'chat', provider = 'kimi', outcome = 'ok' } = changes
  made += 1
  const trace_id = made.toString(16).padStart(32, 'e')
  return [
    aSpan({ trace_id, tool, outcome, start_us: at - us, end_us: at, tokens_out: 100 }),
    aSpan({
      trace_id,
      span_id: '00000000000000b2',
      parent_span_id: '00000000000000a1',
      entry: false,
      layer: 'api',
      tool: null,
      provider,
      model: `${provider}-1`,
      start_us: at - us,
      end_us: at - Math.round(us / 10),
    }),
  ]
}

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await open()
      const days = [-4, -3, -2, -1, 0].map((n) => new Date((nowUs + n * dayUs) / 1_000).toISOString().slice(0, 10))
      await database.rpc('make_partitions', { days })
    })
    afterAll(() => database.close())
    afterEach(() =>
      database.query(`truncate telltale.traces, telltale.trace_days, telltale.rollup_minutes, telltale.rollup_hours,
        telltale.hours_due, telltale.processes, telltale.batches, telltale.sources cascade`),
    )

    const store = async (spans: readonly Span[]) => {
      for (let at = 0; at < spans.length; at += 1_000) {
        const batch = aBatch(spans.slice(at, at + 1_000), { seq: at + 1, batch_id: randomUUID() })
        await database.rpc('ingest_batch', { batch: rowsOf(batch) })
      }
    }
    const compare = (a: object, b: object) => database.rpc('compare', { a, b }) as Promise<Comparison>
    const hour = (n: number, more: object = {}) => ({
      from: noonUs + n * hourUs,
      to: noonUs + (n + 1) * hourUs,
      ...more,
    })
    /** An hour's calls, of three tools and two providers, all alike but for what `shape` makes of them. */
    const anHour = (
      n: number,
      chance: () => number,
      shape: (at: { provider: string; tool: string }) => { slower?: number; failing?: number } = () => ({}),
      count = 400,
    ): Span[] =>
      Array.from({ length: count }, () => {
        const provider = chance() < 0.5 ? 'kimi' : 'glm'
        const tool = ['chat', 'plan', 'read'][Math.floor(chance() * 3)] ?? 'chat'
        const { slower = 1, failing = 0.02 } = shape({ provider, tool })
        const us = Math.round(20_000 * Math.exp(chance() + chance() + chance()) * slower)
        const at = noonUs + n * hourUs + 2_000_000 + Math.floor(chance() * (hourUs - 4_000_000))
        return call(at, us, { tool, provider, outcome: chance() < failing ? 'server_fault' : 'ok' })
      }).flat()
    const differing = (answer: Comparison) =>
      [answer.total, ...lists.flatMap((list) => answer[list])].flatMap(({ key = 'all', changes }) =>
        Object.entries(changes)
          .filter(([, { differs }]) => differs)
          .map(([measure]) => `${key} ${measure}`),
      )

    test('compare() names the provider that became four times slower, the tool that fails, and nothing else', async () => {
      const chance = chanceOf(7)
      await store([
        ...anHour(0, chance),
        ...anHour(1, chance, ({ provider, tool }) => ({
          slower: provider === 'glm' ? 4 : 1,
          failing: tool === 'plan' ? 0.2 : 0.02,
        })),
      ])
      const answer = await compare(hour(0), hour(1))
      const found = new Map(lists.flatMap((list) => answer[list].map((row) => [`${list} ${row.key}`, row.changes])))
      expect(found.get('providers glm')).toMatchObject({ latency: { differs: true }, p50_ms: { differs: true } })
      expect(found.get('providers glm')?.p50_ms?.ratio).toBeGreaterThan(3.5)
      expect(found.get('providers glm')?.p50_ms?.ratio).toBeLessThan(4.5)
      expect(found.get('tools plan')).toMatchObject({ error_rate: { differs: true } })
      for (const measure of ['latency', 'p50_ms', 'p95_ms', 'mean_ms', 'error_rate']) {
        expect(found.get('providers kimi')?.[measure], measure).toMatchObject({ differs: false })
      }
      expect(found.get('tools chat')?.error_rate).toMatchObject({ differs: false })
      expect(answer.total.changes.per_second).toMatchObject({ difference: 0, ratio: 1, p: 1, differs: false })
      expect(answer.total.changes.tokens_out_per_call).toMatchObject({ difference: 0, p: 1 })
      expect(answer.comparisons).toBeGreaterThan(60)
    })

    test('compare() finds no difference between stretches of time that are alike', async () => {
      const chance = chanceOf(11)
      for (let n = 0; n < 12; n += 1) await store(anHour(n - 8, chance, undefined, 150))
      const answers: string[][] = []
      for (let n = -8; n < 4; n += 2) answers.push(differing(await compare(hour(n), hour(n + 1))))
      // One answer in twenty may name one.
      expect(answers.filter((found) => found.length > 0)).toEqual([])
      await store(anHour(3, chance, undefined, 150))
      const busier = await compare(hour(2), hour(3))
      expect(busier.total.changes.per_second).toMatchObject({ ratio: 2, differs: true })
      expect(busier.total.changes.tokens_out_per_call).toMatchObject({ ratio: 1, differs: false })
    })

    test('compare() answers of each side what overview() does, from parts and from traces', async () => {
      const chance = chanceOf(3)
      await store([...anHour(0, chance, undefined, 60), ...anHour(1, chance, undefined, 50)])
      for (const more of [{}, { tool: 'chat' }, { outcome: 'ok' }, { tool: ['chat', 'plan'] }, { call_number: 3 }]) {
        const answer = await compare(hour(0, more), hour(1, more))
        for (const [side, filter] of [
          ['a', hour(0, more)],
          ['b', hour(1, more)],
        ] as const) {
          const view = (await database.rpc('overview', { filter })) as Record<string, unknown>
          expect(answer[side as 'a'], JSON.stringify(more)).toMatchObject({
            source: view.source,
            from_us: view.from_us,
          })
          expect(answer.total[side], JSON.stringify(more)).toEqual(view.total)
          for (const list of lists) {
            const wanted = new Map((view[list] as Compared[]).map(({ key, ...stats }) => [key, stats]))
            for (const row of answer[list]) {
              if (row[side].count !== 0) expect(row[side], `${list} ${row.key}`).toEqual(wanted.get(row.key))
              else expect(wanted.has(row.key)).toBe(false)
            }
            expect(answer[list].filter((row) => row[side].count !== 0).length).toBe(wanted.size)
          }
        }
      }
    })

    test('compare() tells how much more often one side is slower, ties counting half, and says nothing of too few', async () => {
      const few = fc.array(fc.constantFrom(1_000, 2_000, 3_000, 50_000), { minLength: 1, maxLength: 12 })
      const cases = fc.sample(fc.tuple(few, few), { numRuns: 6, seed: 5 })
      for (const [n, [a, b]] of cases.entries()) {
        const at = noonUs - n * 2 * hourUs
        await store([
          ...a.flatMap((us) => call(at + minuteUs, us)),
          ...b.flatMap((us) => call(at + hourUs + minuteUs, us)),
        ])
        const answer = await compare(hour(-2 * n), hour(-2 * n + 1))
        const wins = b.flatMap((y) => a.map((x) => Math.sign(y - x) as number)).reduce((sum, sign) => sum + sign, 0)
        const { latency, error_rate } = answer.total.changes
        expect(latency?.difference).toBeCloseTo(wins / a.length / b.length, 5)
        expect(latency?.p === null).toBe(a.length < 5 || b.length < 5)
        expect(error_rate?.p === null).toBe(a.length < 5 || b.length < 5)
      }
    })

    test('compare() of nothing, and of nothing with something, answers without a test', async () => {
      const empty = await compare(hour(0), hour(1))
      expect(empty).toMatchObject({ comparisons: 0, total: { a: { count: 0 }, b: { count: 0 } }, tools: [] })
      await store(call(noonUs + hourUs + minuteUs, 5_000))
      const half = await compare(hour(0), hour(1))
      expect(half).toMatchObject({
        tools: [{ key: 'chat', a: { count: 0 }, b: { count: 1, p50_ms: expect.any(Number) } }],
      })
      expect(half.tools[0]?.changes.latency).toBeUndefined()
    })

    test.each([
      ['of fewer than five', [1, 4, 0, 90], null],
      ['of none and none', [0, 50, 0, 50], 1],
      ['of all and all', [50, 50, 50, 50], 1],
      ['that are equal', [5, 50, 10, 100], 1],
      ['of half and all', [25, 50, 50, 50], 2.98e-8],
      // z = (0.2 - 0.1 - 0.01) / sqrt(0.15 * 0.85 * 0.02)
      ['that may be chance', [10, 100, 20, 100], 0.0747],
    ] as const)('p_of_shares() of shares %s', async (_, [a, a_of, b, b_of], wanted) => {
      const p = await database.rpc('p_of_shares', { a, a_of, b, b_of })
      if (wanted === null) expect(p).toBe(null)
      else expect(Number(p) / wanted).toBeCloseTo(1, 1)
    })

    test('p_of_z() is that of the normal distribution, far out too', async () => {
      for (const [z, p] of [
        [0, 1],
        [1.959964, 0.05],
        [-2.575829, 0.01],
        [6, 1.9732e-9],
        [10, 1.524e-23],
      ] as const) {
        expect(Number(await database.rpc('p_of_z', { z })) / p).toBeCloseTo(1, 4)
      }
      expect(Number(await database.rpc('p_of_z', { z: 1e9 }))).toBeGreaterThan(0)
    })

    const trend = (filter: object, step_s = 300) => database.rpc('trend', { filter, step_s }) as Promise<Trend>
    /** In each five minutes of two hours some calls, as long as `msOf` says. */
    const twoHours = (msOf: (step: number) => number, calls = (_: number) => 4) =>
      store(
        Array.from({ length: 24 }, (_, step) =>
          Array.from({ length: calls(step) }, () =>
            call(noonUs + step * 5 * minuteUs + minuteUs, Math.round(msOf(step) * 1_000)),
          ),
        ).flat(2),
      )
    const range = { from: noonUs, to: noonUs + 2 * hourUs }

    test('trend() tells a latency that creeps up through noise and a spike', async () => {
      const chance = chanceOf(5)
      await twoHours((step) => (step === 6 ? 60_000 : 100 + 4 * step + 20 * chance()))
      const { trends, points } = await trend(range)
      expect(points.length).toBe(24)
      expect(trends.p50_ms).toMatchObject({ differs: true, points: 24 })
      expect(trends.p50_ms?.per_hour).toBeGreaterThan(40)
      expect(trends.p50_ms?.per_hour).toBeLessThan(56)
      expect(trends.p50_ms?.change).toBeCloseTo(((trends.p50_ms?.per_hour ?? 0) / 12) * 23, 3)
      expect(trends.count).toMatchObject({ per_hour: 0, p: 1, differs: false })
      expect(trends.error_rate).toMatchObject({ per_hour: 0, differs: false })
    })

    test('trend() takes chance for chance, and neighbours that resemble each other for less than they are', async () => {
      const chance = chanceOf(9)
      await twoHours(
        () => 100 + 50 * chance(),
        (step) => (step < 3 ? 0 : 2),
      )
      const { trends } = await trend(range)
      expect(trends.p50_ms).toMatchObject({ differs: false, points: 21 })
      const wave = Array.from({ length: 24 }, (_, step) => 100 + 50 * Math.sin(step / 4))
      const slope = (points: readonly (number | null)[]) =>
        database.query(`select telltale.slope_of('x', $1, $2) as told`, [points.map((_, i) => i), points])
      const told = async (points: readonly (number | null)[]) =>
        (await slope(points))[0]?.told as { step: number; n: number; p: number | null }
      const shuffled = wave.map((_, i) => wave[(i * 7) % 24] ?? 0)
      expect((await told(wave)).p).toBeGreaterThan(0.2)
      expect((await told(shuffled)).p).toBeGreaterThan(0.05)
      expect(await told([1, null, 3, 4, null, 6])).toMatchObject({ step: 1, n: 4, p: null })
    })

    test('trend() leaves out the step that is not over, and refuses more steps than it can tell', async () => {
      const { trends, points } = await trend({ from: nowUs - 2 * hourUs })
      expect(trends.count?.points).toBe(points.length - 1)
      await expect(trend({ from: nowUs - 401 * minuteUs }, 60)).rejects.toMatchObject({
        code: '22023',
        hint: /greater/,
      })
      await expect(compare({ tol: 1 }, {})).rejects.toMatchObject({ code: '22023' })
      await expect(compare({}, { from: 5, to: 4 })).rejects.toMatchObject({ code: '22023' })
    })
  })
}
