import { randomUUID } from 'node:crypto'
import { nameBytesMax, runningMax, stackBytesMax } from '../core/limit.ts'
import type { Attributes, ErrorRecord, Gauge, TelltaleRecord } from '../core/record.ts'
import { parseTraceContext, type TraceContext } from '../wire/trace_context.ts'
import { CallCounter } from './call_counter.ts'
import type { Outbox } from './delivery/outbox.ts'
import { type EpochClock, epochUsOf } from './epoch_clock.ts'
import { failureOf } from './failure.ts'
import { newTraceId } from './identifier.ts'
import { attributesJson } from './recorded_attributes.ts'
import {
  instantOr,
  RecordedSpan,
  type SpanHandle,
  type SpanPlace,
  type SpanStart,
  type TraceStart,
} from './recorded_span.ts'
import { RunningList } from './running_list.ts'
import { cutMiddle, cutText } from './text_cut.ts'

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

const none: readonly string[] = []

/** Builds records and puts them into the outbox. Its own methods may throw: `createReporter` is what a host touches. */
export class Recorder {
  readonly running = new RunningList<RecordedSpan>()
  readonly calls = new CallCounter()
  readonly options: RecorderOptions
  /** Nothing is taken any more. */
  closed = false
  /** Spans ever begun. */
  started = 0

  constructor(options: RecorderOptions) {
    this.options = options
  }

  startTrace(start: TraceStart): RecordedSpan {
    const { context, entry } = start
    const { clock } = this.options
    const startMs = instantOr(start.at, clock)
    const parsed = context ? parseTraceContext(context.traceparent, context.tracestate) : null
    const remote: TraceContext | null = parsed?.ok ? parsed.value : null
    return this.#open(start, {
      traceId: remote?.traceId ?? newTraceId(),
      parentSpanId: remote?.parentSpanId ?? null,
      entry: entry ?? !remote?.recorded,
      offsetUs: clock.offsetUs(startMs),
      startMs,
      others: remote?.others ?? none,
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
      startMs: instantOr(start.at, this.options.clock),
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
      traceback: options.traceback ? cutMiddle(options.traceback, stackBytesMax) : failure.traceback,
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
    this.started++
    this.running.add(span)
    this.options.note(false)
    return span
  }
}
