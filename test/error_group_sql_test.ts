import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Batch } from '../src/core/record.ts'
import type { ErrorGroup, ErrorGroupDetail } from '../web/view/answer.ts'
import { stoppedClock, type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, anError, aSpan, dayUs, noonUs, rowsOf, traceId } from './rows_fixture.ts'

const minuteUs = 60_000_000

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    const processes = new Map<string, string>()

    /** Each error in a request of its own, from a process of that version. */
    async function failAt(
      minutes: readonly number[],
      version: string,
      more: Record<string, unknown> = {},
    ): Promise<void> {
      const id = processes.get(version) ?? randomUUID()
      processes.set(version, id)
      const { tool = 'chat', session = 's', ...fields } = more
      const records = minutes.flatMap((minute) => {
        const at_us = noonUs + minute * minuteUs
        const trace_id = traceId(minute + 5_000 * processes.size)
        return [
          aSpan({
            trace_id,
            start_us: at_us,
            end_us: at_us,
            tool: String(tool),
            session: { key: String(session), rule: 'mcp' },
          }),
          anError({ at_us, trace_id, ...fields }),
        ]
      })
      const environment = version.startsWith('demo') ? 'demo' : 'live'
      const source = { service: 'exai', instance: 'a', environment, version }
      const process = { id, started_at_us: noonUs, host: null, pid: null, sdk: 'x' }
      await database.rpc('ingest_batch', { batch: rowsOf(aBatch(records as Batch['records'], { source, process })) })
    }

    const list = async (filter: Record<string, unknown>) =>
      ((await database.rpc('error_groups', { filter })) as { rows: ErrorGroup[] }).rows
    const one = (fingerprint: string, filter: Record<string, unknown> = {}) =>
      database.rpc('error_group', { fingerprint, filter }) as Promise<ErrorGroupDetail | null>
    let broken: string
    let timed: string

    beforeAll(async () => {
      database = await open()
      await stoppedClock(database, noonUs + 120 * minuteUs)
      const days = [-2, -1, 0, 1].map((n) => new Date((noonUs + n * dayUs) / 1_000).toISOString().slice(0, 10))
      await database.rpc('make_partitions', { days })
      await failAt([0, 1, 1, 61, 119], '1.1')
      await failAt([-30, 100], '1.0', { tool: 'search', session: 't' })
      await failAt([118], 'demo-2')
      await failAt([5], '1.1', { error_type: 'Timeout' })
      broken = (await list({ error_type: 'TypeError' }))[0]?.fingerprint as string
      timed = (await list({ error_type: 'Timeout' }))[0]?.fingerprint as string
    })
    afterAll(() => database.close())

    describe('error_groups()', () => {
      test('counts the errors of the time asked for in steps, and knows the versions of the first and the last', async () => {
        const [group] = await list({ fingerprint: broken, from: noonUs, to: noonUs + 60 * minuteUs })
        expect(group).toMatchObject({
          count: 8,
          first_version: '1.0',
          last_version: '1.1',
          state: 'open',
          decision: null,
        })
        expect(group?.counts).toMatchObject({ from_us: noonUs, step_s: 120 })
        expect(group?.counts.values).toEqual([3, ...Array(29).fill(0)])
      })

      const ranges: [string, Record<string, unknown>, number, number, number][] = [
        ['the last day where none is asked for', {}, 1_800, 48, 8],
        ['to now', { from: noonUs + 100 * minuteUs }, 30, 40, 3],
        ['of an environment', { environment: 'demo', from: noonUs + 100 * minuteUs }, 30, 40, 1],
        ['of no time', { from: noonUs, to: noonUs }, 30, 0, 0],
        ['of what is kept, of a time that is longer', { from: noonUs - 400 * dayUs }, 86_400, 31, 8],
        ['of a step that the time begins in', { from: noonUs + 1, to: noonUs + 24 * minuteUs }, 30, 48, 2],
      ]
      for (const [what, filter, step, points, sum] of ranges) {
        test(`counts ${what}`, async () => {
          const [group] = await list({ ...filter, fingerprint: broken })
          expect(group?.counts.step_s).toBe(step)
          const { values } = group?.counts ?? { values: [] }
          expect([values.length, values.reduce((a, b) => a + b, 0)]).toEqual([points, sum])
        })
      }

      test('filters by state as it is now', async () => {
        await database.rpc('set_error_group_state', { fingerprint: timed, state: 'resolved', options: { by: 'x' } })
        const printsOf = async (state: unknown) => (await list({ state })).map(({ fingerprint }) => fingerprint)
        expect(await printsOf('open')).toEqual([broken])
        expect(await printsOf('resolved')).toEqual([timed])
        expect(await printsOf(['open', 'resolved'])).toEqual([broken, timed])
        expect(await printsOf('ignored')).toEqual([])
        expect((await list({ state: 'resolved' }))[0]?.decision).toMatchObject({ said: 'resolved', set_by: 'x' })
        await failAt([119], '1.1', { error_type: 'Timeout', error_id: randomUUID() })
        expect(await printsOf('open')).toEqual([broken])
        await database.rpc('set_error_group_state', { fingerprint: timed, state: 'open' })
        expect((await printsOf('open')).length).toBe(2)
      })
    })

    describe('error_group()', () => {
      test('tells which versions, tools and sessions were touched, and how much was looked at', async () => {
        expect(await one(broken)).toMatchObject({
          fingerprint: broken,
          count: 8,
          versions: {
            total: 3,
            rows: [
              { version: '1.1', service: 'exai', count: 5, first_us: noonUs, last_us: noonUs + 119 * minuteUs },
              { version: 'demo-2', count: 1 },
              { version: '1.0', count: 2 },
            ],
          },
          touched: {
            errors: 8,
            requests: 7,
            tools: {
              total: 2,
              rows: [
                { name: 'chat', requests: 5 },
                { name: 'search', requests: 2 },
              ],
            },
            sessions: { total: 2, rows: [{ name: 's', requests: 5, last_us: noonUs + 119 * minuteUs }, { name: 't' }] },
          },
        })
      })

      test('tells of the time asked for alone, but counts all', async () => {
        const group = await one(broken, { from: noonUs - dayUs, to: noonUs })
        expect(group).toMatchObject({ count: 8, versions: { total: 1 }, touched: { errors: 1, tools: { total: 1 } } })
      })

      test('names ten of many', async () => {
        for (let i = 0; i < 12; i++)
          await failAt([i], `2.${i}`, { tool: `tool_${i}`, session: `many_${i}`, error_type: 'Many' })
        const [{ fingerprint } = { fingerprint: '' }] = await list({ error_type: 'Many' })
        const group = await one(fingerprint)
        expect(
          [group?.versions, group?.touched.tools, group?.touched.sessions].map((named) => [
            named?.total,
            named?.rows.length,
          ]),
        ).toEqual(Array(3).fill([12, 10]))
        expect(group?.touched.sessions.rows[0]).toMatchObject({ name: 'many_11' })
      })

      test('is null where there is none, and refuses a filter that it does not know', async () => {
        expect(await one('v1:0')).toBe(null)
        await expect(one(broken, { tool: 'x' })).rejects.toMatchObject({ code: '22023' })
      })
    })
  })
}
