import { attributesBytesMax, attributesMax, idBytesMax, messageBytesMax, nameBytesMax } from '../core/limit.ts'
import { isFailure, type Outcome, outcomes } from '../core/outcome.ts'
import { type Attributes, type Json, type Session, type SpanKind, sessionRules } from '../core/record.ts'
import { withoutSecrets } from '../core/secret_form.ts'
import { redactJson } from '../wire/redact_json.ts'
import { headersOf, type TraceHeaders } from '../wire/trace_context.ts'
import { type EpochClock, epochUsOf } from './epoch_clock.ts'
import { newSpanId } from './identifier.ts'
import type { Recorder } from './recorder.ts'
import type { OpenSpan } from './running_list.ts'
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

/** Where a span stands: what it has from its trace and its parent. */
export type SpanPlace = {
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
  /** The span that it began in, and the last call to a provider that began below it: a message is completed from them. */
  parent: RecordedSpan | null = null
  providerCall: RecordedSpan | null = null
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

  /** What is known of it now. */
  get fields(): SpanFields {
    return this.#fields
  }

  get session(): Session | null {
    return this.#session
  }

  /** µs since the epoch; null while it runs. */
  get endUs(): number | null {
    return this.#endUs
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
      `,"layer":${JSON.stringify(this.layer)},"kind":"${this.#kind}","name":${JSON.stringify(this.name)}` +
      `,"start_us":${this.startUs},"end_us":${this.#endUs},"outcome":${this.#outcome === null ? 'null' : `"${this.#outcome}"`}` +
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
export function attributesJson(attributes: Attributes | undefined): string {
  if (!attributes) return '{}'
  const names = Object.keys(attributes)
  const kept =
    names.length > attributesMax
      ? Object.fromEntries(names.slice(0, attributesMax).map((name) => [name, attributes[name]]))
      : attributes
  try {
    const json = JSON.stringify(kept)
    if (json.length * 3 <= attributesBytesMax || Buffer.byteLength(json) <= attributesBytesMax) return json
    // As a text in a text, names would no longer be told from values.
    const clean = JSON.stringify(redactJson(JSON.parse(json) as Json, withoutSecrets))
    return JSON.stringify({ 'telltale.attributes_lost': cutText(clean, messageBytesMax / 8) })
  } catch (error) {
    const why = error instanceof Error ? cutText(error.message, nameBytesMax) : 'unreadable'
    return JSON.stringify({ 'telltale.attributes_lost': why })
  }
}
