import { anomalyQuietSeconds, anomalyScoreMin, anomalySilentSeconds } from '../limit.ts'
import type { Range } from './detector.ts'
import type { Judgement } from './measure.ts'

/** A stretch of time in which a series was not as expected, as far as it is known. Times are s since the epoch. */
export type Episode = {
  /** A uuid, derived from the series and the start that was seen first. */
  readonly anomaly_id: string
  readonly started_at: number
  /** Until when it was seen to be abnormal. */
  readonly last_at: number
  /** null while it lasts. */
  readonly ended_at: number | null
  /** At its worst, with what was expected and seen then. */
  readonly score: number
  readonly expected: Range
  readonly seen: number
}

/** A judgement on the time from `from` to `to`; `whole`: nothing more is awaited for it. */
export type Sighting = {
  readonly from: number
  readonly to: number
  readonly whole: boolean
  readonly judged: Judgement
}

/**
 * The episode of a series after a sighting: begun, gone on, ended, or as it was. An ended one stays as it is remembered;
 * what was abnormal within it is no news.
 */
export function episodeAfter(
  episode: Episode | null,
  { from, to, whole, judged }: Sighting,
  idOf: (startedAt: number) => string,
): Episode | null {
  if (judged.score >= anomalyScoreMin) {
    if (episode === null || (episode.ended_at !== null && from >= episode.ended_at)) {
      return { anomaly_id: idOf(from), started_at: from, last_at: to, ended_at: null, ...judged }
    }
    const worst = judged.score > episode.score ? judged : {}
    if (episode.ended_at !== null) return { ...episode, ...worst }
    return {
      ...episode,
      started_at: Math.min(episode.started_at, from),
      last_at: Math.max(episode.last_at, to),
      ...worst,
    }
  }
  const quiet = episode !== null && episode.ended_at === null && whole && to - episode.last_at >= anomalyQuietSeconds
  return quiet ? { ...episode, ended_at: episode.last_at } : episode
}

/** An episode of which nothing was seen any more for a while is over. */
export function episodeAt(episode: Episode | null, now: number): Episode | null {
  const silent = episode !== null && episode.ended_at === null && now - episode.last_at >= anomalySilentSeconds
  return silent ? { ...episode, ended_at: episode.last_at } : episode
}
