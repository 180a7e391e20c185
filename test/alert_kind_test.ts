import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type AlertWorld, openAlerts, secondUs } from './alert_fixture.ts'
import { times } from './alert_input_fixture.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { anError, aSpan, traceId } from './rows_fixture.ts'

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    let alerts: AlertWorld
    beforeAll(async () => {
      database = await open()
      alerts = await openAlerts(database)
    })
    afterAll(() => database.close())
    beforeEach(() => alerts.reset())

    const now = () => alerts.world.nowUs
    const first = async () => (await alerts.open())[0]

    test('a new error is told of once, another an hour later again', async () => {
      await alerts.ingest([
        anError({ at_us: now() - secondUs, error_type: 'QuotaError', message: 'the quota is used up' }),
      ])
      await alerts.evaluate()
      expect(await first()).toMatchObject({
        rule_id: 'new_error',
        title: 'A new error in exai (test): QuotaError: the quota is used up',
        link: expect.stringMatching(/^\/errors\/v1/),
      })
      await alerts.later(3_600)
      await alerts.ingest([
        anError({ at_us: now() - secondUs, error_type: 'QuotaError', message: 'the quota is used up' }),
      ])
      await alerts.evaluate()
      expect(await alerts.states()).toEqual(['new_error resolved'])
      await alerts.ingest([anError({ at_us: now(), error_type: 'OtherError', message: 'something else' })])
      await alerts.evaluate()
      expect(await alerts.states()).toEqual(['new_error firing', 'new_error resolved'])
    })

    test('an error that comes back after it was resolved is told of, one that is ignored and an old import are not', async () => {
      const error = (message: string, at_us: number) => anError({ at_us, error_type: `${message}Error`, message })
      await alerts.ingest([error('Quota', now() - 1), error('Boring', now() - 1)])
      const { rows } = (await database.rpc('error_groups')) as { rows: { fingerprint: string; error_type: string }[] }
      for (const { fingerprint, error_type } of rows) {
        const state = error_type === 'QuotaError' ? 'resolved' : 'ignored'
        await database.rpc('set_error_group_state', { fingerprint, state })
      }
      await alerts.later(3_600)
      await alerts.evaluate()
      expect(await alerts.states()).toEqual([])
      await alerts.ingest([
        error('Quota', now() - 1),
        error('Boring', now() - 1),
        error('Ancient', now() - 2 * 86_400 * secondUs),
      ])
      await alerts.evaluate()
      expect(await alerts.states()).toEqual(['new_error firing'])
      expect((await first())?.title).toBe('An error came back in exai (test): QuotaError: Quota')
    })

    test('an anomaly of a high score is told of as long as it lasts, with what was expected', async () => {
      const [incident, anomaly] = [randomUUID(), randomUUID()]
      const at = `telltale.at_of(${now()})`
      await database.query(`insert into telltale.incidents (incident_id, service, environment, series_key, metric, score,
        anomalies, started_at, last_at) values ('${incident}', 'exai', 'test', 'tool:chat', 'throughput', 0.95, 1, ${at}, ${at})`)
      await database.query(`insert into telltale.anomalies (anomaly_id, service, environment, series_key, metric, score, expected,
        seen, started_at, last_at, incident_id) values ('${anomaly}', 'exai', 'test', 'tool:chat', 'throughput', 0.95,
        '{"low": 20, "mid": 30, "high": 40}', 2, ${at}, ${at}, '${incident}')`)
      await alerts.evaluate()
      expect(await first()).toMatchObject({
        rule_id: 'anomaly',
        title: 'Throughput of tool chat is 2 where 30 was expected, in exai (test)',
        expected: { low: 20, mid: 30, high: 40 },
      })
      await alerts.later(60)
      await database.query('update telltale.anomalies set ended_at = telltale.clock(), last_at = telltale.clock()')
      await alerts.evaluate()
      await alerts.later(60)
      await alerts.evaluate()
      expect(await alerts.states()).toEqual(['anomaly resolved'])
      await database.query('delete from telltale.incidents')
    })

    test('a permit that is released while it is held, calls that starve for one, and one that does not end are told of', async () => {
      const at_us = now() - secondUs
      await alerts.ingest([
        anError({ at_us, error_type: 'PermitReleasedWhileHeld', message: 'a permit was released while it was held' }),
      ])
      const call = (i: number, name: string, ageS: number) => {
        const start_us = now() - ageS * secondUs
        return {
          trace_id: traceId(i),
          span_id: '00000000000000b2',
          layer: 'tool',
          name,
          tool: 'chat',
          session: null,
          start_us,
        }
      }
      const held = times(3, (i) => call(i + 1, 'permit provider_sem KIMI', 20))
      const running = [...held, call(9, 'POST /chat', 400)]
      const spans = held.map(({ trace_id, start_us }) =>
        aSpan({
          trace_id,
          span_id: '00000000000000b2',
          kind: 'wait',
          name: 'permit provider_sem KIMI',
          entry: false,
          start_us,
          end_us: null,
          outcome: null,
          holder: 'debug',
        }),
      )
      await alerts.ingest(spans, { running, running_total: 4 })
      await alerts.evaluate()
      const found = new Map((await alerts.open()).map((alert) => [alert.rule_id, alert] as const))
      expect([...found.keys()].sort()).toEqual(['new_error', 'permit_leak', 'permit_starvation', 'stuck_request'])
      expect(found.get('permit_starvation')).toMatchObject({
        subject: 'permit provider_sem KIMI',
        count: 3,
        value: expect.closeTo(20_000, -1),
      })
      expect(found.get('permit_starvation')?.title).toContain('held by debug')
      expect(found.get('stuck_request')).toMatchObject({
        subject: 'tool:chat',
        count: 1,
        value: expect.closeTo(400, 1),
        trace_ids: [traceId(9)],
      })
    })

    test('waits that ended count as those that last', async () => {
      const wait = (i: number) => {
        const [start_us, end_us] = [now() - 20 * secondUs, now() - secondUs]
        const trace_id = traceId(i)
        return [
          aSpan({ trace_id, start_us, end_us }),
          aSpan({
            trace_id,
            span_id: '00000000000000b2',
            parent_span_id: '00000000000000a1',
            kind: 'wait',
            name: 'permit glm',
            entry: false,
            start_us,
            end_us,
            holder: 'chat',
          }),
        ]
      }
      await alerts.ingest(times(3, wait).flat())
      await alerts.evaluate()
      expect(await alerts.states()).toEqual(['permit_starvation firing'])
      await alerts.later(200)
      await alerts.evaluate()
      await alerts.later(100)
      await alerts.evaluate()
      expect(await alerts.states()).toEqual(['permit_starvation resolved'])
    })

    test('a gap is told of when it lasts, once, and again when more is lost', async () => {
      await alerts.ingest([], { seq: 1 })
      await alerts.ingest([], { seq: 3 })
      await alerts.evaluate()
      expect(await alerts.states()).toEqual(['gap pending'])
      await alerts.later(30)
      await alerts.ingest([], { seq: 2 })
      await alerts.evaluate()
      await alerts.later(60)
      await alerts.evaluate()
      expect(await alerts.states()).toEqual([])
      await alerts.ingest([], { seq: 7 })
      for (let i = 0; i < 30; i++) {
        await alerts.evaluate()
        await alerts.later(30)
        await alerts.ingest([], { seq: 8 + i })
      }
      expect(await alerts.states()).toEqual(['gap resolved'])
      expect(await first()).toMatchObject({ title: '3 batches or records of exai (test) did not arrive', count: 3 })
      await alerts.ingest([], { seq: 100 })
      await alerts.evaluate()
      await alerts.later(61)
      await alerts.evaluate()
      expect(await alerts.states()).toEqual(['gap firing', 'gap resolved'])
    })

    test('a service that went on for half an hour and falls silent is told of; one that came and went is not', async () => {
      const short = { process: { id: randomUUID(), started_at_us: now(), host: null, pid: null, sdk: 'x' } }
      for (let i = 0; i < 36; i++) {
        await alerts.ingest([])
        if (i < 3)
          await alerts.ingest([], {
            ...short,
            source: { service: 'short', instance: 'a', environment: 'test', version: null },
            seq: i + 1,
          })
        await alerts.later(60)
      }
      await alerts.evaluate()
      expect(await alerts.states()).toEqual([])
      await alerts.later(300)
      await alerts.evaluate()
      expect(await alerts.states()).toEqual(['no_data firing'])
      expect(await first()).toMatchObject({ service: 'exai', metric: 'silent_s' })
      await alerts.ingest([])
      await alerts.evaluate()
      expect(await alerts.states()).toEqual(['no_data resolved'])
    })
  })
}
