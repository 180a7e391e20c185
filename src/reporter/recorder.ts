import { randomUUID } from 'node:crypto'
import {
  attributesBytesMax,
  attributesMax,
  idBytesMax,
  messageBytesMax,
  nameBytesMax,
  runningMax,
} from '../core/limit.ts'
import { isFailure, type Outcome, outcomes } from '../core/outcome.ts'
import {
  type Attributes,
  type ErrorRecord,
  type Gauge,
  type Session,
  type SpanKind,
  sessionRules,
  type TelltaleRecord,
} from '../core/record.ts'
import type { TraceContext, TraceHeaders } from '../wire/trace_context.ts'
import { headersOf, parseTraceContext } from '../wire/trace_context.ts'
import { CallCounter } from './call_counter.ts'
import { type EpochClock, epochUsOf } from './epoch_clock.ts'
import { failureOf } from './failure.ts'
import { newSpanId, newTraceId } from './identifier.ts'
import type { Outbox } from './outbox.ts'
import { type OpenSpan, RunningList } from './running_list.ts'
import { cutText } from './text_cut.ts'

/** What can be known of a span at any time. Sizes in bytes. A session given as text is an explicit handle. */
export type SpanFields = {
  readonly name?: string
  readonly tool?: string | null
  readonly provider?: string | null
  readonly model?: string | null
  readonly requestId?: string | null
  readonly session?: Session | string | null
  readonly callNumber?: number | null
  readonly bytesIn?: number | null
  readonly bytesOut?: number | null
  readonly tokensIn?: number | null
  readonly tokensOut?: number | null
  readonly holder?: string | null
  /** Added to those that are there. */
  readonly attributes?: Attributes
}

export type SpanStart = SpanFields & {
  readonly name: string
  /** Its parent's when absent. */
  readonly layer?: string
  readonly kind?: SpanKind
  /** When it began, in ms of performance.now(); now when absent. */
  readonly at?: number
}

export type TraceStart = SpanStart & {
  readonly layer: string
  /** The caller's trace context, as it came. What cannot be read is ignored. */
  readonly context?: Partial<TraceHeaders> | null
  /** Whether this is the outermost Telltale recorder; by default what the context says. */
  readonly entry?: boolean
}

export type WaitStart = {
  readonly name: string
  readonly holder?: string | null
  readonly at?: number
  readonly attributes?: Attributes
}

export type SpanHandle = {
  readonly traceId: string
  readonly spanId: string
  readonly layer: string
  set(fields: SpanFields): void
  /** Ends the span, once; `outcome` is `ok` when absent. `at` in ms of performance.now(). */
  end(outcome?: Outcome, fields?: SpanFields, at?: number): void
  /** The W3C headers to send on to whoever is called from within this span. */
  headers(): Required<TraceHeaders>
}

export type CaptureOptions = {
  readonly span?: SpanHandle | null
  readonly context?: Attributes
  /** In place of what the thrown value itself says. */
  readonly errorType?: string
  readonly traceback?: string
}

export type RecorderOptions = {
  readonly clock: EpochClock
  readonly outbox: Outbox
  /** Called after every record and start; `urgent` for failures. */
  readonly note: (urgent: boolean) => void
  /** Our own failures end here: whatever fails inside costs one record and is told once. */
  readonly fail: (error: unknown) => void
}

/** Builds records and puts them into the outbox. Its own methods may throw: `createReporter` is what a host touches. */
export class Recorder {
  readonly running = new RunningList<RecordedSpan>()
  readonly calls = new CallCounter()
  readonly options: RecorderOptions
  /** Nothing is taken any more. */
  closed = false

  constructor(options: RecorderOptions) {
    this.options = options
  }

  startTrace(start: TraceStart): RecordedSpan {
    const { context, entry } = start
    const parsed = context ? parseTraceContext(context.traceparent, context.tracestate) : null
    const remote: TraceContext | null = parsed?.ok ? parsed.value : null
    return this.#open(start, {
      traceId: remote?.traceId ?? newTraceId(),
      parentSpanId: remote?.parentSpanId ?? null,
      entry: entry ?? !remote?.recorded,
      offsetUs: this.options.clock.offsetUs(),
      others: remote?.others ?? [],
      layer: start.layer,
    })
  }

  span(parent: RecordedSpan, start: SpanStart): RecordedSpan {
    const { traceId, spanId, offsetUs, others, layer } = parent
    return this.#open(start, {
      traceId,
      parentSpanId: spanId,
      entry: false,
      offsetUs,
      others,
      layer: start.layer ?? layer,
    })
  }

  captureError(thrown: unknown, options: CaptureOptions): string {
    const failure = failureOf(thrown)
    const id = randomUUID()
    const { clock } = this.options
    const record: ErrorRecord = {
      type: 'error',
      error_id: id,
      at_us: epochUsOf(clock.instant(), clock.offsetUs()),
      trace_id: options.span?.traceId || null,
      span_id: options.span?.spanId || null,
      error_type: options.errorType ? cutText(options.errorType, nameBytesMax) : failure.errorType,
      message: failure.message,
      traceback: options.traceback ?? failure.traceback,
      context: JSON.parse(attributesJson(options.context)) as Attributes,
    }
    this.put(record, true)
    return id
  }

  gauge(name: string, value: number, labels: Gauge['labels']): void {
    if (!Number.isFinite(value) || name.trim() === '') {
      this.options.outbox.refuse('invalid')
      return
    }
    const { clock } = this.options
    this.put({ type: 'gauge', name, at_us: epochUsOf(clock.instant(), clock.offsetUs()), value, labels }, false)
  }

  /** Records each span that runs and has not been told of yet, so that a trace can be seen while it runs. */
  announce(): void {
    let told = 0
    for (const span of this.running.spans()) {
      if (span.announced) continue
      span.announced = true
      this.options.outbox.put(span.json())
      if (++told >= runningMax) break
    }
  }

  put(record: TelltaleRecord, urgent: boolean): void {
    this.options.outbox.put(JSON.stringify(record))
    this.options.note(urgent)
  }

  #open(start: SpanStart, place: SpanPlace): RecordedSpan {
    const span = new RecordedSpan(this, start, place)
    this.running.add(span)
    this.options.note(false)
    return span
  }
}

type SpanPlace = {
  readonly traceId: string
  readonly parentSpanId: string | null
  readonly entry: boolean
  readonly offsetUs: number
  readonly others: readonly string[]
  readonly layer: string
}

/** A span while it runs. */
export class RecordedSpan implements SpanHandle, OpenSpan {
  readonly traceId: string
  readonly spanId = newSpanId()
  readonly layer: string
  readonly startUs: number
  readonly offsetUs: number
  readonly others: readonly string[]
  announced = false
  readonly #recorder: Recorder
  readonly #parentSpanId: string | null
  readonly #entry: boolean
  readonly #kind: SpanKind
  #fields: SpanFields
  #session: Session | null = null
  #callNumber: number | null = null
  #endUs: number | null = null
  #outcome: Outcome | null = null

  constructor(recorder: Recorder, start: SpanStart, place: SpanPlace) {
    this.#recorder = recorder
    this.traceId = place.traceId
    this.layer = named(place.layer)
    this.offsetUs = place.offsetUs
    this.others = place.others
    this.startUs = epochUsOf(instantOr(start.at, recorder.options.clock), place.offsetUs)
    this.#parentSpanId = place.parentSpanId
    this.#entry = Boolean(place.entry)
    this.#kind = start.kind === 'wait' ? 'wait' : 'work'
    this.#fields = start
    this.#number(start)
  }

  get name(): string {
    return named(this.#fields.name)
  }

  get tool(): string | null {
    return cutOrNull(this.#fields.tool, nameBytesMax)
  }

  get sessionKey(): string | null {
    return this.#session?.key ?? null
  }

  set(fields: SpanFields): void {
    if (this.#endUs !== null || this.#recorder.closed) return
    try {
      this.#merge(fields)
    } catch (error) {
      this.#recorder.options.fail(error)
    }
  }

  end(outcome: Outcome = 'ok', fields?: SpanFields, at?: number): void {
    if (this.#endUs !== null || this.#recorder.closed) return
    const { options, running } = this.#recorder
    try {
      running.remove(this)
      if (fields) this.#merge(fields)
      const endUs = epochUsOf(instantOr(at, options.clock), this.offsetUs)
      this.#endUs = Math.max(this.startUs, endUs)
      this.#outcome = outcomes.includes(outcome) ? outcome : 'ok'
      options.outbox.put(this.json())
      options.note(isFailure(outcome))
    } catch (error) {
      options.fail(error)
    }
  }

  headers(): Required<TraceHeaders> {
    return headersOf(this.traceId, this.spanId, this.others)
  }

  #merge(fields: SpanFields): void {
    const before = this.#fields.attributes
    const attributes = fields.attributes ? { ...before, ...fields.attributes } : before
    this.#fields = attributes ? { ...this.#fields, ...fields, attributes } : { ...this.#fields, ...fields }
    this.#number(fields)
  }

  /** Numbers the call where its session becomes known. Only entry spans: the outermost recorder counts. */
  #number(fields: SpanFields): void {
    const { session, callNumber } = fields
    if (callNumber !== undefined) this.#callNumber = callNumber
    if (session === undefined) return
    const before = this.#session?.key
    const given = typeof session === 'string' ? ({ key: session, rule: 'explicit' } as const) : session
    this.#session = given && given.key.trim() !== '' ? sessionFrom(given) : null
    if (!this.#session || !this.#entry || callNumber !== undefined || this.#session.key === before) return
    this.#callNumber = this.#recorder.calls.next(this.#session.key)
  }

  /** The span as a record in JSON, its members those of `Span`. Written by hand: it is most of what a span costs. */
  json(): string {
    const fields = this.#fields
    const session = this.#session
    const sessionJson = session ? `{"key":${JSON.stringify(session.key)},"rule":"${session.rule}"}` : 'null'
    return (
      `{"type":"span","trace_id":"${this.traceId}","span_id":"${this.spanId}"` +
      `,"parent_span_id":${this.#parentSpanId === null ? 'null' : `"${this.#parentSpanId}"`}` +
      `,"layer":${JSON.stringify(this.layer)},"kind":${JSON.stringify(this.#kind)},"name":${JSON.stringify(this.name)}` +
      `,"start_us":${this.startUs},"end_us":${this.#endUs},"outcome":${JSON.stringify(this.#outcome)}` +
      `,"entry":${this.#entry},"request_id":${textJson(fields.requestId, idBytesMax)},"session":${sessionJson}` +
      `,"call_number":${countJson(this.#callNumber)},"tool":${textJson(fields.tool, nameBytesMax)}` +
      `,"provider":${textJson(fields.provider, nameBytesMax)},"model":${textJson(fields.model, nameBytesMax)}` +
      `,"bytes_in":${countJson(fields.bytesIn)},"bytes_out":${countJson(fields.bytesOut)}` +
      `,"tokens_in":${countJson(fields.tokensIn)},"tokens_out":${countJson(fields.tokensOut)}` +
      `,"holder":${textJson(fields.holder, nameBytesMax)},"attributes":${attributesJson(fields.attributes)}}`
    )
  }
}

function sessionFrom({ key, rule }: Session): Session {
  return { key: cutText(key, idBytesMax), rule: sessionRules.includes(rule) ? rule : 'explicit' }
}

/** A time that is no number would spoil the whole batch that the span travels in. */
function instantOr(at: number | undefined, clock: EpochClock): number {
  return typeof at === 'number' && Number.isFinite(at) ? at : clock.instant()
}

/** The edge takes no span without a name; a host that gives a blank one still sees its time. */
function named(name: string | undefined): string {
  return name === undefined || name.trim() === '' ? 'unnamed' : cutText(name, nameBytesMax)
}

function cutOrNull(text: string | null | undefined, bytesMax: number): string | null {
  return text === null || text === undefined ? null : cutText(String(text), bytesMax)
}

function textJson(text: string | null | undefined, bytesMax: number): string {
  return text === null || text === undefined ? 'null' : JSON.stringify(cutText(String(text), bytesMax))
}

function countJson(count: number | null | undefined): string {
  return typeof count === 'number' && Number.isFinite(count) && count >= 0 ? String(Math.round(count)) : 'null'
}

/** Attributes as JSON, or, where they are too many, too large or cannot be written, a mark that says so. */
function attributesJson(attributes: Attributes | undefined): string {
  if (!attributes) return '{}'
  const names = Object.keys(attributes)
  const kept =
    names.length > attributesMax
      ? Object.fromEntries(names.slice(0, attributesMax).map((name) => [name, attributes[name]]))
      : attributes
  try {
    const json = JSON.stringify(kept)
    if (json.length * 3 <= attributesBytesMax || Buffer.byteLength(json) <= attributesBytesMax) return json
    return JSON.stringify({ 'telltale.attributes_lost': cutText(json, messageBytesMax / 8) })
  } catch (error) {
    const why = error instanceof Error ? cutText(error.message, nameBytesMax) : 'unreadable'
    return JSON.stringify({ 'telltale.attributes_lost': why })
  }
}
