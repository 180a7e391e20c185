import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { openPglite, type TestDatabase } from '../test/postgres_fixture.ts'
import { attributeRanking, longestSpan } from './incident_baseline.ts'
import { type Incident, incidentOf } from './incident_of.ts'
import { type Engine, type Mark, markOf, type Score, scoreOf } from './incident_score.ts'
import { differencesOf, gatheredOf } from './incident_stored.ts'

// How often the verdict is right, on incidents whose cause is known because it was planted, beside what two tools do that
// only rank. Seeds below 1,000,000 are for tuning, those above are for scoring and are never tuned on.
//
//   node bench/incidents.ts [--count 500] [--seed 1000000] [--class waiting] [--wrong] [--json] [--end-to-end]
//
// --end-to-end sends them as batches into an embedded database of its own and scores what why_data gathers there.

const scoringSeed = 1_000_000
const { values: asked } = parseArgs({
  options: {
    count: { type: 'string', default: '500' },
    seed: { type: 'string', default: String(scoringSeed) },
    class: { type: 'string' },
    wrong: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    'end-to-end': { type: 'boolean', default: false },
  },
})

type Contestant = { readonly name: string; readonly engine: Engine }

async function contestants(): Promise<Contestant[]> {
  const rivals = [
    { name: 'longest span', engine: longestSpan },
    { name: 'attribute ranking', engine: attributeRanking },
  ]
  const place = new URL('../src/core/why/why.ts', import.meta.url)
  if (!existsSync(place)) return rivals
  const { whyOf } = (await import(place.href)) as { readonly whyOf: Engine }
  return [{ name: 'telltale', engine: whyOf }, ...rivals]
}

const database = asked['end-to-end'] ? await openPglite() : null
const seed = Number(asked.seed)
const count = Number(asked.count)
const all = await contestants()
const storedName = 'as gathered'
const marks = new Map<string, Mark[]>(all.map(({ name }) => [name, []]))
if (database !== null) marks.set(storedName, [])
const others: string[] = []
for (let at = seed, done = 0; done < count; at++) {
  const incident = incidentOf(at)
  if (asked.class !== undefined && incident.class !== asked.class) continue
  done++
  for (const { name, engine } of all) marks.get(name)?.push(markOf(incident, engine))
  if (database !== null) await compare(incident, database)
  if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${count}`)
}
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
await database?.close()

const scores = [...marks.keys()].map((name) => ({ name, score: scoreOf(marks.get(name) ?? []) }))
if (asked.json) {
  const wrong = asked.wrong ? { wrong: (marks.get(all[0]?.name ?? '') ?? []).filter(({ right }) => !right) } : {}
  console.log(JSON.stringify({ seed, count, scoring: seed >= scoringSeed, scores, ...wrong }, null, 2))
} else print()

function print(): void {
  const nothing = marks.get(all[0]?.name ?? '')?.filter(({ truth }) => truth === null).length ?? 0
  const range = seed >= scoringSeed ? 'scoring' : 'tuning'
  console.log(`${count} incidents, ${nothing} of them null cases, from seed ${seed} (${range} range)\n`)
  const names = scores.map(({ name }) => name.padStart(18)).join('')
  const row = (title: string, of: (score: Score) => string) =>
    console.log(title.padEnd(34) + scores.map(({ score }) => of(score).padStart(18)).join(''))
  console.log(`${'right in first place'.padEnd(34)}${names}`)
  for (const [index, { name, n }] of (scores[0]?.score.classes ?? []).entries()) {
    if (n > 0) row(`  ${name} (${n})`, ({ classes }) => percent(classes[index]?.right))
  }
  row('all in which something happened', ({ right }) => percent(right))
  row('  in the very words of the truth', ({ exact }) => percent(exact))
  row('  the cause alone', ({ cause }) => percent(cause))
  row('  the value, of the right ones', ({ valued }) => percent(valued))
  row('verdicts on null cases', ({ falseVerdicts }) => percent(falseVerdicts))
  row('confidence: gap, weighted', ({ calibrationGap }) => percent(calibrationGap))
  row('confidence: widest gap', ({ widestGap }) => percent(widestGap))
  row('median time', ({ medianMs }) => `${medianMs.toFixed(1)} ms`)
  row('worst time', ({ worstMs }) => `${worstMs.toFixed(0)} ms`)
  const [own] = scores
  console.log(`\nconfidence of ${own?.name}, and how often it was right`)
  for (const { from, n, confidence, right } of own?.score.bins ?? []) {
    console.log(`  from ${from.toFixed(2)}: ${percent(confidence)} said, ${percent(right)} right (${n})`)
  }
  if (database !== null) {
    console.log(`\n${others.length} gathered otherwise than played`)
    for (const line of others) console.log(`  ${line}`)
  }
  if (asked.wrong) for (const mark of marks.get(own?.name ?? '') ?? []) if (!mark.right) console.log(wrongLine(mark))
}

/** Scores what was sent and gathered, and says in what it differs from what was played where the verdict is another. */
async function compare(incident: Incident, database: TestDatabase): Promise<void> {
  const gathered = await gatheredOf(database, incident)
  const engine = all[0]?.engine as Engine
  const mark = markOf({ ...incident, data: gathered }, engine)
  marks.get(storedName)?.push(mark)
  const direct = marks.get(all[0]?.name ?? '')?.at(-1)?.verdict ?? null
  const saying = ({ cause, layer, attribute, value }: NonNullable<Mark['verdict']>) =>
    JSON.stringify([cause, layer, attribute, value])
  const [one, other] = [direct && saying(direct), mark.verdict && saying(mark.verdict)]
  const differences = JSON.stringify(differencesOf(incident.data, gathered))
  if (one !== other) others.push(`${incident.seed} ${incident.class}: played ${one}, gathered ${other}; ${differences}`)
  else if (differences !== '{}') others.push(`${incident.seed} ${incident.class}: the same verdict; ${differences}`)
}

function wrongLine({ seed: at, kind, asks, style, truth, verdict, ...mark }: Mark): string {
  const wanted = truth && [truth.cause, truth.layer, truth.attribute, truth.value]
  const said = verdict && [verdict.cause, verdict.layer, verdict.attribute, verdict.value]
  return `${at} ${mark.class} (${kind}; ${style}, ${asks}): wanted ${JSON.stringify(wanted)}, said ${JSON.stringify(said)}`
}

function percent(share: number | undefined): string {
  return share === undefined || Number.isNaN(share) ? '-' : `${(100 * share).toFixed(1)} %`
}
