import { randomUUID } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Batch } from '../src/core/record.ts'
import { Courier } from '../src/reporter/delivery/courier.ts'
import { Outbox } from '../src/reporter/delivery/outbox.ts'
import { SpillStore } from '../src/reporter/delivery/spill_store.ts'
import type { Parcel } from '../src/reporter/delivery/transport.ts'
import type { Reply } from '../src/reporter/delivery/verdict.ts'
import { type DiskFault, FaultyDisk } from './spill_fixture.ts'

type ServerFault = 'fine' | 500 | 429 | 401 | 422 | 'lost_ack' | 'reset' | 'too_large' | 'reject_one'
type Step = { readonly record: number } | { readonly pause: number } | 'flush' | 'crash' | 'close'

const textOf = (body: Uint8Array, encoding: string | null) =>
  (encoding === 'gzip' ? gunzipSync(body) : Buffer.from(body)).toString()
const valuesOf = (text: string) =>
  (JSON.parse(text) as Batch).records.map((record) => (record.type === 'gauge' ? record.value : -1))

/** A far end in memory: stores each batch id once, refuses what it is told to refuse, and loses answers. */
class Far {
  plan: ServerFault[] = []
  readonly stored = new Map<string, readonly number[]>()
  readonly refused = new Set<number>()
  readonly #bodies = new Map<string, string>()
  readonly #rejected = new Map<string, number>()

  async post({ body, encoding }: Parcel): Promise<Reply> {
    const text = textOf(body, encoding)
    const batch = JSON.parse(text) as Batch
    const id = batch.batch_id
    // One id is one body, for ever, whoever sends it.
    expect(this.#bodies.get(id) ?? text).toBe(text)
    this.#bodies.set(id, text)
    const fault = this.plan.shift() ?? 'fine'
    await new Promise((resolve) => setImmediate(resolve))
    if (fault === 'reset') throw new Error('reset')
    const repeated = this.stored.has(id)
    if (typeof fault === 'number' && !(repeated && fault === 422)) {
      if (fault === 422) for (const value of valuesOf(text)) this.refused.add(value)
      return { status: fault, retryAfter: '0', body: {} }
    }
    if (fault === 'too_large' && !repeated && batch.records.length > 1)
      return { status: 413, retryAfter: null, body: {} }
    if (!repeated) {
      this.stored.set(id, valuesOf(text))
      this.#rejected.set(id, fault === 'reject_one' && batch.records.length > 0 ? 1 : 0)
    }
    if (fault === 'lost_ack') throw new Error('the connection closed before an answer')
    const rejected = Array.from({ length: this.#rejected.get(id) ?? 0 }, () => ({ index: 0, reason: 'no' }))
    const said = { accepted: {}, flush_after_ms: 2, watched: false, records_max: 7 }
    return {
      status: 200,
      retryAfter: null,
      body: { batch_id: id, status: repeated ? 'repeated' : 'stored', rejected, ...said },
    }
  }
}

/** A process with a reporter in it, which may die at any operation on the disk. */
class Life {
  readonly outbox: Outbox
  readonly courier: Courier
  readonly store: SpillStore
  readonly sight: ReturnType<FaultyDisk['sight']>
  readonly #mine: Map<string, string>[] = []

  constructor(disk: FaultyDisk, far: Far, onDisk: Map<string, string>, recordsMax: number, bytesMax: number) {
    this.sight = disk.sight(() => {
      // What is on the disk when a process dies has to arrive.
      for (const [id, text] of disk.unanswered(textOf)) onDisk.set(id, text)
    })
    this.#mine.push(onDisk)
    this.outbox = new Outbox({ recordsMax })
    const processId = randomUUID()
    const drop = (reason: string, records: number) => {
      this.outbox.settleSpilled(records)
      this.outbox.drop(reason, records)
    }
    const place = { disk: this.sight, dir: '/o', destination: '0123456789abcdef', processId }
    this.store = new SpillStore({
      ...place,
      nowMs: () => disk.nowMs,
      warn: () => undefined,
      drop,
      segmentBytesMax: 4_000,
      bytesMax,
    })
    const started = { started_at_us: 1, host: null, pid: null, sdk: 's' }
    const source = { service: 's', instance: 'i', environment: 'e', version: null }
    this.courier = new Courier({
      outbox: this.outbox,
      store: this.store,
      transport: {
        post: (parcel) => (this.sight.dead() ? Promise.reject(new Error('dead')) : far.post(parcel)),
        hold: () => undefined,
        abort: () => undefined,
      },
      instant: () => performance.now(),
      nowUs: () => disk.nowMs * 1_000,
      announce: () => undefined,
      runningTotal: () => 0,
      warn: () => undefined,
      retryMs: 1,
      lookMs: 2,
      envelopeOf: (seq) => ({
        made_at_us: disk.nowMs * 1_000,
        source,
        process: { id: processId, ...started },
        seq,
        counters: { recorded: this.outbox.recorded, dropped: this.outbox.dropped },
        running: [],
        running_total: 0,
      }),
    })
  }

  record(value: number): void {
    this.outbox.put(JSON.stringify({ type: 'gauge', name: 'g', at_us: 1, value, labels: {} }))
    this.courier.note(false)
  }

  expectLaw(): void {
    const { stored, rejected } = this.courier.status
    const dropped = Object.values(this.outbox.dropped).reduce((sum, count) => sum + count, 0)
    expect(stored + rejected + dropped + this.outbox.waiting).toBe(this.outbox.recorded)
  }

  /** As SIGKILL does: nothing of it is heard any more. */
  async kill(disk: FaultyDisk, onDisk: Map<string, string>): Promise<void> {
    if (!this.sight.dead()) for (const [id, text] of disk.unanswered(textOf)) onDisk.set(id, text)
    this.sight.kill()
    await this.courier.drain(0, false, true)
  }
}

const serverFaults = fc.oneof(
  { weight: 3, arbitrary: fc.constant<ServerFault>('fine') },
  { weight: 4, arbitrary: fc.constantFrom<ServerFault>(500, 429, 'lost_ack', 'reset', 'too_large', 'reject_one', 422) },
)
const diskFaults = fc.oneof(
  { weight: 6, arbitrary: fc.constant(undefined) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<DiskFault>('full', 'full', 'torn', 'crash_before', 'crash_after', 'crash_torn'),
  },
)
const steps = fc.oneof(
  { weight: 5, arbitrary: fc.record({ record: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 4, arbitrary: fc.record({ pause: fc.integer({ min: 0, max: 8 }) }) },
  { weight: 2, arbitrary: fc.constantFrom<Step>('flush', 'crash', 'close') },
)

type World = { readonly disk: FaultyDisk; readonly far: Far; readonly onDisk: Map<string, string> }

async function live(world: World, plan: readonly Step[], recordsMax: number, bytesMax: number): Promise<Life> {
  const { disk, far, onDisk } = world
  const born = () => new Life(disk, far, onDisk, recordsMax, bytesMax)
  let life = born()
  let value = 0
  for (const step of plan) {
    if (typeof step === 'object' && 'record' in step) {
      for (let i = 0; i < step.record; i++) life.record(++value)
    } else if (typeof step === 'object') await new Promise((resolve) => setTimeout(resolve, step.pause))
    else if (step === 'flush') await life.courier.drain(20, false, false)
    else if (step === 'crash') await life.kill(disk, onDisk)
    else await life.courier.drain(10, true, true)
    if (!life.sight.dead()) life.expectLaw()
    if (life.sight.dead() || step === 'close') {
      if (life.sight.dead()) await life.kill(disk, onDisk)
      else for (const [id, text] of disk.unanswered(textOf)) onDisk.set(id, text)
      life.sight.kill()
      // Long enough for whoever comes next to take it for dead.
      disk.nowMs += 120_000
      life = born()
    }
  }
  if (!life.sight.dead()) return life
  await life.kill(disk, onDisk)
  disk.nowMs += 120_000
  return born()
}

test('the outbox law: whatever fails or dies, what was on the disk arrives exactly once, and nothing is unaccounted for', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(steps, { minLength: 2, maxLength: 14 }),
      fc.array(serverFaults, { maxLength: 25 }),
      fc.array(diskFaults, { maxLength: 60 }),
      fc.constantFrom(20, 50_000),
      async (plan, server, faults, recordsMax) => {
        const world: World = { disk: new FaultyDisk(), far: new Far(), onDisk: new Map() }
        const { disk, far, onDisk } = world
        far.plan = [...server]
        disk.plan = [...faults]
        const last = await live(world, plan, recordsMax, 64 * 1024)
        far.plan = []
        disk.plan = []
        // A process that crashed while the plan ended is followed by one that does not.
        disk.nowMs += 120_000
        const heir = last.sight.dead() ? new Life(disk, far, onDisk, recordsMax, 64 * 1024) : last
        for (let turn = 0; turn < 400; turn++) {
          await heir.courier.drain(20, true, false)
          if (heir.outbox.waiting === 0 && disk.unanswered(textOf).size === 0) break
          await new Promise((resolve) => setTimeout(resolve, 3))
        }
        heir.expectLaw()
        await heir.courier.drain(50, true, true)
        expect(heir.outbox.waiting).toBe(0)
        expect(disk.unanswered(textOf).size).toBe(0)
        const stored = [...far.stored.values()].flat()
        expect(new Set(stored).size).toBe(stored.length)
        const arrived = new Set([...stored, ...far.refused])
        const owed = [...onDisk.values()].flatMap(valuesOf)
        expect(owed.filter((value) => !arrived.has(value))).toEqual([])
      },
    ),
    { numRuns: 400, endOnFailure: true, interruptAfterTimeLimit: 20_000 },
  )
}, 60_000)
