import { exitFlushMsMax, hostedFlushMs } from '../core/limit.ts'
import { ActiveSpan } from './active_span.ts'
import type { Courier } from './delivery/courier.ts'
import type { Outbox } from './delivery/outbox.ts'
import { watchEventLoop } from './event_loop_watch.ts'
import { errorTypeOf } from './failure.ts'
import { eventOf, messageOf } from './record_builder.ts'
import { RecordedSpan, type SpanHandle, type TraceStart, type WaitStart } from './recorded_span.ts'
import type { CaptureOptions, Recorder } from './recorder.ts'
import type { BaseReporter, TimeStart } from './reporter_surface.ts'
import { outcomeOfThrown, SeenFailures } from './seen_failure.ts'
import { noSpan } from './silent_reporter.ts'
import { adopt } from './span_kin.ts'
import { type CallScope, timeCall } from './timed_call.ts'
import { type UncaughtOrigin, watchUncaught } from './uncaught_watch.ts'
import { type Reporter, waitingOf } from './wait/wait_surface.ts'
import { textOf, type Warn } from './warning.ts'

/** What a reporter is made of. */
export type ReporterParts = {
  readonly recorder: Recorder
  readonly courier: Courier
  readonly outbox: Outbox
  readonly warn: Warn
  /** µs since the epoch. */
  readonly nowUs: () => number
  readonly flushOnExit: boolean
}

/** The reporter over its parts; whatever fails inside is caught, told once on stderr, and costs that one record. */
export function guardedReporter(parts: ReporterParts): Reporter {
  const { recorder, courier, outbox, nowUs } = parts
  const watches: (() => void)[] = []
  const shutting = closingOf(parts, () => watches.splice(0).forEach((end) => void guard(end, undefined)))
  const active = new ActiveSpan()
  const guard = <T>(act: () => T, otherwise: T): T => {
    if (recorder.closed) return otherwise
    try {
      return act()
    } catch (error) {
      recorder.options.fail(error)
      return otherwise
    }
  }
  const belonging = (span: SpanHandle | null | undefined) => (span === undefined ? active.current : span)
  // The next two without `guard`, since most of what a host calls are these: a closure for each call is felt.
  const open = (parent: SpanHandle | null | undefined, start: TimeStart): SpanHandle => {
    if (recorder.closed) return noSpan
    try {
      return opened(recorder, belonging(parent), start)
    } catch (error) {
      recorder.options.fail(error)
      return noSpan
    }
  }
  const openTrace = (start: TraceStart): SpanHandle => {
    if (recorder.closed) return noSpan
    try {
      return recorder.startTrace(start)
    } catch (error) {
      recorder.options.fail(error)
      return noSpan
    }
  }
  const openWait = (parent: SpanHandle | null | undefined, start: WaitStart) =>
    guard(() => {
      const around = belonging(parent)
      return around ? opened(recorder, around, { ...start, kind: 'wait' }) : noSpan
    }, noSpan)
  const seen = new SeenFailures()
  const capture = capturing(recorder, active, seen)
  const uncaught = (thrown: unknown, origin: UncaughtOrigin) => {
    if (!seen.has(thrown)) capture(thrown, { context: { 'telltale.uncaught': origin } })
  }
  const scope: CallScope = {
    run: (span, fn) => active.run(span, fn),
    active: () => active.current,
    instant: recorder.options.clock.instant,
    fail: (span, thrown) => guard(() => endThrown(span, thrown, capture), undefined),
    firstChunk: (span, at) => openWait(span, { name: 'first chunk', at }),
  }
  const timed = <T>(span: SpanHandle, fn: (span: SpanHandle) => T): T =>
    span === noSpan ? fn(noSpan) : timeCall(span, fn, scope)
  const time = <T>(start: TimeStart, fn: (span: SpanHandle) => T): T => timed(open(undefined, start), fn)

  const base: BaseReporter = {
    enabled: true,
    active: () => active.current,
    run: (span, fn) => (span === noSpan ? fn() : active.run(span, fn)),
    startTrace: openTrace,
    span: (...given: [TimeStart] | [SpanHandle | null | undefined, TimeStart]) =>
      given.length === 1 ? open(undefined, given[0]) : open(...given),
    wait: (...given: [WaitStart] | [SpanHandle | null | undefined, WaitStart]) =>
      given.length === 1 ? openWait(undefined, given[0]) : openWait(...given),
    trace: (start, fn) => timed(openTrace(start), fn),
    time,
    wrap: (fn, start = { name: fn.name }) => guard(() => wrapped(fn, start, time, guard), fn),
    captureError: (thrown, options = {}) => guard(() => capture(thrown, options), null),
    captureUncaught: once(watches, () =>
      guard(() => watchUncaught((thrown, origin) => guard(() => uncaught(thrown, origin), undefined)), nothing),
    ),
    watchEventLoop: once(watches, (everyMs?: number) =>
      guard(() => watchEventLoop((name, value) => base.gauge(name, value), everyMs), nothing),
    ),
    gauge: (name, value, labels = {}) => guard(() => recorder.gauge(name, value, labels), undefined),
    recordMessage: (message, span) =>
      guard(() => recorder.put(messageOf(message, belonging(span), nowUs()), false), undefined),
    recordEvent: (event, span) =>
      guard(() => recorder.put(eventOf(event, belonging(span), nowUs()), Boolean(event.error)), undefined),
    status: () => ({
      ...courier.status,
      recorded: outbox.recorded,
      dropped: outbox.dropped,
      waiting: outbox.waiting,
      running: recorder.running.total,
    }),
    ...shutting,
  }
  return { ...base, ...waitingOf(base, guard) }
}

type Capture = (thrown: unknown, options: CaptureOptions) => string

const nothing = () => undefined

function opened(recorder: Recorder, parent: SpanHandle | null, start: TimeStart): SpanHandle {
  if (parent === null) return recorder.startTrace({ ...start, layer: start.layer ?? 'tool' })
  if (!(parent instanceof RecordedSpan)) return noSpan
  const span = recorder.span(parent, start)
  adopt(span, parent, start)
  return span
}

function capturing(recorder: Recorder, active: ActiveSpan, seen: SeenFailures): Capture {
  return (thrown, options) => {
    const span = options.span === undefined ? active.current : options.span
    const id = seen.idOf(thrown, span) ?? recorder.captureError(thrown, { ...options, span })
    seen.note(thrown, id, span)
    return id
  }
}

/** Whoever aborts knows why: an abort ends its span, and is no error. */
function endThrown(span: SpanHandle, thrown: unknown, capture: Capture): void {
  const outcome = outcomeOfThrown(thrown)
  if (outcome !== 'cancelled') capture(thrown, { span })
  span.end(outcome, { attributes: { 'error.type': errorTypeOf(thrown) } })
}

/** A proxy, as it alone is the function in all but its calls. */
function wrapped<F extends (...args: never[]) => unknown>(
  fn: F,
  start: TimeStart | ((...args: Parameters<F>) => TimeStart),
  time: <T>(start: TimeStart, fn: (span: SpanHandle) => T) => T,
  guard: <T>(act: () => T, otherwise: T) => T,
): F {
  const startOf = (args: Parameters<F>): TimeStart =>
    typeof start === 'function' ? guard(() => start(...args), { name: fn.name }) : start
  return new Proxy(fn, {
    apply: (target, self, args) => time(startOf(args as Parameters<F>), () => Reflect.apply(target, self, args)),
    construct: (target, args, newTarget) =>
      time(startOf(args as Parameters<F>), () => Reflect.construct(target, args, newTarget) as object),
  })
}

/** Begins what is begun once, until it is ended, by the reporter's end at the latest. */
function once<A extends readonly unknown[]>(
  watches: (() => void)[],
  begin: (...args: A) => () => void,
): (...args: A) => () => void {
  let end: (() => void) | null = null
  const endOnce = () => {
    end?.()
    end = null
  }
  return (...args) => {
    end ??= begin(...args)
    watches.push(endOnce)
    return endOnce
  }
}

/** Sending what waits: when asked, when the host's event loop runs dry, and for the last time. */
function closingOf(
  { recorder, courier, outbox, warn, flushOnExit }: ReporterParts,
  endWatches: () => void,
): Pick<Reporter, 'flush' | 'close'> {
  let closing: Promise<void> | null = null
  const drain = async (withinMs: number, patient: boolean, final: boolean) => {
    await courier
      .drain(withinMs, patient, final)
      .catch((error: unknown) => warn('internal', `Cannot flush: ${textOf(error)}`))
    if (final && outbox.unsaved > 0)
      warn('unsent', `Cannot deliver ${outbox.unsaved} records before the exit: they are lost`)
  }
  const onExit = () => void drain(exitFlushMsMax, true, false)
  if (flushOnExit) process.once('beforeExit', onExit)
  return {
    flush: (withinMs = hostedFlushMs) => (closing ? closing : drain(withinMs, false, false)),
    close(withinMs = exitFlushMsMax) {
      process.removeListener('beforeExit', onExit)
      endWatches()
      closing ??= drain(withinMs, true, true)
      recorder.closed = true
      return closing
    },
  }
}
