import { createHash } from 'node:crypto'
import { recordAgeDaysMax, recordAheadDaysMax } from '../core/limit.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Attributes, ProcessInfo, Source, Span, TelltaleRecord } from '../core/record.ts'
import { argumentHashOf } from '../reporter/mcp/argument_hash.ts'
import { shapeOf } from '../reporter/mcp/argument_shape.ts'
import type { LogEntry, LoggedCall, LoggedRecord } from '../wire/log_entry.ts'
import { parseLogLine } from '../wire/log_line.ts'
import { redactRecord } from '../wire/redact_record.ts'
import { FrameReader, type FrameState } from './import_frame.ts'
import { StartedCalls } from './started_calls.ts'

/** A record on its way in, and, where the log says so, whose it is. */
export type ImportedRecord = {
  readonly record: TelltaleRecord
  readonly origin: { readonly source: Source; readonly process: ProcessInfo } | null
}

/**
 * A call that has begun and not ended in what was read so far. Plain, so that it can be kept between two runs: on the
 * disk, so without any secret. `key`: a salted hash of its tool and request id, by which its end finds it.
 */
export type OpenCall = { readonly key: string; readonly span: Span }

export type ReaderState = {
  readonly open: readonly OpenCall[]
  readonly frames: FrameState
  readonly refused: { readonly [reason: string]: Refusal }
}

/** How many lines were refused for one reason, and where the first of them stand. */
export type Refusal = { readonly count: number; readonly lines: readonly number[] }

export type ReaderOptions = {
  /** Whose lines these are: the same line of two daemons is two records. */
  readonly scope: string
  /** Of the arguments' hashes. */
  readonly salt: string
  readonly nowUs: number
  /** Added to all times. */
  readonly shiftUs: number
  readonly state?: ReaderState | undefined
}

type LoggedEnd = Extract<LogEntry, { readonly kind: 'end' }>

const linesNamedMax = 5
const dayUs = 86_400_000_000
/** A start and an end without ids are of one call if it took as long as its end says, give or take what writing a log takes. */
const pairedWithinUs = 1_000_000

/**
 * Turns the lines of logs into records. The same lines give the same ids, so reading them again changes nothing; a start
 * and its end that stand far apart find each other by tool and request id, and by how long the call is said to have taken.
 */
export class ImportReader {
  readonly #options: ReaderOptions
  readonly #open: StartedCalls<OpenCall>
  readonly #frames: FrameReader
  #refusedLine = 0
  readonly refused: { [reason: string]: Refusal }

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#open = new StartedCalls(options.state?.open ?? [])
    this.#frames = new FrameReader(options.salt, options.state?.frames)
    this.refused = { ...options.state?.refused }
  }

  /** What must be kept for the next run to go on from here. */
  get state(): ReaderState {
    return { open: this.#open.all, frames: this.#frames.state, refused: this.refused }
  }

  /** How many calls have begun and not ended. */
  get openCount(): number {
    return this.#open.size + this.#frames.openCount
  }

  /** The records of one line; none where it only begins something, or is refused. `number` counts lines from 1. */
  read(text: string, number: number): readonly ImportedRecord[] {
    const parsed = parseLogLine(text)
    if (!parsed.ok) return this.refuse(parsed.error, number)
    const entry = parsed.value
    const id = this.#idOf(text)
    switch (entry.kind) {
      case 'prose':
      case 'progress':
        return []
      case 'exported':
        return this.#kept([{ record: entry.record, origin: entry }], number)
      case 'record':
        return this.#own(
          entry.records.map((record, i) => identified(record, this.#idOf(`${text}\n${i}`))),
          number,
        )
      case 'call':
        return this.#own(this.#callOf(id, entry.call, entry.startUs, entry.endUs, entry.error), number)
      case 'start':
        return this.#begin(id, entry.call, entry.atUs, number)
      case 'end':
        return this.#ended(id, entry, number)
      case 'frame':
      case 'gone':
        return this.#own(this.#frames.read(entry, id), number)
    }
  }

  /** What had begun and not ended by the end of the file: it stays open, and an end that comes later still finds it. */
  rest(): readonly ImportedRecord[] {
    return this.#own([...this.#open.all.map(({ span }) => span), ...this.#frames.rest()], 0)
  }

  /** Once a line, whatever it would have given. */
  refuse(reason: string, number: number): readonly ImportedRecord[] {
    if (number > 0 && number === this.#refusedLine) return []
    this.#refusedLine = number
    const before = this.refused[reason] ?? { count: 0, lines: [] }
    const lines = before.lines.length < linesNamedMax && number > 0 ? [...before.lines, number] : before.lines
    this.refused[reason] = { count: before.count + 1, lines }
    return []
  }

  #begin(id: string, call: LoggedCall, startUs: number, number: number): readonly ImportedRecord[] {
    const span = redactRecord(spanOf(id, call, startUs, null, null, this.#options.salt)) as Span
    const eldest = this.#open.add({ key: this.#keyOf(call), span })
    return eldest === null ? [] : this.#own([eldest.span], number)
  }

  #keyOf({ tool, requestId }: LoggedCall): string {
    return argumentHashOf([tool, requestId], this.#options.salt)
  }

  #ended(id: string, end: LoggedEnd, number: number): readonly ImportedRecord[] {
    const records = this.#endOf(id, end)
    return records === null
      ? this.refuse('it ends a call, and no line says when that began', number)
      : this.#own(records, number)
  }

  /** Null where nothing says when the call began. */
  #endOf(id: string, end: LoggedEnd): TelltaleRecord[] | null {
    const { atUs, durationUs, error, call } = end
    const begunUs = durationUs === null ? null : atUs - durationUs
    const start = this.#open.take(this.#keyOf(call), begunUs, call.requestId === null ? pairedWithinUs : undefined)
    if (start) {
      const { span } = start
      const endUs = Math.max(span.start_us, atUs)
      const attributes = { ...span.attributes, ...call.attributes }
      const provider = call.provider ?? span.provider
      return failedOf({ ...span, provider, attributes, end_us: endUs, outcome: outcomeOf(error) }, error, call)
    }
    if (durationUs !== null) return this.#callOf(id, call, atUs - durationUs, atUs, error)
    // It failed, and nobody knows when it began: an error without a request.
    return error === null ? null : [errorOf(id, error, atUs, null, call)]
  }

  #callOf(id: string, call: LoggedCall, startUs: number, endUs: number, error: string | null): TelltaleRecord[] {
    return failedOf(spanOf(id, call, startUs, endUs, error, this.#options.salt), error, call)
  }

  #own(records: readonly TelltaleRecord[], number: number): readonly ImportedRecord[] {
    return this.#kept(
      records.map((record) => ({ record, origin: null })),
      number,
    )
  }

  /** Moved by the shift; what the edge would not take for its age is refused here, where its line is known. */
  #kept(records: readonly ImportedRecord[], number: number): readonly ImportedRecord[] {
    const { nowUs, shiftUs } = this.#options
    return records.flatMap(({ record, origin }) => {
      const moved = shiftUs === 0 ? record : shifted(record, shiftUs)
      const atUs = moved.type === 'span' ? moved.start_us : moved.at_us
      if (atUs < nowUs - recordAgeDaysMax * dayUs)
        return this.refuse(`it is older than ${recordAgeDaysMax} days`, number)
      if (atUs > nowUs + recordAheadDaysMax * dayUs) return this.refuse('it is from the future', number)
      return [{ record: moved, origin }]
    })
  }

  #idOf(text: string): string {
    return createHash('sha256').update(`${this.#options.scope}\n${text}`).digest('hex')
  }
}

/** A UUID of version 8 whose bits are those of a hash (RFC 9562, 5.8). `hex`: at least 32 digits. */
export function uuidV8Of(hex: string): string {
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

function spanOf(
  id: string,
  call: LoggedCall,
  startUs: number,
  endUs: number | null,
  error: string | null,
  salt: string,
): Span {
  const attributes: Attributes = {
    ...call.attributes,
    ...(call.args === null
      ? {}
      : { 'telltale.argument_shape': shapeOf(call.args), 'telltale.argument_hash': argumentHashOf(call.args, salt) }),
  }
  return {
    type: 'span',
    trace_id: id.slice(0, 32),
    span_id: id.slice(32, 48),
    parent_span_id: null,
    layer: 'tool',
    kind: 'work',
    name: `tools/call ${call.tool}`,
    start_us: startUs,
    end_us: endUs,
    outcome: endUs === null ? null : outcomeOf(error),
    entry: true,
    request_id: call.requestId,
    session: null,
    call_number: null,
    tool: call.tool,
    provider: call.provider,
    model: null,
    bytes_in: null,
    bytes_out: null,
    tokens_in: null,
    tokens_out: null,
    holder: null,
    attributes,
  }
}

/** A log has one text for every end that is no answer: a cancelled call failed nobody. */
function outcomeOf(error: string | null): Outcome {
  if (error === null) return 'ok'
  if (/^(?:CancelledError|cancell?ed)\b/i.test(error)) return 'cancelled'
  return /\btime(?:d ?|-)?out\b/i.test(error) ? 'timeout' : 'tool_error'
}

/** The span of a call, and how it failed where it did: both under the id that the line gave to the span. */
function failedOf(span: Span, error: string | null, call: LoggedCall): TelltaleRecord[] {
  if (error === null || span.outcome === 'cancelled') return [span]
  return [span, errorOf(`${span.trace_id}${span.span_id}`, error, span.end_us ?? span.start_us, span, call)]
}

function errorOf(id: string, message: string, atUs: number, span: Span | null, call: LoggedCall): TelltaleRecord {
  return {
    type: 'error',
    error_id: uuidV8Of(id),
    at_us: atUs,
    trace_id: span?.trace_id ?? null,
    span_id: span?.span_id ?? null,
    error_type: 'ToolError',
    message,
    traceback: null,
    context: { tool: call.tool, ...(call.requestId === null ? {} : { request_id: call.requestId }) },
  }
}

function identified(record: LoggedRecord, id: string): TelltaleRecord {
  switch (record.type) {
    case 'error':
      return { ...record, error_id: uuidV8Of(id) }
    case 'message':
      return { ...record, message_id: uuidV8Of(id) }
    case 'event':
      return { ...record, event_id: uuidV8Of(id) }
    case 'gauge':
      return record
  }
}

function shifted(record: TelltaleRecord, byUs: number): TelltaleRecord {
  if (record.type !== 'span') return { ...record, at_us: record.at_us + byUs }
  return { ...record, start_us: record.start_us + byUs, end_us: record.end_us === null ? null : record.end_us + byUs }
}
