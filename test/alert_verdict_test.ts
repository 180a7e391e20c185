import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verdictGapSeconds, verdictTriesMax } from '../src/core/limit.ts'
import type { WhyAnswer } from '../src/core/why/why_answer.ts'
import { chanceOf } from '../src/demo/chance.ts'
import {
  aCall,
  addWebhook,
  latencyOf,
  localNotifier,
  openAlerts,
  openReceiver,
  secondUs,
  simulationUs,
} from './alert_fixture.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'

const minuteUs = 60 * secondUs

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    let receiver: Awaited<ReturnType<typeof openReceiver>>
    let alerts: Awaited<ReturnType<typeof openAlerts>>
    beforeAll(async () => {
      database = await open()
      receiver = await openReceiver()
      alerts = await openAlerts(database)
    })
    afterAll(async () => {
      await receiver.close()
      await database.close()
    })

    /** An alert as one that fires, of calls that have one provider four times as slow since it began. */
    const fire = async (evidence: Record<string, unknown>, topic = 'latency') => {
      await alerts.reset()
      const chance = chanceOf(3)
      const beganUs = simulationUs + 20 * minuteUs
      for (let minute = 0; minute < 24; minute++) {
        const atUs = simulationUs + minute * minuteUs
        await alerts.moveTo(atUs + minuteUs)
        const records = Array.from({ length: 12 }, (_, second) => {
          const endUs = atUs + (second + 1) * 4 * secondUs
          const slow = atUs >= beganUs ? 4 : 1
          return [
            ...aCall(endUs, latencyOf(chance, 700), { provider: 'glm' }),
            ...aCall(endUs, latencyOf(chance, 700) * slow, { provider: 'kimi' }),
          ]
        }).flat()
        await alerts.ingest(records)
      }
      const [row] = await database.query(
        `insert into telltale.alerts (rule_id, group_key, state, severity, topic, service, environment, title, evidence,
           started_at, fired_at, seen_at, revision)
         select 'slow', '["exai"]', 'firing', 'warning', $1, 'exai', 'test', 'Slow', $2::jsonb, telltale.at_of($3),
           telltale.clock(), telltale.clock(), s.revision from telltale.alert_state as s returning alert_id::text as id`,
        [topic, JSON.stringify(evidence), beganUs],
      )
      return String(row?.id)
    }
    const verdict = async () => (await alerts.open())[0]?.verdict as WhyAnswer | null

    test('explainAlerts() keeps with an alert of latency what makes the calls since it began slow', async () => {
      const id = await fire({ subject: 'provider:kimi', metric: 'p95_ms' })
      await addWebhook(database, receiver.url)
      await database.query('select telltale.make_notifications($1::jsonb)', [
        JSON.stringify([{ alert_id: id, rule_id: 'slow', group_key: '["exai"]', notify: 'firing' }]),
      ])
      const before = (await alerts.open())[0]?.revision ?? 0
      expect(await alerts.explain()).toEqual({ done: 1, more: true })
      const said = await verdict()
      expect(said?.verdict).toMatchObject({ layer: 'api' })
      expect(said?.slow.n).toBeGreaterThan(20)
      // The open pages are told, and so is whoever was not told yet.
      expect((await alerts.open())[0]?.revision).toBeGreaterThan(before)
      while ((await alerts.send(localNotifier())).more);
      expect(receiver.received.map(({ body }) => body).join()).toContain(said?.verdict?.sentence)
      expect(await alerts.explain()).toEqual({ done: 0, more: false })
    })

    test('explainAlerts() asks again where nothing is found, a few times, and then keeps that', async () => {
      await fire({ subject: 'provider:nobody', metric: 'p95_ms' })
      for (let tried = 1; tried < verdictTriesMax; tried++) {
        expect(await alerts.explain()).toEqual({ done: 0, more: true })
        expect(await alerts.explain()).toEqual({ done: 0, more: false })
        expect(await verdict()).toBeNull()
        await alerts.later(verdictGapSeconds)
      }
      expect(await alerts.explain()).toEqual({ done: 1, more: true })
      expect(await verdict()).toMatchObject({ verdict: null, note: expect.stringContaining('Too few') })
      await alerts.later(verdictGapSeconds)
      expect(await alerts.explain()).toEqual({ done: 0, more: false })
    })

    test('explainAlerts() asks about no other alert, and about none that is over', async () => {
      await fire({ subject: 'error_rate', metric: 'error_rate' }, 'unusual')
      expect(await alerts.explain()).toEqual({ done: 0, more: false })
      await fire({ subject: 'provider:kimi', metric: 'p95_ms' }, 'unusual')
      await database.query(`update telltale.alerts set state = 'resolved', resolved_at = telltale.clock()`)
      expect(await alerts.explain()).toEqual({ done: 0, more: false })
    })

    const filters: [string | null, Record<string, unknown>][] = [
      [null, { after: 1 }],
      ['all', { after: 1 }],
      ['tool:a:b', { after: 1, tool: 'a:b' }],
      ['model:m', { after: 1, model: 'm' }],
      ['layer:api', { after: 1 }],
      ['provider:other', { after: 1 }],
      ['call:3', { call_number: 3, from: 1 }],
      ['call:6+', { after: 1 }],
    ]
    test.each(filters)('alert_question_filter() of an alert about %s', async (subject, expected) => {
      await database.query('truncate telltale.alerts cascade')
      await database.query(
        `insert into telltale.alerts (rule_id, group_key, state, severity, topic, service, environment, evidence,
           started_at, fired_at, seen_at, revision)
         values ('slow', 'g', 'firing', 'warning', 'latency', 'exai', 'test', $1::jsonb, telltale.clock(), telltale.clock(),
           telltale.clock(), 1)`,
        [JSON.stringify({ subject })],
      )
      const [row] = await database.query('select telltale.alert_question_filter(a) as filter from telltale.alerts as a')
      const filter = row?.filter as Record<string, unknown>
      const anyInstant = Object.fromEntries(
        Object.entries(expected).map(([key, value]) => [key, value === 1 ? expect.any(Number) : value]),
      )
      expect(filter).toEqual({ service: 'exai', environment: 'test', ...anyInstant })
      expect(await database.rpc('why_data', { filter })).toMatchObject({ traces: expect.any(Array) })
    })
  })
}
