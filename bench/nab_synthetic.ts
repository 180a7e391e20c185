// Writes series of the kinds that the Numenta Anomaly Benchmark is made of, with anomalies whose places are known, in its
// format: <out>/data/<group>/<file>.csv and <out>/combined_windows.json. Nothing of them is in the benchmark, so a detector
// that is better there alone was fitted to it. The seed is an argument: settings chosen with one are judged with another.
// Usage: node bench/nab_synthetic.ts <out folder> [seed]
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Chance, chanceOf, normalOf } from '../src/demo/chance.ts'

const [out, seed = '1'] = process.argv.slice(2)
if (out === undefined) {
  console.error('Usage: node bench/nab_synthetic.ts <out folder> [seed]')
  process.exit(2)
}

const [minute, hour, day] = [60, 3_600, 86_400]
const midnight = 1_420_070_400 // 2015-01-01, a Thursday.

type Kind = {
  readonly group: string
  readonly files: number
  readonly points: number
  /** Seconds from one point to the next. */
  readonly step: (chance: Chance) => number
  readonly anomalies: (file: number) => number
  /** The value at a second; `since` is how many points ago the last anomaly began, `which` its number, or null. */
  readonly series: (chance: Chance, file: number) => (at: number, since: number | null, which: number) => number
}

const pareto = (chance: Chance, index: number) => (1 - chance()) ** (-1 / index)
const wave = (at: number) => Math.sin((2 * Math.PI * at) / day)
const hump = (at: number, oClock: number, width: number) => Math.exp(-((((at % day) / hour - oClock) / width) ** 2))

const kinds: readonly Kind[] = [
  {
    group: 'mentions', // Counts with a season, bursts that are usual, and greater ones.
    files: 6,
    points: 15_000,
    step: () => 5 * minute,
    anomalies: (file) => 2 + (file % 3),
    series: (chance, file) => {
      const base = [80, 20, 15, 5, 40, 3][file] as number
      let burst = 0
      return (at, since) => {
        if (chance() < 0.002) burst += base * 0.5 * pareto(chance, 1.5)
        if (since === 0) burst += base * (6 + 20 * chance())
        burst *= 0.9
        const mean = (base * (1 + 0.5 * wave(at)) + burst) * Math.exp(0.25 * normalOf(chance))
        return Math.max(0, Math.round(mean + Math.sqrt(mean) * normalOf(chance)))
      }
    },
  },
  {
    group: 'traffic', // Occupancy and speed, with rush hours and gaps.
    files: 6,
    points: 2_400,
    step: (chance) => 5 * minute * (1 + Math.floor(2 * chance())) + (chance() < 0.004 ? 6 * hour * chance() : 0),
    anomalies: (file) => 1 + (file % 3),
    series: (chance, file) => {
      let mood = 0
      return (at, since) => {
        mood = 0.8 * mood + 0.2 * normalOf(chance)
        const jam = since !== null && since < 12
        const rush = hump(at, 8, 2) + hump(at, 17, 2.5)
        if (file % 2 === 0)
          return Math.max(0, 6 * hump(at, 13, 6) + 8 * rush * Math.exp(0.4 * mood) + normalOf(chance) + (jam ? 18 : 0))
        return Math.max(0, Math.round(78 - 15 * Math.max(0, mood) * rush + 3 * normalOf(chance) - (jam ? 38 : 0)))
      }
    },
  },
  {
    group: 'prices', // An hourly price that wanders.
    files: 6,
    points: 1_600,
    step: () => hour,
    anomalies: (file) => 1 + (file % 3),
    series: (chance) => {
      let level = 0
      return (at, since) => {
        level = 0.97 * level + 0.04 * normalOf(chance)
        const usual = 0.1 * Math.exp(level + 0.15 * normalOf(chance) + 0.2 * wave(at)) * (chance() < 0.003 ? 2 : 1)
        return since !== null && since < 3 ? usual * (3 + 3 * chance()) : usual
      }
    },
  },
  {
    group: 'machines', // A temperature that wanders, falls and comes back; a load that steps up.
    files: 4,
    points: 18_000,
    step: () => 5 * minute,
    anomalies: (file) => (file % 2 === 0 ? 4 : 1),
    series: (chance, file) => {
      let drift = 0
      return (at, since) => {
        drift = 0.998 * drift + 0.4 * normalOf(chance)
        if (file % 2 === 0) return 88 + drift + 2 * normalOf(chance) - (since === null ? 0 : 60 * 0.995 ** since)
        return Math.max(0, 35 + 10 * wave(at) + 5 * normalOf(chance) + (since !== null && since < 1_500 ? 30 : 0))
      }
    },
  },
  {
    group: 'demand', // Days and weeks; a day that is another.
    files: 2,
    points: 10_000,
    step: () => 30 * minute,
    anomalies: () => 5,
    series: (chance) => (at, since, which) => {
      const weekend = Math.floor(at / day + 4) % 7 > 4
      const usual =
        15_000 -
        11_000 * hump(at, weekend ? 6 : 4.5, 3.5) +
        (weekend ? 0 : 4_000 * hump(at, 8, 2)) +
        8_000 * hump(at, 19.5, 3)
      return Math.round(
        usual * (since !== null && since < 48 ? (which % 2 === 0 ? 1.4 : 0.55) : 1) * (1 + 0.05 * normalOf(chance)),
      )
    },
  },
]

/** Places in the series, in order, not too close together. */
function placesOf(points: number, count: number, chance: Chance): number[] {
  for (;;) {
    const places = Array.from({ length: count }, () => Math.floor(points * (0.2 + 0.77 * chance()))).sort(
      (a, b) => a - b,
    )
    if (places.every((place, i) => i === 0 || place - (places[i - 1] as number) > points * 0.06)) return places
  }
}

const stamp = (at: number) => new Date(at * 1_000).toISOString().slice(0, 19).replace('T', ' ')
const windows: { [file: string]: string[][] } = {}
for (const [k, kind] of kinds.entries()) {
  for (let file = 0; file < kind.files; file += 1) {
    const chance = chanceOf(Number(seed) * 10_000 + k * 100 + file)
    const places = placesOf(kind.points, kind.anomalies(file), chance)
    const valueAt = kind.series(chance, file)
    const times: number[] = []
    const rows = ['timestamp,value']
    for (let i = 0, at = midnight; i < kind.points; i += 1, at += Math.round(kind.step(chance) / minute) * minute) {
      const which = places.findLastIndex((place) => place <= i)
      times.push(at)
      rows.push(`${stamp(at)},${valueAt(at, which < 0 ? null : i - (places[which] as number), which)}`)
    }
    // As in the benchmark a tenth of a file lies in windows around its anomalies.
    const half = Math.floor(kind.points / 20 / places.length)
    const place = join(kind.group, `${kind.group}_${file}.csv`)
    windows[place] = places.map((at) =>
      [at - half, at + half].map((i) => stamp(times[Math.min(i, kind.points - 1)] as number)),
    )
    mkdirSync(dirname(join(out, 'data', place)), { recursive: true })
    writeFileSync(join(out, 'data', place), `${rows.join('\n')}\n`)
  }
}
writeFileSync(join(out, 'combined_windows.json'), JSON.stringify(windows, null, 1))
console.log(`${Object.keys(windows).length} files`)
