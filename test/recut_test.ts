import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Batch } from '../src/core/record.ts'
import { runAtOnce } from '../src/reporter/delivery/courier_slice.ts'
import { BatchCut, type FrozenBatch, recut } from '../src/reporter/delivery/frozen_batch.ts'
import { Outbox } from '../src/reporter/delivery/outbox.ts'
import { placeRecords } from '../src/reporter/delivery/record_place.ts'

function frozenOf(records: readonly unknown[]): FrozenBatch {
  const outbox = new Outbox()
  for (const record of records) outbox.put(JSON.stringify(record))
  const source = { service: 's', instance: 'i', environment: 'e', version: null }
  const process = { id: 'p', started_at_us: 1, host: null, pid: null, sdk: 's' }
  const counters = { recorded: records.length, dropped: {} }
  const envelope = { made_at_us: 1, source, process, seq: 3, counters, running: [], running_total: 0 }
  return new BatchCut(outbox, envelope, 500, 1024 * 1024).freezeAtOnce()
}

const batchOf = ({ body, encoding }: FrozenBatch) =>
  JSON.parse(Buffer.from(encoding === 'gzip' ? gunzipSync(body) : body).toString()) as Batch

const gaugeOf = (value: number) => ({ type: 'gauge', name: '"},[{\\', at_us: 1, value, labels: { 'a"]': ',' } })

test('recut() cuts the same pieces, ids and bytes, whoever cuts a batch again', async () => {
  const batch = frozenOf(Array.from({ length: 101 }, (_, value) => gaugeOf(value)))
  const [one, other] = [await recut(batch), await recut({ ...batch, body: Buffer.from(batch.body) })]
  expect(one).toHaveLength(2)
  expect(other).toEqual(one)
  const [left, right] = one as [FrozenBatch, FrozenBatch]
  expect(new Set([batch.batchId, left.batchId, right.batchId]).size).toBe(3)
  expect(left.batchId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  // Pieces of pieces as well: nobody has to remember which came from which.
  expect(await recut(right)).toEqual(await recut((other as [FrozenBatch, FrozenBatch])[1]))
  const whole = batchOf(batch)
  for (const [part, piece] of one.entries()) {
    const { records, ...frame } = batchOf(piece)
    expect(records).toHaveLength(piece.records)
    expect(frame).toEqual({ ...frameOf(whole), batch_id: piece.batchId, piece: [part + 1, 2] })
  }
  expect(one.flatMap((piece) => batchOf(piece).records)).toEqual(whole.records)
})

function frameOf({ records: _, ...frame }: Batch): Omit<Batch, 'records'> {
  return frame
}

test('recut() leaves a batch of one record, and refuses what is none', async () => {
  expect(await recut(frozenOf([gaugeOf(1)]))).toEqual([])
  await expect(recut({ ...frozenOf([gaugeOf(1)]), encoding: null, body: Buffer.from('{"a":[1]}') })).rejects.toThrow(
    'Cannot cut a batch',
  )
})

test('placeRecords() finds each record where it is, whatever stands before, in and behind it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.dictionary(fc.string(), fc.jsonValue())),
      fc.dictionary(
        fc.string().filter((name) => name !== 'records'),
        fc.jsonValue(),
      ),
      fc.constantFrom(undefined, 1),
      (records, before, space) => {
        const body = Buffer.from(JSON.stringify({ ...before, records, after: [{ records: [1] }] }, null, space))
        const places = runAtOnce(placeRecords(body))
        let from = places?.begin ?? 0
        const found = (places?.ends ?? []).map((end) => {
          const text = body.toString('utf8', from, end)
          from = end + 1
          return JSON.parse(text)
        })
        expect(found).toEqual(JSON.parse(JSON.stringify(records)))
      },
    ),
    { numRuns: 300 },
  )
})
