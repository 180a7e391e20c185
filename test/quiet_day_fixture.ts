import type { Episode } from '../src/core/anomaly/episode.ts'
import { type Incident, incidentsOf, type Member } from '../src/core/anomaly/incident.ts'
import { type Metric, type Minute, seenIn } from '../src/core/anomaly/measure.ts'
import { type Outcome, watchSeries } from '../src/core/anomaly/watch.ts'
import { detectorLateSeconds, detectorPaceSeconds } from '../src/core/limit.ts'
import { type Chance, chanceOf, normalOf } from '../src/demo/chance.ts'

/** A daemon's day in minutes: how many calls come in each, and what they are like. `at` is s since the day's start. */
export type Day = {
  readonly days: number
  readonly perMinute: (at: number) => number
  readonly medianMs: (at: number) => number
  /** Standard deviation of the logarithm of a latency. */
  readonly spread: number
  readonly failing: (at: number) => number
  /** The seconds of a minute at which it is looked at while it runs. */
  readonly looks: readonly number[]
}

type Call = { readonly second: number; readonly ms: number; readonly failed: boolean; readonly keys: readonly string[] }

/** Random with this mean, and more spread than chance alone: who calls comes and goes. */
function countOf(mean: number, chance: Chance): number {
  const rate = mean * (0.6 + 0.8 * chance())
  if (rate > 40) return Math.max(0, Math.round(rate + Math.sqrt(rate) * normalOf(chance)))
  let [count, product] = [0, chance()]
  for (const limit = Math.exp(-rate); product > limit; product *= chance()) count += 1
  return count
}

function callsOf(day: Day, at: number, chance: Chance): Call[] {
  return Array.from({ length: countOf(day.perMinute(at), chance) }, () => {
    const pick = chance()
    return {
      second: 60 * chance(),
      ms: day.medianMs(at) * Math.exp(day.spread * normalOf(chance)),
      failed: chance() < day.failing(at),
      keys: [
        'all',
        'layer:api',
        'layer:tool',
        pick < 0.6 ? 'provider:kimi' : 'provider:glm',
        `tool:t${Math.floor(3 * chance())}`,
      ],
    }
  })
}

function minuteOf(at: number, calls: readonly Call[]): Minute {
  const sorted = calls.map(({ ms }) => ms).sort((a, b) => a - b)
  const n = sorted.length
  // As telltale.detector_cells() does it.
  const rank = Math.max(1, Math.min(Math.ceil(0.95 * n), n - 1 - Math.floor(n / 40)))
  return { at, count: n, errors: calls.filter(({ failed }) => failed).length, p95_ms: sorted[rank - 1] ?? null }
}

type Watching = { readonly key: string; readonly metric: Metric; outcome: Outcome; waiting: Minute[] }

/** Every anomaly of some days, as the tick would find them, in incidents. */
export function incidentsOfDays(day: Day, seed: number): Incident[] {
  const chance = chanceOf(seed)
  const start = 1_800_057_600
  const watching = new Map<string, Watching>()
  const found = new Map<string, Episode & { readonly series_key: string; readonly metric: Metric }>()
  const look = (w: Watching, learn: Minute[], looked: Minute[], now: number) => {
    const idOf = (startedAt: number) => `${w.metric} ${w.key} ${startedAt}`
    w.outcome = watchSeries({ ...w.outcome, metric: w.metric, learn, look: looked, now, idOf })
    const { episode } = w.outcome
    if (episode !== null) found.set(episode.anomaly_id, { ...episode, series_key: w.key, metric: w.metric })
  }
  for (let m = 0; m < day.days * 1_440; m += 1) {
    const at = start + m * 60
    const calls = callsOf(day, m * 60, chance)
    const byKey = new Map<string, Call[]>([['all', []]])
    for (const call of calls) for (const key of call.keys) byKey.set(key, [...(byKey.get(key) ?? []), call])
    for (const [key, own] of byKey) {
      for (const metric of ['p95_ms', 'error_rate', ...(key === 'all' ? ['throughput'] : [])] as Metric[]) {
        const name = `${metric} ${key}`
        const known = watching.get(name) ?? {
          key,
          metric,
          outcome: { state: null, look_above: null, episode: null },
          waiting: [],
        }
        watching.set(name, known)
        known.waiting.push(minuteOf(at, own))
        if (metric === 'throughput') continue
        for (const until of [...day.looks, 60.001]) {
          const running = minuteOf(
            at,
            own.filter(({ second }) => second < until),
          )
          const value = seenIn(metric, running)
          const worth = known.outcome.look_above !== null && (value ?? 0) > known.outcome.look_above
          if (worth || known.outcome.episode?.ended_at === null) look(known, [], [running], at + until)
        }
      }
    }
    if ((m + 1) % (detectorPaceSeconds / 60) !== 0) continue
    for (const w of watching.values()) {
      const learned = w.waiting.filter((minute) => minute.at + 60 + detectorLateSeconds <= at + 60)
      w.waiting = w.waiting.slice(learned.length)
      look(w, learned, [], at + 60)
    }
  }
  return incidentsOf([...found.values()].map((anomaly): Member => ({ ...anomaly, incident_id: null })))
}
