import type { Episode } from '../../src/core/anomaly/episode.ts'
import { incidentsOf, type Member } from '../../src/core/anomaly/incident.ts'
import { type Metric, type Minute, seenIn } from '../../src/core/anomaly/measure.ts'
import { type Outcome, watchSeries } from '../../src/core/anomaly/watch.ts'
import { detectorGaugesMax, detectorSeriesMax } from '../../src/core/limit.ts'
import { murmurHashOf } from '../../src/core/murmur_hash.ts'
import type { DetectorStore, DetectorWork, FoundAnomaly, SeriesPoint, StepAnswer, WatchedRow } from '../store/port.ts'

/**
 * One look of one detector: gathers what is new of a service in an environment, learns and judges it, and stores what was
 * found, unless another look was stored meanwhile, or nothing changed.
 */
export async function detectAnomalies(store: DetectorStore): Promise<StepAnswer> {
  const work = await store.readDetectorWork()
  if (work === null) return { done: 0, more: false }
  const watched = watchedOf(work)
  const outcomes = new Map(watched.map((row) => [row, outcomeOf(work, row)]))
  const anomalies = anomaliesOf(work, outcomes)
  if (work.to !== null || anomalies.length > 0) {
    const series = watched.flatMap((row) => {
      const { state, look_above, episode } = outcomes.get(row) as Outcome
      if (state === null) return []
      const { series_key, metric } = row
      return [{ series_key, metric, state, look_above, seen_at: state.at, anomaly_id: episode?.anomaly_id ?? null }]
    })
    const { service, environment, revision, to } = work
    await store.storeDetections({ service, environment, revision, to, series, anomalies })
  }
  return { done: 1, more: work.more }
}

type Watch = WatchedRow & { readonly learn: readonly Minute[]; readonly look: readonly Minute[] }

const rated = /^(?:all$|tool:|provider:)/

/** The metrics of a series. */
function metricsOf(seriesKey: string): Metric[] {
  if (seriesKey.startsWith('gauge:')) return ['gauge']
  const metrics: Metric[] = ['p95_ms']
  if (rated.test(seriesKey)) metrics.push('error_rate')
  if (seriesKey === 'all') metrics.push('throughput')
  return metrics
}

/** Every series that is known and needed, and those that are new, as long as there is room. */
function watchedOf(work: DetectorWork): Watch[] {
  const learn = new Map(work.learn)
  const look = new Map(work.look)
  const known = new Set(work.series.map(({ series_key, metric }) => `${metric} ${series_key}`))
  const watched = work.series.map((row) => ({
    ...row,
    learn: minutesOf(learn.get(row.series_key) ?? [], row.metric, row.state === null ? null : work),
    look: minutesOf(look.get(row.series_key) ?? [], row.metric, null),
  }))
  const room = { calls: detectorSeriesMax - work.known.calls, gauges: detectorGaugesMax - work.known.gauges }
  for (const [series_key, points] of work.learn) {
    for (const metric of metricsOf(series_key)) {
      if (known.has(`${metric} ${series_key}`)) continue
      const minutes = minutesOf(points, metric, null)
      const kind = metric === 'gauge' ? 'gauges' : 'calls'
      if (room[kind] <= 0 || !minutes.some((minute) => seenIn(metric, minute) !== null)) continue
      room[kind] -= 1
      watched.push({ series_key, metric, state: null, anomaly: null, learn: minutes, look: [] })
    }
  }
  return watched
}

/** The minutes of a series; of throughput those without a call too, from `filled.from` to `filled.to`. */
function minutesOf(points: readonly SeriesPoint[], metric: Metric, filled: DetectorWork | null): Minute[] {
  const minutes = points.map(
    ([at, first, errors, p95_ms]): Minute =>
      errors === undefined ? { at, gauge: first } : { at, count: first, errors, p95_ms: p95_ms ?? null },
  )
  if (metric !== 'throughput' || filled === null || filled.to === null) return minutes
  const byStart = new Map(minutes.map((minute) => [minute.at, minute]))
  const all: Minute[] = []
  for (let at = filled.from; at < filled.to; at += 60) {
    all.push(byStart.get(at) ?? { at, count: 0, errors: 0, p95_ms: null })
  }
  return all
}

function outcomeOf(work: DetectorWork, { series_key, metric, state, anomaly, learn, look }: Watch): Outcome {
  const { service, environment, now } = work
  const idOf = (startedAt: number) => uuidOf([service, environment, series_key, metric, startedAt])
  // A minute that runs has not all of its calls yet.
  const looked = metric === 'throughput' ? [] : look
  return watchSeries({ metric, state, episode: anomaly, learn, look: looked, now, idOf })
}

/** The same for the same names. */
function uuidOf(names: readonly (string | number)[]): string {
  return murmurHashOf(JSON.stringify(names)).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** The anomalies that changed, they or their places, each with its incident and its place there. */
function anomaliesOf(work: DetectorWork, outcomes: ReadonlyMap<Watch, Outcome>): FoundAnomaly[] {
  const details = new Map<string, Episode & { readonly series_key: string; readonly metric: Metric }>()
  const incidentOf = new Map<string, string>()
  const placeOf = new Map<string, number>()
  for (const anomaly of work.recent) {
    details.set(anomaly.anomaly_id, anomaly)
    incidentOf.set(anomaly.anomaly_id, anomaly.incident_id)
    placeOf.set(anomaly.anomaly_id, anomaly.place)
  }
  const changed = new Set<string>()
  for (const [{ series_key, metric, anomaly }, { episode }] of outcomes) {
    if (anomaly !== null) incidentOf.set(anomaly.anomaly_id, anomaly.incident_id)
    if (episode === null || episode === anomaly) continue
    // One that ended may be replaced by one that begins: what is remembered of it is final.
    details.set(episode.anomaly_id, { ...episode, series_key, metric })
    changed.add(episode.anomaly_id)
  }
  if (changed.size === 0) return []
  const members = [...details.values()].map(
    (detail): Member => ({ ...detail, incident_id: incidentOf.get(detail.anomaly_id) ?? null }),
  )
  return incidentsOf(members).flatMap(({ incident_id, members: placed }) =>
    placed.flatMap(({ anomaly_id }, i): FoundAnomaly[] => {
      const place = i + 1
      const detail = details.get(anomaly_id)
      if (detail === undefined || !(changed.has(anomaly_id) || placeOf.get(anomaly_id) !== place)) return []
      const { series_key, metric, score, expected, seen, started_at, last_at, ended_at } = detail
      const where = { anomaly_id, series_key, metric, incident_id, place }
      return [{ ...where, score, expected, seen, started_at, last_at, ended_at }]
    }),
  )
}
