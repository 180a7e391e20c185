import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AlertInputs } from '../src/core/alert/alert_input.ts'
import { passOver } from '../src/core/alert/alert_pass.ts'
import { retryMsOf } from '../src/core/alert/retry_pause.ts'
import { notificationRetryMsMax } from '../src/core/limit.ts'
import { aCell, aRule, inputsOf, minutesOf, passUs, place, secondUs, stored, times } from './alert_input_fixture.ts'

const failing = aCell(
  times(40, () => 10),
  20,
)
const fine = aCell(
  times(40, () => 10),
  1,
)

describe('passOver()', () => {
  const situations = fc.record({
    errors: fc.array(fc.nat(40), { minLength: 1, maxLength: 3 }),
    hidden: fc.boolean(),
    providers: fc.array(fc.nat(40), { maxLength: 3 }),
    for_s: fc.constantFrom(0, 60),
  })
  const inputsIn = ({
    errors,
    hidden,
    providers,
    for_s,
  }: typeof situations extends fc.Arbitrary<infer T> ? T : never) => {
    const series = Object.fromEntries(
      providers.map((n, i) => [
        `provider:p${i}`,
        aCell(
          times(40, () => 10),
          n,
        ),
      ]),
    )
    const rules = [
      aRule({ for_s }),
      aRule({
        rule_id: 'by_provider',
        filter: { keys: ['provider:*'] },
        group_by: ['service', 'environment', 'subject'],
      }),
    ]
    const silence = {
      silence_id: 's',
      rule_id: null,
      service: 'exai',
      environment: null,
      starts_us: 0,
      ends_us: passUs * 2,
    }
    return inputsOf({
      rules,
      minutes: minutesOf(
        ...errors.map((n) => ({
          all: aCell(
            times(40, () => 10),
            n,
          ),
          ...series,
        })),
      ),
      silences: hidden ? [{ ...silence, repeat_s: null }] : [],
    })
  }

  test('comes to nothing new when it is repeated over what it stored', () => {
    fc.assert(
      fc.property(situations, (situation) => {
        const inputs = inputsIn(situation)
        const after = stored(inputs, passOver(inputs))
        expect(passOver(after).changes).toEqual([])
      }),
    )
  })

  test('tells of each alert at most once, and of a silenced one never', () => {
    fc.assert(
      fc.property(fc.array(situations, { minLength: 1, maxLength: 8 }), (rounds) => {
        let known: Pick<AlertInputs, 'open' | 'marks' | 'revision'> = inputsOf()
        const told = new Map<string, number>()
        rounds.forEach((situation, round) => {
          const inputs = { ...inputsIn(situation), ...known, now_us: passUs + 30 * secondUs + round * secondUs }
          const outcome = passOver(inputs)
          for (const change of outcome.changes) {
            if (change.notify === null) continue
            if (change.notify === 'firing') expect(change.silenced).toBe(false)
            const key = `${change.rule_id} ${change.group_key} ${change.fired_us} ${change.notify}`
            told.set(key, (told.get(key) ?? 0) + 1)
          }
          const { open, marks, revision } = stored(inputs, outcome)
          known = { open, marks, revision }
        })
        expect([...told.values()].every((n) => n === 1)).toBe(true)
      }),
    )
  })

  test('fires, stays while it lies between the thresholds, and resolves below the lower one', () => {
    const looks = [20, 6, 1].map((errors) =>
      minutesOf({
        all: aCell(
          times(40, () => 10),
          errors,
        ),
      }),
    )
    let inputs = inputsOf()
    const states = looks.map((minutes, i) => {
      inputs = { ...inputs, minutes, now_us: inputs.now_us + i * secondUs }
      const outcome = passOver(inputs)
      inputs = stored(inputs, outcome)
      return outcome.changes.map(({ state, notify }) => `${state} ${notify}`)
    })
    expect(states).toEqual([['firing firing'], [], ['resolved resolved']])
  })

  test('tells of several alerts of one service and topic as one, and of another service by itself', () => {
    const series = { all: failing, 'provider:kimi': failing, 'provider:glm': fine }
    const rules = [
      aRule(),
      aRule({
        rule_id: 'by_provider',
        severity: 'critical',
        filter: { keys: ['provider:*'] },
        group_by: ['service', 'subject'],
      }),
    ]
    const minutes = [...minutesOf(series), { ...minutesOf(series)[0], service: 'other' }] as AlertInputs['minutes']
    const inputs = inputsOf({ rules, minutes })
    const { changes } = passOver(inputs)
    const told = changes.filter(({ notify }) => notify === 'firing')
    expect(changes.map(({ state }) => state)).toEqual(['firing', 'firing', 'firing', 'firing'])
    expect(told.map(({ rule_id, service }) => `${rule_id} ${service}`).sort()).toEqual([
      'by_provider exai',
      'by_provider other',
    ])
    for (const change of changes.filter(({ notify }) => notify === null)) {
      expect(change.under).toBe(`by_provider {"service":"${change.service}","subject":"provider:kimi"}`)
    }
    // What was told of with another is not told of when that one resolves, as long as it is about to be over itself.
    const after = stored(inputs, { ...passOver(inputs) })
    expect(passOver(after).changes).toEqual([])
  })

  test('tells of what was silenced when the silence ends and it still lasts', () => {
    const silence = { silence_id: 's', rule_id: 'a_rule', service: null, environment: null, repeat_s: null }
    const silences = [{ ...silence, starts_us: passUs, ends_us: passUs + 40 * secondUs }]
    const inputs = inputsOf({ minutes: minutesOf({ all: failing }), silences })
    const first = passOver(inputs)
    expect(first.changes).toMatchObject([{ state: 'firing', silenced: true, notify: null }])
    const later = passOver({ ...stored(inputs, first), now_us: passUs + 41 * secondUs })
    expect(later.changes).toMatchObject([{ state: 'firing', silenced: false, notify: 'firing' }])
  })

  test('resolves what a rule had open that is disabled, without an alarm, and drops what was pending', () => {
    for (const [for_s, wanted] of [
      [0, 'resolved'],
      [60, 'dropped'],
    ] as const) {
      const inputs = inputsOf({ rules: [aRule({ for_s })], minutes: minutesOf({ all: failing }) })
      const after = { ...stored(inputs, passOver(inputs)), rules: [] }
      expect(passOver(after).changes.map(({ state }) => state)).toEqual([wanted])
    }
  })
})

describe('a latency against what is usual', () => {
  const rule = aRule({
    metric: 'p95_ms',
    condition: 'above_baseline',
    threshold: 2,
    clear_threshold: 1.5,
    window_s: 180,
  })
  const usual = aCell(times(1_000, (i) => 50 + (i % 100)))
  const judged = (...cells: readonly ReturnType<typeof aCell>[]) => {
    const series = cells.map((all) => ({ all }))
    const baselines = [{ ...place, series: { all: usual } }]
    return passOver(inputsOf({ rules: [rule], minutes: minutesOf(...series), baselines })).changes.map(
      ({ state }) => state,
    )
  }
  const normal = times(100, (i) => 50 + (i % 100))

  test('fires when a tenth of the running minute is far slower, whatever the minutes before say', () => {
    expect(judged(aCell([...times(90, (i) => 50 + i), ...times(10, () => 600)]), aCell(normal), aCell(normal))).toEqual(
      ['firing'],
    )
  })
  test('takes a few slow calls for what they are', () => {
    expect(judged(aCell([...times(20, (i) => 50 + i), ...times(4, () => 600)]))).toEqual([])
    expect(judged(aCell(times(9, () => 600)))).toEqual([])
  })
  test('does not fire for what has always been slow now and then', () => {
    const heavy = aCell([...times(960, (i) => 50 + (i % 100)), ...times(40, () => 600)])
    const inputs = inputsOf({
      rules: [rule],
      minutes: minutesOf({ all: aCell([...times(17, () => 60), ...times(5, () => 600)]) }),
      baselines: [{ ...place, series: { all: heavy } }],
    })
    expect(passOver(inputs).changes).toEqual([])
  })
  test('is over as soon as the running minute is as usual', () => {
    expect(judged(aCell(normal), aCell(times(100, () => 600)))).toEqual([])
  })
  test('concludes nothing without a past', () => {
    const inputs = inputsOf({ rules: [rule], minutes: minutesOf({ all: aCell(times(100, () => 600)) }) })
    expect(passOver(inputs).changes).toEqual([])
    const young = { ...inputs, baselines: [{ ...place, series: { all: aCell(times(49, () => 50)) } }] }
    expect(passOver(young).changes).toEqual([])
  })
  test('names the series that is worst, and the others beside it', () => {
    const slow = aCell(times(50, () => 600))
    const series = { all: slow, 'provider:kimi': slow, 'provider:glm': aCell(times(50, () => 60)), 'tool:chat': slow }
    const wide = { ...rule, filter: { keys: ['all', 'provider:*', 'tool:*'] } }
    const usuals = Object.fromEntries(Object.keys(series).map((key) => [key, usual]))
    const [change] = passOver(
      inputsOf({ rules: [wide], minutes: minutesOf(series), baselines: [{ ...place, series: usuals }] }),
    ).changes
    expect(change?.seen?.subject).toBe('provider:kimi')
    expect(change?.seen?.others.map(({ subject }) => subject).sort()).toEqual(['all', 'tool:chat'])
    expect(change?.seen?.link).toContain('provider=kimi')
  })
})

describe('an objective', () => {
  const rule = aRule({
    kind: 'slo',
    metric: 'error_rate',
    objective: 0.99,
    min_count: 50,
    condition: null,
    threshold: null,
  })
  const stateOf = (errors: Partial<Record<300 | 1_800 | 3_600 | 21_600 | 259_200, number>>, changes = {}) => {
    const burns = ([300, 1_800, 3_600, 21_600, 259_200] as const).map((age_s) => ({
      ...place,
      age_s,
      series: {
        all: aCell(
          times(100, (i) => i),
          errors[age_s] ?? 0,
        ),
      },
    }))
    return passOver(inputsOf({ rules: [{ ...rule, ...changes }], burns })).changes.map(({ state }) => state)
  }
  test.each<readonly [string, Parameters<typeof stateOf>[0], readonly string[]]>([
    ['nothing burns', {}, []],
    ['a blip that the hour hardly feels', { 300: 5 }, []],
    ['fast, for an hour and still', { 300: 50, 1800: 50, 3600: 50 }, ['firing']],
    ['a spell that is over', { 3600: 4 }, []],
    ['for six hours and still', { 300: 8, 1800: 8, 3600: 8, 21600: 8 }, ['firing']],
    ['slowly, for three days', { 300: 2, 1800: 2, 3600: 2, 21600: 2, 259200: 2 }, ['firing']],
    ['within what is allowed', { 300: 1, 1800: 1, 3600: 1, 21600: 1, 259200: 1 }, []],
  ])('%s', (_, errors, states) => expect(stateOf(errors)).toEqual(states))
  test('of latency counts the calls that are too slow', () => {
    expect(stateOf({}, { metric: 'slow_rate', threshold: 50 })).toEqual(['firing'])
    expect(stateOf({}, { metric: 'slow_rate', threshold: 200 })).toEqual([])
  })
  test('of few calls concludes nothing', () => {
    expect(stateOf({ 300: 50, 1800: 50, 3600: 50 }, { min_count: 10_000 })).toEqual([])
  })
})

test('retryMsOf() grows to an hour, is never less than the destination asks, and tries often enough within a day', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.option(fc.nat(10_000)),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (n, asked, chance) => {
        const ms = retryMsOf(n, asked, chance)
        expect(ms).toBeLessThanOrEqual(notificationRetryMsMax)
        expect(ms).toBeGreaterThanOrEqual(Math.min(notificationRetryMsMax, (asked ?? 0) * 1_000))
        expect(retryMsOf(n + 1, asked, chance)).toBeGreaterThanOrEqual(ms)
      },
    ),
  )
  let total = 0
  let attempts = 1
  for (; total < 86_400_000; attempts += 1) total += retryMsOf(attempts, null, 1)
  expect(attempts).toBeGreaterThan(25)
  expect(attempts).toBeLessThan(60)
})
