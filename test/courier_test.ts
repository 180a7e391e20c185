import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { exitFlushMsMax, renewalMsMin, watchedFlushMs } from '../src/core/limit.ts'
import type { Batch, TelltaleRecord } from '../src/core/record.ts'
import { CourierTally } from '../src/reporter/delivery/courier_tally.ts'
import { retryAfterMsOf, verdictOf } from '../src/reporter/delivery/verdict.ts'
import { createReporter, type Reporter, type ReporterOptions, type ReporterStatus } from '../src/reporter/reporter.ts'
import { eventually, type Fault, type IngestFixture, startIngest } from './ingest_fixture.ts'

let far: IngestFixture
let warned: string[]
const reporters: Reporter[] = []

beforeEach(async () => {
  far = await startIngest()
  warned = []
})

afterEach(async () => {
  await Promise.all(reporters.splice(0).map((reporter) => reporter.close(50)))
  await far.close()
})

function reporterTo(fixture: IngestFixture, more: ReporterOptions = {}): Reporter {
  const { url: ingestUrl, key: ingestKey } = fixture
  const warn = (line: string) => void warned.push(line)
  const reporter = createReporter({ ingestUrl, ingestKey, service: 's', env: {}, warn, flushOnExit: false, ...more })
  reporters.push(reporter)
  return reporter
}

function droppedOf(status: ReporterStatus): number {
  return Object.values(status.dropped).reduce((sum, count) => sum + count, 0)
}

/** What the law says: every record ever recorded is stored, rejected, declared dropped, or still here. */
function unaccounted(status: ReporterStatus): number {
  return status.recorded - status.stored - status.rejected - droppedOf(status) - status.waiting
}

function idsOf(records: readonly TelltaleRecord[]): string[] {
  return records.map((record) => (record.type === 'gauge' ? `${record.name}=${record.value}` : JSON.stringify(record)))
}

const faults: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Fault>({ kind: 'none' }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Fault>(
      { kind: 'lose_answer' },
      { kind: 'reset' },
      { kind: 'strange' },
      { kind: 'reject_first' },
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom<Fault>({ kind: 'hang', stored: true }, { kind: 'hang', stored: false }) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(400, 415, 422, 429, 500, 502, 503)
      .map((status): Fault => ({ kind: 'status', status, headers: { 'retry-after': '0' } })),
  },
)

test('reporter law: recorded = stored + rejected + dropped + waiting, and no batch id is sent with two bodies', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(faults, { maxLength: 8 }),
      fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 5 }),
      fc.constantFrom(3, 7, 500),
      fc.constantFrom(900, 20_000),
      fc.constantFrom(25, 50_000),
      async (plan, bursts, recordsMax, bytesMax, outboxRecords) => {
        const fixture = await startIngest()
        const steps = [...plan]
        fixture.fault = () => steps.shift() ?? { kind: 'none' }
        fixture.recordsMax = recordsMax
        fixture.bytesMax = bytesMax
        const reporter = reporterTo(fixture, { outbox: { recordsMax: outboxRecords }, sendMsMax: 40, retryMs: 4 })
        let value = 0
        for (const burst of bursts) {
          for (let i = 0; i < burst; i++) reporter.gauge('g', value++)
          if (burst % 2 === 0) await reporter.flush()
          expect(unaccounted(reporter.status())).toBe(0)
        }
        await eventually(() => steps.length === 0 || reporter.status().waiting === 0, 20_000)
        steps.length = 0
        await settled(reporter)
        const status = reporter.status()
        await reporter.close()
        await fixture.close()
        expect(unaccounted(status)).toBe(0)
        expect(status.waiting).toBe(0)
        expectOneBodyEach(fixture)
        expectEverySeq(fixture.batches, status)
        const stored = fixture.batches.flatMap((batch) => batch.records)
        const refused = [...fixture.rejected.values()].reduce((sum, count) => sum + count, 0)
        // A batch that was stored, whose answer was lost, and that is then refused, is counted as dropped too.
        expect(stored.length - refused).toBeGreaterThanOrEqual(status.stored)
        expect(new Set(idsOf(stored)).size).toBe(stored.length)
        if (droppedOf(status) === 0) expect(stored.length).toBe(status.recorded)
      },
    ),
    { numRuns: 120, interruptAfterTimeLimit: 14_000 },
  )
})

async function settled(reporter: Reporter): Promise<void> {
  for (let attempt = 0; attempt < 40 && reporter.status().waiting > 0; attempt++) {
    await reporter.flush()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function expectOneBodyEach(fixture: IngestFixture): void {
  const bodies = new Map<string, string>()
  for (const { batchId, bytes } of fixture.attempts) {
    expect(bytes).toBe(bodies.get(batchId) ?? bytes)
    bodies.set(batchId, bytes)
  }
}

/** Each sequence number came, unless records were declared dropped. */
function expectEverySeq(batches: readonly Batch[], status: ReporterStatus): void {
  const seqs = new Set(batches.map((batch) => batch.seq))
  const last = Math.max(0, ...seqs)
  if (droppedOf(status) === 0)
    expect([...seqs].sort((a, b) => a - b)).toEqual(Array.from({ length: last }, (_, i) => i + 1))
}

test('a batch that is too large is cut in two, again and again; its pieces keep seq and cover it once', async () => {
  far.bytesMax = 1_500
  const reporter = reporterTo(far)
  for (let value = 0; value < 40; value++) reporter.gauge('g', value)
  await settled(reporter)
  const pieces = far.batches.filter((batch) => batch.seq === 1)
  expect(pieces.length).toBeGreaterThanOrEqual(4)
  expect(pieces.reduce((sum, { piece: [, n] }) => sum + 1 / n, 0)).toBeCloseTo(1)
  const values = pieces.flatMap((batch) => batch.records.map((record) => (record.type === 'gauge' ? record.value : -1)))
  expect(values).toEqual(Array.from({ length: 40 }, (_, i) => i))
  expect(new Set(far.attempts.map((attempt) => attempt.batchId)).size).toBe(far.attempts.length)
})

test('a record that no batch can carry is dropped and declared', async () => {
  far.bytesMax = 100
  const reporter = reporterTo(far)
  reporter.gauge('g', 1)
  await settled(reporter)
  expect(reporter.status()).toMatchObject({ dropped: { too_large: 1 }, waiting: 0 })
  far.bytesMax = 1_000_000
  await eventually(() => far.batches.some((batch) => batch.counters.dropped.too_large === 1))
})

test('a refused key keeps the batch, warns once, and tries again later', async () => {
  const reporter = reporterTo(far, { ingestKey: 'tt_wrong0000000_x' })
  reporter.gauge('g', 1)
  await reporter.flush()
  await reporter.flush()
  expect(reporter.status().waiting).toBe(1)
  expect(warned).toEqual([expect.stringContaining('the ingest key is refused')])
})

test('Retry-After holds the next attempt back', async () => {
  const plan: Fault[] = [{ kind: 'status', status: 503, headers: { 'retry-after': '1' } }]
  far.fault = () => plan.shift() ?? { kind: 'none' }
  const reporter = reporterTo(far)
  reporter.gauge('g', 1)
  await eventually(() => far.batches.length === 1)
  const [first, second] = far.attempts
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(950)
  expect(Number(second?.sentAt) - Number(first?.sentAt)).toBeGreaterThan(950_000)
})

test('after silence a record goes 50 ms later, within a pace it waits, and an error goes at once', async () => {
  far.flushAfterMs = 5_000
  const reporter = reporterTo(far)
  const began = performance.now()
  reporter.gauge('g', 1)
  await eventually(() => far.attempts.length === 1)
  // The pace until the first answer is watchedFlushMs.
  expect((far.attempts[0]?.at ?? 0) - began).toBeLessThan(0.9 * watchedFlushMs)
  reporter.gauge('g', 2)
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(far.attempts.length).toBe(1)
  const failedAt = performance.now()
  reporter.captureError(new Error('x'))
  await eventually(() => far.attempts.length === 2)
  expect((far.attempts[1]?.at ?? 0) - failedAt).toBeLessThan(far.flushAfterMs / 5)
})

test('while a call runs and nothing else happens the list is renewed every two seconds, and after it no more', async () => {
  far.flushAfterMs = 40
  const reporter = reporterTo(far)
  const span = reporter.startTrace({ name: 'a', layer: 'tool', tool: 't', session: 's' })
  await eventually(() => far.batches.length >= 3, 15_000)
  expect(far.batches.every((batch) => batch.running_total === 1)).toBe(true)
  expect(far.batches[0]?.running).toEqual([
    expect.objectContaining({ trace_id: span.traceId, tool: 't', session: 's' }),
  ])
  const [, second, third] = far.attempts
  expect((third?.at ?? 0) - (second?.at ?? 0)).toBeGreaterThan(0.9 * renewalMsMin)
  // The open span itself is told of once.
  expect(far.spans().filter((told) => told.end_us === null).length).toBe(1)
  const endedAt = performance.now()
  span.end()
  await eventually(() => far.batches.at(-1)?.running_total === 0)
  expect((far.attempts.at(-1)?.at ?? 0) - endedAt).toBeLessThan(0.9 * renewalMsMin)
  const count = far.batches.length
  await new Promise((resolve) => setTimeout(resolve, 1.5 * renewalMsMin))
  expect(far.batches.length).toBe(count)
})

test('close() gives up in time where the far end hangs, and says what was lost', async () => {
  far.fault = () => ({ kind: 'hang', stored: false })
  const reporter = reporterTo(far)
  reporter.gauge('g', 1)
  const began = performance.now()
  await reporter.close(300)
  expect(performance.now() - began).toBeLessThan(exitFlushMsMax)
  expect(warned).toEqual([expect.stringContaining('Cannot deliver 1 records before the exit')])
  reporter.gauge('g', 2)
  expect(reporter.status().recorded).toBe(1)
})

test('verdictOf() keeps the batch on anything it does not know', () => {
  const act = (status: number, body?: unknown) => verdictOf({ status, retryAfter: null, body }, 'id', 0).act
  expect([301, 401, 403, 404, 409, 429, 500, 503, 0].map((status) => act(status))).toEqual(Array(9).fill('keep'))
  expect([400, 415, 422].map((status) => act(status))).toEqual(Array(3).fill('drop'))
  expect(act(413)).toBe('recut')
  expect(act(200, { batch_id: 'id', status: 'stored' })).toBe('settle')
  for (const body of [
    undefined,
    null,
    [],
    'x',
    { batch_id: 'other', status: 'stored' },
    { batch_id: 'id', status: 'ok' },
  ]) {
    expect(act(200, body)).toBe('keep')
  }
})

test('retryAfterMsOf() reads seconds and dates, within bounds', () => {
  expect(retryAfterMsOf('3', 0)).toBe(3_000)
  expect(retryAfterMsOf('Thu, 01 Jan 1970 00:00:10 GMT', 4_000)).toBe(6_000)
  expect(retryAfterMsOf('Thu, 01 Jan 1970 00:00:10 GMT', 40_000)).toBe(0)
  expect(retryAfterMsOf('99999999', 0)).toBe(300_000)
  expect([null, '', 'soon'].map((value) => retryAfterMsOf(value, 0))).toEqual([null, null, null])
})

test('CourierTally adds up which fields of messages the server missed, and never counts more records than were sent', () => {
  const tally = new CourierTally()
  const ack = {
    batch_id: 'b',
    status: 'stored',
    accepted: {},
    flush_after_ms: 1,
    watched: false,
    records_max: 9,
  } as const
  tally.add({ ...ack, rejected: [], missing: { role: 1, model_used: 2 } }, 4)
  tally.add({ ...ack, rejected: [{ index: 0, reason: 'no' }], missing: { model_used: 3 } }, 2)
  tally.add({ ...ack, rejected: [0, 1, 2].map((index) => ({ index, reason: 'no' })) }, 2)
  expect({ ...tally }).toEqual({ stored: 5, rejected: 3, missing: { role: 1, model_used: 5 } })
})
