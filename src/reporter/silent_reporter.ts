import type { SpanHandle } from './recorded_span.ts'
import type { Reporter } from './reporter_surface.ts'

/** The span of a reporter that records nothing. */
export const noSpan: SpanHandle = Object.freeze({
  traceId: '',
  spanId: '',
  layer: '',
  set: () => undefined,
  end: () => undefined,
  headers: () => ({ traceparent: '', tracestate: '' }),
})

const nothing = () => undefined
const same = <T>(value: T): T => value

/**
 * What a host without an address, without a key, or with TELLTALE_DISABLED reports to: functions stay what they
 * are, and nothing is kept.
 */
export const silentReporter: Reporter = Object.freeze({
  enabled: false,
  active: () => null,
  run: <T>(_: SpanHandle | null, fn: () => T) => fn(),
  startTrace: () => noSpan,
  span: () => noSpan,
  wait: () => noSpan,
  trace: <T>(_: unknown, fn: (span: SpanHandle) => T) => fn(noSpan),
  time: <T>(_: unknown, fn: (span: SpanHandle) => T) => fn(noSpan),
  wrap: same,
  captureError: () => null,
  gauge: nothing,
  recordMessage: nothing,
  recordEvent: nothing,
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
