import { Courier } from './delivery/courier.ts'
import type { Envelope } from './delivery/frozen_batch.ts'
import { Outbox, type OutboxLimits } from './delivery/outbox.ts'
import { spillFor } from './delivery/spill_open.ts'
import { createTransport } from './delivery/transport.ts'
import { createEpochClock, epochUsOf } from './epoch_clock.ts'
import { guardedReporter } from './guarded_reporter.ts'
import { Recorder } from './recorder.ts'
import { type Environment, processOf, type SourceOptions, sourceOf } from './reporter_source.ts'
import { createSelfMetrics } from './self_metric.ts'
import { silentReporter } from './silent_reporter.ts'
import type { Reporter } from './wait/wait_surface.ts'
import { textOf, type Warn, warnOnce, writeWarning } from './warning.ts'

/** Everything may be left out: what is absent is read from TELLTALE_* in `env`. */
export type ReporterOptions = SourceOptions & {
  /** TELLTALE_INGEST_URL. Without it, or without a key, every call does nothing. */
  readonly ingestUrl?: string | undefined
  /** TELLTALE_INGEST_KEY. */
  readonly ingestKey?: string | undefined
  readonly env?: Environment
  /** Where the one line a kind of trouble goes; stderr by default, never stdout. */
  readonly warn?: (line: string) => void
  readonly outbox?: Partial<OutboxLimits>
  /** How long one attempt may take, in ms. */
  readonly sendMsMax?: number
  /** How long to wait after a first failed attempt, in ms; doubled at each. */
  readonly retryMs?: number
  /** Sends what waits when the event loop runs dry. True by default. */
  readonly flushOnExit?: boolean
  /** TELLTALE_OUTBOX_DIR: where batches outlive the process; `none` keeps them in memory. */
  readonly outboxDir?: string | undefined
  /** Sends, once a minute and with other records, gauges of the reporter itself. True by default. */
  readonly selfMetrics?: boolean
}

/** Whether TELLTALE_DISABLED turns reporting off: anything but an empty text, `0` and `false` does. */
export function isTurnedOff(env: Environment): boolean {
  return !['', '0', 'false'].includes(env.TELLTALE_DISABLED ?? '')
}

/** A guest in its host: no call throws, blocks, prints to stdout, or keeps the process alive. */
export function createReporter(options: ReporterOptions = {}): Reporter {
  const warn = warnOnce(options?.warn ?? writeWarning)
  try {
    const env = options.env ?? process.env
    const ingestUrl = options.ingestUrl ?? env.TELLTALE_INGEST_URL
    const ingestKey = options.ingestKey ?? env.TELLTALE_INGEST_KEY
    if (isTurnedOff(env) || !ingestUrl || !ingestKey) return silentReporter
    return liveReporter(options, env, ingestUrl, ingestKey, warn)
  } catch (error) {
    warn('settings', `Cannot report: ${textOf(error)}`)
    return silentReporter
  }
}

function liveReporter(
  options: ReporterOptions,
  env: Environment,
  ingestUrl: string,
  ingestKey: string,
  warn: Warn,
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
  const drop = (reason: string, records: number) => {
    outbox.settleSpilled(records)
    outbox.drop(reason, records)
  }
  const courier: Courier = new Courier({
    outbox,
    store: spillFor(options.outboxDir, env, ingestUrl, process_.id, warn, drop),
    transport: createTransport(ingestUrl, ingestKey, options.sendMsMax),
    instant: clock.instant,
    nowUs,
    announce() {
      recorder.announce()
      tellOfItself?.()
    },
    envelopeOf: (seq): Envelope => ({
      made_at_us: nowUs(),
      source,
      process: process_,
      seq,
      counters: { recorded: outbox.recorded, dropped: outbox.dropped },
      running: recorder.running.entries(),
      running_total: recorder.running.total,
    }),
    runningTotal: () => recorder.running.open,
    warn,
    retryMs: options.retryMs,
  })
  const tellOfItself =
    options.selfMetrics === false
      ? null
      : createSelfMetrics({
          outbox,
          instant: clock.instant,
          nowUs,
          started: () => recorder.started,
          live: () => recorder.running.open,
          exporter: () => courier.exported,
        })
  return guardedReporter({ recorder, courier, outbox, warn, nowUs, flushOnExit: options.flushOnExit ?? true })
}
