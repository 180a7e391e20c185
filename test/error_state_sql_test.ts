import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Batch } from '../src/core/record.ts'
import { stoppedClock, type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, anError, dayUs, noonUs, rowsOf } from './rows_fixture.ts'

const secondUs = 1_000_000

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    type State = { readonly fingerprint: string; readonly state: string; readonly decision: Record<string, unknown> }

    let database: TestDatabase
    let setClock: (us: number) => Promise<void>
    const member = randomUUID()
    const stranger = randomUUID()
    const viewer = { role: 'authenticated', sub: member } as const

    beforeAll(async () => {
      database = await open()
      setClock = await stoppedClock(database, noonUs)
      const days = [-1, 0, 1].map((n) => new Date((noonUs + n * dayUs) / 1_000).toISOString().slice(0, 10))
      await database.rpc('make_partitions', { days })
      await database.query('insert into telltale.members (user_id, email) values ($1, $2)', [member, 'a@example.org'])
    })
    afterEach(async () => {
      await setClock(noonUs)
      await empty()
    })
    afterAll(() => database.close())

    async function empty(): Promise<void> {
      for (const table of ['errors', 'error_groups', 'error_group_states', 'batches', 'processes', 'sources'])
        await database.query(`delete from telltale.${table}`)
    }

    /** A process of its own for each version. */
    const processOf = (version: string | null, startedS = 0): Partial<Batch> => ({
      source: { service: 'exai', instance: 'a', environment: 'test', version },
      process: {
        id: `018f0000-0000-7000-8000-${Buffer.from(version ?? 'none')
          .toString('hex')
          .padStart(12, '0')
          .slice(-12)}`,
        started_at_us: noonUs - dayUs + startedS * secondUs,
        host: null,
        pid: null,
        sdk: 'x',
      },
    })
    const batchAt = (seconds: readonly number[], version: string | null = '1.0.0', startedS = 0) =>
      rowsOf(
        aBatch(
          seconds.map((s) => anError({ at_us: noonUs + s * secondUs })),
          processOf(version, startedS),
        ),
      )
    const failAt = (...args: Parameters<typeof batchAt>) => database.rpc('ingest_batch', { batch: batchAt(...args) })
    const printed = batchAt([0]).errors[0]?.fingerprint as string
    const set = (state: string, options: Record<string, unknown> = {}, caller?: typeof viewer) =>
      database.rpc('set_error_group_state', { fingerprint: printed, state, options }, caller) as Promise<State>
    const stateNow = async () => {
      const [row] = await database.query(
        `select s.*, telltale.state_of(s) as state from telltale.error_group_states as s where fingerprint = $1`,
        [printed],
      )
      return row as Record<string, unknown>
    }

    describe('set_error_group_state()', () => {
      test('says who, when and what, in place of what was said before', async () => {
        await failAt([-5])
        expect(await set('resolved', { version: '1.1.0' }, viewer)).toMatchObject({
          fingerprint: printed,
          state: 'resolved',
          decision: { said: 'resolved', set_by: 'a@example.org', version: '1.1.0', revision: 1, reopened_at: null },
        })
        await setClock(noonUs + 60 * secondUs)
        const until = noonUs + 120 * secondUs
        expect(await set('ignored', { until, by: 'somebody' })).toMatchObject({
          state: 'ignored',
          decision: {
            set_by: 'somebody',
            version: null,
            revision: 2,
            until: new Date(until / 1_000).toISOString().replace('.000Z', '+00:00'),
          },
        })
        expect(await set('open')).toMatchObject({
          state: 'open',
          decision: { set_by: 'operator', until: null, since: null },
        })
      })

      const refused: [string, string, Record<string, unknown>, RegExp][] = [
        ['a state that is none', 'closed', {}, /open, resolved or ignored/],
        ['a version of ignored', 'ignored', { version: '1' }, /Allowed are: by, until, count/],
        ['a count of resolved', 'resolved', { count: 3 }, /Allowed are: by, version, at/],
        ['anything of open', 'open', { at: noonUs }, /Allowed are: by/],
        ['an end that is past', 'ignored', { until: noonUs }, /a time to come/],
        ['an end that is none', 'ignored', { until: 'soon' }, /ISO 8601/],
        ['a count of none', 'ignored', { count: 0 }, /from 1 to 1000000/],
        ['a count that is too much', 'ignored', { count: 1e7 }, /from 1 to 1000000/],
        ['a count between two', 'ignored', { count: 1.5 }, /whole number/],
        ['both ends', 'ignored', { until: noonUs + dayUs, count: 5 }, /until or count/],
        ['a version without text', 'resolved', { version: '' }, /1 to 256/],
        ['a version that is too long', 'resolved', { version: 'x'.repeat(257) }, /1 to 256/],
        ['a version that is a number', 'resolved', { version: 1 }, /are texts/],
      ]
      for (const [name, state, options, hint] of refused) {
        test(`refuses ${name}`, async () => {
          await failAt([0])
          await expect(set(state, options)).rejects.toMatchObject({ code: '22023', hint: expect.stringMatching(hint) })
          expect(await stateNow()).toBeUndefined()
        })
      }

      test('refuses a group that there is not, one who is no member, and a member who speaks for another', async () => {
        await expect(set('open')).rejects.toMatchObject({ code: '22023' })
        await failAt([0])
        await expect(set('open', {}, { role: 'authenticated', sub: stranger })).rejects.toMatchObject({ code: '42501' })
        await expect(set('open', { by: 'another' }, viewer)).rejects.toMatchObject({ code: '22023' })
      })
    })

    describe('resolved', () => {
      test('is reopened by a later error, by the first of them, and by no earlier one that comes late', async () => {
        await failAt([-60])
        await set('resolved')
        await failAt([-30, 0])
        expect(await stateNow()).toMatchObject({ state: 'resolved', reopened_at: null })
        await setClock(noonUs + 9 * secondUs)
        await failAt([8, 6])
        await setClock(noonUs + 20 * secondUs)
        await failAt([7, 19])
        const reopened = await stateNow()
        expect(reopened).toMatchObject({
          state: 'open',
          reopened_by: {
            at_us: noonUs + 6 * secondUs,
            error_type: 'TypeError',
            service: 'exai',
            environment: 'test',
            version: '1.0.0',
          },
        })
        expect(new Date(reopened.reopened_at as string).getTime()).toBe(noonUs / 1_000 + 9_000)
        expect(await set('resolved')).toMatchObject({ state: 'resolved', decision: { reopened_by: null } })
      })

      test('covers every error that was stored, also of a clock that is ahead', async () => {
        await failAt([3_600])
        expect(await set('resolved')).toMatchObject({ state: 'resolved' })
        await failAt([3_600])
        expect(await stateNow()).toMatchObject({ state: 'resolved' })
        await failAt([3_601])
        expect(await stateNow()).toMatchObject({ state: 'open' })
      })

      test('at a time that is past is reopened at once by what came since', async () => {
        await failAt([-60, -40])
        await failAt([-50, -70])
        expect(await set('resolved', { at: noonUs - 55 * secondUs })).toMatchObject({
          state: 'open',
          decision: { said: 'resolved', reopened_by: { at_us: noonUs - 50 * secondUs, version: '1.0.0' } },
        })
        expect(await set('resolved', { at: noonUs - 40 * secondUs })).toMatchObject({ state: 'resolved' })
      })

      test('in a version is reopened by that, by later ones and by one that nobody told, and by no older one', async () => {
        await failAt([-60], '1.9.0')
        for (const [version, state] of [
          ['1.9.3', 'resolved'],
          ['v1.10.0-rc.1', 'resolved'],
          ['1.10.0', 'open'],
          ['2.0', 'open'],
          [null, 'open'],
          ['abc', 'open'],
        ] as const) {
          await set('resolved', { version: '1.10.0' })
          await setClock(noonUs + secondUs)
          await failAt([5], version)
          expect([version, (await stateNow()).state]).toEqual([version, state])
          await empty()
          await setClock(noonUs)
          await failAt([-60], '1.9.0')
        }
      })

      test('in a commit is reopened by whatever did not run before that commit', async () => {
        await failAt([-60], 'aaa111', 1)
        await failAt([-50], 'bbb222', 2)
        await failAt([-40], 'ccc333', 3)
        await set('resolved', { version: 'bbb222' })
        await failAt([10], 'aaa111', 1)
        expect(await stateNow()).toMatchObject({ state: 'resolved', older_versions: ['aaa111'] })
        await failAt([11], 'ccc333', 3)
        expect(await stateNow()).toMatchObject({ state: 'open', reopened_by: { version: 'ccc333' } })
        await set('resolved', { version: 'not yet' })
        await failAt([20], 'ccc333', 3)
        expect(await stateNow()).toMatchObject({ state: 'resolved' })
        await failAt([21], 'ddd444', 4)
        expect(await stateNow()).toMatchObject({ state: 'open', reopened_by: { version: 'ddd444' } })
      })
    })

    describe('ignored', () => {
      test('stays so whatever comes, without an end', async () => {
        await failAt([0])
        await set('ignored')
        await failAt([1, 2, 3])
        expect(await stateNow()).toMatchObject({ state: 'ignored', counted: 0, reopened_at: null })
      })

      test('until a time, ends then, and is reopened by an error after it', async () => {
        await failAt([0])
        await set('ignored', { until: noonUs + 60 * secondUs })
        await failAt([30])
        expect(await stateNow()).toMatchObject({ state: 'ignored' })
        await setClock(noonUs + 60 * secondUs)
        expect(await stateNow()).toMatchObject({ state: 'open', reopened_at: null })
        await failAt([61])
        expect(await stateNow()).toMatchObject({ state: 'open', reopened_by: { at_us: noonUs + 61 * secondUs } })
      })

      test('under a count, ends with so many more errors, each counted once', async () => {
        await failAt([0, -1])
        await set('ignored', { count: 3 })
        const twice = batchAt([1, 2, -3])
        await database.rpc('ingest_batch', { batch: twice })
        await database.rpc('ingest_batch', { batch: { ...twice, batch_id: randomUUID(), seq: 2 } })
        expect(await stateNow()).toMatchObject({ state: 'ignored', counted: 2, reopened_at: null })
        await failAt([3, 4])
        expect(await stateNow()).toMatchObject({ state: 'open', counted: 3, reopened_by: null })
      })
    })

    test('any order and repetition of any batches ends in the same state', async () => {
      const decisions: [string, Record<string, unknown>][] = [
        ['resolved', {}],
        ['resolved', { version: '1.2.0' }],
        ['resolved', { version: 'fff' }],
        ['ignored', { until: noonUs + 2 * secondUs }],
        ['ignored', { count: 4 }],
        ['open', {}],
      ]
      const batch = fc.record({
        seconds: fc.array(fc.integer({ min: -3, max: 5 }), { minLength: 1, maxLength: 3 }),
        version: fc.constantFrom('1.1.0', '1.2.0', '1.3.0', 'abc', null),
      })
      const property = fc.asyncProperty(
        fc.constantFrom(...decisions),
        fc.array(batch, { minLength: 1, maxLength: 5 }),
        fc.infiniteStream(fc.nat()),
        async ([state, options], list, noise) => {
          const batches = list.map(({ seconds, version }, i) => ({ ...batchAt(seconds, version), seq: i + 1 }))
          const results: unknown[] = []
          for (const times of [1, 2, 3]) {
            await empty()
            await failAt([-9], '1.1.0')
            await set(state, options)
            const order = Array.from({ length: times }, () => batches)
              .flat()
              .map((row, i) => ({ row, key: times === 1 ? i : (noise.next().value as number) }))
              .sort((a, b) => a.key - b.key)
            const sent = new Set<string>()
            for (const { row } of order) {
              // The same errors in another batch, as OpenTelemetry's collectors send them.
              const batch_id = sent.has(row.batch_id) && times === 3 ? randomUUID() : row.batch_id
              sent.add(row.batch_id)
              await database.rpc('ingest_batch', { batch: { ...row, batch_id } })
            }
            const groups = await database.query('select to_jsonb(g) as row from telltale.error_groups as g')
            results.push([groups, await stateNow()])
          }
          expect(results[1]).toEqual(results[0])
          expect(results[2]).toEqual(results[0])
        },
      )
      await fc.assert(property, { numRuns: 20 })
    }, 60_000)

    test('writers at once count each error of two groups once, in whatever order they hold them', async () => {
      const kinds = ['TypeError', 'Timeout']
      const batchOf = (i: number, s: number) => {
        const types = i % 2 === 0 ? kinds : [...kinds].reverse()
        const source = { service: 'exai', instance: String(i), environment: 'test', version: '1' }
        const process = { ...(processOf('1').process as Batch['process']), id: randomUUID() }
        const records = types.map((error_type) => anError({ at_us: noonUs + s * secondUs, error_type }))
        return rowsOf(aBatch(records, { source, process }))
      }
      const first = batchOf(0, -1)
      await database.rpc('ingest_batch', { batch: first })
      for (const { fingerprint } of first.errors)
        await database.rpc('set_error_group_state', { fingerprint, state: 'ignored', options: { count: 30 } })
      const batches = Array.from({ length: 24 }, (_, i) => batchOf(i % 8, 1 + i))
      await Promise.all(batches.map((batch) => database.rpc('ingest_batch', { batch })))
      const counted = () =>
        database.query('select counted, reopened_at is null as holds from telltale.error_group_states')
      expect(await counted()).toEqual(Array(2).fill({ counted: 24, holds: true }))
      await Promise.all(Array.from({ length: 8 }, (_, i) => database.rpc('ingest_batch', { batch: batchOf(i, 60) })))
      expect(await counted()).toEqual(Array(2).fill({ counted: 30, holds: false }))
    })

    describe('error_group_changes()', () => {
      const changesSince = async (us: number) =>
        (
          await database.query(
            'select *, telltale.us_of(happened_at) as us from telltale.error_group_changes(telltale.at_of($1)) order by at',
            [us],
          )
        ).map(({ change, service, environment, error_type, us, version }) => {
          expect(error_type).toBe('TypeError')
          return [change, service, environment, (Number(us) - noonUs) / secondUs, version]
        })

      test('tells what is new in a service and environment once, and what regressed, by when it was stored', async () => {
        await failAt([-3_000], '1.0.0')
        expect(await changesSince(noonUs - 1)).toEqual([['new', 'exai', 'test', -3000, '1.0.0']])
        expect(await changesSince(noonUs)).toEqual([])
        await setClock(noonUs + 10 * secondUs)
        const other = { service: 'exai', instance: 'b', environment: 'test', version: '2' }
        const elsewhere = { ...other, environment: 'live' }
        for (const [i, source] of [other, elsewhere].entries()) {
          const process = { ...(processOf(null).process as Batch['process']), id: randomUUID() }
          await database.rpc('ingest_batch', {
            batch: rowsOf(aBatch([anError({ at_us: noonUs + i * secondUs })], { source, process })),
          })
        }
        expect(await changesSince(noonUs)).toEqual([['new', 'exai', 'live', 1, '2']])
        await set('resolved')
        await setClock(noonUs + 20 * secondUs)
        await failAt([12], '1.0.1')
        expect(await changesSince(noonUs + 10 * secondUs)).toEqual([['regressed', 'exai', 'test', 12, '1.0.1']])
        await set('ignored', { count: 1 })
        await setClock(noonUs + 30 * secondUs)
        await failAt([29], '1.0.2')
        expect(await changesSince(noonUs + 20 * secondUs)).toEqual([['regressed', 'exai', 'test', 29, '1.0.2']])
      })

      test('is closed to who is no member', async () => {
        const caller = { role: 'authenticated', sub: stranger } as const
        await expect(
          database.query('select * from telltale.error_group_changes($1)', [new Date(0)], caller),
        ).rejects.toMatchObject({ code: '42501' })
      })
    })

    test('version_key() sorts versions as their authors mean them, and knows no commit', async () => {
      const ordered = [
        '0.9',
        '1.0.0-alpha',
        '1.0.0-alpha.1',
        '1.0.0-alpha.beta',
        '1.0.0-rc.2',
        '1.0.0rc11',
        'v1.0.0',
        '1.0.0.post1',
        '1.0.1',
        '1.2',
        '1.10.0+build.5',
        '2026.11.30',
      ]
      const rows = await database.query(
        'select v from unnest($1::text[]) as v order by telltale.version_key(v) collate "C", v',
        [[...ordered].reverse()],
      )
      expect(rows.map(({ v }) => v)).toEqual(ordered)
      const [same] =
        await database.query(`select telltale.version_key('1.2') = telltale.version_key('v1.2.0+x') as same,
        telltale.version_key('3f2a9c1') as hash, telltale.version_key('main') as branch`)
      expect(same).toEqual({ same: true, hash: null, branch: null })
    })

    test('tick_prune() takes what was said away with its group', async () => {
      await failAt([0])
      await set('ignored')
      await database.rpc('tick_prune')
      expect(await stateNow()).toMatchObject({ state: 'ignored' })
      await database.query('delete from telltale.error_groups')
      await database.rpc('tick_prune')
      expect(await stateNow()).toBeUndefined()
    })
  })
}
