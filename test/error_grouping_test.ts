import { expect, test } from 'vitest'
import { causes } from '../bench/error_cause.ts'
import { type Grouping, groupingOf } from '../bench/error_measure.ts'
import { heldOutCauses } from '../bench/held_out_cause.ts'
import { labelledErrors } from '../bench/labelled_errors.ts'
import { fingerprintOf } from '../src/core/fingerprint.ts'

// The labelled errors of bench/error_grouping.ts, from another seed and fewer of them.

const sets = [
  ['causes that the rules were made after', causes, { precision: 0.99, recall: 0.99, v: 0.99 }],
  ['causes that they were not', heldOutCauses, { precision: 0.75, recall: 0.85, v: 0.92 }],
] as const

test.each(sets)('fingerprintOf() brings together and keeps apart %s', (_, set, least) => {
  const grouping = groupingOf(labelledErrors(set, 7, 15), fingerprintOf)
  for (const measure of ['precision', 'recall', 'v'] as const)
    expect(grouping[measure], measure).toBeGreaterThanOrEqual(least[measure])
})

test('groupingOf() is one where groups are the causes, and tells splitting from merging', () => {
  const errors = labelledErrors(causes.slice(0, 4), 1, 5)
  const labelOf = new Map(errors.map(({ failure, label }) => [failure, label]))
  let n = 0
  const measured = (keyOf: (label: string) => string): Grouping =>
    groupingOf(errors, (failure) => keyOf(labelOf.get(failure) ?? ''))
  expect(measured((label) => label)).toMatchObject({ groups: 4, precision: 1, recall: 1, v: 1, f1: 1 })
  expect(measured(() => 'one')).toMatchObject({ groups: 1, precision: 40 / 190, recall: 1, homogeneity: 0 })
  const alone = (): string => {
    n += 1
    return String(n)
  }
  expect(measured(alone)).toMatchObject({ groups: 20, precision: 1, recall: 0, homogeneity: 1 })
})
