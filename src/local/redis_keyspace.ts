import { redisBytesMax, redisKeysMax, redisSweepKeysMax } from '../core/limit.ts'
import { wrongType } from './redis_reply.ts'
import { Stream } from './redis_stream.ts'

type Value = string | Stream
/** `born` grows with every key that is made: a scan goes on after the last one that it has seen. */
type Slot = { readonly value: Value; readonly born: number }

const chargePerKey = 128

/** All keys with their values and the times at which they end, bounded in number and bytes. */
export class Keyspace {
  readonly #slots = new Map<string, Slot>()
  readonly #expiries = new Map<string, number>()
  readonly #bytesMax: number
  #bytes = 0
  #born = 0
  #sweeping: IterableIterator<[string, number]> = [].values()
  #now = 0

  constructor(bytesMax: number = redisBytesMax) {
    this.#bytesMax = bytesMax
  }

  /** The time of the command that runs, in ms: it stands still while one runs, as in Redis. */
  get now(): number {
    return this.#now
  }

  set now(ms: number) {
    this.#now = ms
  }

  get size(): number {
    return this.#slots.size
  }

  /** What keys and values are charged with. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether so many bytes more would be too much, after everything expired has gone. */
  isFull(bytes: number): boolean {
    const full = () => this.bytes + bytes > this.#bytesMax || this.size >= redisKeysMax
    if (!full()) return false
    for (const key of [...this.#expiries.keys()]) this.find(key)
    return full()
  }

  find(key: string): Value | null {
    const slot = this.#slots.get(key)
    if (slot === undefined) return null
    const at = this.#expiries.get(key)
    if (at === undefined || this.#now <= at) return slot.value
    this.remove(key)
    return null
  }

  /** @throws CommandError when another type is there. */
  findString(key: string): string | null {
    const value = this.find(key)
    if (value instanceof Stream) throw wrongType()
    return value
  }

  /** @throws CommandError when another type is there. */
  findStream(key: string): Stream | null {
    const value = this.find(key)
    if (typeof value === 'string') throw wrongType()
    return value
  }

  /** Sets or replaces; when the key ends stays as it is. */
  put(key: string, value: string): void {
    this.#place(key, value)
  }

  /** An empty stream under a key that is free. */
  createStream(key: string): Stream {
    const stream = new Stream((bytes) => {
      this.#bytes += bytes
    })
    this.#place(key, stream)
    return stream
  }

  /** Whether the key was there, expired or not. */
  remove(key: string): boolean {
    const slot = this.#slots.get(key)
    if (slot === undefined) return false
    this.#bytes -= chargeOf(key, slot.value)
    this.#expiries.delete(key)
    return this.#slots.delete(key)
  }

  /** When an existing key ends, in ms; null: never. */
  expiryOf(key: string): number | null {
    return this.#expiries.get(key) ?? null
  }

  /** Lets an existing key live until after `at` (ms), or for ever. */
  expire(key: string, at: number | null): void {
    if (at === null) this.#expiries.delete(key)
    else this.#expiries.set(key, at)
  }

  /** The names of living keys born after `cursor`, the oldest first. A key that stays is never passed over. */
  *names(cursor = 0): Generator<{ readonly key: string; readonly value: Value; readonly born: number }> {
    for (const [key, { born }] of this.#slots) {
      const value = born > cursor ? this.find(key) : null
      if (value !== null) yield { key, value, born }
    }
  }

  clear(): void {
    this.#slots.clear()
    this.#expiries.clear()
    this.#bytes = 0
  }

  /** Removes what has expired among the next keys that ever will, from where the last sweep ended. */
  sweep(): void {
    for (let n = 0; n < redisSweepKeysMax; n += 1) {
      const { done, value } = this.#sweeping.next()
      if (done) {
        this.#sweeping = this.#expiries.entries()
        return
      }
      this.find(value[0])
    }
  }

  #place(key: string, value: Value): void {
    const old = this.#slots.get(key)
    if (old === undefined) this.#born += 1
    else this.#bytes -= chargeOf(key, old.value)
    this.#bytes += chargeOf(key, value)
    this.#slots.set(key, { value, born: old?.born ?? this.#born })
  }
}

function chargeOf(key: string, value: Value): number {
  return chargePerKey + key.length + (typeof value === 'string' ? value.length : value.bytes)
}
