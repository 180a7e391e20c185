import {
  batchAgeDaysMax,
  batchBytesMax,
  batchRecordsMax,
  droppedReasonsMax,
  idBytesMax,
  integerMax,
  nameBytesMax,
  parseDepthMax,
  recordAheadDaysMax,
  runningMax,
} from '../core/limit.ts'
import type { Accepted, Batch, Counters, RecordType, Rejection, RunningCall, TelltaleRecord } from '../core/record.ts'
import { err, ok, type Result } from '../core/result.ts'
import { isEnvelope } from './batch_check_generated.ts'
import type { WireEnvelope } from './batch_schema.ts'
import { explainRefusal } from './explain_refusal.ts'
import { isShallow } from './json_depth.ts'
import { parseRecord, parseRunning } from './parse_record.ts'
import { cleanText, cutText, isWithin } from './wire_text.ts'

const batchAgeUsMax = batchAgeDaysMax * 86_400_000_000
const batchAheadUsMax = recordAheadDaysMax * 86_400_000_000

/** Why a whole batch is refused, with the HTTP status that says so. `detail` never repeats what was sent. */
export type BatchRefusal = { readonly status: 400 | 413 | 415 | 422; readonly detail: string }

export type ParsedBatch = {
  /** The records that were taken, each id of an error, message, event or gauge once. */
  readonly batch: Batch
  /** How many records were taken, by type; records that repeat an id are counted too. */
  readonly accepted: Accepted
  readonly rejected: readonly Rejection[]
  /** Entries of `running` that were not understood, or were more than are listed. */
  readonly running_refused: number
}

/**
 * Parses the body of `POST /ingest`. A batch whose envelope is wrong is refused whole, a record that is wrong alone.
 * `nowUs` is the edge's clock, µs since the epoch. Never throws, whatever the body is.
 */
export function parseBatch(body: string | Uint8Array, nowUs: number): Result<ParsedBatch, BatchRefusal> {
  const text = textOf(body)
  if (!text.ok) return text
  const value = jsonOf(text.value)
  return value.ok ? batchOf(value.value, nowUs) : value
}

/** Parses a batch that has already been read from JSON, as `parseBatch` does. */
export function batchOf(value: unknown, nowUs: number): Result<ParsedBatch, BatchRefusal> {
  if (!isEnvelope(value)) return refuse(400, explainRefusal('envelope', value))
  if (value.records.length > batchRecordsMax) {
    return refuse(413, `Cannot take batch: it has ${value.records.length} records, wanted ${batchRecordsMax} at most`)
  }
  const [piece, pieces] = value.piece ?? [1, 1]
  if (piece > pieces) return refuse(400, `Cannot take batch: piece is ${piece} of ${pieces}`)
  if (value.made_at_us < nowUs - batchAgeUsMax) {
    return refuse(422, `Cannot take batch: made_at_us is ${value.made_at_us}, more than ${batchAgeDaysMax} days ago`)
  }
  if (value.made_at_us > nowUs + batchAheadUsMax) {
    return refuse(
      422,
      `Cannot take batch: made_at_us is ${value.made_at_us}, more than ${recordAheadDaysMax} day ahead`,
    )
  }
  const { records, accepted, rejected } = takeRecords(value.records, nowUs)
  const { running, refused } = takeRunning(value.running ?? [], nowUs)
  const batch: Batch = {
    batch_id: value.batch_id.toLowerCase(),
    made_at_us: value.made_at_us,
    source: {
      service: name(value.source.service),
      instance: name(value.source.instance),
      environment: name(value.source.environment),
      version: nameOrNull(value.source.version),
    },
    process: {
      id: value.process.id.toLowerCase(),
      started_at_us: value.process.started_at_us,
      host: nameOrNull(value.process.host),
      pid: value.process.pid ?? null,
      sdk: name(value.process.sdk),
    },
    seq: value.seq,
    piece: [piece, pieces],
    counters: countersOf(value.counters),
    running,
    running_total: Math.max(value.running_total ?? 0, running.length + refused),
    records,
  }
  return ok({ batch, accepted, rejected, running_refused: refused })
}

function textOf(body: string | Uint8Array): Result<string, BatchRefusal> {
  if (typeof body === 'string' ? !isWithin(body, batchBytesMax) : body.byteLength > batchBytesMax) {
    return refuse(413, `Cannot take batch: it is over ${batchBytesMax} bytes long`)
  }
  if (typeof body === 'string') return ok(body)
  try {
    return ok(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    return refuse(400, 'Cannot read batch: it is not UTF-8')
  }
}

function jsonOf(text: string): Result<unknown, BatchRefusal> {
  if (!isShallow(text, parseDepthMax)) {
    return refuse(400, `Cannot read batch: it is nested more than ${parseDepthMax} deep`)
  }
  try {
    return ok(JSON.parse(text))
  } catch {
    // The parser's own message quotes the text.
    return refuse(400, 'Cannot read batch: it is not JSON')
  }
}

function takeRecords(values: readonly unknown[], nowUs: number) {
  const records: TelltaleRecord[] = []
  const accepted: { [type in RecordType]?: number } = {}
  const rejected: Rejection[] = []
  const placeOf = new Map<string, number>()
  values.forEach((value, index) => {
    const parsed = parseRecord(value, nowUs)
    if (!parsed.ok) {
      rejected.push({ index, reason: parsed.error })
      return
    }
    const record = parsed.value
    accepted[record.type] = (accepted[record.type] ?? 0) + 1
    const identity = identityOf(record)
    const place = identity === null ? undefined : placeOf.get(identity)
    if (place === undefined) {
      if (identity !== null) placeOf.set(identity, records.length)
      records.push(record)
    } else {
      records[place] = greaterOf(records[place] as TelltaleRecord, record)
    }
  })
  return { records, accepted, rejected }
}

/** What may stand in a batch once; null for spans, of which the trace keeps the one of greatest rank. */
function identityOf(record: TelltaleRecord): string | null {
  switch (record.type) {
    case 'span':
      return null
    case 'error':
      return `error ${record.error_id}`
    case 'message':
      return `message ${record.message_id}`
    case 'event':
      return `event ${record.event_id}`
    case 'gauge':
      return `gauge ${record.at_us} ${JSON.stringify([record.name, Object.entries(record.labels).sort(byKey)])}`
  }
}

function byKey([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : 1
}

/** Of two records with one id, the one that says more; the same one whatever order they came in. */
function greaterOf(a: TelltaleRecord, b: TelltaleRecord): TelltaleRecord {
  const [textA, textB] = [JSON.stringify(a), JSON.stringify(b)]
  if (textA.length !== textB.length) return textA.length > textB.length ? a : b
  return textA >= textB ? a : b
}

function takeRunning(values: readonly unknown[], nowUs: number): { running: RunningCall[]; refused: number } {
  const running: RunningCall[] = []
  const looked = Math.min(values.length, runningMax)
  for (let index = 0; index < looked; index += 1) {
    const call = parseRunning(values[index], nowUs)
    if (call !== null) running.push(call)
  }
  return { running, refused: values.length - running.length }
}

/** Reasons beyond the first droppedReasonsMax are summed under `other`, so that no loss goes unsaid. */
function countersOf(counters: WireEnvelope['counters']): Counters {
  const dropped: { [reason: string]: number } = {}
  let room = droppedReasonsMax - 1
  for (const [reason, n] of Object.entries(counters.dropped)) {
    const key = cutText(cleanText(reason), idBytesMax)
    const known = Object.hasOwn(dropped, key)
    const kept = key !== '__proto__' && (known || room > 0) ? key : 'other'
    if (!known && kept === key) room -= 1
    const before = Object.hasOwn(dropped, kept) ? (dropped[kept] as number) : 0
    dropped[kept] = Math.min(before + n, integerMax)
  }
  return { recorded: counters.recorded, dropped }
}

function name(text: string): string {
  return cutText(cleanText(text), nameBytesMax)
}

function nameOrNull(text: string | null | undefined): string | null {
  return text === null || text === undefined || text === '' ? null : name(text)
}

function refuse(status: BatchRefusal['status'], detail: string): Result<never, BatchRefusal> {
  return err({ status, detail })
}
