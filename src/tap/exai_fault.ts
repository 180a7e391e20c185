import { faultGapMs } from '../core/limit.ts'
import type { Attributes } from '../core/record.ts'
import type { Reporter, SpanHandle } from '../reporter/reporter.ts'

/** What can be wrong with the daemon's protocol itself: its error type, and what the error says. */
const faults = {
  duplicate_id: ['DuplicateId', 'Cannot tell two calls apart: one with this request_id is in flight already'],
  unanswered: ['Unanswered', 'Cannot find the answer to a call: the connection ended before one came'],
  reply_to_nobody: ['ReplyToNobody', 'Cannot match an answer: no call of its connection waits for one'],
  malformed_frame: ['MalformedFrame', 'Cannot read a message: it is a frame of no protocol that is known'],
  foreign_inflight_answer: [
    'ForeignAnswer',
    "Cannot trust an answer: it is the output of another call that ran at the same time, taken for this one's because neither had a request_id",
  ],
  foreign_frame: [
    'ForeignFrame',
    'Cannot trust what the client reads: it went on before its last call was answered, and takes that answer for the next',
  ],
} as const

export type ExaiFault = keyof typeof faults

/** Counts the faults of a connection, and records of each kind at most one error a minute: a broken peer repeats itself. */
export class ExaiFaults {
  readonly #reporter: Reporter
  readonly #counts = new Map<ExaiFault, number>()
  readonly #toldAt = new Map<ExaiFault, number>()

  constructor(reporter: Reporter) {
    this.#reporter = reporter
  }

  /** `at` in ms of performance.now(). What a message says is content: it never belongs into `context`. */
  note(fault: ExaiFault, at: number, span: SpanHandle | null, context: Attributes): void {
    const count = (this.#counts.get(fault) ?? 0) + 1
    this.#counts.set(fault, count)
    const toldAt = this.#toldAt.get(fault)
    if (toldAt !== undefined && at - toldAt < faultGapMs) return
    this.#toldAt.set(fault, at)
    const [errorType, message] = faults[fault]
    this.#reporter.captureError(message, {
      span,
      errorType,
      context: { ...context, 'telltale.fault': fault, ...(count > 1 ? { count } : {}) },
    })
  }

  /** How often each was seen. */
  counts(): Attributes {
    return Object.fromEntries(this.#counts)
  }
}
