import { openCallsMax } from '../core/limit.ts'
import type { Reporter } from '../reporter/reporter.ts'
import type { Asked } from './exai_asked.ts'

/**
 * What a client of one connection has asked and has no answer for, in its order: the daemon handles the frames of a
 * connection strictly one after another, so what stands behind another frame waits for it.
 */
export class ExaiQueue {
  readonly #reporter: Reporter
  readonly #max: number
  #waiting: Asked[] = []

  constructor(reporter: Reporter, max: number = openCallsMax) {
    this.#reporter = reporter
    this.#max = max
  }

  get head(): Asked | undefined {
    return this.#waiting[0]
  }

  /** The last call that has no answer, if any. */
  get lastCall(): Asked | undefined {
    return this.#waiting.findLast(isCall)
  }

  /** @throws when more wait than can be kept: whoever reads past that would match answers to the wrong calls. */
  push(asked: Asked): void {
    if (this.#waiting.length >= this.#max) {
      throw new Error(`Cannot follow the connection: ${this.#waiting.length} of its frames have no answer`)
    }
    const before = this.#waiting.at(-1)
    this.#waiting.push(asked)
    if (!before) asked.turnAt = asked.startedAt
    else if (asked.span) {
      const holder = before.tool ?? before.op
      asked.wait = this.#reporter.wait(asked.span, { name: 'frame before it', holder, at: asked.startedAt })
    }
  }

  /** The call that a frame with this id is about: by its own `request_id` where it sent one, else the first in line. */
  callOf(requestId: string | null): Asked | null {
    const first = this.#waiting.find(isCall) ?? null
    if (requestId === null) return first
    const own = (asked: Asked) => isCall(asked) && (asked.requestId === requestId || asked.id === requestId)
    return this.#waiting.find(own) ?? (first?.requestId === null ? first : null)
  }

  /** The first frame in line with this `op`. */
  askedBy(op: string): Asked | null {
    return this.#waiting.find((asked) => asked.op === op) ?? null
  }

  has(requestId: string): boolean {
    return this.#waiting.some((asked) => asked.requestId === requestId)
  }

  /** The daemon is at this frame: all before it that is no call was passed over, and is answered in passing. */
  reach(asked: Asked, at: number): readonly Asked[] {
    const place = this.#waiting.indexOf(asked)
    const passed = this.#waiting.slice(0, Math.max(0, place)).filter((other) => !isCall(other))
    if (passed.length > 0) this.#waiting = this.#waiting.filter((other) => !passed.includes(other))
    this.#turn(at)
    return passed
  }

  /** Takes an answered frame out, and gives the turn to the next. Answers what was passed over, as `reach` does. */
  take(asked: Asked, at: number): readonly Asked[] {
    const passed = this.reach(asked, at)
    this.#waiting.splice(this.#waiting.indexOf(asked), 1)
    this.#endWait(asked, at)
    this.#turn(at)
    return passed
  }

  takeAll(): readonly Asked[] {
    const all = this.#waiting
    this.#waiting = []
    return all
  }

  #turn(at: number): void {
    const { head } = this
    if (head) this.#endWait(head, at)
  }

  #endWait(asked: Asked, at: number): void {
    asked.turnAt ??= at
    asked.wait?.end('ok', {}, at)
    asked.wait = null
  }
}

function isCall({ op }: Asked): boolean {
  return op === 'call' || op === 'unread'
}
