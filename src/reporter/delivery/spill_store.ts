import { join } from 'node:path'
import { orphanMsMin, segmentBytesMax, spillBytesMax } from '../../core/limit.ts'
import { runInSlices } from './courier_slice.ts'
import type { SpillDisk } from './spill_disk.ts'
import { readBatchEntry, type SpilledBatch } from './spill_entry.ts'
import { parseSegmentName, segmentNameOf } from './spill_place.ts'
import { type HeldBatch, Segment, SegmentGone } from './spill_segment.ts'

export type SpillOptions = {
  readonly disk: SpillDisk
  readonly dir: string
  /** What the files of this ingest address begin with. */
  readonly destination: string
  readonly processId: string
  /** Wall clock, ms since the epoch: what files are dated by. */
  readonly nowMs: () => number
  readonly warn: (kind: string, text: string) => void
  /** Records of this process that the disk lost or had no room for. */
  readonly drop: (reason: string, records: number) => void
  readonly segmentBytesMax?: number
  readonly bytesMax?: number
}

/** Records of processes that are gone, which this one found on the disk: none of its own. */
export type Adopted = { readonly waiting: number; readonly delivered: number; readonly dropped: number }

/** The batches of one ingest address on the disk: this process's own, and those of dead processes that it adopted. */
export class SpillStore {
  readonly #options: SpillOptions
  #segments: Segment[] = []
  #newest: Segment | null = null
  #n = 0
  #ready = false
  /** What is still to be sent of the segment that is being sent, its own and its adopted one apart. */
  readonly #heads = { own: [] as HeldBatch[], adopted: [] as HeldBatch[] }
  #delivered = 0
  #dropped = 0

  constructor(options: SpillOptions) {
    this.#options = options
  }

  get adopted(): Adopted {
    const waiting = this.#of(false).reduce((sum, segment) => sum + segment.records, 0)
    return { waiting, delivered: this.#delivered, dropped: this.#dropped }
  }

  /** Batches that wait: of this process, or of others. */
  batches(own: boolean): number {
    return this.#of(own).reduce((sum, segment) => sum + segment.batches, 0)
  }

  /** Writes a batch of this process; null where the disk does not take it. */
  append(batch: SpilledBatch): HeldBatch | null {
    try {
      this.#prepare()
      const size = batch.body.length + 64
      this.#makeRoom(size)
      const fits = this.#newest && this.#newest.bytes + size <= (this.#options.segmentBytesMax ?? segmentBytesMax)
      const segment = fits && this.#newest ? this.#newest : this.#open(this.#nextPath(), true, true)
      const [held] = segment.append([batch])
      if (!this.#segments.includes(segment)) this.#segments.push(segment)
      this.#newest = segment
      return held ?? null
    } catch (error) {
      if (error instanceof SegmentGone) return this.#lose(this.#newest) ? this.append(batch) : null
      this.#options.warn('outbox', `Cannot keep records on the disk: ${textOf(error)}; they wait in memory`)
      return null
    }
  }

  /** Puts the pieces of a batch that was too large in its place; false where the disk does not take them. */
  replace(held: HeldBatch, pieces: readonly SpilledBatch[]): boolean {
    try {
      if (held.segment.fate !== 'here') return false
      this.#heads[kindOf(held)].push(...held.segment.append(pieces))
      this.#mark(held)
      return true
    } catch (error) {
      if (error instanceof SegmentGone) this.#lose(held.segment)
      return false
    }
  }

  /** The oldest batch without an answer, read whole; null when there is none. */
  async next(own: boolean): Promise<{ readonly held: HeldBatch; readonly batch: SpilledBatch } | null> {
    for (;;) {
      const held = await this.#nextHeld(own)
      if (!held) return null
      try {
        const batch = readBatchEntry(held.segment.read(held))
        if (batch) return { held, batch }
        this.settle(held, 'dropped')
        this.#lost('outbox_damaged', held.records, own)
      } catch (error) {
        if (!(error instanceof SegmentGone)) throw error
        this.#lose(held.segment)
      }
    }
  }

  /** A batch has its final answer. False where its records were counted already: its segment had to go meanwhile. */
  settle(held: HeldBatch, fate: 'delivered' | 'dropped'): boolean {
    if (held.segment.fate === 'removed') return false
    if (held.segment.fate === 'elsewhere') return held.segment.own
    this.#mark(held)
    if (!held.segment.own && fate === 'delivered') this.#delivered += held.records
    if (!held.segment.own && fate === 'dropped') this.#dropped += held.records
    return true
  }

  /** Shows other processes that this one lives, and removes what is done with. */
  beat(): void {
    for (const segment of [...this.#segments]) {
      try {
        if (segment.batches === 0) this.#remove(segment)
        else this.#options.disk.touch(segment.path, this.#options.nowMs())
      } catch (error) {
        if (this.#options.disk.stateOf(segment.path) === null) this.#lose(segment)
        else this.#options.warn('outbox', `Cannot keep records on the disk: ${textOf(error)}`)
      }
    }
  }

  /** Adopts the segments of processes that have shown no life for a minute. */
  async claim(): Promise<void> {
    for (const name of this.#orphans()) {
      const from = join(this.#options.dir, name)
      const path = this.#nextPath()
      try {
        // First the date, so that nobody takes it for an orphan again under its new name.
        this.#options.disk.touch(from, this.#options.nowMs())
        this.#options.disk.rename(from, path)
      } catch {
        continue // Another process was faster.
      }
      const segment = this.#open(path, false, false)
      try {
        await this.#take(segment)
      } catch (error) {
        if (!(error instanceof SegmentGone)) throw error
      }
    }
  }

  async #take(segment: Segment): Promise<void> {
    const { held, damaged } = await runInSlices(segment.scan())
    segment.batches = held.length
    segment.records = held.reduce((sum, batch) => sum + batch.records, 0)
    this.#segments.push(segment)
    if (damaged > 0) this.#options.warn('outbox_damaged', `Cannot read ${damaged} parts of ${segment.path}`)
    if (segment.batches === 0) this.#remove(segment)
  }

  /** The newest file says whether its owner lives; the others of a process are no older than their process. */
  #orphans(): readonly string[] {
    const { disk, dir, destination, processId, nowMs } = this.#options
    const seen = new Map<string, { names: string[]; aliveMs: number }>()
    for (const name of disk.list(dir)) {
      const parsed = parseSegmentName(name)
      const state = parsed?.destination === destination ? disk.stateOf(join(dir, name)) : null
      if (!parsed || !state || parsed.processId === processId) continue
      const owner = seen.get(parsed.processId) ?? { names: [], aliveMs: 0 }
      owner.names.push(name)
      owner.aliveMs = Math.max(owner.aliveMs, state.modifiedMs)
      seen.set(parsed.processId, owner)
    }
    const silent = [...seen.values()].filter(({ aliveMs }) => nowMs() - aliveMs > orphanMsMin)
    if (silent.length > 0) this.#prepare()
    return silent.sort((a, b) => a.aliveMs - b.aliveMs).flatMap(({ names }) => names.sort())
  }

  async #nextHeld(own: boolean): Promise<HeldBatch | null> {
    const kind = own ? 'own' : 'adopted'
    for (;;) {
      const [head] = this.#heads[kind]
      if (head) return head
      const segment = this.#of(own).find(({ batches }) => batches > 0)
      if (!segment) return null
      const { batches, records } = segment
      try {
        const { held } = await runInSlices(segment.scan())
        const missing = records - held.reduce((sum, batch) => sum + batch.records, 0)
        if (held.length !== batches) this.#correct(segment, batches - held.length, missing)
        if (segment.fate === 'here') this.#heads[kind] = [...held]
      } catch (error) {
        if (!(error instanceof SegmentGone)) throw error
        this.#lose(segment)
      }
    }
  }

  /** The file holds less than was written into it. */
  #correct(segment: Segment, batches: number, records: number): void {
    if (segment.fate !== 'here') return
    segment.batches -= batches
    segment.records -= records
    this.#lost('outbox_damaged', records, segment.own)
    if (segment.batches === 0) this.#remove(segment)
  }

  #lost(reason: string, records: number, own: boolean): void {
    if (own) this.#options.drop(reason, records)
    else this.#dropped += Math.max(0, records)
  }

  #mark(held: HeldBatch): void {
    const kind = kindOf(held)
    this.#heads[kind] = this.#heads[kind].filter((other) => other.at !== held.at || other.segment !== held.segment)
    try {
      held.segment.mark(held)
      if (held.segment.batches === 0) this.#remove(held.segment)
    } catch (error) {
      if (error instanceof SegmentGone) this.#lose(held.segment)
      // What cannot be removed now is removed with a later beat.
    }
  }

  /** Past the bound of the directory the oldest goes: what happens now is worth more than what happened first. */
  #makeRoom(bytes: number): void {
    const { disk, dir, destination, bytesMax = spillBytesMax } = this.#options
    const sizes = disk
      .list(dir)
      .filter((name) => parseSegmentName(name)?.destination === destination)
      .map((name) => disk.stateOf(join(dir, name))?.bytes ?? 0)
    let total = sizes.reduce((sum, size) => sum + size, 0)
    while (total + bytes > bytesMax) {
      const oldest = this.#of(false)[0] ?? this.#of(true)[0]
      if (!oldest) throw new Error(`${dir} is full`)
      const { records, own } = oldest
      total -= oldest.bytes
      this.#remove(oldest)
      this.#lost('outbox_full', records, own)
    }
  }

  #remove(segment: Segment): void {
    this.#options.disk.remove(segment.path)
    segment.fate = 'removed'
    this.#forget(segment)
  }

  /** Another process has it now, and delivers it: its records still wait, but not here. */
  #lose(segment: Segment | null): boolean {
    if (!segment) return false
    segment.fate = 'elsewhere'
    this.#forget(segment)
    return true
  }

  #forget(segment: Segment): void {
    this.#segments = this.#segments.filter((other) => other !== segment)
    for (const kind of ['own', 'adopted'] as const) {
      this.#heads[kind] = this.#heads[kind].filter((held) => held.segment !== segment)
    }
    if (this.#newest === segment) this.#newest = null
  }

  #prepare(): void {
    if (this.#ready) return
    this.#options.disk.makeDir(this.#options.dir)
    this.#ready = true
  }

  #nextPath(): string {
    const { dir, destination, processId } = this.#options
    return join(dir, segmentNameOf({ destination, processId, n: ++this.#n }))
  }

  #open(path: string, own: boolean, fresh: boolean): Segment {
    return new Segment(this.#options.disk, path, own, fresh)
  }

  #of(own: boolean): readonly Segment[] {
    return this.#segments.filter((segment) => segment.own === own)
  }
}

function kindOf(held: HeldBatch): 'own' | 'adopted' {
  return held.segment.own ? 'own' : 'adopted'
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
