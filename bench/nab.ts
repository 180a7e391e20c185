// Scores of the anomaly detector for every series of a folder, in the format of the Numenta Anomaly Benchmark:
// <data>/<group>/<file>.csv with timestamp,value becomes <out>/<group>/<file>.csv with timestamp,anomaly_score (0..1), a row
// for each row. Says how long a point took. Usage: node bench/nab.ts <data folder> <out folder>
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type DetectorState, observe, scoreFrom, scoreOf } from '../src/core/anomaly/detector.ts'
import { type OnsetState, onsetOf } from '../src/core/anomaly/onset.ts'

const [data, out] = process.argv.slice(2)
if (data === undefined || out === undefined) {
  console.error('Usage: node bench/nab.ts <data folder> <out folder>')
  process.exit(2)
}

let points = 0
let spentMs = 0
let stateBytes = 0

function scoredRows(text: string): string[] {
  const [head = '', ...lines] = text.trim().split(/\r?\n/)
  const names = head.split(',')
  const [timeAt, valueAt] = [names.indexOf('timestamp'), names.indexOf('value')]
  const rows = lines.map((line) => line.split(','))
  let state: DetectorState | null = null
  let onset: OnsetState = null
  const scored: string[] = ['timestamp,anomaly_score']
  const startedAt = performance.now()
  for (const cells of rows) {
    const time = cells[timeAt] ?? ''
    const point = {
      at: Date.parse(`${time.replace(/\.0+$/, '').replace(' ', 'T')}Z`) / 1_000,
      value: Number(cells[valueAt]),
    }
    const { above, below } = scoreOf(state, point)
    const begun = onsetOf(onset, Math.max(above, below))
    onset = begun.state
    state = observe(state, point)
    scored.push(`${time},${scoreFrom(begun.surprise)}`)
  }
  spentMs += performance.now() - startedAt
  points += rows.length
  stateBytes = Math.max(stateBytes, JSON.stringify(state).length)
  return scored
}

for (const group of readdirSync(data, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
  for (const file of readdirSync(join(data, group.name)).filter((name) => name.endsWith('.csv'))) {
    const place = join(out, group.name, file)
    mkdirSync(dirname(place), { recursive: true })
    writeFileSync(place, `${scoredRows(readFileSync(join(data, group.name, file), 'utf8')).join('\n')}\n`)
  }
}
console.log(
  `${points} points, ${((spentMs * 1_000) / points).toFixed(1)} µs each, state at most ${stateBytes} bytes before rounding`,
)
