import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AlertHistory, replayRule } from '../src/core/alert/alert_replay.ts'
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
  webhookSecret,
} from './alert_fixture.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'

/** Ticks come every five seconds about the start, then less often, which is cheaper and tells the same. */
const [tickS, laterTickS] = [5, 15]
const minuteUs = 60 * secondUs

/** What two providers answer in `seconds`, one call of each a second and the second up to four times slower. */
function callsIn(chance: () => number, fromUs: number, seconds: number, slower: (atUs: number) => number) {
  return Array.from({ length: seconds }, (_, second) => {
    const atUs = fromUs + second * secondUs + Math.floor(chance() * secondUs)
    return [
      ...aCall(atUs, latencyOf(chance, 700), { provider: 'glm' }),
      ...aCall(atUs, latencyOf(chance, 900) * slower(atUs), { provider: 'kimi' }),
    ]
  }).flat()
}

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    let receiver: Awaited<ReturnType<typeof openReceiver>>
    beforeAll(async () => {
      database = await open()
      receiver = await openReceiver()
    })
    afterAll(async () => {
      await receiver.close()
      await database.close()
    })

    test('a provider that is four times slower for five minutes is told of within 15 s, once, and resolves by itself', {
      timeout: 120_000,
    }, async () => {
      const chance = chanceOf(7)
      const alerts = await openAlerts(database)
      await addWebhook(database, receiver.url)
      const notifier = localNotifier()
      // Seconds into a minute in which the minute's parts alone would tell last.
      const beganUs = simulationUs + 30 * minuteUs + 41 * secondUs
      const endedUs = beganUs + 5 * minuteUs
      const slower = (atUs: number) => (atUs >= beganUs && atUs < endedUs ? 4 : 1)
      for (let us = simulationUs; us < beganUs - minuteUs; us += minuteUs / 2) {
        await alerts.moveTo(us + minuteUs / 2)
        await alerts.ingest(callsIn(chance, us, 30, slower))
      }
      const told: { readonly atUs: number; readonly type: string; readonly id: string }[] = []
      for (let us = alerts.world.nowUs; us < endedUs + 4 * minuteUs; us = alerts.world.nowUs) {
        const seconds = us < beganUs + minuteUs ? tickS : laterTickS
        await alerts.moveTo(us + seconds * secondUs)
        await alerts.watch()
        await alerts.ingest(callsIn(chance, us, seconds, slower))
        await alerts.evaluate()
        const before = receiver.received.length
        while ((await alerts.send(notifier)).more);
        for (const { body, headers } of receiver.received.slice(before)) {
          const said = new Webhook(webhookSecret).verify(body, headers as Record<string, string>) as { type: string }
          told.push({ atUs: alerts.world.nowUs, type: said.type, id: String(headers['webhook-id']) })
        }
      }
      expect(told.map(({ type }) => type)).toEqual(['alert.firing', 'alert.resolved'])
      const [fired, resolved] = told
      expect(((fired?.atUs ?? 0) - beganUs) / secondUs).toBeGreaterThan(0)
      expect(((fired?.atUs ?? 0) - beganUs) / secondUs).toBeLessThanOrEqual(15)
      expect(resolved?.atUs).toBeGreaterThan(endedUs)
      expect(resolved?.atUs).toBeLessThan(endedUs + 4 * minuteUs)

      // The open page was told at the same moments, absolutely and with a revision that grows.
      const { pushes } = alerts.world
      expect(pushes.map(({ push }) => push.alerts.map(({ state }) => state))).toEqual([['firing'], []])
      expect(pushes[0]?.at_us).toBe(fired?.atUs)
      expect(pushes[1]?.at_us).toBe(resolved?.atUs)
      expect(pushes[1]?.push.rev).toBeGreaterThan(pushes[0]?.push.rev ?? Number.POSITIVE_INFINITY)

      const [alert] = pushes[0]?.push.alerts ?? []
      expect(alert).toMatchObject({ rule_id: 'slow', subject: 'provider:kimi', metric: 'p95_ms', verdict: null })
      expect(alert?.title).toMatch(
        /^P95 latency of provider kimi is [\d.]+ s where [\d.]+ s is usual, in exai \(test\)$/,
      )
      expect(alert?.value).toBeGreaterThan(2 * (alert?.expected?.mid ?? Number.POSITIVE_INFINITY))
      expect(alert?.trace_ids.length).toBeGreaterThan(0)
      expect(alert?.link).toMatch(/^\/traces\?from=\d+&to=\d+&provider=kimi&environment=test&service=exai$/)
      const slowest = await database.query('select provider, duration_ms from telltale.traces where trace_id = $1', [
        alert?.trace_ids[0],
      ])
      expect(slowest[0]?.provider).toBe('kimi')
      expect(Number(slowest[0]?.duration_ms)).toBeGreaterThan(2_000)

      // Played again over what is stored, to the minute, the rule fires as it did.
      const history = (await database.rpc('alert_history', {
        rule_id: 'slow',
        since: new Date(simulationUs / 1_000).toISOString(),
        till: new Date(alerts.world.nowUs / 1_000).toISOString(),
      })) as AlertHistory
      const replayed = replayRule(history, simulationUs, alerts.world.nowUs)
      expect(replayed.map(({ title }) => title)).toEqual([expect.stringMatching(/^P95 latency of provider kimi is /)])
      expect(Math.abs((replayed[0]?.fired_us ?? 0) - (fired?.atUs ?? 0))).toBeLessThanOrEqual(minuteUs)
      expect(Math.abs((replayed[0]?.resolved_us ?? 0) - (resolved?.atUs ?? 0))).toBeLessThanOrEqual(2 * minuteUs)
    })
  })
}
