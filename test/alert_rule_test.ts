import { afterAll, beforeAll, expect, test } from 'vitest'
import { destinationKinds } from '../functions/store/port.ts'
import { burnAges } from '../src/core/alert/alert_burn.ts'
import { alertConditions, alertKinds, alertMetrics, groupDimensions, severities } from '../src/core/alert/alert_rule.ts'
import {
  alertRulesMax,
  alertsPushedMax,
  destinationsMax,
  notificationDaySeconds,
  notificationLeaseSeconds,
} from '../src/core/limit.ts'
import { openPglite, type TestDatabase } from './postgres_fixture.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await openPglite()
})
afterAll(() => database.close())

test('the words and bounds that SQL repeats are those of src/core', async () => {
  const checks =
    await database.query(`select conname::text as name, pg_get_constraintdef(oid) as text from pg_constraint
    where connamespace = 'telltale'::regnamespace and contype = 'c'`)
  const listed = (name: string) =>
    [...String(checks.find((check) => check.name === name)?.text).matchAll(/'([^']*)'/g)]
      .map((match) => match[1])
      .sort()
  expect(listed('alert_rules_are_of_a_kind')).toEqual([...alertKinds].sort())
  // throughput is a metric of anomalies alone.
  expect(listed('alert_rules_look_at_a_metric')).toEqual([...alertMetrics, 'throughput'].sort())
  expect(listed('alert_rules_compare')).toEqual([...alertConditions].sort())
  expect(listed('alert_rules_have_a_severity')).toEqual([...severities].sort())
  expect(listed('alert_rules_group_by_known_things')).toEqual([...groupDimensions].sort())
  expect(listed('alert_destinations_are_of_a_kind')).toEqual([...destinationKinds].sort())

  const rows = await database.query(`select proname::text as name, pg_get_functiondef(oid) as text from pg_proc
    where pronamespace = 'telltale'::regnamespace and prokind = 'f'`)
  const textOf = new Map(rows.map(({ name, text }) => [name, String(text)]))
  const repeated: { readonly [routine: string]: readonly string[] } = {
    set_rule: [`>= ${alertRulesMax} then`],
    add_destination: [`>= ${destinationsMax} then`],
    alert_push: [`place <= ${alertsPushedMax}`],
    claim_notifications: [
      `interval '${notificationLeaseSeconds} seconds'`,
      `interval '${notificationDaySeconds / 86_400} day'`,
    ],
    alert_burns: burnAges.slice(0, 3).map((age) => (age === 3_600 ? `else ${age} end` : `then ${age}`)),
    refresh_stretches: burnAges.slice(3).map((age) => `select ${age}, `),
  }
  for (const [routine, texts] of Object.entries(repeated)) {
    for (const text of texts) expect(textOf.get(routine), routine).toContain(text)
  }
})

const good = { rule_id: 'mine', kind: 'metric', metric: 'error_rate', condition: 'above', threshold: 0.5 }

test('set_rule() adds a rule with what is usual for the rest, and changes what is given of one', async () => {
  const added = await database.rpc('set_rule', { rule: { ...good, filter: { keys: ['tool:*'] } } })
  expect(added).toMatchObject({
    rule_id: 'mine',
    name: 'mine',
    enabled: true,
    is_template: false,
    window_s: 300,
    min_count: 1,
  })
  expect(await database.rpc('set_rule', { rule: { rule_id: 'mine', enabled: false } })).toEqual({
    ...(added as object),
    enabled: false,
  })
  expect(await database.rpc('set_rule', { rule: { rule_id: 'slow', threshold: 3 } })).toMatchObject({
    rule_id: 'slow',
    is_template: true,
    threshold: 3,
    metric: 'p95_ms',
  })
  expect(await database.rpc('remove_rule', { rule_id: 'mine' })).toBe(true)
  expect(await database.rpc('remove_rule', { rule_id: 'mine' })).toBe(false)
  expect(await database.rpc('remove_rule', { rule_id: 'slow' })).toBe(false)
})

const refusals: readonly (readonly [what: string, rule: Record<string, unknown>])[] = [
  ['an id with spaces', { rule_id: 'my rule' }],
  ['no id', { rule_id: null }],
  ['an unknown kind', { kind: 'magic' }],
  ['an unknown metric', { metric: 'luck' }],
  ['a metric without a threshold', { threshold: null }],
  ['a metric without a condition', { condition: null }],
  ['an unknown column', { colour: 'red' }],
  ['a window of a second', { window_s: 1 }],
  ['a window of a week', { window_s: 604_800 }],
  ['an infinite threshold', { threshold: 1e300 }],
  ['a threshold that is text', { threshold: 'much' }],
  ['a clear threshold on the wrong side', { clear_threshold: 0.9 }],
  ['an objective of everything', { kind: 'slo', objective: 1 }],
  ['no objective', { kind: 'slo' }],
  ['a gauge without a name', { metric: 'gauge' }],
  ['a filter with an unknown member', { filter: { colour: ['red'] } }],
  ['a filter that is no object', { filter: [] }],
  ['a filter whose keys are text', { filter: { keys: 'all' } }],
  ['a filter whose keys are numbers', { filter: { keys: [1] } }],
  ['grouping by the weather', { group_by: ['weather'] }],
  ['an unknown severity', { severity: 'fatal' }],
  ['another kind for a template', { rule_id: 'slow', kind: 'slo' }],
]
test.each(refusals)('set_rule() refuses %s', async (_, changes) => {
  await expect(database.rpc('set_rule', { rule: { ...good, ...changes } })).rejects.toMatchObject({
    code: expect.stringMatching(/^2[23]/),
  })
})

test('add_destination() refuses addresses that carry a password, what cannot sign, and a name twice', async () => {
  const hook = { name: 'pager', kind: 'webhook', url: 'https://example.com/hook', secret: 'whsec_c2VjcmV0' }
  const table: readonly Record<string, unknown>[] = [
    { url: 'ftp://example.com' },
    { url: 'https://user:pass@example.com/' },
    { url: 'not an address' },
    { secret: null },
    { kind: 'pigeon' },
    { name: '' },
    { name: 'x'.repeat(65) },
    { severity: 'fatal' },
    { more: 1 },
  ]
  for (const changes of table) {
    await expect(
      database.rpc('add_destination', { wanted: { ...hook, ...changes } }),
      JSON.stringify(changes),
    ).rejects.toMatchObject({
      code: expect.stringMatching(/^2[23]/),
    })
  }
  await database.rpc('add_destination', { wanted: hook })
  await expect(database.rpc('add_destination', { wanted: hook })).rejects.toMatchObject({ code: '22023' })
  expect(await database.rpc('remove_destination', { name: 'pager' })).toBe(true)
  expect(await database.query('select url, secret from telltale.alert_destinations')).toEqual([
    { url: 'https://example.com/...', secret: 'removed' },
  ])
})
