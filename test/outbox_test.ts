import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Outbox, type Recorded } from '../src/reporter/delivery/outbox.ts'

type Step =
  | { readonly put: string; readonly late: boolean }
  | { readonly take: number }
  | { readonly settle: true }
  | { readonly spill: true }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ put: fc.string({ maxLength: 30, unit: 'binary' }), late: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ take: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 2, arbitrary: fc.constant({ settle: true as const }) },
  { weight: 1, arbitrary: fc.constant({ spill: true as const }) },
)

/** A record that becomes JSON when it is cut, of which only a bound is known before. */
function lateRecord(text: string): Recorded {
  return { bytesMax: Buffer.byteLength(text) + 5, cleanJson: () => text }
}

/** Takes the oldest records, as the cutting of a batch does. */
function cut(outbox: Outbox, count: number): { readonly records: readonly string[]; readonly bytes: number } {
  const records: string[] = []
  let bytes = 0
  while (records.length < count && outbox.loose > 0) {
    const json = outbox.clean() as string
    outbox.take(Buffer.byteLength(json))
    bytes += Buffer.byteLength(json)
    records.push(json)
  }
  return { records, bytes }
}

function total(dropped: { readonly [reason: string]: number }): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0)
}

test('Outbox keeps within its bounds, keeps order, and counts every record once', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const outbox = new Outbox({ bytesMax: 200, recordsMax: 12, recordBytesMax: 60 })
      const put: string[] = []
      const taken: { records: readonly string[]; bytes: number }[] = []
      const spilled: number[] = []
      const out: string[] = []
      let settled = 0
      for (const now of steps) {
        if ('put' in now) {
          put.push(now.put)
          if (now.late) outbox.keep(lateRecord(now.put))
          else outbox.put(now.put)
        } else if ('take' in now) {
          const slice = cut(outbox, now.take)
          taken.push(slice)
          out.push(...slice.records)
        } else if ('spill' in now) {
          const slice = taken.shift()
          if (slice) outbox.spill(slice.records.length, slice.bytes)
          if (slice) spilled.push(slice.records.length)
        } else if (spilled.length > 0) {
          const count = spilled.shift() as number
          outbox.settleSpilled(count)
          settled += count
        } else {
          const slice = taken.shift()
          if (slice) outbox.settle(slice.records.length, slice.bytes)
          settled += slice?.records.length ?? 0
        }
        expect(outbox.recorded).toBe(put.length)
        expect(outbox.recorded).toBe(settled + total(outbox.dropped) + outbox.waiting)
        expect(outbox.loose === 0 || outbox.unsaved <= 12).toBe(true)
        expect(outbox.waiting - outbox.unsaved).toBe(spilled.reduce((sum, count) => sum + count, 0))
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
  const batch = cut(outbox, 1)
  for (const record of ['3', '4', '5']) outbox.put(record)
  expect(batch.records).toEqual(['1'])
  expect(outbox.dropped).toEqual({ overflow: 2 })
  expect(cut(outbox, 10).records).toEqual(['4', '5'])
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
  expect(cut(outbox, 2).records).toEqual(['199000', '199001'])
})
