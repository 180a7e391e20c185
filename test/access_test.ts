import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tickSteps } from '../functions/store/port.ts'
import { type Caller, type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, anError, aSpan, dayUs, nowUs, rowsOf, traceId } from './rows_fixture.ts'

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    const member = randomUUID()
    const anon: Caller = { role: 'anon' }
    const stranger: Caller = { role: 'authenticated', sub: randomUUID() }
    const nobody: Caller = { role: 'authenticated' }
    const garbled: Caller = { role: 'authenticated', sub: `x' or true --` }
    const viewer: Caller = { role: 'authenticated', sub: member }
    const service: Caller = { role: 'service_role' }
    const failed = rowsOf(aBatch([aSpan(), anError()]))

    const readers: [string, Record<string, unknown>][] = [
      ['traces', {}],
      ['trace', { trace_id: traceId(1) }],
      ['errors', {}],
      ['error_groups', {}],
      ['error_group', { fingerprint: failed.errors[0]?.fingerprint }],
      ['set_error_group_state', { fingerprint: failed.errors[0]?.fingerprint, state: 'open' }],
      ['tail', {}],
      ['gaps', {}],
      ['why_data', {}],
      ['store_status', {}],
      ['overview', {}],
      ['series', {}],
      ['compare', {}],
      ['trend', {}],
      ['performance_metrics', {}],
      ['sampling_rules', {}],
      ['live_data', {}],
      ['export_page', { kind: 'traces' }],
      ['session_lens', {}],
      ['sessions', {}],
      ['session_timeline', { session: 'x' }],
      ['time_tree', {}],
      ['heatmap', {}],
      ['holders', {}],
      ['critical_path', { trace_id: traceId(1) }],
      ['anomalies', {}],
      ['incidents', {}],
      ['overview', {}],
      ['series', {}],
      ['live_data', {}],
      ['alerts', {}],
      ['open_alerts', {}],
      ['silences', {}],
      ['rules', {}],
      ['destinations', {}],
      ['deliveries', {}],
    ]
    const writers: [string, Record<string, unknown>][] = [
      ['ingest_batch', { batch: {} }],
      ['read_key', { key_id: 'x' }],
      ['create_key', { key_id: 'x', key_hash: 'x', name: 'x' }],
      ['revoke_key', { key_id: 'x' }],
      ['keys', {}],
      ['add_member', { user_id: member, email: 'a@example.org' }],
      ['remove_member', { user_id: member }],
      ['list_members', {}],
      ['make_partitions', { days: [] }],
      ['ended_spans', { trace_ids: [] }],
      ['set_sampling', { rules: {} }],
      ['store_resources', { gauges: '[]' }],
      ['does_work_wait', {}],
      ['claim_tick', { holder: 'x', seconds: 1 }],
      ['release_tick', { holder: 'x' }],
      ['detector_work', {}],
      ['store_detections', { findings: {} }],
      ['alert_inputs', {}],
      ['store_alert_outcome', { outcome: {} }],
      ['claim_alert_push', {}],
      ['note_alert_push', { revision: 1 }],
      ['claim_notifications', { n: 1 }],
      ['claim_alert_question', { tries_max: 1, gap_s: 1 }],
      ['store_alert_verdict', { alert_id: randomUUID(), verdict: {} }],
      ['note_deliveries', { deliveries: {} }],
      ['set_rule', { rule: {} }],
      ['remove_rule', { rule_id: 'x' }],
      ['add_destination', { wanted: {} }],
      ['remove_destination', { name: 'x' }],
      ['test_destination', { name: 'x' }],
      // Those that are one rpc: the others are verbs of the edge.
      ...tickSteps
        .filter(
          (step) => !['detect_anomalies', 'evaluate_alerts', 'explain_alerts', 'send_notifications'].includes(step),
        )
        .map((step): [string, Record<string, unknown>] => [`tick_${step}`, {}]),
    ]

    beforeAll(async () => {
      database = await open()
      await database.rpc('make_partitions', {
        days: [-3, -2, -1, 0].map((n) => new Date(nowUs / 1_000 + (n * dayUs) / 1_000)),
      })
      await database.query('insert into telltale.members (user_id, email) values ($1, $2)', [member, 'a@example.org'])
      await database.rpc('ingest_batch', { batch: failed })
      await database.rpc('create_key', { key_id: 'abcdefghij01', key_hash: 'a'.repeat(64), name: 'test' })
    })
    afterAll(() => database.close())

    const closedTables = ['telltale.ingest_keys', 'telltale.alert_destinations']
    const relations = () =>
      database.query(`select c.oid::regclass::text as name, c.relkind::text as kind, c.relrowsecurity as guarded, c.relispartition as part
    from pg_class as c where c.relnamespace = 'telltale'::regnamespace and c.relkind in ('r', 'p', 'v') order by 1`)

    describe('functions', () => {
      for (const [name, args] of [...readers, ...writers]) {
        test(`${name}() is closed to anon`, async () => {
          await expect(database.rpc(name, args, anon)).rejects.toMatchObject({ code: '42501' })
        })
      }
      for (const [name, args] of readers) {
        test(`${name}() refuses who is not a member with 42501, and answers a member and the service`, async () => {
          for (const caller of [stranger, nobody, garbled]) {
            await expect(database.rpc(name, args, caller)).rejects.toMatchObject({ code: '42501' })
          }
          for (const caller of [viewer, service]) expect(await database.rpc(name, args, caller)).toBeTypeOf('object')
        })
      }
      test('what the readers are made of is closed to members, who could otherwise read past the first line', async () => {
        const parts = await database.query(`select p.oid::regprocedure::text as name from pg_proc as p
          where p.pronamespace = 'telltale'::regnamespace and p.prosecdef and obj_description(p.oid) ~ 'part of'
            and has_function_privilege('authenticated', p.oid, 'execute')`)
        expect(parts).toEqual([])
      })
      for (const [name, args] of writers) {
        test(`${name}() is closed to members`, async () => {
          await expect(database.rpc(name, args, viewer)).rejects.toMatchObject({ code: '42501' })
        })
      }

      test('see() takes the heartbeat of a member, who keeps at most 32 pages, and of nobody else', async () => {
        await expect(database.rpc('see', { viewer_id: randomUUID() }, stranger)).rejects.toMatchObject({
          code: '42501',
        })
        expect(await database.rpc('is_watched')).toBe(false)
        for (let i = 0; i < 40; i++) await database.rpc('see', { viewer_id: randomUUID() }, viewer)
        expect(await database.rpc('is_watched')).toBe(true)
        expect((await database.query('select from telltale.viewers')).length).toBe(32)
      })

      test('each have their rights written down, none of them for public or anon', async () => {
        const rows = await database.query(`select p.oid::regprocedure::text as name, p.proacl is null
        or exists (select from aclexplode(p.proacl) as a where a.grantee in (0, 'anon'::regrole)) as open,
        p.prosqlbody is null and not coalesce(p.proconfig @> array['search_path=""'], false) as unpinned, p.prosecdef as definer,
        obj_description(p.oid) as comment, p.prokind::text as kind
      from pg_proc as p where p.pronamespace = 'telltale'::regnamespace`)
        expect(rows.length).toBeGreaterThan(40)
        expect(rows.filter(({ open }) => open)).toEqual([])
        expect(rows.filter(({ comment }) => comment === null)).toEqual([])
        expect(rows.filter(({ unpinned, kind }) => unpinned && kind !== 'a')).toEqual([])
        expect(rows.filter(({ definer, comment }) => definer && !/[Dd]efiner/.test(String(comment)))).toEqual([])
      })
    })

    describe('tables', () => {
      test('are all guarded by row level security, every partition too', async () => {
        const rows = await relations()
        expect(rows.filter(({ part }) => part).length).toBe(20)
        expect(rows.filter(({ kind, guarded }) => kind !== 'v' && !guarded)).toEqual([])
      })

      test('are closed to anon, to whom is not a member, and to writing by anybody', async () => {
        for (const { name, part, kind } of await relations()) {
          const read = `select * from ${name}`
          await expect(database.query(read, [], anon)).rejects.toMatchObject({ code: '42501' })
          const closed = Boolean(part) || closedTables.includes(String(name))
          for (const caller of [stranger, nobody, garbled]) {
            if (closed) await expect(database.query(read, [], caller)).rejects.toMatchObject({ code: '42501' })
            else expect(await database.query(read, [], caller)).toEqual([])
          }
          for (const caller of [viewer, service]) {
            if (closed) await expect(database.query(read, [], caller)).rejects.toMatchObject({ code: '42501' })
            else await database.query(read, [], caller)
          }
          if (kind === 'v') continue
          for (const caller of [viewer, service]) {
            await expect(database.query(`delete from ${name}`, [], caller)).rejects.toMatchObject({ code: '42501' })
            await expect(database.query(`insert into ${name} default values`, [], caller)).rejects.toMatchObject({
              code: '42501',
            })
          }
        }
      })

      test('are read by members', async () => {
        for (const table of [
          'traces',
          'spans',
          'errors',
          'processes',
          'sources',
          'batches',
          'rollup_minutes',
          'members',
        ]) {
          expect((await database.query(`select * from telltale.${table}`, [], viewer)).length).toBe(1)
        }
      })

      test('and views and columns all say what they mean', async () => {
        const rows = await database.query(`select c.oid::regclass::text as name, a.attname::text as column
      from pg_class as c join pg_attribute as a on a.attrelid = c.oid and a.attnum >= 0 and not a.attisdropped
      where c.relnamespace = 'telltale'::regnamespace and c.relkind in ('r', 'p', 'v')
        and (col_description(c.oid, a.attnum) is null or obj_description(c.oid) is null)`)
        expect(rows).toEqual([])
      })

      test('have views that read with the rights of who asks', async () => {
        const rows = await database.query(`select relname from pg_class where relnamespace = 'telltale'::regnamespace
      and relkind = 'v' and not coalesce(reloptions @> array['security_invoker=true'], false)`)
        expect(rows).toEqual([])
      })
    })

    test('a member who was removed reads no more', async () => {
      await database.query('delete from telltale.members where user_id = $1', [member])
      await expect(database.rpc('traces', {}, viewer)).rejects.toMatchObject({ code: '42501' })
      expect(await database.query('select * from telltale.traces', [], viewer)).toEqual([])
    })
  })
}
