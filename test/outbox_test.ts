import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Outbox } from '../src/reporter/outbox.ts'

type Step =
  | { readonly put: string }
  | { readonly take: { readonly records: number; readonly bytes: number } }
  | { readonly settle: true }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.string({ maxLength: 30, unit: 'binary' }).map((put) => ({ put })) },
  {
    weight: 2,
    arbitrary: fc.record({
      take: fc.record({ records: fc.integer({ min: 1, max: 9 }), bytes: fc.integer({ min: 1, max: 90 }) }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ settle: true as const }) },
)

function total(dropped: { readonly [reason: string]: number }): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0)
}

test('Outbox keeps within its bounds, keeps order, and counts every record once', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const outbox = new Outbox({ bytesMax: 200, recordsMax: 12, recordBytesMax: 60 })
      const put: string[] = []
      const taken: { records: readonly string[]; bytes: number }[] = []
      const out: string[] = []
      let settled = 0
      for (const now of steps) {
        if ('put' in now) {
          put.push(now.put)
          outbox.put(now.put)
        } else if ('take' in now) {
          const slice = outbox.take(now.take.records, now.take.bytes)
          taken.push(slice)
          out.push(...slice.records)
        } else {
          const slice = taken.shift()
          if (slice) outbox.settle(slice.records.length, slice.bytes)
          settled += slice?.records.length ?? 0
        }
        expect(outbox.recorded).toBe(put.length)
        expect(outbox.recorded).toBe(settled + total(outbox.dropped) + outbox.waiting)
        expect(outbox.loose === 0 || outbox.waiting <= 12).toBe(true)
      }
      // What came out is a subsequence of what went in: nothing is repeated, nothing overtakes.
      let at = 0
      for (const record of out) {
        const found = put.indexOf(record, at)
        expect(found).toBeGreaterThanOrEqual(0)
        at = found + 1
      }
    }),
    { numRuns: 300 },
  )
})

test('a full Outbox drops its oldest loose record and never one that is in a batch', () => {
  const outbox = new Outbox({ recordsMax: 3 })
  outbox.put('1')
  outbox.put('2')
  const batch = outbox.take(1, 1_000)
  for (const record of ['3', '4', '5']) outbox.put(record)
  expect(batch.records).toEqual(['1'])
  expect(outbox.dropped).toEqual({ overflow: 2 })
  expect(outbox.take(10, 1_000).records).toEqual(['4', '5'])
})

test('Outbox refuses what is too large for any batch, and says so', () => {
  const outbox = new Outbox({ recordBytesMax: 5 })
  outbox.put('ééé')
  outbox.refuse('invalid')
  expect([outbox.waiting, outbox.recorded, outbox.dropped]).toEqual([0, 2, { too_large: 1, invalid: 1 }])
})

test('Outbox stays quick and small over many more records than it holds', () => {
  const outbox = new Outbox({ recordsMax: 1_000 })
  for (let i = 0; i < 200_000; i++) outbox.put(String(i))
  expect(outbox.take(2, 1_000).records).toEqual(['199000', '199001'])
})
