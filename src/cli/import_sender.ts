import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import {
  batchBytesMax,
  importBatchesAtOnce,
  reporterBatchRecordsMax,
  retryBaseMs,
  retryMsMax,
  sendMsMax,
} from '../core/limit.ts'
import { type Batch, importSdk, type ProcessInfo, type Source, type TelltaleRecord } from '../core/record.ts'
import { type Reply, verdictOf } from '../reporter/delivery/verdict.ts'
import { redactOrigin, redactRecord } from '../wire/redact_record.ts'
import { type ImportedRecord, uuidV8Of } from './import_reader.ts'

/** How far each process that the log tells of has been sent. Plain, so that it can be kept between two runs. */
export type SenderState = { readonly [process: string]: { readonly seq: number; readonly recorded: number } }

export type SenderOptions = {
  readonly ingestUrl: string
  readonly ingestKey: string
  readonly source: Source
  readonly scope: string
  /** What was added to all times: no part of what makes a record this record. */
  readonly shiftUs: number
  readonly state?: SenderState | undefined
  /** How long an edge that does not answer is waited for, in ms. */
  readonly patienceMs?: number
}

/** Nothing was lost: what was not sent is sent by the next run. */
export class ImportStopped extends Error {
  override readonly name = 'ImportStopped'
}

const patienceMsDefault = 60_000
const originsMax = 1_000
/** So old on arrival that it says nothing about what runs now. */
const ageUs = 600_000_000

/**
 * Sends imported records in batches whose ids come from what is in them, so that sending them again changes nothing: one
 * batch for each process and chunk of lines.
 */
export class ImportSender {
  readonly #options: SenderOptions
  readonly #origins: Map<string, { seq: number; recorded: number }>
  stored = 0
  repeated = 0
  readonly rejected: { [reason: string]: number } = {}

  constructor(options: SenderOptions) {
    this.#options = options
    this.#origins = new Map(Object.entries(options.state ?? {}).map(([id, at]) => [id, { ...at }]))
  }

  get state(): SenderState {
    return Object.fromEntries(this.#origins)
  }

  /** @throws ImportStopped when the edge refuses the key, or does not answer for a minute */
  async send(records: readonly ImportedRecord[]): Promise<void> {
    const groups = new Map<
      string,
      { readonly source: Source; readonly process: ProcessInfo; readonly records: TelltaleRecord[] }
    >()
    for (const { record, origin } of records) {
      const source = origin?.source ?? this.#options.source
      const process = this.#processOf(origin)
      const group = groups.get(process.id) ?? { source, process, records: [] }
      group.records.push(redactRecord(record))
      groups.set(process.id, group)
    }
    const batches = [...groups.values()].flatMap((group) =>
      partsOf(group.records).map((part) => this.#batchOf(group.source, group.process, part)),
    )
    // The order in which batches arrive means nothing.
    const post = async () => {
      for (let next = batches.shift(); next !== undefined; next = batches.shift()) await this.#post(next)
    }
    await Promise.all(Array.from({ length: importBatchesAtOnce }, post))
  }

  /** A process of its own beside the one that the log is of: its sequence numbers are the import's. */
  #processOf(origin: ImportedRecord['origin']): ProcessInfo {
    const told = origin?.process
    const id = hashOf(`${this.#options.scope}\nprocess\n${told?.id ?? ''}`)
    return {
      id: uuidV8Of(id),
      started_at_us: told?.started_at_us ?? Date.now() * 1_000 - ageUs,
      host: told?.host ?? hostname(),
      pid: null,
      sdk: `${importSdk}0.1.0`,
    }
  }

  #batchOf(source: Source, process: ProcessInfo, records: readonly TelltaleRecord[]): Batch {
    if (!this.#origins.has(process.id) && this.#origins.size >= originsMax) {
      throw new ImportStopped(`Cannot import more: the log tells of more than ${originsMax} processes`)
    }
    const at = this.#origins.get(process.id) ?? { seq: 0, recorded: 0 }
    at.seq++
    at.recorded += records.length
    this.#origins.set(process.id, at)
    return {
      batch_id: uuidV8Of(
        hashOf(
          `${this.#options.scope}\n${process.id}\n${at.seq}\n${records.map((record) => identityOf(record, this.#options.shiftUs)).join('\n')}`,
        ),
      ),
      made_at_us: Date.now() * 1_000 - ageUs,
      ...redactOrigin({ source, process, counters: { recorded: at.recorded, dropped: {} } }),
      seq: at.seq,
      piece: [1, 1],
      running: [],
      running_total: 0,
      records,
    }
  }

  async #post(batch: Batch): Promise<void> {
    const until = Date.now() + (this.#options.patienceMs ?? patienceMsDefault)
    for (let attempt = 0; ; attempt++) {
      const verdict = verdictOf(await this.#attempt(batch), batch.batch_id, Date.now())
      if (verdict.act === 'settle') {
        const { status, rejected } = verdict.ack
        const taken = batch.records.length - rejected.length
        if (status === 'repeated') this.repeated += taken
        else this.stored += taken
        for (const { reason } of rejected) this.#reject(reason, 1)
        return
      }
      if (verdict.act === 'drop') return this.#reject(`the server ${verdict.reason}`, batch.records.length)
      if (verdict.act === 'recut') {
        const middle = Math.ceil(batch.records.length / 2)
        if (middle === batch.records.length) return this.#reject('it is too large', 1)
        for (const part of [batch.records.slice(0, middle), batch.records.slice(middle)]) {
          await this.#post(this.#batchOf(batch.source, batch.process, part))
        }
        return
      }
      if (verdict.why === 'key_refused')
        throw new ImportStopped(`Cannot import: the ingest key is refused (${verdict.text})`)
      const waitMs = Math.max(verdict.waitMs ?? 0, Math.min(retryMsMax, retryBaseMs * 2 ** attempt))
      if (Date.now() + waitMs > until) throw new ImportStopped(`Cannot reach the ingest address: ${verdict.text}`)
      await new Promise((resolve) => setTimeout(resolve, waitMs))
    }
  }

  async #attempt(batch: Batch): Promise<Reply> {
    const { ingestUrl, ingestKey } = this.#options
    try {
      const response = await fetch(ingestUrl, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${ingestKey}`,
          'content-type': 'application/json',
          'telltale-sent-at': String(Date.now() * 1_000),
        },
        body: JSON.stringify(batch),
        signal: AbortSignal.timeout(sendMsMax),
      })
      const text = await response.text()
      return { status: response.status, retryAfter: response.headers.get('retry-after'), body: jsonOf(text) }
    } catch {
      return { status: 503, retryAfter: null, body: undefined }
    }
  }

  #reject(reason: string, count: number): void {
    this.rejected[reason] = (this.rejected[reason] ?? 0) + count
  }
}

/** Cut so that each part is a batch that the edge takes, the same way each time. */
function partsOf(records: readonly TelltaleRecord[]): readonly (readonly TelltaleRecord[])[] {
  const parts: TelltaleRecord[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const record of records) {
    const size = Buffer.byteLength(JSON.stringify(record))
    if (bytes + size > batchBytesMax / 2 || (parts.at(-1)?.length ?? 0) >= reporterBatchRecordsMax) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)?.push(record)
    bytes += size
  }
  return parts
}

/** What makes a record this record: its id, and of a span how it ended; of a gauge its time as it was logged. */
function identityOf(record: TelltaleRecord, shiftUs: number): string {
  switch (record.type) {
    case 'span':
      return `${record.trace_id}${record.span_id}${record.outcome}`
    case 'error':
      return record.error_id
    case 'message':
      return record.message_id
    case 'event':
      return record.event_id
    case 'gauge':
      return JSON.stringify([record.name, record.at_us - shiftUs, record.value, record.labels])
  }
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
