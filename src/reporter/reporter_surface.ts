import type { ConnectionEvent, Counters, Gauge, Message } from '../core/record.ts'
import type { CourierStatus } from './delivery/courier_options.ts'
import type { SpanHandle, SpanStart, TraceStart, WaitStart } from './recorded_span.ts'
import type { CaptureOptions } from './recorder.ts'

/** What a timed call begins with. `layer` is the active span's when absent, and `tool` where none is active. */
export type TimeStart = SpanStart & Pick<Partial<TraceStart>, 'context' | 'entry'>

/** A message as a host knows it. What is left out is taken from its span. */
export type MessageFields = Partial<Omit<Message, 'type' | 'message_id' | 'at_us'>>

/** An event on a connection. Times in ms and µs since the epoch, sizes in bytes; `at_us` is now when absent. */
export type EventFields = Pick<ConnectionEvent, 'connection_type' | 'direction'> &
  Partial<Omit<ConnectionEvent, 'type' | 'connection_type' | 'direction'>>

/** recorded = stored + rejected + the sum of dropped + waiting, at any moment between two calls. */
export type ReporterStatus = CourierStatus & Counters & { readonly waiting: number; readonly running: number }

/**
 * Where a call takes an optional span, it belongs to the active span when that is `undefined`, and to none when `null`.
 * No call throws what is not the host's own.
 */
export type BaseReporter = {
  readonly enabled: boolean
  /** The span that the code that runs now is in; null outside of any. */
  active(): SpanHandle | null
  /** Calls `fn` with `span` active, through every promise, timer and callback that it begins, and answers what it does. */
  run<T>(span: SpanHandle | null, fn: () => T): T
  /** Begins a request: a trace of its own, or a part of the one that `context` names. */
  startTrace(start: TraceStart): SpanHandle
  /** Begins a span in the active one; where there is none, a trace of its own in layer `tool` unless `start` says. */
  span(start: TimeStart): SpanHandle
  span(parent: SpanHandle | null | undefined, start: TimeStart): SpanHandle
  /** A span in which the request waits, `holder` being who holds what it waits for. Outside of any span: nothing. */
  wait(start: WaitStart): SpanHandle
  wait(parent: SpanHandle | null | undefined, start: WaitStart): SpanHandle
  /**
   * Calls `fn` as a request of its own, its span active meanwhile. What `fn` answers is what this answers, what it
   * throws is recorded (an error that passes through several spans once) and thrown on as it is. The span ends when the
   * answer does: a promise when it settles; an async iterator, a stream or a generator when it ends, is left or throws,
   * with `telltale.chunk_count`, `telltale.first_chunk_ms`, and the time up to the first chunk as a wait span. A span
   * that `fn` ended itself stays as it ended it.
   */
  trace<T>(start: TraceStart, fn: (span: SpanHandle) => T): T
  /** The same as a span in the active one; where there is none, as a request of its own. */
  time<T>(start: TimeStart, fn: (span: SpanHandle) => T): T
  /**
   * `fn` with each of its calls timed, under its own name unless `start` says, which may look at the arguments. Name,
   * length, properties, `this` and `new` stay.
   */
  wrap<F extends (...args: never[]) => unknown>(fn: F, start?: TimeStart | ((...args: Parameters<F>) => TimeStart)): F
  /**
   * Records what was thrown, with its stack and its causes; answers the error's id, null when nothing was recorded. An
   * error that was recorded in the same trace before is not recorded again: its id is answered.
   */
  captureError(thrown: unknown, options?: CaptureOptions): string | null
  /**
   * Records exceptions that nobody caught and rejections that nobody took, in whatever mode the host runs; what the
   * host does about them stays as it is. Answers how to end it; a second call answers the same.
   */
  captureUncaught(): () => void
  /** Records the value of a resource now. A value that is no finite number is refused and counted. */
  gauge(name: string, value: number, labels?: Gauge['labels']): void
  /**
   * Records what was said to or by a model, as metadata. What the message leaves out is filled from its span, the
   * spans around it, and the last provider call of its trace; what is missing even so is listed in `metadata.missing`.
   */
  recordMessage(message: MessageFields, span?: SpanHandle | null): void
  /** Records one thing on a connection. With an `error` it is an error of the trace too, and sent at once. */
  recordEvent(event: EventFields, span?: SpanHandle | null): void
  /**
   * Samples the gauges `event_loop_lag_ms` (the longest delay of a period) and `process_memory_mb` (resident, MiB) every
   * `everyMs`, 15 s when absent, without keeping the host alive. Answers how to end it; a second call answers the same.
   */
  watchEventLoop(everyMs?: number): () => void
  status(): ReporterStatus
  /** Sends what waits now; resolves when it is answered, when an attempt failed, or after `withinMs`. Never rejects. */
  flush(withinMs?: number): Promise<void>
  /** The same, trying again while time remains, and for the last time: later records are not taken. */
  close(withinMs?: number): Promise<void>
}
