import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Episode, episodeAfter, episodeAt } from '../src/core/anomaly/episode.ts'
import { incidentsOf, type Member } from '../src/core/anomaly/incident.ts'
import { anomalyQuietSeconds, anomalySilentSeconds, incidentGapSeconds } from '../src/core/limit.ts'

const member = (series_key: string, started_at: number, changes: Partial<Member> = {}): Member => ({
  anomaly_id: `${series_key} ${started_at}`,
  series_key,
  metric: 'p95_ms',
  score: 0.98,
  started_at,
  last_at: started_at + 60,
  ended_at: null,
  incident_id: null,
  ...changes,
})
const keysOf = (anomalies: readonly Member[]) =>
  incidentsOf(anomalies).map(({ members }) => members.map(({ series_key }) => series_key))

test('incidentsOf() puts what began together into one, the innermost first', () => {
  const slow = [
    'all',
    'call:1',
    'layer:shim',
    'layer:tool',
    'tool:chat',
    'layer:provider',
    'layer:api',
    'provider:kimi',
  ]
  expect(keysOf(slow.map((key) => member(key, 60)))).toEqual([slow.toReversed()])
  expect(
    keysOf([member('all', 0, { metric: 'throughput' }), member('all', 30), member('gauge:permits@a', 60)]),
  ).toEqual([['gauge:permits@a', 'all', 'all']])
})

test('incidentsOf() takes what began long before for the root, though it lies further out', () => {
  const early = member('tool:chat', 0)
  expect(keysOf([member('layer:api', 2 * incidentGapSeconds), early])).toEqual([['tool:chat', 'layer:api']])
})

test('incidentsOf() keeps apart what was over before, and gauges that have nothing to do with it', () => {
  const over = member('provider:kimi', 0, { ended_at: 100 })
  expect(keysOf([over, member('all', 101 + incidentGapSeconds)])).toEqual([['provider:kimi'], ['all']])
  expect(keysOf([over, member('all', 100 + incidentGapSeconds)])).toEqual([['provider:kimi', 'all']])
  const memory = member('gauge:redis_memory_mb@a', 2 * incidentGapSeconds, { metric: 'gauge' })
  expect(keysOf([member('all', 0), memory])).toEqual([['all'], ['gauge:redis_memory_mb@a']])
})

test('incidentsOf() leaves an anomaly in the incident that it has, and names a new one by its first', () => {
  const old = member('provider:kimi', 0, { incident_id: 'x' })
  const [incident] = incidentsOf([member('all', 10), old])
  expect(incident?.incident_id).toBe('x')
  expect(incident?.members.map(({ incident_id }) => incident_id)).toEqual(['x', 'x'])
  expect(incidentsOf([member('all', 20), member('layer:api', 10)])[0]?.incident_id).toBe('layer:api 10')
})

test('incidentsOf() answers the same in whatever order they come, each anomaly once', () => {
  const anomaly = fc
    .record({
      key: fc.constantFrom('all', 'layer:api', 'provider:a', 'tool:b', 'gauge:c@d'),
      start: fc.nat(2_000),
      lasts: fc.option(fc.nat(500)),
      incident: fc.option(fc.constantFrom('x', 'y')),
    })
    .map(({ key, start, lasts, incident }) =>
      member(key, start, {
        metric: key.startsWith('gauge') ? 'gauge' : 'p95_ms',
        ended_at: lasts === null ? null : start + lasts,
        incident_id: incident,
      }),
    )
  const anomalies = fc.uniqueArray(anomaly, { selector: ({ anomaly_id }) => anomaly_id, maxLength: 12 })
  fc.assert(
    fc.property(anomalies, fc.infiniteStream(fc.nat()), (all, random) => {
      const shuffled = all
        .map((value) => [random.next().value as number, value] as const)
        .sort(([a], [b]) => a - b)
        .map(([, value]) => value)
      const byId = (incidents: ReturnType<typeof incidentsOf>) =>
        [...incidents].sort((a, b) => (a.incident_id < b.incident_id ? -1 : 1))
      expect(byId(incidentsOf(shuffled))).toEqual(byId(incidentsOf(all)))
      const ids = incidentsOf(all).flatMap(({ members }) => members.map(({ anomaly_id }) => anomaly_id))
      expect(ids.toSorted()).toEqual(all.map(({ anomaly_id }) => anomaly_id).toSorted())
    }),
  )
})

const expected = { low: 1, mid: 2, high: 3 }
const sighting = (from: number, score: number, whole = true, to = from + 60) => ({
  from,
  to,
  whole,
  judged: { score, seen: 10 * score, expected },
})
const after = (episode: Episode | null, ...sightings: ReturnType<typeof sighting>[]) =>
  sightings.reduce((now, seen) => episodeAfter(now, seen, (at) => `id ${at}`), episode)

test('episodeAfter() begins, goes on at its worst, and ends after a while of quiet', () => {
  const begun = after(null, sighting(0, 0.5), sighting(60, 0.96, false, 70))
  expect(begun).toEqual({
    anomaly_id: 'id 60',
    started_at: 60,
    last_at: 70,
    ended_at: null,
    score: 0.96,
    seen: 9.6,
    expected,
  })
  const worse = after(begun, sighting(60, 0.99), sighting(120, 0.97))
  expect(worse).toMatchObject({ anomaly_id: 'id 60', last_at: 180, score: 0.99, seen: 9.9, ended_at: null })
  expect(after(worse, sighting(180, 0.1))).toEqual(worse)
  // The running minute is quiet for now, which says nothing.
  expect(after(worse, sighting(180, 0.1), sighting(240, 0, false, 299))).toEqual(worse)
  const ended = after(worse, sighting(180, 0.1), sighting(120 + anomalyQuietSeconds, 0.1))
  expect(ended).toEqual({ ...worse, ended_at: 180 })
  // Learning what was looked at before is no news; what comes later is another.
  expect(after(ended, sighting(120, 0.97))).toEqual(ended)
  expect(after(ended, sighting(600, 0.97))).toMatchObject({ anomaly_id: 'id 600', ended_at: null })
  expect(after(worse, sighting(0, 0.97))).toMatchObject({ anomaly_id: 'id 60', started_at: 0 })
})

test('episodeAt() ends what was not seen for a while', () => {
  const begun = after(null, sighting(0, 0.96))
  expect(episodeAt(begun, 60 + anomalySilentSeconds - 1)).toBe(begun)
  expect(episodeAt(begun, 60 + anomalySilentSeconds)).toMatchObject({ ended_at: 60 })
  expect(episodeAt(null, 1e9)).toBe(null)
})
