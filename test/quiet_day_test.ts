import { expect, test } from 'vitest'
import { anomalyAlertScore } from '../src/core/limit.ts'
import { type Day, incidentsOfDays } from './quiet_day_fixture.ts'

const hour = 3_600
const wave = (at: number) => Math.sin((2 * Math.PI * at) / 86_400)
const quiet: Day = {
  days: 1,
  perMinute: () => 3,
  medianMs: (at) => 900 * (1 + 0.15 * wave(at)),
  spread: 0.6,
  failing: () => 0.01,
  looks: [20, 40],
}

const days: { readonly [name: string]: Day } = {
  'of a call every few minutes': { ...quiet, perMinute: () => 0.3 },
  'of a few calls a minute': quiet,
  'with a season': { ...quiet, perMinute: (at) => 12 * (1 + 0.8 * wave(at)) },
  'with a pause at night, three times': {
    ...quiet,
    days: 3,
    perMinute: (at) => (at % 86_400 > 8 * hour && at % 86_400 < 19 * hour ? 8 : 0),
  },
}

for (const [name, day] of Object.entries(days)) {
  test(`a quiet day ${name} gives at most one incident that is worth an alert`, () => {
    const alerts = incidentsOfDays(day, 1).filter(({ members }) =>
      members.some(({ score }) => score >= anomalyAlertScore),
    )
    expect(alerts.length).toBeLessThanOrEqual(1)
  })
}

test('a day on which one provider fails and another is slow has these two incidents, with them as the roots', () => {
  const bad: Day = {
    ...quiet,
    perMinute: () => 30,
    failing: (at) => (at > 10 * hour && at < 10 * hour + 600 ? 0.6 : 0.01),
    medianMs: (at) => (at > 15 * hour && at < 15 * hour + 600 ? 4_000 : 900),
  }
  const found = incidentsOfDays(bad, 2).filter(({ members }) => members.some(({ score }) => score >= anomalyAlertScore))
  expect(found.map(({ members }) => members[0]?.metric)).toEqual(['error_rate', 'p95_ms'])
  for (const { members } of found) {
    expect(members[0]?.series_key).toMatch(/^provider:/)
    expect(members.map(({ ended_at }) => ended_at)).not.toContain(null)
    for (const { started_at, last_at } of members) expect(last_at - started_at).toBeLessThan(1_000)
  }
})
