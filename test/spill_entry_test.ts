import { readFileSync } from 'node:fs'
import * as zlib from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32, crc32ByTable } from '../src/reporter/delivery/spill_checksum.ts'
import { answeredEntryOf, batchEntryOf, readEntries, type SpilledBatch } from '../src/reporter/delivery/spill_entry.ts'
import { destinationOf, outboxDirOf, parseSegmentName, segmentNameOf } from '../src/reporter/delivery/spill_place.ts'

type BatchVector = {
  readonly batch_id: string
  readonly encoding: 'plain' | 'gzip'
  readonly records: number
  readonly made_at_us: number
  readonly body: string
}
type Vectors = {
  readonly names: readonly { ingest_url: string; process_id: string; n: number; name: string }[]
  readonly write: readonly { batch?: BatchVector; answered?: string; entry: string }[]
  readonly files: readonly {
    name: string
    file: string
    batches: readonly BatchVector[]
    answered: readonly string[]
    damaged: number
  }[]
}

const vectors = JSON.parse(readFileSync(new URL('vector/outbox.json', import.meta.url), 'utf8')) as Vectors

function batchOf(told: BatchVector): SpilledBatch {
  const { batch_id: batchId, records, made_at_us: madeAtUs } = told
  const encoding = told.encoding === 'gzip' ? 'gzip' : null
  return { batchId, encoding, records, madeAtUs, body: Buffer.from(told.body, 'hex') }
}

function contentsOf(file: Buffer) {
  const entries = [...readEntries(file)]
  return {
    batches: entries.flatMap((entry) => (entry.kind === 'batch' ? [entry.batch] : [])),
    answered: entries.flatMap((entry) => (entry.kind === 'answered' ? [entry.batchId] : [])),
    damaged: entries.filter((entry) => entry.kind === 'damaged').length,
  }
}

test.each(vectors.files)(
  'readEntries() reads what every reporter reads: $name',
  ({ file, batches, answered, damaged }) => {
    expect(contentsOf(Buffer.from(file, 'hex'))).toEqual({ batches: batches.map(batchOf), answered, damaged })
  },
)

test('batchEntryOf() and answeredEntryOf() write what every reporter writes, byte for byte', () => {
  for (const { batch, answered, entry } of vectors.write) {
    const written = batch ? batchEntryOf(batchOf(batch)) : answeredEntryOf(answered as string)
    expect(written.toString('hex')).toBe(entry)
  }
})

test('segmentNameOf() names files as every reporter does, and reads no other', () => {
  for (const { ingest_url, process_id, n, name } of vectors.names) {
    const parts = { destination: destinationOf(ingest_url), processId: process_id, n }
    expect(segmentNameOf(parts)).toBe(name)
    expect(parseSegmentName(name)).toEqual(parts)
    expect(parseSegmentName(`${name}.tmp`)).toBeNull()
  }
})

const batches = fc.array(
  fc.record({
    batchId: fc.uuid(),
    encoding: fc.constantFrom('gzip' as const, null),
    records: fc.nat({ max: 65_535 }),
    madeAtUs: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    body: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  }),
  { minLength: 1, maxLength: 5 },
)

test('a file that is cut anywhere gives every batch before the cut, and says of none that it is damaged', () => {
  fc.assert(
    fc.property(batches, fc.nat(), (written, cut) => {
      const entries = written.map(batchEntryOf)
      const file = Buffer.concat(entries)
      const kept = file.subarray(0, cut % (file.length + 1))
      let end = 0
      const whole = written.filter((_, index) => {
        end += (entries[index] as Buffer).length
        return end <= kept.length
      })
      expect(contentsOf(kept)).toEqual({ batches: whole, answered: [], damaged: 0 })
    }),
    { numRuns: 500 },
  )
})

test('a byte that turns over spoils at most what follows up to the next good entry, and nothing is made up', () => {
  fc.assert(
    fc.property(batches, fc.nat(), fc.integer({ min: 1, max: 255 }), (written, at, turned) => {
      const file = Buffer.concat(written.map(batchEntryOf))
      const where = at % file.length
      file[where] = (file[where] as number) ^ turned
      const known = new Set(written.map((batch) => JSON.stringify(batch)))
      const read = contentsOf(file)
      expect(read.batches.every((batch) => known.has(JSON.stringify(batch)))).toBe(true)
      expect(read.batches.length).toBeLessThan(written.length)
    }),
    { numRuns: 500 },
  )
})

test('crc32ByTable() gives what zlib gives', () => {
  expect(crc32ByTable(Buffer.from('123456789'))).toBe(0xcbf43926)
  fc.assert(fc.property(fc.uint8Array(), (bytes) => crc32ByTable(bytes) === zlib.crc32(bytes)))
  expect(crc32).toBe(zlib.crc32)
})

test('outboxDirOf() lies where a platform keeps state, where it is told, or nowhere', () => {
  expect(outboxDirOf(undefined, { XDG_STATE_HOME: '/s' }, 'linux')).toBe('/s/telltale/outbox')
  expect(outboxDirOf(undefined, {}, 'linux')).toMatch(/\/\.local\/state\/telltale\/outbox$/)
  expect(outboxDirOf(undefined, { LOCALAPPDATA: 'L' }, 'win32')).toBe('L/telltale/outbox')
  expect(outboxDirOf(undefined, {}, 'darwin')).toMatch(/\/Library\/Application Support\/telltale\/outbox$/)
  expect(outboxDirOf(undefined, { TELLTALE_OUTBOX_DIR: '/a' }, 'linux')).toBe('/a')
  expect(outboxDirOf('/b', { TELLTALE_OUTBOX_DIR: 'none' })).toBe('/b')
  expect(outboxDirOf(undefined, { TELLTALE_OUTBOX_DIR: 'none' })).toBeNull()
})
