import { anomalyScoreMin, detectorStateBytesMax } from '../limit.ts'
import { assert } from '../result.ts'
import { type DetectorState, observe, roundedState } from './detector.ts'
import { type Episode, episodeAfter, episodeAt } from './episode.ts'
import { judgementOf, lookAbove, type Metric, type Minute, pointOf } from './measure.ts'

/** What is known of a series, and what is new. Minutes ascend; times are s since the epoch. */
export type Watched = {
  readonly metric: Metric
  readonly state: DetectorState | null
  readonly episode: Episode | null
  /** Minutes to learn from: nothing more is awaited for them. */
  readonly learn: readonly Minute[]
  /** Later ones that are looked at alone, the running minute among them. */
  readonly look: readonly Minute[]
  readonly now: number
  /** The id of an anomaly of this series that begins then. */
  readonly idOf: (startedAt: number) => string
}

export type Outcome = {
  readonly state: DetectorState | null
  /** Above which value a minute that is not over is worth a look; null: none is. */
  readonly look_above: number | null
  readonly episode: Episode | null
}

/** Learns what is over, judges what is new, and changes nothing but what it answers. */
export function watchSeries({ metric, state: known, episode: open, learn, look, now, idOf }: Watched): Outcome {
  let state = known
  let episode = open
  for (const minute of learn) {
    const judged = judgementOf(metric, minute, state)
    const point = pointOf(metric, minute, state)
    if (judged === null || point === null || (state !== null && minute.at <= state.at)) continue
    episode = episodeAfter(episode, { from: minute.at, to: minute.at + 60, whole: true, judged }, idOf)
    state = observe(state, point, judged.score >= anomalyScoreMin)
  }
  if (learn.length > 0 && state !== null) {
    state = roundedState(state)
    assert(JSON.stringify(state).length <= detectorStateBytesMax, 'the state of a series is of constant size')
  }
  for (const minute of look) {
    const judged = judgementOf(metric, minute, state)
    if (judged === null) continue
    const to = Math.min(minute.at + 60, now)
    episode = episodeAfter(episode, { from: minute.at, to, whole: to < now, judged }, idOf)
  }
  return { state, look_above: lookAbove(metric, state), episode: episodeAt(episode, now) }
}
