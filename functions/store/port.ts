import type { AlertDocument, AlertPush } from '../../src/core/alert/alert_document.ts'
import type { AlertInputs } from '../../src/core/alert/alert_input.ts'
import type { AlertOutcome } from '../../src/core/alert/alert_pass.ts'
import type { DetectorState } from '../../src/core/anomaly/detector.ts'
import type { Episode } from '../../src/core/anomaly/episode.ts'
import type { Metric } from '../../src/core/anomaly/measure.ts'
import type { HotBatch, Push } from '../../src/core/live_snapshot.ts'
import type { HotEntry, HotView, LiveState } from '../../src/core/live_state.ts'
import type { Accepted, Gauge, Message, ProcessInfo, Rejection, RunningCall, Source } from '../../src/core/record.ts'
import type { TraceRow } from '../../src/core/trace.ts'
import type { WhyAnswer } from '../../src/core/why/why_answer.ts'
import type { WhyData } from '../../src/core/why/why_data.ts'
import type { MinutePart, Window } from '../../src/core/window.ts'

/** An error as it is stored: a record of type error, or an event with an error. Times are µs since the epoch. */
export type ErrorRow = {
  readonly error_id: string
  readonly at_us: number
  readonly trace_id: string | null
  readonly span_id: string | null
  readonly error_type: string
  readonly message: string
  readonly traceback: string | null
  /** `v1:` and 32 hex digits, see src/core/fingerprint.ts. */
  readonly fingerprint: string
  /** The innermost in-app frame as text, null when the stack has none. */
  readonly culprit: string | null
  readonly context: { readonly [key: string]: unknown }
  /** The fields of the connection event that it came as; all null where it came as a record of its own. */
  readonly connection_type: string | null
  readonly direction: string | null
  readonly script_name: string | null
  readonly function_name: string | null
  readonly data_size_bytes: number | null
  readonly response_time_ms: number | null
  readonly metadata: { readonly [key: string]: unknown } | null
}

/** The one argument of `telltale.ingest_batch(batch jsonb)`: a batch after parsing, redaction and derivation. */
export type BatchRows = {
  readonly batch_id: string
  /** The ingest key that it came with. */
  readonly key_id: string
  readonly made_at_us: number
  /** `Telltale-Sent-At` of this attempt, null without the header. */
  readonly sent_at_us: number | null
  /** The edge's clock when the request arrived. */
  readonly received_at_us: number
  /** The pace of a reporter that nobody watches, in ms: how long a silence says nothing yet. */
  readonly flush_ms: number
  readonly source: Source
  readonly process: ProcessInfo
  readonly seq: number
  readonly piece: readonly [number, number]
  readonly counters: { readonly recorded: number; readonly dropped: { readonly [reason: string]: number } }
  readonly running: readonly RunningCall[]
  readonly running_total: number
  readonly accepted: Accepted
  readonly rejected: readonly Rejection[]
  /** One a trace, sorted by trace_id, computed by `traceRowOf` from this batch's spans alone. */
  readonly traces: readonly TraceRow[]
  readonly errors: readonly ErrorRow[]
  readonly messages: readonly Message[]
  readonly gauges: readonly Gauge[]
  readonly parts: readonly MinutePart[]
}

/** What `telltale.ingest_batch` answers. */
export type IngestReply = {
  readonly status: 'stored' | 'repeated'
  /** As stored with the batch id: a repeated batch is answered what its first attempt was. */
  readonly accepted: Accepted
  readonly rejected: readonly Rejection[]
  /** Series keys of this batch that were not admitted, and what they were counted under: `tool:x` -> `tool:other`. */
  readonly renamed: { readonly [seriesKey: string]: string }
  readonly watched: boolean
  /** Whether a tick is due and unclaimed. */
  readonly tick_due: boolean
}

/** An ingest key as stored: only the hash of its secret. */
export type KeyRow = {
  readonly key_id: string
  /** sha256 of the whole key, 64 hex digits. */
  readonly key_hash: string
  readonly revoked: boolean
}

/** What failed in a store, in terms that a route can answer. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
  /**
   * `unavailable`: not reached, no turn in time, or any server fault: keep the batch and try again.
   * `refused`: the data itself was refused (SQLSTATE classes 22 and 23).
   * `missing_partition`: SQLSTATE TT001; `days` names them.
   */
  readonly reason: 'unavailable' | 'refused' | 'missing_partition'
  readonly code: string | null
  /** UTC days as YYYY-MM-DD, of `missing_partition` alone. */
  readonly days: readonly string[]

  constructor(
    reason: StoreError['reason'],
    message: string,
    more: { code?: string | null; days?: readonly string[]; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause })
    this.reason = reason
    this.code = more.code ?? null
    this.days = more.days ?? []
  }
}

/** Span ids by trace id. */
export type EndedSpans = { readonly [traceId: string]: readonly string[] }

/** Everything that the edge asks of Postgres. Each method is one rpc; each throws StoreError. */
export interface BatchStore {
  readKey(keyId: string): Promise<KeyRow | null>
  ingestBatch(rows: BatchRows): Promise<IngestReply>
  /** The ids of the spans that have ended, of those of the traces that are stored. */
  endedSpans(traceIds: readonly string[]): Promise<EndedSpans>
  /** Makes the partitions of the given UTC days (YYYY-MM-DD), in a transaction of their own. */
  makePartitions(days: readonly string[]): Promise<void>
}

/** The steps of the tick, in the order in which they run, each idempotent and resumable. */
export const tickSteps = [
  'make_partitions',
  'mark_interrupted',
  'join_traces',
  'measure_clocks',
  'measure_skews',
  'compact_minutes',
  'recompute_hours',
  'measure_resources',
  'detect_anomalies',
  'evaluate_alerts',
  'explain_alerts',
  'send_notifications',
  'decide_sampling',
  'drop_partitions',
  'prune',
] as const
export type TickStep = (typeof tickSteps)[number]

/** How much a step did, and whether more of it waits. */
export type StepAnswer = { readonly done: number; readonly more: boolean }

/** The steps that are more than one rpc: each a verb in functions/action, with its stores bound. The others are `runStep`. */
export type TickActions = { readonly [step in TickStep]?: () => Promise<StepAnswer> }

/** A sample of a resource of Telltale's own; `labels` tell instances apart. */
export type OwnGauge = {
  readonly name: string
  readonly value: number
  readonly labels: Readonly<Record<string, string>>
}

/** What Telltale itself uses, as far as Postgres knows and keeps it. Each method is one rpc; each throws StoreError. */
export interface ResourceStore {
  /** Where a minute has passed: stores what Postgres uses, which is at `instance`, and says that it is due. */
  beginMeasuring(instance: string): Promise<StepAnswer & { readonly due: boolean }>
  /** Stores more, of the same moment; how many. */
  storeResources(gauges: readonly OwnGauge[]): Promise<number>
}

/** Throws StoreError. */
export interface MemoryMeter {
  /** Where it is: a host, never a token. */
  readonly instance: string
  /** What keys and values take, null where it does not say, and how many keys there are. Two commands. */
  readUsage(): Promise<{ readonly memoryBytes: number | null; readonly keyCount: number }>
}

export interface TickStore {
  /** Takes or renews the lease for `seconds`; false when another holder has it. */
  claimTick(holder: string, seconds: number): Promise<boolean>
  /** Runs a step that is one rpc, `telltale.tick_<step>()`. */
  runStep(step: TickStep): Promise<StepAnswer>
  releaseTick(holder: string): Promise<void>
}

/** [start in s since the epoch, calls, failures, p95 in ms or null] of a minute, or [start, mean] of a gauge's. */
export type SeriesPoint = readonly [at: number, first: number, errors?: number, p95_ms?: number | null]

/** An anomaly as it is stored, with the series that it belongs to; `place` 1 is the likeliest root of its incident. */
export type FoundAnomaly = Episode & {
  readonly series_key: string
  readonly metric: Metric
  readonly incident_id: string
  readonly place: number
}

/** What is remembered of a series: the detector's state, and the last anomaly. */
export type WatchedRow = {
  readonly series_key: string
  readonly metric: Metric
  readonly state: DetectorState | null
  readonly anomaly: FoundAnomaly | null
}

/** What `telltale.detector_work()` answers; its comment says what is in it. Times are s since the epoch. */
export type DetectorWork = {
  readonly service: string
  readonly environment: string
  readonly revision: number
  readonly from: number
  readonly to: number | null
  readonly now: number
  readonly more: boolean
  readonly learn: readonly (readonly [seriesKey: string, points: readonly SeriesPoint[]])[]
  readonly look: readonly (readonly [seriesKey: string, points: readonly SeriesPoint[]])[]
  readonly series: readonly WatchedRow[]
  readonly known: { readonly calls: number; readonly gauges: number }
  readonly recent: readonly FoundAnomaly[]
}

/** The one argument of `telltale.store_detections(findings jsonb)`. */
export type Detections = Pick<DetectorWork, 'service' | 'environment' | 'revision' | 'to'> & {
  readonly series: readonly {
    readonly series_key: string
    readonly metric: Metric
    readonly state: DetectorState
    readonly look_above: number | null
    readonly seen_at: number
    readonly anomaly_id: string | null
  }[]
  readonly anomalies: readonly FoundAnomaly[]
}

/** What the detector of anomalies asks of Postgres. Each method is one rpc; each throws StoreError. */
export interface DetectorStore {
  /** What the detector that is next has to look at; null when none is due. */
  readDetectorWork(): Promise<DetectorWork | null>
  /** False, and nothing stored: another look was stored since this one read. */
  storeDetections(detections: Detections): Promise<boolean>
}

/** What a batch asks for beside being added: a turn to push every `everyMs`; one at once, if quiet, where it is `urgent`. */
export type TurnRequest = { readonly everyMs: number; readonly urgent: boolean }

/**
 * What the edge keeps for an hour in Redis, for the live view alone: losing it loses nothing else. Nothing is tried
 * twice, and nothing takes longer than a second. Each method throws StoreError.
 *
 * At most one pusher has the turn at a time, and whoever has it reads what was added before it took it. So a batch whose
 * turn is taken is pushed by one that takes the next: its own waiter, or another's that was waiting when it was added.
 */
export interface HotStore {
  /** Adds a batch to the stream; `turn` is what of the request was won. Unasked it costs two commands. */
  add(
    batch: HotBatch,
    request: TurnRequest | null,
  ): Promise<{ readonly id: string; readonly turn: 'regular' | 'urgent' | null }>
  /** How long it is until the next turn, and whether nobody else waits for it already. */
  joinWait(everyMs: number): Promise<{ readonly isFirst: boolean; readonly waitMs: number }>
  /** Ends the wait, and takes the turn if nobody has. */
  takeTurn(everyMs: number): Promise<boolean>
  /** The state, null when there is none that can be read. With `everyMs` the turn is taken first, whoever has it. */
  readState(everyMs: number | null): Promise<LiveState | null>
  /** At most hotBatchesReadMax entries after an id, oldest first, and whether more may follow. */
  readEntries(after: string): Promise<{ readonly entries: readonly HotEntry[]; readonly more: boolean }>
  /** Writes the state, and the seconds that it finished; one that is written already stays. */
  writeState(state: LiveState, finished: readonly Window[]): Promise<void>
  /** All that a snapshot needs, in one round trip. */
  readHot(): Promise<HotView>
}

/** The private channel that the pages listen to. Throws StoreError. */
export interface PushChannel {
  push(event: 'live', payload: Push): Promise<void>
  push(event: 'alert', payload: AlertPush): Promise<void>
}

/** `AlertInputs`, and whether the open pages, if there are any, have to be told of something. */
export type AlertReading = AlertInputs & { readonly pushed_revision: number; readonly watched: boolean }

/** What alerts ask of Postgres. Each method is one rpc; each throws StoreError. */
export interface AlertStore {
  readAlertInputs(): Promise<AlertReading>
  /** False where something changed since what it was judged from was read: then nothing is stored. */
  storeAlertOutcome(outcome: AlertOutcome): Promise<boolean>
  /** What the open pages do not know yet, null where there is nothing or nobody. */
  claimAlertPush(): Promise<AlertPush | null>
  noteAlertPush(revision: number): Promise<void>
  /** Takes notifications that are due, for `notificationLeaseSeconds`. */
  claimNotifications(n: number): Promise<readonly Notification[]>
  noteDeliveries(deliveries: readonly Delivery[]): Promise<void>
}

/** An alert of which nobody has said why: what to ask of `why_data`, and whether it is the last time. */
export type AlertQuestion = {
  readonly alert_id: string
  readonly filter: { readonly [key: string]: unknown }
  readonly last: boolean
}

/** What it takes to say why an alert fires. Each method is one rpc; each throws StoreError. */
export interface AlertWhyStore {
  claimAlertQuestion(triesMax: number, gapSeconds: number): Promise<AlertQuestion | null>
  readWhyData(filter: AlertQuestion['filter'], tracesMax: number): Promise<WhyData>
  /** False where the alert is over, or has a verdict. */
  storeAlertVerdict(alertId: string, verdict: WhyAnswer): Promise<boolean>
}

export const destinationKinds = ['webhook', 'slack', 'discord', 'email'] as const
export type DestinationKind = (typeof destinationKinds)[number]

/** Something to be told to somebody. `url` and `secret` are never logged. */
export type Notification = {
  /** The same for every attempt: whoever is told twice can tell. */
  readonly notification_id: string
  /** From 1. */
  readonly attempt: number
  readonly event: 'firing' | 'resolved' | 'test'
  readonly alert: AlertDocument
  readonly created_us: number
  readonly kind: DestinationKind
  readonly url: string
  readonly secret: string | null
  readonly detail: { readonly from?: string; readonly to?: readonly string[] }
}

/** How an attempt went. `final`: it will not go better another time. `error` never names the address. */
export type Delivery = {
  readonly notification_id: string
  readonly attempt: number
  readonly ok: boolean
  readonly final: boolean
  /** As it was answered; null where it was not. */
  readonly status: number | null
  readonly error: string | null
  /** In how many ms to try again. */
  readonly retry_ms: number
}

/** What became of one attempt, before anybody thought of the next. `retry_after_s`: as the destination asks. */
export type Attempt = Pick<Delivery, 'ok' | 'final' | 'status' | 'error'> & { readonly retry_after_s: number | null }

/** Whoever tells. Never throws: what fails is an answer. */
export interface Notifier {
  send(notification: Notification): Promise<Attempt>
}
