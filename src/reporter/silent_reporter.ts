import type { SpanHandle } from './recorded_span.ts'
import { retry } from './wait/wait_retry.ts'
import { createSemaphore } from './wait/wait_semaphore.ts'
import type { Reporter } from './wait/wait_surface.ts'

const noHeaders = Object.freeze({ traceparent: '', tracestate: '' })
const done = Promise.resolve()

/** The span of a reporter that records nothing. */
export const noSpan: SpanHandle = Object.freeze({
  traceId: '',
  spanId: '',
  layer: '',
  set: () => undefined,
  end: () => undefined,
  headers: () => noHeaders,
})

const nothing = () => undefined
const nothingToEnd = () => nothing
const same = <T>(value: T): T => value

const silent = {
  enabled: false,
  active: () => null,
  run: <T>(_: SpanHandle | null, fn: () => T) => fn(),
  wait: () => noSpan,
  time: <T>(_: unknown, fn: (span: SpanHandle) => T) => fn(noSpan),
  gauge: nothing,
}

/**
 * What a host without an address, without a key, or with TELLTALE_DISABLED reports to: functions, pools and
 * queues stay what they are, and nothing is kept. Only what does something of its own (`semaphore`, `retry`) does it.
 */
export const silentReporter: Reporter = Object.freeze({
  ...silent,
  startTrace: () => noSpan,
  span: () => noSpan,
  trace: <T>(_: unknown, fn: (span: SpanHandle) => T) => fn(noSpan),
  wrap: same,
  captureError: () => null,
  captureUncaught: nothingToEnd,
  watchEventLoop: nothingToEnd,
  semaphore: (name: string, limit: number) => createSemaphore(silent, name, limit),
  watchAcquire: same,
  watchQueue: same,
  retry: (fn, options) => retry(silent, fn, options),
  recordMessage: nothing,
  recordEvent: nothing,
  status: () => ({
    recorded: 0,
    stored: 0,
    rejected: 0,
    missing: {},
    dropped: {},
    waiting: 0,
    running: 0,
    watched: false,
    circuit: 'closed' as const,
    adopted: { waiting: 0, delivered: 0, dropped: 0 },
  }),
  flush: () => done,
  close: () => done,
})
