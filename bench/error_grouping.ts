// How well errors of one cause come together and errors of two causes stay apart: the fingerprint beside two baselines, on
// labelled errors from a seed. Usage: node bench/error_grouping.ts [seed] [errors of each cause]
import { fingerprintOf } from '../src/core/fingerprint.ts'
import { parseStack } from '../src/core/stack_frame.ts'
import { causes } from './error_cause.ts'
import { groupingOf } from './error_measure.ts'
import { heldOutCauses } from './held_out_cause.ts'
import { type Labelled, labelledErrors } from './labelled_errors.ts'

const seed = Number(process.argv[2] ?? 1)
const each = Number(process.argv[3] ?? 40)
const ways: { readonly [name: string]: (error: Labelled['failure']) => string } = {
  fingerprint: fingerprintOf,
  'type and message': ({ error_type, message }) => `${error_type}: ${message}`,
  'type and top frame': ({ error_type, traceback }) => {
    const frame = traceback === null ? undefined : parseStack(traceback)[0]?.frames[0]
    return `${error_type} ${frame?.function ?? ''} ${frame?.file ?? ''}`
  },
}

const percent = (share: number) => `${(100 * share).toFixed(1).padStart(5)} %`

function compare(title: string, errors: readonly Labelled[]): void {
  const causes = new Set(errors.map(({ label }) => label)).size
  console.log(`\n${title}: ${errors.length} errors of ${causes} causes, seed ${seed}`)
  console.log('                    groups  precision  recall   F1     homogeneity  completeness  V')
  for (const [name, keyOf] of Object.entries(ways)) {
    const { groups, precision, recall, f1, homogeneity, completeness, v } = groupingOf(errors, keyOf)
    const cells = [precision, recall, f1, homogeneity, completeness, v].map(percent)
    console.log(`${name.padEnd(19)} ${String(groups).padStart(6)}   ${cells.join('   ')}`)
  }
  const { split, shared } = groupingOf(errors, fingerprintOf)
  for (const family of new Set(errors.map((error) => error.family))) {
    const labels = new Set(errors.filter((error) => error.family === family).map(({ label }) => label))
    const count = (of: ReadonlyMap<string, number>) => [...labels].filter((label) => of.has(label)).length
    const worst = Math.max(1, ...[...labels].map((label) => split.get(label) ?? 1))
    const told = `${count(split)} split (into ${worst} at most), ${count(shared)} share a group`
    console.log(`  ${family.padEnd(30)} ${String(labels.size).padStart(2)} causes, ${told}`)
  }
}

const known = labelledErrors(causes, seed, each)
compare('Causes that the rules were made after', known)
compare('Causes that they were not', labelledErrors(heldOutCauses, seed, each))
// The code is warm by now.
const started = performance.now()
for (const { failure } of known) fingerprintOf(failure)
console.log(`\nA fingerprint takes ${(((performance.now() - started) * 1_000) / known.length).toFixed(0)} µs`)
