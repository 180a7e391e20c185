import type { FrozenBatch } from './frozen_batch.ts'
import type { Outbox } from './outbox.ts'
import type { HeldBatch } from './spill_segment.ts'
import type { SpillStore } from './spill_store.ts'

/** A frozen batch without its final answer. `held`: where it lies on the disk; null while it is in memory alone. */
export type Waiting = { readonly batch: FrozenBatch; held: HeldBatch | null }

/** Whether this process recorded it; else it was adopted from a dead one. */
export function isOwn(waiting: Waiting): boolean {
  return waiting.held?.segment.own ?? true
}

/** The frozen batches, in memory and on the disk, and what the outbox counts of them. */
export class Backlog {
  readonly #outbox: Outbox
  readonly #store: SpillStore | null
  #memory: Waiting[] = []
  /** Those that were tried last, so that they are not read again for each attempt. */
  #tried: { own: Waiting | null; adopted: Waiting | null } = { own: null, adopted: null }

  constructor(outbox: Outbox, store: SpillStore | null) {
    this.#outbox = outbox
    this.#store = store
  }

  /** Whether batches of this process wait. */
  get own(): boolean {
    return this.#memory.length > 0 || (this.#store?.batches(true) ?? 0) > 0
  }

  /** Whether batches of others do. */
  get adopted(): boolean {
    return (this.#store?.batches(false) ?? 0) > 0
  }

  push(batch: FrozenBatch): void {
    this.#memory.push({ batch, held: null })
  }

  /** The oldest batch, of this process or of others; null when there is none. */
  async oldest(own: boolean): Promise<Waiting | null> {
    const kind = own ? 'own' : 'adopted'
    const tried = this.#tried[kind]
    if (tried?.held?.segment.fate !== 'here') {
      const next = (await this.#store?.next(own)) ?? null
      this.#tried[kind] = next && { batch: { ...next.batch, declared: 0 }, held: next.held }
    }
    const onDisk = this.#tried[kind]
    const inMemory = own ? this.#memory[0] : undefined
    if (!inMemory || !onDisk) return inMemory ?? onDisk
    return inMemory.batch.madeAtUs <= onDisk.batch.madeAtUs ? inMemory : onDisk
  }

  /** Writes what is in memory to the disk; whether nothing is left there. */
  spill(): boolean {
    while (this.#memory.length > 0) {
      const waiting = this.#memory[0] as Waiting
      const held = this.#store?.append(waiting.batch) ?? null
      if (!held) return false
      waiting.held = held
      if (this.#store?.batches(true) === 1) this.#tried.own = waiting
      this.#memory.shift()
      this.#outbox.spill(waiting.batch.records, waiting.batch.body.length)
    }
    return true
  }

  /** It has its final answer; false where its records were counted already. */
  settle(waiting: Waiting): boolean {
    return this.#leave(waiting, 'delivered')
  }

  /** It is given up; records of this process are declared as dropped. */
  drop(waiting: Waiting, reason: string): void {
    if (this.#leave(waiting, 'dropped') && isOwn(waiting)) this.#outbox.drop(reason, waiting.batch.records)
  }

  /** Pieces take its place; false where the disk, on which it lies, does not take them. */
  replace(waiting: Waiting, pieces: readonly FrozenBatch[]): boolean {
    if (waiting.held) {
      if (!this.#store?.replace(waiting.held, pieces)) return false
      this.#forget(waiting)
      return true
    }
    const after = pieces.reduce((sum, piece) => sum + piece.body.length, 0)
    this.#outbox.resize(waiting.batch.body.length, after)
    const at = this.#memory.indexOf(waiting)
    this.#memory.splice(at, 1, ...pieces.map((batch) => ({ batch, held: null })))
    return true
  }

  #leave(waiting: Waiting, fate: 'delivered' | 'dropped'): boolean {
    const { batch, held } = waiting
    this.#forget(waiting)
    if (!held) {
      this.#memory = this.#memory.filter((other) => other !== waiting)
      this.#outbox.settle(batch.records, batch.body.length)
      return true
    }
    const counted = this.#store?.settle(held, fate) ?? false
    if (counted && held.segment.own) this.#outbox.settleSpilled(batch.records)
    return counted
  }

  #forget(waiting: Waiting): void {
    for (const kind of ['own', 'adopted'] as const) if (this.#tried[kind] === waiting) this.#tried[kind] = null
  }
}
