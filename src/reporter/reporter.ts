import { randomUUID } from 'node:crypto'
import { writeSync } from 'node:fs'
import { hostname } from 'node:os'
import { exitFlushMsMax, hostedFlushMs, nameBytesMax } from '../core/limit.ts'
import type { ConnectionEvent, Counters, Gauge, Message, ProcessInfo, Source } from '../core/record.ts'
import { Courier, type CourierStatus } from './courier.ts'
import { createEpochClock, epochUsOf } from './epoch_clock.ts'
import type { Envelope } from './frozen_batch.ts'
import { Outbox, type OutboxLimits } from './outbox.ts'
import { RecordedSpan, type SpanHandle, type SpanStart, type TraceStart, type WaitStart } from './recorded_span.ts'
import { type CaptureOptions, Recorder } from './recorder.ts'
import { cutText } from './text_cut.ts'
import { createTransport } from './transport.ts'

export type { Outcome } from '../core/outcome.ts'
export type { SpanFields, SpanHandle, SpanStart, TraceStart, WaitStart } from './recorded_span.ts'
export type { CaptureOptions } from './recorder.ts'

const sdkName = 'telltale-js/0.1.0'

/** Everything may be left out: what is absent is read from TELLTALE_* in `env`. */
export type ReporterOptions = {
  /** TELLTALE_INGEST_URL. Without it, or without a key, every call does nothing. */
  readonly ingestUrl?: string | undefined
  /** TELLTALE_INGEST_KEY. */
  readonly ingestKey?: string | undefined
  /** TELLTALE_SERVICE; `node` when neither says. */
  readonly service?: string | undefined
  /** TELLTALE_INSTANCE; the host's name when neither says. */
  readonly instance?: string | undefined
  /** TELLTALE_ENVIRONMENT; `default` when neither says. */
  readonly environment?: string | undefined
  readonly version?: string | undefined
  readonly env?: { readonly [name: string]: string | undefined }
  /** Where the one line a kind of trouble goes; stderr by default, never stdout. */
  readonly warn?: (line: string) => void
  readonly outbox?: Partial<OutboxLimits>
  /** How long one attempt may take, in ms. */
  readonly sendMsMax?: number
  /** How long to wait after a first failed attempt, in ms; doubled at each. */
  readonly retryMs?: number
  /** Sends what waits when the event loop runs dry. True by default. */
  readonly flushOnExit?: boolean
}

/** recorded = stored + rejected + the sum of dropped + waiting, at any moment between two calls. */
export type ReporterStatus = CourierStatus & Counters & { readonly waiting: number; readonly running: number }

export type Reporter = {
  readonly enabled: boolean
  /** Begins a request: a trace of its own, or a part of the one that `context` names. */
  startTrace(start: TraceStart): SpanHandle
  span(parent: SpanHandle, start: SpanStart): SpanHandle
  /** A span in which the request waits, `holder` being who holds what it waits for. */
  wait(parent: SpanHandle, start: WaitStart): SpanHandle
  /** Records what was thrown, with its stack and its causes; answers the error's id, null when nothing was recorded. */
  captureError(thrown: unknown, options?: CaptureOptions): string | null
  gauge(name: string, value: number, labels?: Gauge['labels']): void
  recordMessage(message: Partial<Omit<Message, 'type' | 'message_id' | 'at_us'>>, span?: SpanHandle): void
  recordEvent(
    event: Pick<ConnectionEvent, 'connection_type' | 'direction'> & Partial<ConnectionEvent>,
    span?: SpanHandle,
  ): void
  status(): ReporterStatus
  /** Sends what waits now; resolves when it is answered, when an attempt failed, or after `withinMs`. Never rejects. */
  flush(withinMs?: number): Promise<void>
  /** The same, trying again while time remains, and for the last time: later records are not taken. */
  close(withinMs?: number): Promise<void>
}

/** Whether TELLTALE_DISABLED turns reporting off: anything but an empty text, `0` and `false` does. */
export function isTurnedOff(env: { readonly [name: string]: string | undefined }): boolean {
  return !['', '0', 'false'].includes(env.TELLTALE_DISABLED ?? '')
}

/** A guest in its host: no call throws, blocks, prints to stdout, or keeps the process alive. */
export function createReporter(options: ReporterOptions = {}): Reporter {
  const warn = warnOnce(options?.warn ?? writeWarning)
  try {
    const env = options.env ?? process.env
    const ingestUrl = options.ingestUrl ?? env.TELLTALE_INGEST_URL
    const ingestKey = options.ingestKey ?? env.TELLTALE_INGEST_KEY
    if (isTurnedOff(env) || !ingestUrl || !ingestKey) return disabledReporter
    return liveReporter(options, env, ingestUrl, ingestKey, warn)
  } catch (error) {
    warn('settings', `Cannot report: ${textOf(error)}`)
    return disabledReporter
  }
}

/** Not by process.stderr: where its far end is gone it fails later, as an `error` event that would end the host. */
function writeWarning(line: string): void {
  writeSync(2, `${line}\n`)
}

function liveReporter(
  options: ReporterOptions,
  env: { readonly [name: string]: string | undefined },
  ingestUrl: string,
  ingestKey: string,
  warn: (kind: string, text: string) => void,
): Reporter {
  const clock = createEpochClock()
  const nowUs = () => epochUsOf(clock.instant(), clock.offsetUs())
  const source = sourceOf(options, env)
  const process_ = processOf(nowUs())
  const outbox = new Outbox(options.outbox)
  const fail = (error: unknown) => {
    outbox.refuse('internal')
    warn('internal', `Cannot record: ${textOf(error)}`)
  }
  const recorder = new Recorder({ clock, outbox, fail, note: (urgent) => courier.note(urgent) })
  const courier = new Courier({
    outbox,
    transport: createTransport(ingestUrl, ingestKey, options.sendMsMax),
    instant: clock.instant,
    nowUs,
    announce: () => recorder.announce(),
    envelopeOf: (seq): Envelope => ({
      made_at_us: nowUs(),
      source,
      process: process_,
      seq,
      counters: { recorded: outbox.recorded, dropped: outbox.dropped },
      running: recorder.running.entries(),
      running_total: recorder.running.total,
    }),
    runningTotal: () => recorder.running.total,
    warn,
    retryMs: options.retryMs,
  })
  return guarded({ recorder, courier, outbox, warn, nowUs, flushOnExit: options.flushOnExit ?? true })
}

type Parts = {
  readonly recorder: Recorder
  readonly courier: Courier
  readonly outbox: Outbox
  readonly warn: (kind: string, text: string) => void
  readonly nowUs: () => number
  readonly flushOnExit: boolean
}

/** The reporter over its parts; whatever fails inside is caught, told once on stderr, and costs that one record. */
function guarded({ recorder, courier, outbox, warn, nowUs, flushOnExit }: Parts): Reporter {
  let closing: Promise<void> | null = null
  const guard = <T>(act: () => T, otherwise: T): T => {
    if (closing) return otherwise
    try {
      return act()
    } catch (error) {
      recorder.options.fail(error)
      return otherwise
    }
  }
  const open = (parent: SpanHandle, start: SpanStart): SpanHandle =>
    guard(() => (parent instanceof RecordedSpan ? recorder.span(parent, start) : noSpan), noSpan)
  const drain = async (withinMs: number, patient: boolean, final: boolean) => {
    await courier
      .drain(withinMs, patient, final)
      .catch((error: unknown) => warn('internal', `Cannot flush: ${textOf(error)}`))
    if (final && outbox.waiting > 0)
      warn('unsent', `Cannot deliver ${outbox.waiting} records before the exit: they are lost`)
  }
  const onExit = () => void drain(exitFlushMsMax, true, false)
  if (flushOnExit) process.once('beforeExit', onExit)

  return {
    enabled: true,
    startTrace: (start) => guard<SpanHandle>(() => recorder.startTrace(start), noSpan),
    span: open,
    wait: (parent, start) => open(parent, { ...start, kind: 'wait' }),
    captureError: (thrown, options = {}) => guard(() => recorder.captureError(thrown, options), null),
    gauge: (name, value, labels = {}) => guard(() => recorder.gauge(name, value, labels), undefined),
    recordMessage: (message, span) => guard(() => recorder.put(messageOf(message, span, nowUs()), false), undefined),
    recordEvent: (event, span) =>
      guard(() => recorder.put(eventOf(event, span, nowUs()), Boolean(event.error)), undefined),
    status: () => ({
      ...courier.status,
      recorded: outbox.recorded,
      dropped: outbox.dropped,
      waiting: outbox.waiting,
      running: recorder.running.total,
    }),
    flush: (withinMs = hostedFlushMs) => (closing ? closing : drain(withinMs, false, false)),
    close(withinMs = exitFlushMsMax) {
      process.removeListener('beforeExit', onExit)
      closing ??= drain(withinMs, true, true)
      recorder.closed = true
      return closing
    },
  }
}

function messageOf(
  message: Parameters<Reporter['recordMessage']>[0],
  span: SpanHandle | undefined,
  atUs: number,
): Message {
  return {
    trace_id: span?.traceId || null,
    span_id: span?.spanId || null,
    conversation_id: null,
    role: null,
    model_used: null,
    provider_used: null,
    response_time_ms: null,
    tool_name: null,
    thinking_mode: null,
    token_usage: null,
    metadata: {},
    ...message,
    type: 'message',
    message_id: randomUUID(),
    at_us: atUs,
  }
}

function eventOf(
  event: Parameters<Reporter['recordEvent']>[0],
  span: SpanHandle | undefined,
  atUs: number,
): ConnectionEvent {
  return {
    at_us: atUs,
    event_id: randomUUID(),
    trace_id: span?.traceId || null,
    span_id: span?.spanId || null,
    script_name: null,
    function_name: null,
    data_size_bytes: null,
    response_time_ms: null,
    error: null,
    error_type: null,
    error_traceback: null,
    metadata: {},
    ...event,
    type: 'event',
  }
}

function sourceOf(options: ReporterOptions, env: { readonly [name: string]: string | undefined }): Source {
  const name = (text: string | undefined, otherwise: string) => cutText(text?.trim() || otherwise, nameBytesMax)
  return {
    service: name(options.service ?? env.TELLTALE_SERVICE, 'node'),
    instance: name(options.instance ?? env.TELLTALE_INSTANCE, hostname()),
    environment: name(options.environment ?? env.TELLTALE_ENVIRONMENT, 'default'),
    version: options.version ? cutText(options.version, nameBytesMax) : null,
  }
}

function processOf(nowUs: number): ProcessInfo {
  const startedAtUs = nowUs - Math.round(process.uptime() * 1e6)
  return { id: randomUUID(), started_at_us: startedAtUs, host: hostname(), pid: process.pid, sdk: sdkName }
}

/** One short line a kind, ever. Never throws, even where stderr is closed. */
function warnOnce(write: (line: string) => void): (kind: string, text: string) => void {
  const told = new Set<string>()
  return (kind, text) => {
    if (told.has(kind)) return
    told.add(kind)
    try {
      write(`telltale: ${text}`)
    } catch {
      // A host without stderr loses the warning, nothing else.
    }
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The span of a reporter that records nothing. */
const noSpan: SpanHandle = Object.freeze({
  traceId: '',
  spanId: '',
  layer: '',
  set: () => undefined,
  end: () => undefined,
  headers: () => ({ traceparent: '', tracestate: '' }),
})

const disabledReporter: Reporter = Object.freeze({
  enabled: false,
  startTrace: () => noSpan,
  span: () => noSpan,
  wait: () => noSpan,
  captureError: () => null,
  gauge: () => undefined,
  recordMessage: () => undefined,
  recordEvent: () => undefined,
  status: () => ({
    recorded: 0,
    stored: 0,
    rejected: 0,
    dropped: {},
    waiting: 0,
    running: 0,
    watched: false,
    circuit: 'closed' as const,
  }),
  flush: async () => undefined,
  close: async () => undefined,
})
