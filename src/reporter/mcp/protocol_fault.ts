import { faultGapMs } from '../../core/limit.ts'
import type { Attributes } from '../../core/record.ts'
import type { SpanHandle } from '../recorded_span.ts'
import type { Reporter } from '../wait/wait_surface.ts'

/** What can be wrong with a protocol itself, whatever the calls in it do: of each its error type, and what the error says. */
export type FaultTable = { readonly [fault: string]: readonly [errorType: string, message: string] }

/** Those of MCP. */
export const mcpFaults = {
  duplicate_id: ['DuplicateId', 'Cannot tell two requests apart: one with this id is in flight already'],
  unanswered: ['Unanswered', 'Cannot find the answer to a request: the connection had none'],
  reply_to_nobody: ['ReplyToNobody', 'Cannot match a reply: no request with its id is open'],
  malformed_frame: ['MalformedFrame', 'Cannot read a message: it is no JSON-RPC'],
  non_protocol_output: ['NonProtocolOutput', "Cannot read a line on the server's stdout: it is no JSON-RPC message"],
} as const satisfies FaultTable

/** Counts the faults of a connection, and records of each kind at most one error a minute: a broken peer repeats itself. */
export class ProtocolFaults<T extends FaultTable = typeof mcpFaults> {
  readonly #reporter: Reporter
  readonly #table: T
  readonly #counts = new Map<keyof T & string, number>()
  readonly #toldAt = new Map<keyof T & string, number>()

  constructor(reporter: Reporter, table: T) {
    this.#reporter = reporter
    this.#table = table
  }

  /** `at` in ms of performance.now(). What a message says is content: it never belongs into `context`. */
  note(fault: keyof T & string, at: number, span: SpanHandle | null, context: Attributes): void {
    const count = (this.#counts.get(fault) ?? 0) + 1
    this.#counts.set(fault, count)
    const toldAt = this.#toldAt.get(fault)
    if (toldAt !== undefined && at - toldAt < faultGapMs) return
    this.#toldAt.set(fault, at)
    const [errorType, message] = this.#table[fault] as T[keyof T & string]
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
