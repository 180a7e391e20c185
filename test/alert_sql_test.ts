import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Attempt, Notification, Notifier } from '../functions/store/port.ts'
import type { AlertDocument } from '../src/core/alert/alert_document.ts'
import { passOver } from '../src/core/alert/alert_pass.ts'
import { type AlertWorld, aCall, addWebhook, openAlerts, secondUs, webhookSecret } from './alert_fixture.ts'
import { times } from './alert_input_fixture.ts'
import { type Caller, type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { anError } from './rows_fixture.ts'

const minuteUs = 60 * secondUs
const ok: Attempt = { ok: true, final: true, status: 204, error: null, retry_after_s: null }
const down: Attempt = { ok: false, final: false, status: null, error: 'It was not reached', retry_after_s: null }

/** Tells nobody, and remembers what it was to tell. */
function notifierOf(answer: (notification: Notification) => Attempt) {
  const sent: Notification[] = []
  const notifier: Notifier = {
    async send(notification) {
      sent.push(notification)
      return answer(notification)
    },
  }
  return { sent, notifier }
}

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    let alerts: AlertWorld
    const viewer: Caller = { role: 'authenticated', sub: randomUUID() }
    const stranger: Caller = { role: 'authenticated', sub: randomUUID() }
    beforeAll(async () => {
      database = await open()
      alerts = await openAlerts(database)
      await database.query('insert into telltale.members (user_id, email) values ($1, $2)', [
        viewer.sub,
        'ada@example.org',
      ])
    })
    afterAll(() => database.close())
    beforeEach(() => alerts.reset())

    const now = () => alerts.world.nowUs
    /** Half of the calls fail: the rule about the error rate fires. */
    const fail = () =>
      alerts.ingest(times(40, (i) => aCall(now() - secondUs, 50, { outcome: i % 2 ? 'ok' : 'tool_error' })).flat())
    const recover = () => alerts.ingest(times(400, () => aCall(now() - secondUs, 50)).flat())
    const first = async () => (await alerts.open())[0] as AlertDocument & { alert_id: string }

    test('a pass that was judged from an older state changes nothing, and two at once fire once and tell once', async () => {
      await addWebhook(database, 'https://example.com/hook')
      await fail()
      const inputs = await alerts.store.readAlertInputs()
      await Promise.all([alerts.evaluate(), alerts.evaluate(), alerts.evaluate()])
      expect(await alerts.states()).toEqual(['error_rate firing'])
      expect(await alerts.store.storeAlertOutcome(passOver(inputs))).toBe(false)
      expect(await alerts.states()).toEqual(['error_rate firing'])
      const { sent, notifier } = notifierOf(() => ok)
      await Promise.all(times(3, () => alerts.send(notifier)))
      expect(sent.map(({ event }) => event)).toEqual(['firing'])
      expect(await alerts.evaluate()).toEqual({ done: 0, more: false })
    })

    test('whoever dies after sending lets another send it again, under the same key and with the same body', async () => {
      await addWebhook(database, 'https://example.com/hook')
      await fail()
      await alerts.evaluate()
      const lost = await alerts.store.claimNotifications(10)
      const { sent, notifier } = notifierOf(() => ok)
      await alerts.later(59)
      await alerts.send(notifier)
      expect(sent).toEqual([])
      await alerts.later(2)
      await alerts.send(notifier)
      expect(sent.map(({ notification_id, attempt }) => [notification_id, attempt])).toEqual([
        [lost[0]?.notification_id, 2],
      ])
      expect(sent[0]?.alert).toEqual(lost[0]?.alert)
      // The one that was thought dead says at last that it failed: what arrived has arrived.
      const { notification_id = '' } = lost[0] ?? {}
      await alerts.store.noteDeliveries([{ notification_id, attempt: 1, retry_ms: 0, ...down }])
      expect(await database.rpc('deliveries')).toMatchObject({ rows: [{ state: 'sent', attempts: 2 }] })
    })

    test('a receiver that is down for an hour is told when it is back, first that it began, then that it is over', async () => {
      await addWebhook(database, 'https://example.com/hook')
      const backUs = now() + 60 * minuteUs
      const { sent, notifier } = notifierOf(() => (now() >= backUs ? ok : down))
      await fail()
      await alerts.evaluate()
      for (let minute = 0; minute < 20; minute++) {
        await alerts.send(notifier)
        await alerts.later(60)
        await recover()
        await alerts.evaluate()
      }
      expect(await alerts.states()).toEqual(['error_rate resolved'])
      while (now() < backUs + 60 * minuteUs) {
        await alerts.later(60)
        while ((await alerts.send(notifier)).more);
      }
      expect(new Set(sent.map(({ notification_id }) => notification_id)).size).toBe(2)
      expect(sent.filter(({ attempt }) => attempt === 1).map(({ event }) => event)).toEqual(['firing', 'resolved'])
      const firing = sent.filter(({ event }) => event === 'firing').length
      expect(firing).toBeGreaterThan(6)
      expect(firing).toBeLessThan(15)
      expect(await database.rpc('deliveries')).toMatchObject({
        rows: [
          { event: 'resolved', state: 'sent', attempts: 1 },
          { event: 'firing', state: 'sent', attempts: firing },
        ],
      })
    })

    test('a receiver that answers 500 is tried for a day and given up; one that is gone for good, at once', async () => {
      const [dead, gone] = [
        await addWebhook(database, 'https://dead.example/'),
        await addWebhook(database, 'https://gone.example/'),
      ]
      await fail()
      await alerts.evaluate()
      const { sent, notifier } = notifierOf(({ url }) =>
        url.includes('gone')
          ? { ...down, final: true, status: 410 }
          : { ...down, status: 500, error: 'It answers 500' },
      )
      for (let minute = 0; minute < 26 * 60; minute += 13) {
        await alerts.send(notifier)
        await alerts.later(13 * 60)
      }
      const logged = (await database.rpc('deliveries')) as {
        rows: { destination: string; state: string; status: number }[]
      }
      expect(logged.rows.map(({ state, status }) => [state, status]).sort()).toEqual([
        ['given_up', 410],
        ['given_up', 500],
      ])
      const attempts = sent.filter(({ notification_id }) => notification_id.endsWith(dead)).length
      expect(attempts).toBeGreaterThan(20)
      expect(sent.filter(({ notification_id }) => notification_id.endsWith(gone)).length).toBe(1)
      const { length } = sent
      await alerts.later(86_400)
      await alerts.send(notifier)
      expect(sent.length).toBe(length)
    })

    test('a destination is told of its severity and its rules alone, and of nothing once it is removed', async () => {
      await addWebhook(database, 'https://all.example/', { name: 'all' })
      await addWebhook(database, 'https://grave.example/', { name: 'grave', severity: 'critical' })
      const only = await addWebhook(database, 'https://only.example/', { name: 'only' })
      await addWebhook(database, 'https://removed.example/', { name: 'removed' })
      await database.rpc('set_rule', { rule: { rule_id: 'new_error', destinations: [only] } })
      await fail()
      await alerts.ingest([anError({ at_us: now() - secondUs, message: 'boom' })])
      await alerts.evaluate()
      await database.rpc('remove_destination', { name: 'removed' })
      const { sent, notifier } = notifierOf(() => ok)
      await alerts.send(notifier)
      const told = sent.map(({ url, alert }) => `${new URL(url).hostname.split('.')[0]} ${alert.rule_id}`).sort()
      // Both are about errors of one service: the graver stands for the other.
      expect(told).toEqual(['all error_rate', 'grave error_rate', 'only error_rate'])
      await database.rpc('set_rule', { rule: { rule_id: 'new_error', destinations: null } })
    })

    test('a member acknowledges, by name, and the alert stays so until it resolves; nobody else may', async () => {
      await fail()
      await alerts.evaluate()
      const { alert_id } = await first()
      await expect(database.rpc('acknowledge_alert', { alert_id }, stranger)).rejects.toMatchObject({ code: '42501' })
      await alerts.later(1)
      const done = (await database.rpc('acknowledge_alert', { alert_id }, viewer)) as AlertDocument
      expect(done).toMatchObject({ state: 'acknowledged', acknowledged_by: 'ada@example.org', acknowledged_us: now() })
      await alerts.later(60)
      expect(await database.rpc('acknowledge_alert', { alert_id })).toEqual(done)
      await alerts.watch()
      await alerts.evaluate()
      expect(alerts.world.pushes.at(-1)?.push.alerts).toMatchObject([{ state: 'acknowledged' }])
      for (let i = 0; i < 12; i++) {
        await alerts.later(60)
        await recover()
        await alerts.evaluate()
      }
      expect(await first()).toMatchObject({ state: 'resolved', acknowledged_by: 'ada@example.org' })
      await expect(database.rpc('acknowledge_alert', { alert_id: randomUUID() }, viewer)).rejects.toMatchObject({
        code: '22023',
      })
    })

    test('a silence keeps an alert from being told of until it ends, and a member may end it', async () => {
      await addWebhook(database, 'https://example.com/hook')
      const wanted = { rule_id: 'error_rate', service: 'exai', seconds: 3_600, reason: 'deploying' }
      await expect(database.rpc('silence', { wanted }, stranger)).rejects.toMatchObject({ code: '42501' })
      const made = (await database.rpc('silence', { wanted }, viewer)) as { silence_id: string }
      expect(made).toMatchObject({ made_by: 'ada@example.org', ends_us: now() + 3_600 * secondUs })
      await fail()
      await alerts.evaluate()
      expect(await first()).toMatchObject({ state: 'firing', silenced: true })
      const { sent, notifier } = notifierOf(() => ok)
      await alerts.send(notifier)
      expect(sent).toEqual([])
      expect(await database.rpc('end_silence', { silence_id: made.silence_id }, viewer)).toBe(true)
      expect(await database.rpc('end_silence', { silence_id: made.silence_id }, viewer)).toBe(false)
      await alerts.later(5)
      await alerts.evaluate()
      await alerts.send(notifier)
      expect(sent.map(({ event }) => event)).toEqual(['firing'])
      expect(await database.rpc('silences')).toEqual([])
      for (const wrong of [
        { seconds: 1 },
        { seconds: 'x' },
        { rule_id: 'nothing', seconds: 60 },
        { color: 1, seconds: 60 },
      ]) {
        await expect(database.rpc('silence', { wanted: wrong }, viewer)).rejects.toMatchObject({ code: '22023' })
      }
    })

    test('what opens a destination is read by nobody, and shown nowhere', async () => {
      await addWebhook(database, 'https://hooks.slack.com/services/T000/B000/verysecretpath', { name: 'pager' })
      await fail()
      await alerts.evaluate()
      for (const caller of [viewer, { role: 'service_role' } as const]) {
        for (const column of ['secret', 'url', '*']) {
          await expect(
            database.query(`select ${column} from telltale.alert_destinations`, [], caller),
          ).rejects.toMatchObject({ code: '42501' })
        }
      }
      await expect(database.rpc('claim_notifications', { n: 1 }, viewer)).rejects.toMatchObject({ code: '42501' })
      const shown = JSON.stringify([
        await database.rpc('destinations', {}, viewer),
        await database.rpc('deliveries', {}, viewer),
        await database.rpc('alerts', {}, viewer),
        await database.rpc('open_alerts', {}, viewer),
        await database.query('select * from telltale.alert_notifications', [], viewer),
      ])
      expect(shown).toContain('https://hooks.slack.com/...')
      expect(shown).not.toContain('verysecretpath')
      expect(shown).not.toContain(webhookSecret)
    })

    test('test_destination() tells it something harmless, as the log shows', async () => {
      await addWebhook(database, 'https://example.com/hook', { name: 'pager' })
      const { notification_id } = (await database.rpc('test_destination', { name: 'pager' })) as {
        notification_id: string
      }
      const { sent, notifier } = notifierOf(() => ok)
      await alerts.send(notifier)
      expect(sent[0]).toMatchObject({
        event: 'test',
        notification_id,
        alert: { title: expect.stringContaining('test') },
      })
      expect(await database.rpc('deliveries', { filter: { notification_id } }, viewer)).toMatchObject({
        rows: [{ state: 'sent' }],
      })
    })
  })
}
