import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { OpenAlert } from '../src/core/alert/alert_input.ts'
import { isWithin } from '../src/core/alert/alert_silence.ts'
import { nextStep } from '../src/core/alert/alert_state.ts'
import { alertLookGapSeconds } from '../src/core/limit.ts'

const secondUs = 1_000_000
const startUs = 1_800_000_000 * secondUs

type Known = Pick<OpenAlert, 'state' | 'started_us' | 'seen_us' | 'clear_us'>
/** What is seen: trouble, none, or something between the two thresholds. */
type Sight = 'breached' | 'cleared' | 'between' | 'gone'
type Look = { readonly afterS: number; readonly sight: Sight }
type Event = {
  readonly what: 'firing' | 'resolved' | 'dropped' | 'pending'
  readonly us: number
  readonly alert: Known | null
}

const readings = {
  breached: { breached: true, cleared: false },
  cleared: { breached: false, cleared: true },
  between: { breached: false, cleared: false },
  gone: null,
}

/** Runs the machine over looks, as the pass and the database do: every step is stored, with when it was looked. */
function play(rule: { for_s: number; clear_for_s: number }, looks: readonly Look[], acknowledgeAt = -1) {
  let alert: Known | null = null
  let us = startUs
  const events: Event[] = []
  const seen: { readonly us: number; readonly sight: Sight }[] = []
  looks.forEach(({ afterS, sight }, at) => {
    us += afterS * secondUs
    seen.push({ us, sight })
    if (at === acknowledgeAt && alert?.state === 'firing') alert = { ...alert, state: 'acknowledged' }
    const step = nextStep(rule, alert, readings[sight], us)
    const before: Known | null = alert
    if (step.to === 'pending') alert = { state: 'pending', started_us: step.started_us, seen_us: us, clear_us: null }
    else if (step.to === 'firing') alert = { state: 'firing', started_us: step.started_us, seen_us: us, clear_us: null }
    else if (step.to === 'same' && alert !== null) alert = { ...(alert as Known), seen_us: us, clear_us: step.clear_us }
    else alert = null
    if (step.to !== 'none' && step.to !== 'same') events.push({ what: step.to, us, alert: before })
  })
  return { events, seen, alert: alert as Known | null }
}

const sights = fc.constantFrom<Sight>('breached', 'breached', 'cleared', 'cleared', 'between', 'gone')
const rules = fc.record({ for_s: fc.integer({ min: 0, max: 120 }), clear_for_s: fc.integer({ min: 0, max: 120 }) })
const looksOf = (afterS: fc.Arbitrary<number>) => fc.array(fc.record({ afterS, sight: sights }), { maxLength: 60 })
const steady = looksOf(fc.integer({ min: 1, max: 30 }))

test('nextStep() fires only when every look since it began saw the condition, for as long as the rule says', () => {
  fc.assert(
    fc.property(rules, steady, (rule, looks) => {
      const { events, seen } = play(rule, looks)
      for (const { us } of events.filter(({ what }) => what === 'firing')) {
        const last = [...seen].reverse().findIndex((look) => look.us <= us && look.sight !== 'breached')
        const heldSince = last < 0 ? startUs : (seen[seen.length - last]?.us ?? us)
        expect(us - heldSince).toBeGreaterThanOrEqual(rule.for_s * secondUs)
      }
    }),
  )
})

test('nextStep() resolves only when every look for so long said that it is over', () => {
  fc.assert(
    fc.property(rules, steady, (rule, looks) => {
      const { events, seen } = play(rule, looks)
      for (const { us } of events.filter(({ what }) => what === 'resolved')) {
        const within = seen.filter((look) => look.us <= us && look.us >= us - rule.clear_for_s * secondUs)
        expect(within.every(({ sight }) => sight === 'cleared' || sight === 'gone')).toBe(true)
      }
    }),
  )
})

test('nextStep() fires and resolves by turns, and drops only what never fired', () => {
  fc.assert(
    fc.property(rules, steady, fc.integer({ min: 0, max: 59 }), (rule, looks, at) => {
      let open = false
      for (const { what, alert } of play(rule, looks, at).events) {
        if (what === 'firing') {
          expect(open).toBe(false)
          open = true
        } else if (what === 'resolved') {
          expect(open).toBe(true)
          open = false
        } else expect(alert?.state ?? 'pending').toBe('pending')
      }
    }),
  )
})

test('nextStep() leaves an acknowledged alert acknowledged until it resolves', () => {
  fc.assert(
    fc.property(rules, steady, (rule, looks) => {
      const first = looks.findIndex(({ sight }) => sight === 'breached')
      const { alert, events } = play(rule, looks, first + 1)
      if (alert?.state === 'firing') return
      const last = events.at(-1)
      expect(
        alert === null || alert.state === 'pending' || last?.what !== 'resolved' || alert.state === 'acknowledged',
      ).toBe(true)
    }),
  )
  const open: Known = { state: 'acknowledged', started_us: startUs, seen_us: startUs, clear_us: null }
  expect(nextStep({ for_s: 0, clear_for_s: 0 }, open, readings.breached, startUs + secondUs)).toEqual({
    to: 'same',
    clear_us: null,
  })
})

test('nextStep() does not move when the clock goes back, and counts no time in which nobody looked', () => {
  fc.assert(
    fc.property(rules, looksOf(fc.integer({ min: -7_200, max: 7_200 })), (rule, looks) => {
      const { events, seen } = play(rule, looks)
      for (const { us, what, alert } of events) {
        if (what !== 'firing' || rule.for_s === 0) continue
        // What was pending was looked at shortly before, and again now.
        expect(alert?.state).toBe('pending')
        expect(us - (alert?.seen_us ?? 0)).toBeLessThanOrEqual(alertLookGapSeconds * secondUs)
        expect(seen.some((look) => look.us === alert?.seen_us)).toBe(true)
      }
    }),
  )
  const rule = { for_s: 60, clear_for_s: 60 }
  const pending: Known = { state: 'pending', started_us: startUs, seen_us: startUs, clear_us: null }
  expect(nextStep(rule, pending, readings.breached, startUs - 3_600 * secondUs)).toMatchObject({ to: 'pending' })
  const afterSleep = startUs + 3_600 * secondUs
  expect(nextStep(rule, pending, readings.breached, afterSleep)).toEqual({ to: 'pending', started_us: afterSleep })
  const clearing: Known = { ...pending, state: 'firing', clear_us: startUs }
  expect(nextStep(rule, clearing, readings.cleared, afterSleep)).toEqual({ to: 'same', clear_us: afterSleep })
})

test('a rule with hysteresis does not flap: between its thresholds nothing changes', () => {
  const looks: Look[] = [
    { afterS: 0, sight: 'breached' },
    ...Array.from({ length: 200 }, () => ({ afterS: 5, sight: 'between' as const })),
  ]
  const { events, alert } = play({ for_s: 0, clear_for_s: 30 }, looks)
  expect(events.map(({ what }) => what)).toEqual(['firing'])
  expect(alert?.state).toBe('firing')
})

test('isWithin() tells a silence, and each repetition of a maintenance window', () => {
  const hour = 3_600
  const silence = {
    silence_id: '',
    rule_id: null,
    service: null,
    environment: null,
    starts_us: startUs,
    ends_us: startUs + hour * secondUs,
    repeat_s: null,
  }
  const at = (seconds: number, repeat_s: number | null) =>
    isWithin({ ...silence, repeat_s }, startUs + seconds * secondUs)
  const table: readonly (readonly [seconds: number, repeat: number | null, within: boolean])[] = [
    [-1, null, false],
    [0, null, true],
    [hour - 1, null, true],
    [hour, null, false],
    [24 * hour, null, false],
    [-24 * hour, 86_400, false],
    [24 * hour, 86_400, true],
    [25 * hour - 1, 86_400, true],
    [25 * hour, 86_400, false],
    [7 * 24 * hour + 1, 86_400, true],
    [7 * 24 * hour + 1, 604_800, true],
    [6 * 24 * hour, 604_800, false],
  ]
  for (const [seconds, repeat, within] of table) expect(at(seconds, repeat), `${seconds} ${repeat}`).toBe(within)
})
