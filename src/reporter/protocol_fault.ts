import { faultGapMs } from '../core/limit.ts'
import type { Attributes } from '../core/record.ts'
import type { SpanHandle } from './recorded_span.ts'
import type { Reporter } from './wait_surface.ts'

/** What can be wrong with the protocol itself, whatever the calls in it do: its error type, and what the error says. */
const faults = {
  duplicate_id: ['DuplicateId', 'Cannot tell two requests apart: one with this id is in flight already'],
  unanswered: ['Unanswered', 'Cannot find the answer to a request: the connection had none'],
  reply_to_nobody: ['ReplyToNobody', 'Cannot match a reply: no request with its id is open'],
  malformed_frame: ['MalformedFrame', 'Cannot read a message: it is no JSON-RPC'],
  non_protocol_output: ['NonProtocolOutput', "Cannot read a line on the server's stdout: it is no JSON-RPC message"],
} as const

export type ProtocolFault = keyof typeof faults

/** Counts the faults of a connection, and records of each kind at most one error a minute: a broken peer repeats itself. */
export class ProtocolFaults {
  readonly #reporter: Reporter
  readonly #counts = new Map<ProtocolFault, number>()
  readonly #toldAt = new Map<ProtocolFault, number>()

  constructor(reporter: Reporter) {
    this.#reporter = reporter
  }

  /** `at` in ms of performance.now(). What a message says is content: it never belongs into `context`. */
  note(fault: ProtocolFault, at: number, span: SpanHandle | null, context: Attributes): void {
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
