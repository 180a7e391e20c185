import { idBytesMax, nameBytesMax } from '../core/limit.ts'
import { isFailure, type Outcome, outcomes } from '../core/outcome.ts'
import { type Attributes, type Session, type SpanKind, sessionRules } from '../core/record.ts'
import { headersOf, type TraceHeaders } from '../wire/trace_context.ts'
import type { Recorded } from './delivery/outbox.ts'
import { redactJsonText } from './delivery/redact_frozen.ts'
import { type EpochClock, epochUsOf } from './epoch_clock.ts'
import { newSpanId } from './identifier.ts'
import {
  bytesOf,
  cleanKeptJson,
  type KeptAttributes,
  keepAttributes,
  keptJson,
  textsOf,
} from './recorded_attributes.ts'
import { cleanIdJson, cleanTextJson } from './recorded_text.ts'
import type { Recorder } from './recorder.ts'
import type { OpenSpan } from './running_list.ts'
import { type Count, countJson, countsJson, fieldJson, instantJson, type Text, type TextJson } from './span_json.ts'
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
  /** When it began, monotonic. */
  readonly startMs: number
  readonly others: readonly string[]
  readonly layer: string
}

/** About what a span takes in memory and as JSON, its texts aside. */
const bareBytes = 512

// Members that most spans leave empty, in one piece.
const unnumbered = ',"session":null,"call_number":null'
const ofNoModel = ',"provider":null,"model":null'
const unsized = ',"bytes_in":null,"bytes_out":null'
const unpriced = ',"tokens_in":null,"tokens_out":null'

/** A span while it runs, and after its end until it is written: it holds nothing of the host's but texts and numbers. */
export class RecordedSpan implements SpanHandle, OpenSpan, Recorded {
  readonly traceId: string
  readonly spanId: string
  readonly layer: string
  readonly startUs: number
  readonly offsetUs: number
  readonly others: readonly string[]
  announced = false
  older: RecordedSpan | null = null
  newer: RecordedSpan | null = null
  listed = false
  /** The span that it began in, and the last call to a provider that began below it: a message is completed from them. */
  parent: RecordedSpan | null = null
  providerCall: RecordedSpan | null = null
  readonly #recorder: Recorder
  readonly #parentSpanId: string | null
  readonly #entry: boolean
  readonly #kind: SpanKind
  #name: Text
  #tool: Text
  #provider: Text
  #model: Text
  #requestId: Text
  #holder: Text
  #bytesIn: Count
  #bytesOut: Count
  #tokensIn: Count
  #tokensOut: Count
  #attributes: KeptAttributes | null = null
  #session: Session | null = null
  #callNumber: number | null = null
  #endUs: number | null = null
  #outcome: Outcome | null = null

  constructor(recorder: Recorder, start: SpanStart, place: SpanPlace) {
    this.#recorder = recorder
    this.traceId = place.traceId
    this.spanId = newSpanId()
    this.layer = named(place.layer)
    this.offsetUs = place.offsetUs
    this.others = place.others
    this.startUs = epochUsOf(place.startMs, place.offsetUs)
    this.#parentSpanId = place.parentSpanId
    this.#entry = Boolean(place.entry)
    this.#kind = start.kind === 'wait' ? 'wait' : 'work'
    this.#name = start.name
    this.#tool = start.tool
    this.#provider = start.provider
    this.#model = start.model
    this.#requestId = start.requestId
    this.#holder = start.holder
    this.#bytesIn = start.bytesIn
    this.#bytesOut = start.bytesOut
    this.#tokensIn = start.tokensIn
    this.#tokensOut = start.tokensOut
    if (start.attributes) this.#attributes = keepAttributes(null, start.attributes)
    if (start.session !== undefined || start.callNumber !== undefined) this.#number(start)
  }

  get name(): string {
    return named(this.#name)
  }

  get tool(): string | null {
    return cutOrNull(this.#tool, nameBytesMax)
  }

  get sessionKey(): string | null {
    return this.#session?.key ?? null
  }

  /** What is known of it now, as far as a message may want it. */
  get fields(): SpanFields {
    return {
      tool: this.#tool ?? null,
      provider: this.#provider ?? null,
      model: this.#model ?? null,
      tokensIn: this.#tokensIn ?? null,
      tokensOut: this.#tokensOut ?? null,
      attributes: this.#attributes ? textsOf(this.#attributes) : {},
    }
  }

  get session(): Session | null {
    return this.#session
  }

  /** µs since the epoch; null while it runs. */
  get endUs(): number | null {
    return this.#endUs
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
      this.#outcome = outcome === 'ok' || !outcomes.includes(outcome) ? 'ok' : outcome
      options.outbox.keep(this)
      options.note(outcome !== 'ok' && isFailure(outcome))
    } catch (error) {
      options.fail(error)
    }
  }

  headers(): Required<TraceHeaders> {
    return headersOf(this.traceId, this.spanId, this.others)
  }

  #merge(fields: SpanFields): void {
    if (fields.name !== undefined) this.#name = fields.name
    if (fields.tool !== undefined) this.#tool = fields.tool
    if (fields.provider !== undefined) this.#provider = fields.provider
    if (fields.model !== undefined) this.#model = fields.model
    if (fields.requestId !== undefined) this.#requestId = fields.requestId
    if (fields.holder !== undefined) this.#holder = fields.holder
    if (fields.bytesIn !== undefined) this.#bytesIn = fields.bytesIn
    if (fields.bytesOut !== undefined) this.#bytesOut = fields.bytesOut
    if (fields.tokensIn !== undefined) this.#tokensIn = fields.tokensIn
    if (fields.tokensOut !== undefined) this.#tokensOut = fields.tokensOut
    if (fields.attributes) this.#attributes = keepAttributes(this.#attributes, fields.attributes)
    if (fields.session !== undefined || fields.callNumber !== undefined) this.#number(fields)
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

  get bytesMax(): number {
    const names = lengthOf(this.#name) + lengthOf(this.#tool) + lengthOf(this.#provider) + lengthOf(this.#model)
    const rest = lengthOf(this.#requestId) + lengthOf(this.#holder) + lengthOf(this.#session?.key) + this.layer.length
    return bareBytes + (names + rest) * 2 + (this.#attributes ? bytesOf(this.#attributes) : 0)
  }

  cleanJson(): string | null {
    const attributes = this.#attributes === null ? '{}' : cleanKeptJson(this.#attributes)
    const clean = attributes === null ? null : this.#json(attributes, cleanTextJson, cleanIdJson)
    return clean ?? redactJsonText(this.json())
  }

  /** The span as a record in JSON, its members those of `Span`. */
  json(): string {
    return this.#json(this.#attributes ? keptJson(this.#attributes) : '{}', JSON.stringify, JSON.stringify) as string
  }

  /** Written by hand, since it is most of what a span costs. Null where a text is refused. */
  #json(attributes: string, textJson: TextJson, idJson: TextJson): string | null {
    const layer = textJson(this.layer)
    const name = textJson(named(this.#name))
    const tool = fieldJson(this.#tool, nameBytesMax, textJson)
    const provider = fieldJson(this.#provider, nameBytesMax, textJson)
    const model = fieldJson(this.#model, nameBytesMax, textJson)
    const holder = fieldJson(this.#holder, nameBytesMax, textJson)
    const requestId = fieldJson(this.#requestId, idBytesMax, idJson)
    const key = fieldJson(this.#session?.key, idBytesMax, idJson)
    if (layer === null || name === null || tool === null || provider === null || model === null) return null
    if (holder === null || requestId === null || key === null) return null
    const parent =
      this.#parentSpanId === null ? '","parent_span_id":null' : `","parent_span_id":"${this.#parentSpanId}"`
    const kind = this.#kind === 'work' ? ',"kind":"work","name":' : `,"kind":"${this.#kind}","name":`
    const outcome = this.#outcome === 'ok' ? ',"outcome":"ok"' : `,"outcome":${JSON.stringify(this.#outcome)}`
    const entry = this.#entry ? ',"entry":true,"request_id":' : ',"entry":false,"request_id":'
    const session = this.#session === null ? 'null' : `{"key":${key},"rule":"${this.#session.rule}"}`
    const numbered = this.#session === null && this.#callNumber === null
    return (
      `{"type":"span","trace_id":"${this.traceId}","span_id":"${this.spanId}${parent},"layer":${layer}${kind}${name}` +
      `,"start_us":${instantJson(this.startUs)},"end_us":${instantJson(this.#endUs)}${outcome}${entry}${requestId}` +
      (numbered ? unnumbered : `,"session":${session},"call_number":${countJson(this.#callNumber)}`) +
      (tool === 'null' ? ',"tool":null' : `,"tool":${tool}`) +
      (provider === 'null' && model === 'null' ? ofNoModel : `,"provider":${provider},"model":${model}`) +
      (this.#bytesIn == null && this.#bytesOut == null
        ? unsized
        : countsJson('bytes_in', this.#bytesIn, 'bytes_out', this.#bytesOut)) +
      (this.#tokensIn == null && this.#tokensOut == null
        ? unpriced
        : countsJson('tokens_in', this.#tokensIn, 'tokens_out', this.#tokensOut)) +
      (holder === 'null' ? ',"holder":null,"attributes":' : `,"holder":${holder},"attributes":`) +
      `${attributes}}`
    )
  }
}

function lengthOf(text: Text): number {
  return typeof text === 'string' ? text.length : 0
}

function sessionFrom({ key, rule }: Session): Session {
  return { key: cutText(key, idBytesMax), rule: sessionRules.includes(rule) ? rule : 'explicit' }
}

/** A time that is no number would spoil the whole batch that the span travels in. */
export function instantOr(at: number | undefined, clock: EpochClock): number {
  return typeof at === 'number' && Number.isFinite(at) ? at : clock.instant()
}

/** The edge takes no span without a name; a host that gives a blank one still sees its time. */
function named(name: Text): string {
  if (name === undefined || name === null) return 'unnamed'
  const text = String(name)
  return text.trim() === '' ? 'unnamed' : cutText(text, nameBytesMax)
}

function cutOrNull(text: Text, bytesMax: number): string | null {
  return text === null || text === undefined ? null : cutText(String(text), bytesMax)
}
