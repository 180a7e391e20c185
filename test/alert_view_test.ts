import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { AlertDocument, AlertPush } from '../src/core/alert/alert_document.ts'
import { alertReadMs } from '../src/core/limit.ts'
import { AlertFeed } from '../web/alert_feed.ts'
import { alertLinesOf, bannerOf, deliveryLineOf, firingOf, silenceText } from '../web/view/alert_view.ts'

const nowUs = 1_800_000_000_000_000

function anAlert(changes: Partial<AlertDocument> = {}): AlertDocument {
  return {
    alert_id: 'a',
    rule_id: 'slow',
    rule: 'Slower than usual',
    state: 'firing',
    severity: 'warning',
    topic: 'latency',
    service: 'exai',
    environment: 'prod',
    title: 'P95 latency of provider kimi is 4 s where 1 s is usual',
    subject: 'provider:kimi',
    metric: 'p95_ms',
    value: 4_000,
    expected: { low: null, mid: 1_000, high: 2_000 },
    count: 40,
    others: [{ subject: 'all', value: 3_000 }],
    trace_ids: ['c'.repeat(32)],
    link: '/traces',
    verdict: null,
    started_us: nowUs - 60_000_000,
    fired_us: nowUs - 60_000_000,
    acknowledged_us: null,
    acknowledged_by: null,
    resolved_us: null,
    silenced: false,
    under: null,
    revision: 3,
    ...changes,
  }
}
const aPush = (alerts: readonly AlertDocument[], rev = 1, at_us = nowUs): AlertPush => ({
  rev,
  at_us,
  total: alerts.length,
  alerts,
})

test('firingOf() counts what fires and nobody knows of or silenced, each trouble once', () => {
  const push = aPush([
    anAlert(),
    anAlert({ alert_id: 'b', state: 'acknowledged' }),
    anAlert({ alert_id: 'c', silenced: true }),
    anAlert({ alert_id: 'd', under: 'a' }),
  ])
  expect(firingOf(push).map(({ alert_id }) => alert_id)).toEqual(['a'])
  expect(firingOf(null)).toEqual([])
})

test('bannerOf() says the gravest and how many more', () => {
  expect(bannerOf(aPush([]))).toBe(null)
  expect(bannerOf(aPush([anAlert()]))).toMatchObject({ tone: 'warn', more: '' })
  const banner = bannerOf(aPush([anAlert({ severity: 'critical', title: 'x' }), anAlert(), anAlert()]))
  expect(banner).toMatchObject({ title: 'x', tone: 'error', more: expect.stringMatching(/^and 2\s+more alerts$/) })
})

test('alertLinesOf() takes of each alert what is newest, pushed or read, and tells what is over from what is not', () => {
  const rows = [anAlert({ revision: 3 }), anAlert({ alert_id: 'b', state: 'resolved', resolved_us: nowUs })]
  const push = aPush([
    anAlert({ revision: 4, state: 'acknowledged', acknowledged_by: 'ada@example.org', acknowledged_us: nowUs }),
  ])
  const { open, over } = alertLinesOf(rows, push, nowUs)
  expect(open).toMatchObject([{ id: 'a', state: 'Acknowledged', isFiring: false }])
  expect(over).toMatchObject([{ id: 'b', state: 'Resolved', tone: 'ok' }])
  expect(alertLinesOf(rows, aPush([anAlert({ revision: 2, state: 'acknowledged' })]), nowUs).open[0]?.state).toBe(
    'Firing',
  )
  const facts = Object.fromEntries((open[0]?.facts ?? []).map(({ term, text }) => [term, text]))
  expect(facts).toMatchObject({
    Of: 'provider kimi',
    Seen: 'p95 latency: 4 s',
    Expected: 'about 1 s, at most 2 s',
    Also: 'all calls',
  })
  expect(facts.Acknowledged).toContain('by ada@example.org')
})

test('silenceText() and deliveryLineOf() say what, until when, and how it went', () => {
  const silence = {
    silence_id: 's',
    rule_id: null,
    service: 'exai',
    environment: null,
    repeat_s: null,
    reason: 'deploy',
    made_by: 'ada',
    made_us: nowUs,
  }
  const once = { ...silence, starts_us: nowUs - 1, ends_us: nowUs + 3_600_000_000 }
  expect(silenceText(once, nowUs)).toMatch(/^every rule of exai until .*, by ada: deploy$/)
  expect(silenceText({ ...once, repeat_s: 86_400 }, nowUs)).toContain('again every')
  const row = {
    notification_id: 'n',
    alert_id: 'a',
    destination: 'pager',
    kind: 'slack',
    event: 'firing',
    title: 't',
    status: null,
  } as const
  const times = { created_us: nowUs, last_us: null, next_us: nowUs + 5_000_000 }
  const said = (state: 'waiting' | 'sent' | 'given_up', attempts: number, error: string | null) =>
    deliveryLineOf({ ...row, ...times, state, attempts, error }, nowUs)
  expect(said('sent', 1, null)).toMatchObject({ tone: 'ok', detail: expect.stringMatching(/^Sent after 1\s+attempt$/) })
  expect(said('waiting', 0, null).detail).toBe('Not tried yet')
  expect(said('waiting', 2, 'It answers 500').detail).toMatch(/^It answers 500 \(2\s+attempts\), again in /)
  expect(said('given_up', 9, 'It answers 500')).toMatchObject({
    tone: 'error',
    detail: expect.stringContaining('It answers 500'),
  })
})

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('AlertFeed.hear() ends at the highest revision, in whatever order pushes come', () => {
  const pushes = fc.array(fc.record({ rev: fc.nat(5), at_us: fc.nat(5) }), { minLength: 1 })
  fc.assert(
    fc.property(pushes, (order) => {
      const heard: AlertPush[] = []
      const feed = new AlertFeed({
        source: { openAlerts: async () => aPush([]) },
        onAlerts: (push) => heard.push(push),
      })
      for (const { rev, at_us } of order) feed.hear(aPush([], rev, at_us))
      expect(heard.at(-1)?.rev).toBe(Math.max(...order.map(({ rev }) => rev)))
      for (const [i, push] of heard.entries())
        if (i > 0) expect(push.rev).toBeGreaterThanOrEqual(heard[i - 1]?.rev ?? 0)
    }),
  )
})

test('AlertFeed makes up for a lost push by reading, as long as somebody looks', async () => {
  const heard: number[] = []
  let rev = 1
  const feed = new AlertFeed({
    source: { openAlerts: async () => aPush([], rev) },
    onAlerts: (push) => heard.push(push.rev),
  })
  await vi.advanceTimersByTimeAsync(alertReadMs)
  expect(heard).toEqual([])
  feed.show(true)
  await vi.advanceTimersByTimeAsync(1)
  rev = 2
  await vi.advanceTimersByTimeAsync(alertReadMs)
  expect(heard).toEqual([1, 2])
  feed.show(false)
  rev = 3
  await vi.advanceTimersByTimeAsync(10 * alertReadMs)
  expect(heard).toEqual([1, 2])
})
